/** Result files: fields, names, what is left out, and which earlier file gives way. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ModelIdentity } from '../../nanoeval/questions.ts';
import type { Summary } from '../../nanoeval/run/outcome.ts';
import {
  type FinishedRun,
  type ResultFile,
  resultFilesIn,
  resultsOf,
  writeResults,
} from '../../nanoeval/run/result_file.ts';
import { jsonFailure, schemaFault } from '../../nanoeval/score/json_schema.ts';
import { ROOT, temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('results');
after(folder.remove);

const COMMIT = 'c'.repeat(40);
/** A checkpoint on the hub, or a folder where `commit` is null. */
function checkpoint(label: string, { commit = COMMIT, graph = 'onnx/model.onnx', hash = 'a', variant = 'fp32' } = {}) {
  const files = [
    { path: graph, size: 1, sha256: hash },
    { path: `${graph}_data`, size: 1, sha256: hash },
  ];
  const source = { model_id: label, commit: commit === '' ? null : commit, device: 'cpu', files };
  return {
    label,
    variant,
    backend: 'onnx',
    max_length: 8,
    is_vlm: false,
    sha256: hash,
    source,
  } as unknown as ModelIdentity;
}

interface Told extends Partial<Omit<Summary, 'timing' | 'metrics' | 'host'>> {
  name?: string;
  called?: string | null;
  value?: number;
  n?: number;
  finished?: string;
  gpu?: string;
}

function run({ name = 'mmlu', called = null, value = 0.25, n = 8, finished, gpu, ...rest }: Told = {}): FinishedRun {
  const summary = {
    task: 'mmlu',
    status: 'complete',
    faults: [],
    primary: { name: 'acc', unit: 'share', better: 'higher', chance: 0.25 },
    metrics: { acc: { value, stderr: null, ci95: null, n } },
    health: { rows: 8, questions: 8, failed: 0, unparsed: 0, truncated: 0, empty: 0 },
    timing: { finished: finished ?? '2026-03-05T23:59:00.000Z' },
    model: checkpoint('org/Model-1B'),
    selection: { sample: null, seed: null, shard: null },
    scoring: { primary: 'acc', seed: null, samples_per_prompt: 1 },
    host: { cpu: 'made', ...(gpu === undefined ? {} : { gpu }) },
    ...rest,
  } as unknown as Summary;
  return { name, model: called, summary, error: null };
}

const only = (runs: readonly FinishedRun[]) => {
  const { files } = resultsOf(runs);
  assert.equal(files.size, 1);
  const [[name, file]] = [...files] as [[string, ResultFile]];
  return { name, file };
};

test('the fields of a file, all of them and no others, and its name', () => {
  const { name, file } = only([
    run({ finished: '2026-03-04T10:00:00.000Z' }),
    run({ name: 'hs-10', task: 'hellaswag', value: 0.5, finished: '2026-03-05T00:10:00.000Z' }),
  ]);
  assert.equal(name, '2026-03-05_org_Model-1B_mmlu-hs-10.json');
  assert.deepEqual(file, {
    timestamp: '2026-03-05T00:10:00.000Z',
    repo_id: 'org/Model-1B',
    model_path: 'onnx/model.onnx',
    model_format: 'onnx',
    gpu_info: null,
    benchmarks: {
      mmlu: { benchmark: 'mmlu', questions: 8, n_samples: 1, overall_score: 0.25 },
      'hs-10': { benchmark: 'hellaswag', questions: 8, n_samples: 1, overall_score: 0.5 },
    },
  });
  assert.equal(only([run({ gpu: 'cuda: one' }), run({ name: 'b', gpu: 'cuda: one' })]).file.gpu_info, 'cuda: one');
});

/** The JSON Schema that artifacts/README.md shows. */
function publishedSchema(): Record<string, unknown> {
  const text = readFileSync(join(ROOT, 'artifacts/README.md'), 'utf8');
  const section = text.slice(text.indexOf('## The result file'));
  return JSON.parse(/```json\n(\{\n {2}"\$schema"[\s\S]*?)```/.exec(section)![1]!);
}

test('the schema in the docs holds of files, and of nothing with another field', () => {
  const schema = publishedSchema();
  assert.equal(schemaFault(schema), null);
  const local = only([run({ model: checkpoint('a/folder', { commit: '' }), gpu: 'cuda: one' })]).file;
  for (const file of [only([run()]).file, local]) {
    assert.equal(jsonFailure(schema, JSON.stringify(file)), null);
    for (const key of Object.keys(file))
      assert.notEqual(jsonFailure(schema, JSON.stringify({ ...file, [key]: undefined })), null, key);
    assert.notEqual(jsonFailure(schema, JSON.stringify({ ...file, more: 1 })), null);
    const wrong = { mmlu: { ...file.benchmarks.mmlu, overall_score: 'x' } };
    assert.notEqual(jsonFailure(schema, JSON.stringify({ ...file, benchmarks: wrong })), null);
  }
});

test('samples and seeds count for each question; a sum is the mean that it is of', () => {
  const of = (told: Told) => only([run(told)]).file.benchmarks.mmlu!;
  const health = { rows: 48, questions: 4, failed: 0, unparsed: 0, truncated: 0, empty: 0 };
  const scoring = { primary: 'acc', seed: null, samples_per_prompt: 4, seeds: [1, 2, 3] };
  assert.deepEqual(of({ health, scoring, n: 48 }), {
    benchmark: 'mmlu',
    questions: 4,
    n_samples: 12,
    overall_score: 0.25,
  });
  // Each seed draws other questions.
  assert.equal(of({ health, scoring, selection: { sample: 2, seed: null, shard: null } }).n_samples, 4);
  assert.equal(of({ reduce: 'sum', value: 6, n: 8 }).overall_score, 0.75);
  assert.equal(of({ reduce: 'sum', value: 6, n: 8, pooled: ['acc'] }).overall_score, 6);
});

