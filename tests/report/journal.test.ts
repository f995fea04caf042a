import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type JournalRow, keepAside, openJournal, readJournal } from '../../nanoeval/report/journal.ts';
import { UserError } from '../../nanoeval/types.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-journal-'));
after(() => rmSync(folder, { recursive: true }));
const failed = (index: number, message = 'x'): JournalRow => ({
  task: 't',
  id: String(index),
  index,
  error: { kind: 'nan', message },
});

async function rowsOf(path: string): Promise<JournalRow[]> {
  const rows = [];
  for await (const row of readJournal(path)) rows.push(row);
  return rows;
}

test('each row stands whole in the file as soon as it is appended', async () => {
  const path = join(folder, 'a/b/rows.jsonl');
  const journal = openJournal(path);
  const rows = [failed(0), failed(1, 'Zeile\nmit Umbruch \u2028 und 😀'), failed(2)];
  for (const [i, row] of rows.entries()) {
    journal.append(row);
    assert.equal(readFileSync(path, 'utf8').split('\n').length, i + 2);
  }
  journal.close();
  journal.close();
  assert.deepEqual(await rowsOf(path), rows);
});

test('a file that has rows is refused and left as it is', () => {
  const path = join(folder, 'rows.jsonl');
  writeFileSync(path, '{"id":"0","index":0}\n');
  assert.throws(
    () => openJournal(path),
    (error) =>
      error instanceof UserError && error.key === 'report.output_dir' && /already has rows/.test(error.message),
  );
  assert.equal(readFileSync(path, 'utf8'), '{"id":"0","index":0}\n');
});

test('an empty file, left by a run that failed before its first row, is taken', () => {
  const path = join(folder, 'empty.jsonl');
  writeFileSync(path, '');
  openJournal(path).close();
});

test('an output folder that cannot be made is a line for the user', () => {
  writeFileSync(join(folder, 'file'), '');
  assert.throws(() => openJournal(join(folder, 'file/rows.jsonl')), UserError);
});

test('what is not a row is told with its line', async () => {
  const path = join(folder, 'broken.jsonl');
  writeFileSync(path, '{"id":"0","index":0}\n{"id":"1",\n');
  await assert.rejects(rowsOf(path), /broken\.jsonl:2: not a JSON line/);
  writeFileSync(path, '{"id":"0","index":0}\n{"rows":3}\n');
  await assert.rejects(rowsOf(path), /broken\.jsonl:2: not a row/);
});

test('an old folder is kept under the next free name', () => {
  const run = join(folder, 'run');
  for (const n of [1, 2]) {
    mkdirSync(run);
    assert.equal(keepAside(`${run}/`), `${run}.old-${n}`);
  }
  assert.ok(existsSync(`${run}.old-1`) && existsSync(`${run}.old-2`) && !existsSync(run));
});
