/**
 * Speed, memory and agreement of the ways to score multiple-choice rows, held against what the machine gives at best.
 *
 *   npm run bench -- [--quick] [--json] [--rounds N] [--minutes N] [--threads N] [--only WORDS] [--dtypes fp32,q8]
 *                    [--no-growth]
 *
 * Each workload runs in N rounds, of which the best times count; on a busy machine, rounds after the first are left out
 * once the N minutes are running short.
 *
 * NANOEVAL_BENCH_MODEL: a folder in the hub's layout; without it, a random checkpoint of a 135M model's shape.
 * NANOEVAL_BENCH_DATA: a folder with `hellaswag/*.jsonl` (query, choices, gold) and `mmlu/{test,dev}/*.csv`; without
 * it, random rows alone. Ends with exit code 1 when two ways that should agree do not.
 */
import { existsSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { DTYPE_SUFFIX, type Dtype, modelSection } from '../../nanoeval/config/keys.ts';
import type { GraphFiles } from '../../nanoeval/model/graph/session.ts';
import { openTokenizer } from '../../nanoeval/model/tokenizer.ts';
import { describeHost } from '../../nanoeval/report/host.ts';
import { growWithRows, growWithShots, type RowsResult, type ShotsResult } from './growth.ts';
import { openMatmul } from './matmul.ts';
import { openWay, type Way, type WayOptions } from './measure.ts';
import { randomModel, readJson, sizeOfGraph } from './random_model.ts';
import { endings, hellaswag, letters, mmlu, type Workload } from './rows.ts';
import { rowsText, shotsText, workloadText } from './tables.ts';
import { sizesOf } from './work.ts';
import { measureFloor, measureWorkload, type Plan, type WorkloadResult } from './workloads.ts';

const { values: given } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    minutes: { type: 'string' },
    threads: { type: 'string' },
    only: { type: 'string' },
    dtypes: { type: 'string' },
    'batch-tokens': { type: 'string', default: '768' },
    'no-growth': { type: 'boolean', default: false },
  },
});
const { quick } = given;
const started = performance.now();
const say = (text: string) => process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0)} s: ${text}\n`);
const print = (text: string) => {
  if (!given.json) process.stdout.write(`${text}\n\n`);
};

/** Two ways may differ by this much in a log-likelihood, in nats. */
const AGREES = 1e-3;

const model = process.env.NANOEVAL_BENCH_MODEL ?? randomModel();
const config = readJson(join(model, 'config.json'));
const sizes = sizesOf((config.text_config ?? config) as Record<string, unknown>);
const tokenizerConfig = join(model, 'tokenizer_config.json');
const tokenizer = openTokenizer(
  readJson(join(model, 'tokenizer.json')),
  existsSync(tokenizerConfig) ? readJson(tokenizerConfig) : {},
);
const graphOf = (dtype: Dtype) =>
  ['onnx/model', 'model']
    .map((name) => join(model, `${name}${DTYPE_SUFFIX[dtype]}.onnx`))
    .find((path) => existsSync(path));
const wanted = (given.dtypes?.split(',') ?? ['fp32', 'fp16', 'q8', 'q4'])
  .map((dtype) => modelSection.shape.dtype.parse(dtype))
  .filter((dtype) => typeof dtype === 'string');
const dtypes = wanted.filter(
  (dtype) => graphOf(dtype) !== undefined && (given.dtypes !== undefined || !quick || dtype === 'fp32'),
);

const threads = Number(given.threads ?? availableParallelism());
const half = Math.max(1, Math.floor(threads / 2));
const engine = { batchTokens: Number(given['batch-tokens']), cacheBytes: 512e6 };
const rounds = Number(given.rounds ?? (quick ? 1 : 2));
const minutes = Number(given.minutes ?? (quick ? 1 : 10));

/** Rows of each workload, in full and in a hurry. The others: for number formats other than fp32. */
function workloads(): { full: Workload[]; others: Workload[] } {
  const counts = (rows: number, naiveRows: number, few: number, fewNaive: number) =>
    quick ? { rows: few, naiveRows: fewNaive } : { rows, naiveRows };
  const random = (name: string, seed: number, number: ReturnType<typeof counts>) => ({
    name,
    seed,
    vocab: sizes.vocab,
    ...number,
  });
  const data = process.env.NANOEVAL_BENCH_DATA;
  const real = (make: (folder: string) => Workload | null) => (data === undefined ? null : make(data));
  const full = [
    real((folder) => hellaswag(folder, tokenizer, counts(60, 30, 12, 6), null)),
    quick ? null : real((folder) => hellaswag(folder, tokenizer, { rows: 200, naiveRows: 16 }, 1234)),
    real((folder) => mmlu(folder, tokenizer, 'professional_psychology', 5, counts(30, 3, 8, 1))),
    real((folder) => mmlu(folder, tokenizer, 'miscellaneous', 5, counts(30, 4, 8, 1))),
    real((folder) => mmlu(folder, tokenizer, 'professional_psychology', 0, counts(60, 15, 8, 2))),
    endings(random('random, HellaSwag-like', 1, counts(16, 6, 8, 4)), 80, [12, 30]),
    letters(random('random, MMLU-like, header 500', 2, counts(12, 2, 6, 1)), 500),
    quick ? null : letters(random('random, MMLU-like, header 2200', 3, counts(8, 1, 4, 1)), 2200),
  ];
  const others = [
    real((folder) => hellaswag(folder, tokenizer, { rows: 12, naiveRows: 12 }, null)) ??
      endings({ name: 'random, HellaSwag-like', seed: 1, vocab: sizes.vocab, rows: 8, naiveRows: 8 }, 80, [12, 30]),
    real((folder) => mmlu(folder, tokenizer, 'professional_psychology', 5, { rows: 6, naiveRows: 2 })),
  ];
  const there = (all: (Workload | null)[]) =>
    all.filter((one) => one !== null).filter(({ name }) => given.only === undefined || name.includes(given.only));
  return { full: there(full), others: there(others) };
}

function waysOf(dtype: Dtype): WayOptions[] {
  const naive: WayOptions = { name: 'naive', mode: 'naive', workers: 1, threads };
  const tree: WayOptions = { name: `tree 1x${threads}`, mode: 'prefix_tree', workers: 1, threads };
  if (dtype === 'fp32')
    return [naive, tree, { name: `tree 2x${half}`, mode: 'prefix_tree', workers: 2, threads: half }];
  // `auto` differs from `prefix_tree` where activations are quantised at run time.
  return dtype === 'q8' ? [naive, { ...tree, name: `auto 1x${threads}`, mode: 'auto' }, tree] : [naive, tree];
}

async function withWays<T>(dtype: Dtype, use: (ways: Way[]) => Promise<T>): Promise<T> {
  const decoder = graphOf(dtype)!;
  say(`${dtype}: opening ${basename(decoder)}, ${(sizeOfGraph(decoder) / 1e6).toFixed(0)} MB`);
  const files: GraphFiles = {
    graphs: { decoder, embed: null, vision: null },
    config,
    textConfig: (config.text_config ?? config) as GraphFiles['textConfig'],
    preprocessor: null,
    processor: null,
  };
  const ways: Way[] = [];
  try {
    for (const options of waysOf(dtype)) ways.push(await openWay(files, dtype, options));
    return await use(ways);
  } finally {
    await Promise.all(ways.map((way) => way.close()));
  }
}

const { platform, cpu, memory_gib, cores, node, onnxruntime } = describeHost();
const head = {
  platform,
  cpu,
  cores,
  memory_gib,
  node,
  onnxruntime,
  load_before: loadavg()[0]!,
  model: process.env.NANOEVAL_BENCH_MODEL === undefined ? 'random, shape of SmolLM2-135M' : basename(model),
  sizes,
  dtypes,
  threads,
  batch_tokens: engine.batchTokens,
  rounds,
  minutes,
  quick,
  data: process.env.NANOEVAL_BENCH_DATA === undefined ? 'random rows alone' : 'real and random rows',
};
print(
  Object.entries(head)
    .map(([key, value]) => `${key.padEnd(13)} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join('\n'),
);