test('names are taken by every file system, whatever the checkpoint is called', () => {
  const named = (label: string, commit = '') => only([run({ model: checkpoint(label, { commit }) })]).name.slice(11);
  assert.equal(named('models/My Model (v2)'), 'local_My-Model-v2_mmlu.json');
  assert.equal(named('C:\\models\\tiny'), 'local_tiny_mmlu.json');
  assert.equal(named('./'), 'local_model_mmlu.json');
  assert.equal(named('模型'), 'local_model_mmlu.json');
  assert.equal(named('models/modèle'), 'local_mode-le_mmlu.json');
  assert.equal(named('gpt2', COMMIT), 'hub_gpt2_mmlu.json');
  const long = only([
    ...Array.from({ length: 30 }, (_, i) =>
      run({ name: `benchmark_${i}`, model: checkpoint(`${'o'.repeat(90)}/${'m'.repeat(90)}`) }),
    ),
  ]).name;
  assert.match(long, /^2026-03-05_o{48}_m{48}_benchmark_0-and-29-more\.json$/);
  const widest = only([run({ name: 'x'.repeat(200), model: checkpoint(`${'o'.repeat(90)}/${'m'.repeat(90)}`) })]).name;
  assert.ok(Buffer.byteLength(`${widest}.new`) <= 255 && /^[\w.-]+$/.test(widest), widest);
});

test('one file a checkpoint: two of one repository are told apart, blind to case, by what the suite calls them', () => {
  const q4 = checkpoint('org/Model-1B', { graph: 'onnx/model_q4.onnx', hash: 'q', variant: 'q4' });
  const both = resultsOf([run({ called: 'plain' }), run({ called: 'small', model: q4 })]).files;
  assert.deepEqual(
    [...both].map(([name, { model_path }]) => [name, model_path]),
    [
      ['2026-03-05_org_Model-1B-plain_mmlu.json', 'onnx/model.onnx'],
      ['2026-03-05_org_Model-1B-small_mmlu.json', 'onnx/model_q4.onnx'],
    ],
  );
  // A suite whose tasks override the dtype has no names for them.
  assert.deepEqual(
    [...resultsOf([run(), run({ name: 'b' }), run({ name: 'mmlu', model: q4 })]).files.keys()],
    ['2026-03-05_org_Model-1B_mmlu-b.json', '2026-03-05_org_Model-1B_mmlu.json'],
  );
  const cased = [run({ model: checkpoint('Org/model', { hash: 'b' }) }), run({ model: checkpoint('org/MODEL') })];
  assert.deepEqual(
    [...resultsOf(cased).files.keys()],
    ['2026-03-05_Org_model-fp32_mmlu.json', '2026-03-05_org_MODEL-fp32-2_mmlu.json'],
  );
});

test('runs that are invalid, without scores, a shard or not there are left out, each with why', () => {
  const gone = { name: 'gone', model: 'small', summary: null, error: 'no network' };
  const { files, left } = resultsOf([
    run(),
    run({ name: 'bad', status: 'invalid', faults: ['9 of 10 rows failed'] }),
    run({ name: 'raw', status: 'unscored' }),
    run({ name: 'part', selection: { seed: null, shard: '1/2' } }),
    run({ name: 'endless', value: Number.POSITIVE_INFINITY }),
    gone,
  ]);
  assert.deepEqual(
    [...files.values()].map(({ benchmarks }) => Object.keys(benchmarks)),
    [['mmlu']],
  );
  assert.deepEqual(left, [
    'bad: invalid: 9 of 10 rows failed',
    'raw: it has predictions alone',
    'part: it is shard 1/2 of a run',
    'endless: its acc is no number',
    'small/gone: no network',
  ]);
});

test("a folder has one file of a checkpoint: the last one; others' files stay as they are", () => {
  const path = join(folder.path, 'replaced');
  mkdirSync(path);
  const first = writeResults(path, [run()]);
  assert.deepEqual(first, { files: [join(path, '2026-03-05_org_Model-1B_mmlu.json')], notes: [] });
  const bytes = readFileSync(first.files[0]!);
  // The same runs on another day: the same file.
  assert.deepEqual(writeResults(path, [run()]), first);
  assert.deepEqual(readFileSync(first.files[0]!), bytes);
  const foreign = { '2026-01-01_notes.json': '{"timestamp": 1}', '2026-01-01_torn.json': '{', 'result.json': '{}' };
  for (const [name, text] of Object.entries(foreign)) writeFileSync(join(path, name), text);
  const other = writeResults(path, [run({ model: checkpoint('org/Other', { hash: 'b' }) })]);
  const later = writeResults(path, [run(), run({ name: 'more', finished: '2026-03-07T00:00:00.000Z' })]);
  const names = [...first.files, ...other.files, ...later.files].map((one) => one.slice(path.length + 1));
  assert.deepEqual(readdirSync(path).sort(), [...names.slice(1), ...Object.keys(foreign)].sort());
  assert.deepEqual([...resultFilesIn(path).keys()].sort(), names.slice(1).sort());
  // Nothing to write: what is there stays, and is said.
  assert.deepEqual(writeResults(path, [run({ status: 'unscored' })]), {
    files: [],
    notes: ['no result file is written: mmlu: it has predictions alone'],
  });
  assert.deepEqual(writeResults(path, [run(), run({ name: 'raw', status: 'unscored' })]).notes, [
    'the result file leaves out raw: it has predictions alone',
  ]);
  assert.deepEqual([...resultFilesIn(join(path, 'not there'))], []);
});
