/**
 * compare.ts: every exit code, the files it writes, and what it leaves alone. A drop and a bad config are found by the program as
 * a user starts it, and with NANOEVAL_TEST_ALL=1 every exit code is; the rest runs in this process.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { CompareResult } from '../nanoeval/compare/result.ts';
import type { ScoredRow } from '../nanoeval/questions.ts';
import { runHereWith } from './in_process.ts';
import { plantRun, rankedRow } from './planted_run.ts';
import { DEMO, runWith, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('compare');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const ranked = (wrong: number, n: number): ScoredRow[] =>
  Array.from({ length: n }, (_, i) => rankedRow(i, 1, i < wrong ? 2 : 1));
const yamlOf = (baseline: string, current: string, more = '') =>
  `baseline: ${at(baseline)}\ncurrent: ${at(current)}\nreport: { output_dir: ${at('out')}, save_plot: false }\n${more}`;

before(async () => {
  await plantRun(at('full'), { rows: ranked(0, 200) });
  await plantRun(at('same'), { rows: ranked(0, 200) });
  await plantRun(at('bad'), { rows: ranked(40, 200) });
  await plantRun(at('few'), { rows: ranked(3, 200) });
  await plantRun(at('other'), { rows: ranked(0, 150) });
});

const CODES: [code: number, name: string, current: string, more: string, last: RegExp][] = [
  [0, 'HELD', 'same', '', /^HELD \(exit code 0\)$/m],
  [1, 'REGRESSED', 'bad', '', /^REGRESSED \(exit code 1\)$/m],
  [2, 'a bad config', 'same', 'rows: none\n', /compare\.yaml:4:7: rows: "none"/],
  [4, 'UNDERPOWERED', 'few', '', /^UNDERPOWERED \(exit code 4\)$/m],
  [5, 'not comparable', 'other', '', /not comparable with \S+full: dataset\.num_rows is 200 there and 150 now/],
];

describe('exit codes', () => {
  for (const [code, name, current, more, last] of CODES) {
    test(`${code}: ${name}`, async () => {
      const own = at(`code${code}`);
      cpSync(at('full'), join(own, 'kept'), { recursive: true });
      const isSpawned = code === 1 || code === 2 || process.env.NANOEVAL_TEST_ALL === '1';
      const yaml = yamlOf('full', current, more);
      const done = await (isSpawned ? runWith('compare', own, yaml).finished : runHereWith('compare', own, yaml));
      assert.equal(done.code, code, done.stderr);
      assert.match(done.stderr, last);
      assert.doesNotMatch(done.stderr, /\n\s+at /);
    });
  }
});

test('the files of a comparison', async () => {
  rmSync(at('out'), { recursive: true, force: true });
  const yaml = yamlOf('full', 'bad').replace('save_plot: false', 'save_plot: true');
  const { code, stdout, stderr } = await runHereWith('compare', at('files'), yaml);
  assert.equal(code, 1, stderr);
  assert.deepEqual(readdirSync(at('out')).sort(), [
    'compare.json',
    'compare.md',
    'compare.png',
    'compare.svg',
    'junit.xml',
  ]);
  const result = JSON.parse(readFileSync(at('out/compare.json'), 'utf8')) as CompareResult;
  assert.deepEqual([result.verdict, result.exit_code, result.tasks[0]!.flips.length], ['REGRESSED', 1, 40]);
  assert.match(readFileSync(at('out/compare.md'), 'utf8'), /^## REGRESSED: worse by more than is allowed\n/);
  assert.match(readFileSync(at('out/junit.xml'), 'utf8'), /<failure message="REGRESSED: acc_norm 1 -&gt; 0\.8"/);
  assert.match(readFileSync(at('out/compare.svg'), 'utf8'), />hellaswag acc_norm</);
  assert.match(stdout, /^\| verdict +\| task +\|/);
});

test('the comparison goes to no folder that is read', async () => {
  const yaml = yamlOf('full', 'same').replace(at('out'), at('full/inside'));
  const { code, stderr } = await runHereWith('compare', at('apart'), yaml);
  assert.equal(code, 2);
  assert.match(
    stderr,
    /:3:\d+: report\.output_dir: \S+inside is where the comparison goes, and \S+full is what is compared/,
  );
  assert.equal(existsSync(at('full/inside')), false);
});

test('what is missing is named with its place', async () => {
  const { code, stderr } = await runHereWith('compare', at('missing'), `baseline: ${at('full')}\n`);
  assert.deepEqual([code, /: current: missing\. Name the folder of the run or suite/.test(stderr)], [2, true], stderr);
  const other = await runHereWith('compare', at('missing'), `current: ${at('full')}\n`);
  assert.match(
    other.stderr,
    /: baseline: missing\. Name the folder of the run that it is compared with, or `branch`\./,
  );
});

test('power alone is a table and compares nothing', async () => {
  const { code, stdout } = await runHereWith('compare', at('power'), 'power: { n: [500, 5000], accuracy: 0.5 }\n');
  assert.equal(code, 0);
  assert.match(stdout, /four times in five[\s\S]*\| +500 \|[\s\S]*\| +5000 \|/);
});

describe('a run that saves its baseline', () => {
  const run = (name: string, more: string) =>
    runHereWith(
      'run_hellaswag',
      at(name),
      `task: hellaswag
model: { model_id: ${DEMO}, chat_template: false }
engine: { workers: 1, threads_per_worker: 1 }
dataset: { path: nanoeval/demo/data/hellaswag, subset_size: 12 }
run: { baselines_dir: ${at('baselines')}, ${more} }
report: { output_dir: ${at(name)}, save_plot: false, save_table: false }
`,
    );

  test('is found again by the branch, and compared with itself it is held', async () => {
    const { code, stderr } = await run('saved', 'save_baseline: true');
    assert.equal(code, 0, stderr);
    assert.match(stderr, /baseline of 1 tasks saved in \S+baselines\/\S*hellaswag/);
    const yaml = `baseline: branch\nbaselines_dir: ${at('baselines')}\ncurrent: ${at('saved')}\nreport: { output_dir: ${at('out2')}, save_plot: false }\n`;
    const compared = await runHereWith('compare', at('again'), yaml);
    assert.equal(compared.code, 0, compared.stderr);
    assert.match(compared.stderr, /^HELD \(exit code 0\)$/m);
    const result = JSON.parse(readFileSync(at('out2/compare.json'), 'utf8')) as CompareResult;
    assert.equal(result.tasks[0]!.rows, 12);
  });

  test('saves none that is asked in another way, and says so', async () => {
    const { code, stderr } = await run('other_way', 'save_baseline: true, max_failed: 0.5').then(async (first) => {
      assert.equal(first.code, 0, first.stderr);
      return runHereWith(
        'run_hellaswag',
        at('third'),
        `task: hellaswag
model: { model_id: ${DEMO}, chat_template: false }
engine: { workers: 1, threads_per_worker: 1 }
dataset: { path: nanoeval/demo/data/hellaswag, subset_size: 6 }
run: { baselines_dir: ${at('baselines')}, save_baseline: true }
report: { output_dir: ${at('third')}, save_plot: false, save_table: false }
`,
      );
    });
    assert.equal(code, 2);
    assert.match(
      stderr,
      /run\.save_baseline: the baseline in \S+ was asked in another way \(hellaswag: selection\.subset_size\)/,
    );
  });
});
