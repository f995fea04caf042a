/**
 * The suites that stand for a published table (`suites/paper_*.yaml`), run on the demo checkpoint and two rows of each benchmark:
 * every reported value has a metric of ours beside it, every mean its parts, and what is not run its reason.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse as parseCsv } from 'csv-parse/sync';
import { parse, stringify } from 'yaml';
import type { z } from 'zod';
import type { suiteSchema } from '../nanoeval/config/suite.ts';
import { rowsOf } from './choices_goldens.ts';
import { runHereWith } from './in_process.ts';
import { strongest } from './score/sandbox/rooms.ts';
import { DEMO, ROOT, temporaryFolder } from './spawn.ts';

type Suite = z.input<typeof suiteSchema>;
type Line = Record<'task' | 'metric' | 'value' | 'reference' | 'source' | 'note', string>;

const folder = temporaryFolder('paper_suites');
after(folder.remove);
const hasSandbox = (await strongest()) !== null;

const IFEVAL = join(folder.path, 'ifeval.jsonl');
writeFileSync(
  IFEVAL,
  [1, 2]
    .map((key) => `{"key":${key},"prompt":"Go ${key}.","instruction_id_list":["punctuation:no_comma"],"kwargs":[{}]}\n`)
    .join(''),
);
const fixture = (path: string) => join(ROOT, 'tests/fixtures', path);
const ROWS: Record<string, string> = {
  arc: fixture('arc/rows'),
  commonsenseqa: rowsOf('commonsenseqa'),
  gsm8k: fixture('gsm8k/rows'),
  hellaswag: join(ROOT, 'nanoeval/demo/data/hellaswag'),
  humaneval: fixture('humaneval/rows.jsonl'),
  ifeval: IFEVAL,
  mmlu: join(ROOT, 'nanoeval/demo/data/mmlu'),
  mmlu_pro: fixture('mmlu_pro/rows'),
  openbookqa: rowsOf('openbookqa'),
  piqa: rowsOf('piqa'),
  triviaqa: fixture('triviaqa/rows'),
  winogrande: rowsOf('winogrande'),
};
/** Tasks whose answers are generated: two tokens will do here. */
const ANSWERS = ['gsm8k', 'humaneval', 'ifeval', 'mmlu_pro', 'triviaqa'];
/** Reported on a scale of its own, not as a share. */
const NO_SHARE = ['MT-Bench'];

/** The suite as it stands, but for the checkpoint, the rows and the length of answers. */
function small(path: string, root: string): Suite {
  const suite: Suite = parse(readFileSync(join(ROOT, path), 'utf8'));
  const tasks = suite.tasks
    .filter(({ task }) => task !== 'humaneval' || hasSandbox)
    .map((entry) => {
      const { dataset, scoring, ...own } = entry as Suite['tasks'][number] & { dataset?: object; scoring?: object };
      return {
        ...own,
        dataset: { ...dataset, path: ROWS[own.task], sample: 2 },
        scoring: { ...scoring, ...(ANSWERS.includes(own.task) ? { max_new_tokens: 2 } : {}) },
        report: { save_plot: false },
      };
    });
  return { ...suite, suite: { ...suite.suite, output_root: root }, model: { ...suite.model, model_id: DEMO }, tasks };
}

for (const file of readdirSync(join(ROOT, 'suites')).filter((name) => /^paper_.*\.yaml$/.test(name))) {
  test(`suites/${file}: each reported value stands beside a value of ours or a reason`, async () => {
    const at = join(folder.path, file);
    mkdirSync(at);
    const suite = small(`suites/${file}`, join(at, 'out'));
    const { code, stderr } = await runHereWith('suite', at, stringify(suite));
    assert.equal(code, 0, stderr);
    const lines: Line[] = parseCsv(readFileSync(join(at, 'out/suite.csv'), 'utf8'), { columns: true });
    const isOf = (name: string, metric?: string) => (line: Line) =>
      line.task === name && (metric === undefined || line.metric === metric);

    const reported: Line[] = [];
    for (const { task, name = task, reference = {} } of suite.tasks) {
      for (const [metric, value] of Object.entries(reference)) {
        if (metric === 'source') continue;
        const line = lines.find(isOf(name, metric));
        assert.deepEqual([line?.reference, line?.source, line?.note], [String(value), reference.source, ''], metric);
        assert.match(line!.value, /^[01](\.\d+)?$/, `${name} ${metric}: a share`);
        reported.push(line!);
      }
    }
    for (const { name, reference } of suite.suite?.means ?? []) {
      const line = lines.find(isOf(name));
      assert.deepEqual([line?.reference, line?.note], [String(reference?.value), ''], name);
      assert.match(line!.value, /^[01](\.\d+)?$/, name);
      reported.push(line!);
    }
    for (const { name, reason, reference } of suite.suite?.missing ?? []) {
      const line = lines.find(isOf(name));
      assert.deepEqual([line?.value, line?.note, line?.source], ['', `missing: ${reason}`, reference?.source], name);
      reported.push(line!);
    }
    assert.ok(reported.length >= 8, `${reported.length} reported values`);
    for (const { task, reference } of reported)
      assert.equal(Number(reference) > 0 && Number(reference) < 1, !NO_SHARE.includes(task), `${task}: ${reference}`);

    const tex = readFileSync(join(at, 'out/suite.tex'), 'utf8');
    for (const { task, reference } of reported.filter(({ task }) => !NO_SHARE.includes(task)))
      assert.ok(tex.includes(` & ${(100 * Number(reference)).toFixed(1)} & `), `${task} in percent`);
    assert.ok(readFileSync(join(at, 'out/suite.png')).length > 5000, 'a chart');
  });
}
