import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openLog } from '../../nanoeval/report/progress.ts';

/** A log whose clock the test turns, with everything it wrote. */
function setup(options: { isTTY: boolean; columns?: number }) {
  const clock = { ms: 1_000_000 };
  const written: string[] = [];
  const stream = { isTTY: options.isTTY, columns: options.columns, write: (text: string) => written.push(text) };
  const log = openLog({ stream, now: () => clock.ms });
  return {
    clock,
    written,
    stream,
    log,
    rows: (done: number, total: number | null = 1000, note?: string) =>
      log.progress({ label: 'hellaswag', done, total, unit: 'rows', ...(note === undefined ? {} : { note }) }),
  };
}

const ESCAPE = '\u001b';

/** What a reader of the terminal sees: carriage return and clear-line applied. */
function screen(written: readonly string[]): string[] {
  return written
    .join('')
    .split('\n')
    .map((line) => line.slice(line.lastIndexOf(`${ESCAPE}[2K`) + 1).replace('[2K', ''));
}

test('terminal: bar, counts, rate over the last seconds, ETA and note in one line', () => {
  const { clock, written, log, rows } = setup({ isTTY: true, columns: 120 });
  rows(0);
  clock.ms += 10_000;
  rows(100);
  // From here on ten times as fast: after ten seconds the slow start is forgotten.
  for (let i = 1; i <= 10; i++) {
    clock.ms += 1000;
    rows(100 + i * 50, 1000, 'acc_norm 0.431');
  }
  const line = screen(written)[0]!;
  assert.equal(
    line,
    'hellaswag  [==============          ]   60 %  600/1000 rows  50.0 rows/s  ETA 0:08  acc_norm 0.431',
  );
  assert.ok(!written.join('').includes('\n'));
  rows(1000);
  assert.match(screen(written)[0]!, /\[={24}\] {2}100 % {2}1000\/1000 rows .* in 0:20/);
  log.close();
  assert.equal(written.at(-1), '\n');
  log.close();
  assert.equal(written.filter((text) => text === '\n').length, 1, 'closing twice is closing once');
});

test('terminal: drawn at most ten times a second, but the end always', () => {
  const { clock, written, rows } = setup({ isTTY: true, columns: 100 });
  for (let i = 0; i <= 1000; i++) {
    rows(i);
    clock.ms += 1;
  }
  assert.ok(written.length >= 10 && written.length <= 12, `${written.length} draws`);
  assert.match(written.at(-1)!, /100 % {2}1000\/1000/);
});

test('terminal: a line never wraps, and the window may shrink', () => {
  const { clock, stream, written, log } = setup({ isTTY: true, columns: 200 });
  for (const columns of [200, 90, 60, 40, 20, 5, 1]) {
    stream.columns = columns;
    clock.ms += 1000;
    log.progress({
      label: '模型/model_q4f16.onnx',
      done: clock.ms,
      total: 2_000_000,
      unit: 'MB',
      note: 'n'.repeat(30),
    });
    const line = screen(written)[0]!;
    const width = [...line].reduce((sum, c) => sum + (/[模型]/.test(c) ? 2 : 1), 0);
    assert.ok(width < columns, `${width} cells in ${columns}`);
  }
});

test('terminal: info lines stand above the bar', () => {
  const { clock, written, log, rows } = setup({ isTTY: true, columns: 100 });
  log.info('first');
  rows(10);
  clock.ms += 10;
  log.info('truncated: row 7');
  assert.deepEqual(screen(written).slice(0, 2), ['first', 'truncated: row 7']);
  assert.match(screen(written)[2]!, /^hellaswag .*10\/1000 rows/);
  clock.ms += 1000;
  rows(1000);
  log.info('done');
  assert.match(screen(written)[2]!, /100 %/);
  assert.equal(screen(written)[3], 'done');
});

test('terminal: a new label starts a new line, and the old one shows its last state', () => {
  const { clock, written, log } = setup({ isTTY: true, columns: 100 });
  log.progress({ label: 'config.json', done: 100_000, total: 12_300_000, unit: 'MB' });
  clock.ms += 10;
  log.progress({ label: 'config.json', done: 9_900_000, total: 12_300_000, unit: 'MB' });
  log.progress({ label: 'model.onnx', done: 12_300_000, total: 538_100_000, unit: 'MB' });
  const lines = screen(written);
  assert.equal(lines.length, 2);
  assert.match(lines[0]!, /^config\.json .*9\.9\/12\.3 MB/);
  assert.match(lines[1]!, /^model\.onnx .* {2}2 % {2}12\.3\/538\.1 MB$/);
});

