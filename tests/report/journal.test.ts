/** predictions.jsonl and its folder: what is written stays, whole and in order. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type JournalRow, keepAside, openJournal, readJournal, sortJournal } from '../../nanoeval/report/journal.ts';
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

test("a run's own files are kept under the next free name, and nothing else is moved", () => {
  const run = join(folder, 'run');
  mkdirSync(run);
  writeFileSync(join(run, 'mine.yaml'), '');
  for (const n of [1, 2]) {
    writeFileSync(join(run, 'rows.jsonl'), String(n));
    assert.equal(keepAside(`${run}/`, ['rows.jsonl', 'run.json']), `${run}.old-${n}`);
    assert.equal(readFileSync(join(`${run}.old-${n}`, 'rows.jsonl'), 'utf8'), String(n));
  }
  assert.deepEqual(readdirSync(run), ['mine.yaml']);
});

test('a journal that ends without a row leaves no file; two runs never share one', () => {
  const path = join(folder, 'once.jsonl');
  const first = openJournal(path);
  assert.throws(() => openJournal(path), /without rows: another run may have just begun/);
  first.close();
  assert.ok(!existsSync(path));
});

test('a finished journal is put into the order of the rows, each line byte for byte', async () => {
  const path = join(folder, 'unsorted.jsonl');
  // Spelt as JSON.stringify would not: what was written stays.
  const lines = [0, 1, 2, 3, 10, 11].map(
    (index) => `{ "id":"${index}",  "index":${index},"text":"a \u2028 b \\u00e9 \u{1f600}","value":1.50e-1 }`,
  );
  const order = [4, 1, 5, 0, 3, 2];
  writeFileSync(path, order.map((i) => `${lines[i]}\n`).join(''));
  await sortJournal(path);
  assert.equal(readFileSync(path, 'utf8'), lines.map((line) => `${line}\n`).join(''));
  assert.ok(!existsSync(`${path}.new`));
  assert.deepEqual(
    (await rowsOf(path)).map(({ index }) => index),
    [0, 1, 2, 3, 10, 11],
  );
});

test('a journal in order is left alone', async () => {
  const path = join(folder, 'sorted.jsonl');
  const journal = openJournal(path);
  for (const index of [0, 1, 2, 5, 12]) journal.append(failed(index));
  journal.close();
  const before = statSync(path, { bigint: true });
  await sortJournal(path);
  const behind = statSync(path, { bigint: true });
  assert.deepEqual([behind.ino, behind.mtimeNs], [before.ino, before.mtimeNs]);
});
