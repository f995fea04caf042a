/** predictions.jsonl and its folder: what is written stays, whole and in order. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
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
import type { Prediction, Verdict } from '../../nanoeval/questions.ts';
import {
  checkFolder,
  failedRow,
  finishJournal,
  hasRows,
  type JournalRow,
  keepAside,
  openJournal,
  readEarlier,
  readJournal,
  rowKey,
} from '../../nanoeval/run/journal.ts';
import { OutsideError, UserError } from '../../nanoeval/types.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-journal-'));
after(() => rmSync(folder, { recursive: true }));
const failed = (index: number, message = 'x'): JournalRow => ({
  task: 't',
  id: String(index),
  index,
  error: { kind: 'nan', message },
});
const scored = (index: number, correct: 0 | 1): JournalRow & { output?: string } => ({
  task: 't',
  id: String(index),
  index,
  group: 'g',
  gold: 0,
  prediction: 1 - correct,
  correct,
  metrics: { acc: correct },
  num_context_tokens: 1,
  truncated: false,
  prompt_sha256: '',
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

test('rows are appended behind those of an earlier run', async () => {
  const path = join(folder, 'rows.jsonl');
  writeFileSync(path, '{"id":"0","index":0}\n');
  const journal = openJournal(path);
  journal.append(failed(1));
  journal.close();
  assert.deepEqual(
    (await rowsOf(path)).map(({ index }) => index),
    [0, 1],
  );
  // And a run without news leaves them.
  openJournal(path).close();
  assert.equal((await rowsOf(path)).length, 2);
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

test('a journal that ends without a row leaves no file', () => {
  const path = join(folder, 'once.jsonl');
  openJournal(path).close();
  assert.ok(!existsSync(path));
});

test('a row above 10 MB is stored as failed, with what it would have taken', async () => {
  const path = join(folder, 'long.jsonl');
  const journal = openJournal(path);
  const row = { ...scored(3, 1), seed: 5, sample: 2, output: 'x'.repeat(10e6) };
  const stored = journal.append(row);
  journal.append({ ...scored(4, 1), output: 'x'.repeat(9e6) });
  journal.close();
  const [first, second] = await rowsOf(path);
  assert.deepEqual(first, stored);
  assert.ok('error' in first! && first.error.kind === 'size', JSON.stringify(first).slice(0, 200));
  assert.match(first.error.message, /would take 100\d{5} bytes, more than 10000000/);
  assert.deepEqual([first.id, first.index, first.seed, first.sample], ['3', 3, 5, 2]);
  assert.ok(!('error' in second!) && second?.output?.length === 9e6);
});

test('a failed row has the names of the row and its reason, no more', () => {
  const given = { ...scored(3, 1), prompt: 'long' };
  assert.deepEqual(failedRow(given, 'nan', 'why'), {
    task: 't',
    id: '3',
    index: 3,
    error: { kind: 'nan', message: 'why' },
  });
  assert.deepEqual(Object.keys(failedRow({ ...given, sample: 0, seed: 1 }, 'nan', 'why')), [
    'task',
    'id',
    'index',
    'seed',
    'sample',
    'error',
  ]);
});

test('a row is named by its place, its seed and its sample', () => {
  const keys = [
    { index: 12 },
    { index: 1, seed: 2 },
    { index: 1, sample: 2 },
    { index: 1, seed: 2, sample: 3 },
    { index: 1 },
  ];
  assert.deepEqual(keys.map(rowKey), ['12', '1|2|', '1||2', '1|2|3', '1']);
});

test('a folder is looked at before anything is fetched: a file in its way, no right to write', (t) => {
  assert.doesNotThrow(() => checkFolder(join(folder, 'not/yet/there/rows.jsonl')));
  writeFileSync(join(folder, 'plain'), '');
  const refused = (path: string) =>
    assert.throws(
      () => checkFolder(path),
      (error) =>
        error instanceof UserError && error.key === 'report.output_dir' && error.message.startsWith(`${path} `),
    );
  refused(join(folder, 'plain/rows.jsonl'));
  refused(join(folder, 'plain/deeper/rows.jsonl'));
  if (process.getuid?.() === 0) return t.diagnostic('root may write everywhere');
  mkdirSync(join(folder, 'locked'), { mode: 0o555 });
  refused(join(folder, 'locked/rows.jsonl'));
});

// ---------------------------------------------------------------- what an earlier run left

const lineOf = (row: JournalRow) => `${JSON.stringify(row)}\n`;

test('an earlier run: rows with a verdict stand, failed ones are open until a later try mends them', async () => {
  const path = join(folder, 'earlier.jsonl');
  assert.deepEqual(await readEarlier(path, 'acc'), { scored: new Set(), failed: new Set(), sum: 0, torn: 0 });
  assert.ok(!hasRows(path));
  const rows = [
    scored(0, 1),
    failed(1),
    failed(2),
    scored(1, 1),
    scored(3, 0),
    { ...scored(4, 1), seed: 1 },
    { ...failed(4), seed: 2 },
    // Of two verdicts the first counts; a failure behind a verdict changes nothing.
    scored(3, 1),
    failed(0),
  ];
  writeFileSync(path, rows.map(lineOf).join(''));
  assert.ok(hasRows(path));
  const { scored: done, failed: open, sum, torn } = await readEarlier(path, 'acc');
  assert.deepEqual([...done], ['0', '1', '3', '4|1|']);
  assert.deepEqual([...open], ['2', '4|2|']);
  assert.deepEqual([sum, torn], [3, 0]);
});

test('the sum is of the primary metric, whatever it is; rows without verdicts add nothing', async () => {
  const path = join(folder, 'sums.jsonl');
  const { metrics: _m, correct: _c, prediction: _p, ...bare } = scored(3, 1) as Prediction & Partial<Verdict>;
  const rows: JournalRow[] = [
    { ...scored(0, 1), metrics: { nats: 1.5, acc: 1 } },
    { ...scored(1, 0), metrics: { nats: 2.25, acc: 0 } },
    { ...scored(2, 0), metrics: { acc: 1 } },
    bare,
  ];
  writeFileSync(path, rows.map(lineOf).join(''));
  assert.equal((await readEarlier(path, 'nats')).sum, 3.75);
  assert.equal((await readEarlier(path, 'acc')).sum, 2);
  assert.equal((await readEarlier(path, 'none')).sum, 0);
  assert.equal((await readEarlier(path, 'acc')).scored.size, 4);
});

test('a torn last line is dropped, that line alone, wherever it was cut', async () => {
  const path = join(folder, 'torn.jsonl');
  const whole = [scored(0, 1), failed(1)].map(lineOf).join('');
  // The last one is longer than the pieces in which its end is looked for.
  for (const next of [lineOf(scored(2, 0)), lineOf({ ...scored(2, 0), output: 'ü'.repeat(100_000) })]) {
    const bytes = Buffer.from(next);
    for (const cut of [1, 2, 40, Math.floor(bytes.length / 2), bytes.length - 2, bytes.length - 1]) {
      writeFileSync(path, Buffer.concat([Buffer.from(whole), bytes.subarray(0, cut)]));
      assert.equal((await readEarlier(path, 'acc')).torn, cut);
      assert.equal(readFileSync(path, 'utf8'), whole);
    }
  }
  const first = Buffer.from(lineOf(scored(0, 1))).subarray(0, 30);
  writeFileSync(path, first);
  assert.deepEqual(await readEarlier(path, 'acc'), { scored: new Set(), failed: new Set(), sum: 0, torn: 30 });
  assert.equal(statSync(path).size, 0);
});

test('a torn line in the middle is a fault of the file, with its line, and nothing is dropped', async () => {
  const path = join(folder, 'middle.jsonl');
  const text = `${lineOf(scored(0, 1))}${lineOf(scored(1, 1)).slice(0, 50)}${lineOf(scored(2, 1))}`;
  writeFileSync(path, text);
  await assert.rejects(readEarlier(path, 'acc'), (error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /middle\.jsonl:2: not a JSON line/);
    return true;
  });
  assert.equal(readFileSync(path, 'utf8'), text);
});

test('a finished journal is put into the order of the rows, each line byte for byte', async () => {
  const path = join(folder, 'unsorted.jsonl');
  // Spelt as JSON.stringify would not: what was written stays.
  const lines = [0, 1, 2, 3, 10, 11].map(
    (index) => `{ "id":"${index}",  "index":${index},"text":"a \u2028 b \\u00e9 \u{1f600}","value":1.50e-1 }`,
  );
  const order = [4, 1, 5, 0, 3, 2];
  writeFileSync(path, order.map((i) => `${lines[i]}\n`).join(''));
  await finishJournal(path, () => null);
  assert.equal(readFileSync(path, 'utf8'), lines.map((line) => `${line}\n`).join(''));
  assert.ok(!existsSync(`${path}.new`));
  assert.deepEqual(
    (await rowsOf(path)).map(({ index }) => index),
    [0, 1, 2, 3, 10, 11],
  );
});

test('of the tries of a row the first verdict stays, or the last failure; each row once', async () => {
  const path = join(folder, 'mended.jsonl');
  const rows = [
    failed(1, 'first'),
    scored(0, 1),
    { ...scored(2, 1), sample: 1 },
    { ...failed(2), sample: 0 },
    failed(3, 'first'),
    scored(1, 1),
    { ...scored(2, 0), sample: 0 },
    failed(3, 'second'),
    scored(1, 0),
    failed(0, 'late'),
  ];
  writeFileSync(path, rows.map(lineOf).join(''));
  await finishJournal(path, () => null);
  const wanted = [1, 5, 6, 2, 7].map((i) => lineOf(rows[i]!));
  assert.equal(readFileSync(path, 'utf8'), wanted.join(''));
});

test('rows are in order of place, then seed, then sample', async () => {
  const path = join(folder, 'seeds.jsonl');
  const rows = [2, 10].flatMap((seed) =>
    [0, 11, 2].flatMap((index) => [1, 0].map((sample) => ({ ...scored(index, 1), seed, sample }))),
  );
  writeFileSync(path, rows.map(lineOf).join(''));
  await finishJournal(path, () => null);
  assert.deepEqual(
    (await rowsOf(path)).map(({ index, seed, sample }) => [index, seed, sample].join()),
    [
      '0,2,0',
      '0,2,1',
      '0,10,0',
      '0,10,1',
      '2,2,0',
      '2,2,1',
      '2,10,0',
      '2,10,1',
      '11,2,0',
      '11,2,1',
      '11,10,0',
      '11,10,1',
    ],
  );
});

test('a finished journal gives what is kept of each row, in order, and whole rows by their places', async () => {
  const path = join(folder, 'finished.jsonl');
  const rows = [
    { ...scored(4, 1), output: 'four' },
    failed(1),
    { ...scored(0, 0), output: 'zero' },
    { ...scored(1, 1), output: 'mended' },
    failed(9, 'stays'),
    { ...scored(0, 1), output: 'late' },
  ];
  writeFileSync(path, rows.map(lineOf).join(''));
  const asked: number[] = [];
  const keep = (row: JournalRow) => {
    asked.push(row.index);
    return 'error' in row ? `failed ${row.index}` : `row ${row.index}`;
  };
  const { kept, rowsAt } = await finishJournal(path, keep);
  assert.deepEqual(kept, ['row 0', 'row 1', 'row 4', 'failed 9']);
  // Of row 0 the first verdict stands; the second is not even looked at.
  assert.deepEqual(asked, [4, 1, 0, 1, 9]);
  assert.deepEqual(rowsAt([1, 3, 2]), [rows[3], rows[4], rows[0]]);
  assert.deepEqual(rowsAt([]), []);
  assert.deepEqual(await rowsOf(path), [rows[2], rows[3], rows[0], rows[4]]);
  // From the file as it is now: the same, and nothing is written.
  const before = statSync(path, { bigint: true });
  const again = await finishJournal(path, keep);
  assert.deepEqual(again.kept, kept);
  assert.deepEqual(again.rowsAt([0, 1, 2, 3]), await rowsOf(path));
  assert.equal(statSync(path, { bigint: true }).ino, before.ino);
});

test('it is read once: what becomes of the file later changes no row that was kept', async () => {
  const path = join(folder, 'once_read.jsonl');
  writeFileSync(path, [scored(1, 1), scored(0, 1)].map(lineOf).join(''));
  const { rowsAt } = await finishJournal(path, ({ index }) => index);
  rmSync(path);
  assert.deepEqual(rowsAt([0, 1]), [scored(0, 1), scored(1, 1)]);
});

test('a finished journal with a line that is no row is told with the line, and left as it is', async () => {
  const path = join(folder, 'no_row.jsonl');
  const text = `${lineOf(scored(1, 1))}{"rows":3}\n${lineOf(scored(0, 1))}`;
  writeFileSync(path, text);
  await assert.rejects(
    finishJournal(path, () => null),
    (error) => error instanceof UserError && /no_row\.jsonl:2: not a row/.test(error.message),
  );
  assert.equal(readFileSync(path, 'utf8'), text);
});

test('a disk that is full: the row is not there, those before it are whole, and it goes on when there is room', async (t) => {
  const small = join(folder, 'small');
  mkdirSync(small);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small]).status === 0;
  if (!mounted) return t.skip('no right to mount a small tmpfs');
  t.after(() => spawnSync('umount', [small]));
  const path = join(small, 'rows.jsonl');
  const journal = openJournal(path);
  const long = (index: number): JournalRow => ({ ...scored(index, 1), output: 'x'.repeat(7000) });
  let stored = 0;
  assert.throws(
    () => {
      for (; stored < 100; stored += 1) journal.append(long(stored));
    },
    (error) =>
      error instanceof OutsideError &&
      /rows\.jsonl: row \d+ could not be written: ENOSPC.*Earlier rows are intact/.test(error.message),
  );
  assert.ok(stored > 2 && stored < 12, `${stored}`);
  const text = readFileSync(path, 'utf8');
  assert.ok(text.endsWith('}\n'));
  assert.equal((await rowsOf(path)).length, stored);
  spawnSync('mount', ['-o', 'remount,size=1m', small]);
  journal.append(long(stored));
  journal.close();
  assert.equal((await rowsOf(path)).length, stored + 1);
  assert.ok(readFileSync(path, 'utf8').startsWith(text));
});

test('a journal in order is left alone', async () => {
  const path = join(folder, 'sorted.jsonl');
  const journal = openJournal(path);
  for (const index of [0, 1, 2, 5, 12]) journal.append(failed(index));
  journal.close();
  const before = statSync(path, { bigint: true });
  await finishJournal(path, () => null);
  const behind = statSync(path, { bigint: true });
  assert.deepEqual([behind.ino, behind.mtimeNs], [before.ino, before.mtimeNs]);
});