test('a total that nobody knows: no bar, no per cent, no ETA', () => {
  const { clock, written, rows } = setup({ isTTY: true, columns: 100 });
  rows(1, null);
  clock.ms += 2000;
  rows(5, null);
  assert.equal(screen(written)[0], 'hellaswag  5 rows  2.00 rows/s');
});

test('a resumed run has the rate of what it did itself, and a restarted download no negative one', () => {
  const { clock, written, rows } = setup({ isTTY: true, columns: 100 });
  rows(900);
  clock.ms += 1000;
  rows(910);
  assert.match(screen(written)[0]!, /10\.0 rows\/s {2}ETA 0:09/);
  clock.ms += 1000;
  rows(0);
  assert.ok(!screen(written)[0]!.includes('rows/s'));
  clock.ms += 1000;
  rows(5);
  assert.match(screen(written)[0]!, /5\.00 rows\/s {2}ETA 3:19/);
});

test('slow rows, one a minute, have a rate too', () => {
  const { clock, written, rows } = setup({ isTTY: true, columns: 100 });
  for (let i = 0; i < 5; i++) {
    rows(i);
    clock.ms += 60_000;
  }
  assert.match(screen(written)[0]!, /0\.02 rows\/s {2}ETA 16:36:00/);
});

test('nothing to do is 100 %', () => {
  const { written, rows } = setup({ isTTY: true, columns: 100 });
  rows(0, 0);
  assert.match(screen(written)[0]!, /100 % {2}0\/0 rows/);
});

test('piped: a plain line every five seconds and one at the end', () => {
  const { clock, written, log, rows } = setup({ isTTY: false });
  for (let i = 0; i <= 120; i++) {
    rows(i, 120, 'acc 0.25');
    clock.ms += 100;
  }
  rows(120, 120);
  log.close();
  assert.deepEqual(written, [
    'hellaswag   41 %  50/120 rows  10.0 rows/s  ETA 0:07  acc 0.25\n',
    'hellaswag   83 %  100/120 rows  10.0 rows/s  ETA 0:02  acc 0.25\n',
    'hellaswag  100 %  120/120 rows  10.0 rows/s  in 0:12  acc 0.25\n',
  ]);
  assert.ok(!written.join('').includes(ESCAPE) && !written.join('').includes('\r'));
});

test('piped: every label ends with one line, info lines go through, and an interrupted one is told at the close', () => {
  const { clock, written, log } = setup({ isTTY: false });
  for (const label of ['a.json', 'b.json']) {
    for (const done of [0, 500_000, 1_000_000, 1_000_000]) {
      log.progress({ label, done, total: 1_000_000, unit: 'MB' });
      clock.ms += 300;
    }
  }
  log.info('loaded');
  log.progress({ label: 'mmlu', done: 0, total: 10, unit: 'rows' });
  clock.ms += 1000;
  log.progress({ label: 'mmlu', done: 3, total: 10, unit: 'rows' });
  log.close();
  assert.deepEqual(written, [
    'a.json  100 %  1.0/1.0 MB  1.67 MB/s  in 0:01\n',
    'b.json  100 %  1.0/1.0 MB  1.67 MB/s  in 0:01\n',
    'loaded\n',
    'mmlu   30 %  3/10 rows  3.00 rows/s  ETA 0:03\n',
  ]);
});

test('the caller may use one object again and again', () => {
  const { clock, written, log } = setup({ isTTY: false });
  const progress = { label: 'a', done: 0, total: 10, unit: 'rows' as const };
  log.progress(progress);
  clock.ms += 6000;
  progress.done = 10;
  log.progress(progress);
  assert.equal(written.length, 1);
  assert.match(written[0]!, /100 %/);
});

test('a label cannot move the cursor', () => {
  const { written, log } = setup({ isTTY: true, columns: 80 });
  log.progress({ label: 'a\n\u001b[31mb', done: 1, total: 2, unit: 'rows' });
  assert.match(screen(written)[0]!, /^a \[31mb {2}\[/);
});

test('an open log keeps no process alive, and writes to stderr alone', () => {
  const file = fileURLToPath(new URL('../../nanoeval/report/progress.ts', import.meta.url));
  const program = `import { openLog } from ${JSON.stringify(file)};
    const log = openLog(); log.info('hello'); log.progress({ label: 'x', done: 1, total: 2, unit: 'rows' });`;
  const child = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(child.status, 0, child.stderr);
  assert.equal(child.stdout, '');
  assert.equal(child.stderr, 'hello\n');
});