const results: WorkloadResult[] = [];
let byShots: ShotsResult[] = [];
let byRows: RowsResult[] = [];
const floor = openMatmul(threads);
try {
  const plan: Plan = { dtype: 'fp32', rounds, sizes, engine, floor, rates: {}, mayRepeat: () => true, say };
  for (let i = 0; i < (quick ? 2 : 5); i += 1) await measureFloor(plan);
  const { full, others } = workloads();
  for (const dtype of dtypes) {
    await withWays(dtype, async (ways) => {
      for (const [i, workload] of (dtype === 'fp32' ? full : others).entries()) {
        // The rest is for the other formats and the growth.
        const until = ((0.7 * (i + 1)) / full.length) * minutes * 60_000;
        const mayRepeat = () => performance.now() - started < until;
        const settings = { ...plan, dtype, mayRepeat, rounds: dtype === 'fp32' ? rounds : 1 };
        const result = await measureWorkload(workload, ways, settings);
        results.push(result);
        print(workloadText(result));
      }
      if (dtype !== 'fp32' || given['no-growth']) return;
      const counts = quick
        ? { shots: [0, 5], rows: 8, naiveRows: 1 }
        : { shots: [0, 1, 5, 10], rows: 16, naiveRows: 1 };
      byShots = await growWithShots(ways[1]!, ways[0]!, counts, plan);
      print(shotsText(byShots));
    });
  }
  if (!given['no-growth']) {
    byRows = await growWithRows(quick ? [100, 1000] : [100, 1000, 10_000], threads, plan);
    print(rowsText(byRows));
  }
} finally {
  floor.close();
}

const faults: string[] = [];
for (const { workload, dtype, ways, between } of results) {
  if (dtype !== 'fp32') continue;
  const apart = [
    ...ways.map(({ way, difference }) => ({ what: `${way} against naive`, difference })),
    ...between.map(({ ways: pair, difference }) => ({ what: pair.join(' against '), difference })),
  ];
  for (const { what, difference } of apart) {
    // Also true of NaN.
    if (difference !== null && !(difference.largest <= AGREES))
      faults.push(`${workload}, ${dtype}: ${what} differs by ${difference.largest}`);
  }
}
for (const { shots, largestDifference } of byShots)
  if (!(largestDifference <= AGREES)) faults.push(`${shots} shots: tree against naive differs by ${largestDifference}`);
for (const { workers, rows, finite } of byRows)
  if (!finite) faults.push(`demo, ${workers} workers, ${rows} rows: rows are missing`);

const seconds = Math.round((performance.now() - started) / 1000);
if (given.json)
  process.stdout.write(
    `${JSON.stringify({ ...head, seconds, workloads: results, by_shots: byShots, by_rows: byRows, faults })}\n`,
  );
print(
  faults.length > 0
    ? `The ways do not agree:\n${faults.join('\n')}`
    : `All ways agree within ${AGREES} nats in fp32. ${seconds} s; ` +
        `load before and after: ${head.load_before.toFixed(2)}, ${loadavg()[0]!.toFixed(2)}`,
);
process.exitCode = faults.length > 0 ? 1 : 0;
