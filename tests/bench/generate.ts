/**
 * How fast greedy answers are, beside another build of this project, other programs and what the machine gives at best.
 *
 *   npm run bench:generate -- [--questions 64] [--new-tokens 128] [--threads N] [--dtypes fp32,q4] [--rounds 2]
 *                             [--build DIR] [--build-questions 8] [--llama DIR] [--gguf FILE] [--python PATH]
 *                             [--workers 1] [--only speed,alone,limit,long,rows] [--row-tokens 32] [--json]
 *
 * speed: all questions, new tokens a second, prompts counted in; by --workers processes of --threads each. --build: a checkout of an earlier build with its own
 *   node_modules, timed on fewer questions, for it answers one after the other. --llama with --gguf: llama.cpp's
 *   `llama-batched-bench`, with the same weights as F32 and prompts of the same mean length, at the best number of slots.
 *   --python: transformers at batch 8 (`generate_peer.py`).
 * alone: one answer at a time. limit: one step of 1, 4, 16, 32 and 64 answers, in the form for few or for many, over the time that the machine takes to read what
 *   must be read or to compute what must be computed, whichever is more. long: an answer of 1,024 tokens. rows: the same
 *   answers one at a time and 16 side by side, for each dtype that is there: tokens that differ, and by how much the plain
 *   path prefers the one to the other.
 *
 * NANOEVAL_BENCH_MODEL: a folder with a checkpoint in the hub's layout; without it, a random one of a 135M model's shape.
 * NANOEVAL_BENCH_DATA: a folder with `gsm8k/test.jsonl`; without it, random prompts of 88 tokens.
 */
import { existsSync } from 'node:fs';
import { loadavg } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DTYPE_SUFFIX, type Dtype, modelSection } from '../../nanoeval/config/keys.ts';
import { openChatTemplate } from '../../nanoeval/model/chat.ts';
import { openTokenizer } from '../../nanoeval/model/tokenizer.ts';
import { describeHost } from '../../nanoeval/report/host.ts';
import { type AnswersResult, inProcess, questionsOf } from './generate_jobs.ts';
import { llamaSpeeds, transformersSpeed } from './generate_peers.ts';
import { openMatmul } from './matmul.ts';
import { randomModel, readJson, sizeOfGraph } from './random_model.ts';
import { seeded } from './rows.ts';
import { table } from './tables.ts';
import { sizesOf } from './work.ts';

const { values: given } = parseArgs({
  options: {
    questions: { type: 'string', default: '64' },
    'new-tokens': { type: 'string', default: '128' },
    threads: { type: 'string', default: '2' },
    workers: { type: 'string', default: '1' },
    dtypes: { type: 'string', default: 'fp32,q4' },
    rounds: { type: 'string', default: '2' },
    build: { type: 'string' },
    'build-questions': { type: 'string', default: '8' },
    llama: { type: 'string' },
    gguf: { type: 'string' },
    python: { type: 'string' },
    only: { type: 'string', default: 'speed,alone,limit,long,rows' },
    'row-tokens': { type: 'string', default: '32' },
    json: { type: 'boolean', default: false },
  },
});
const parts = new Set(given.only.split(','));
const started = performance.now();
const say = (text: string) => process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0)} s: ${text}\n`);
const print = (text: string) => {
  if (!given.json) process.stdout.write(`${text}\n\n`);
};
const [threads, newTokens, rounds] = [given.threads, given['new-tokens'], given.rounds].map(Number) as [
  number,
  number,
  number,
];
const folder = process.env.NANOEVAL_BENCH_MODEL ?? randomModel();
const config = readJson(join(folder, 'config.json'));
const sizes = sizesOf(config);
const graphOf = (dtype: Dtype) => join(folder, 'onnx', `model${DTYPE_SUFFIX[dtype]}.onnx`);
const isThere = (dtype: Dtype) => existsSync(graphOf(dtype));
const dtypes = given.dtypes
  .split(',')
  .map((dtype) => modelSection.shape.dtype.parse(dtype) as Dtype)
  .filter(isThere);
const here = resolve(import.meta.dirname, '../..');

/** Prompts as token ids. */
function promptsOf(count: number): number[][] {
  const data = process.env.NANOEVAL_BENCH_DATA;
  if (data === undefined) {
    const random = seeded(1);
    const ids = () => Array.from({ length: 88 }, () => 3 + Math.floor(random() * (sizes.vocab - 3)));
    return Array.from({ length: count }, ids);
  }
  const tokenizerConfig = readJson(join(folder, 'tokenizer_config.json'));
  const tokenizer = openTokenizer(readJson(join(folder, 'tokenizer.json')), tokenizerConfig);
  const chat = openChatTemplate({ jinja: null, json: null }, tokenizerConfig, {});
  if (chat === null) throw new Error(`${folder} has no chat template`);
  return questionsOf(join(data, 'gsm8k', 'test.jsonl'), count).map((content) =>
    tokenizer.encode(chat.render([{ role: 'user', content }])),
  );
}

const prompts = promptsOf(Number(given.questions));
const meanPrompt = prompts.reduce((sum, ids) => sum + ids.length, 0) / prompts.length;
const perSecond = (count: number, { seconds }: AnswersResult) => (count * newTokens) / seconds;

const { cpu, cores, memory_gib, node, onnxruntime } = describeHost();
const head = {
  cpu,
  cores,
  memory_gib,
  node,
  onnxruntime,
  model: process.env.NANOEVAL_BENCH_MODEL === undefined ? 'random, shape of SmolLM2-135M' : basename(folder),
  questions: prompts.length,
  prompt_tokens: meanPrompt,
  new_tokens: newTokens,
  threads,
  load_before: loadavg()[0]!,
};
print(
  Object.entries(head)
    .map(([key, value]) => `${key.padEnd(13)} ${value}`)
    .join('\n'),
);

/** The best of the rounds, builds in turn. */
async function speed(dtype: Dtype) {
  const found = { ours: null as AnswersResult | null, build: null as AnswersResult | null };
  const few = prompts.slice(0, Number(given['build-questions']));
  const job = { kind: 'answers', folder, dtype, threads, newTokens, workers: Number(given.workers) } as const;
  const better = (a: AnswersResult | null, b: AnswersResult) => (a !== null && a.seconds <= b.seconds ? a : b);
  for (let round = 0; round < rounds; round += 1) {
    found.ours = better(found.ours, await inProcess({ ...job, build: here, prompts }));
    say(`${dtype}: ours ${perSecond(prompts.length, found.ours).toFixed(1)} tokens a second at best so far`);
    if (given.build === undefined) continue;
    found.build = better(found.build, await inProcess({ ...job, build: resolve(given.build), prompts: few }));
    say(`${dtype}: the other build ${perSecond(few.length, found.build).toFixed(1)}`);
  }
  const ours = perSecond(prompts.length, found.ours!);
  const build = found.build === null ? null : perSecond(few.length, found.build);
  const weights_mb = sizeOfGraph(graphOf(dtype)) / 1e6;
  const { open_s, peak_mb } = found.ours!;
  return { dtype, ours, build, times_build: build === null ? null : ours / build, open_s, weights_mb, peak_mb };
}

async function alone(dtype: Dtype) {
  const job = { kind: 'answers', folder, dtype, threads, newTokens, prompts: prompts.slice(0, 1) } as const;
  const best = { ours: 0, build: 0 };
  for (let round = 0; round < 2 * rounds; round += 1) {
    best.ours = Math.max(best.ours, perSecond(1, await inProcess({ ...job, build: here })));
    if (given.build !== undefined)
      best.build = Math.max(best.build, perSecond(1, await inProcess({ ...job, build: resolve(given.build) })));
  }
  return { dtype, ...best };
}

/** Steps over what the machine allows. Weights are read once a step, caches once; each weight is two operations a row. */
async function limit(dtype: Dtype) {
  const past = Math.round(meanPrompt + newTokens / 2);
  const job = { kind: 'steps', build: here, folder, dtype, threads, past, rounds: 24 } as const;
  const matmul = openMatmul(threads);
  try {
    // A product of one row reads each weight once for two operations: GFLOP/s are 2 GB/s.
    const rates = { read: 0, compute: 0 };
    const measure = async () => {
      rates.read = Math.max(rates.read, 2 * (await matmul.rate([1, 2048, 8192])));
      rates.compute = Math.max(rates.compute, await matmul.rate([2048, 2048, 2048]));
    };
    await measure();
    const few = await inProcess({ ...job, batches: [1, 4], many: false });
    await measure();
    const { steps: many, bytes_per_token } = await inProcess({ ...job, batches: [16, 32, 64], many: true });
    await measure();
    const steps = [...few.steps, ...many];
    const { layers, hidden, heads, groups, headSize, mlp, vocab } = sizes;
    const inLayers = layers * (2 * hidden * heads * headSize + 2 * hidden * groups * headSize + 3 * hidden * mlp);
    const weights = inLayers + hidden * vocab;
    const bytes = dtype === 'fp32' ? 4 * weights : sizeOfGraph(graphOf(dtype));
    const rows = steps.map(({ batch, ms, median_ms }) => {
      const reading = (bytes + batch * past * bytes_per_token) / rates.read / 1e6;
      const computing = (batch * (2 * weights + 4 * layers * heads * headSize * past)) / rates.compute / 1e6;
      return { batch, ms, median_ms, reading, computing, share: Math.max(reading, computing) / ms };
    });
    return { dtype, past, read_gb_s: rates.read, compute_gflop_s: rates.compute, rows };
  } finally {
    matmul.close();
  }
}

/** Time a token around the 1,000th over that around the 100th. */
async function long(dtype: Dtype) {
  const job = { kind: 'answers', build: here, folder, dtype, threads, newTokens: 1024 } as const;
  const { times } = await inProcess({ ...job, prompts: prompts.slice(0, 1) });
  const around = (place: number) => {
    const gaps = times.slice(place - 20, place + 20).map((at, i) => at - times[place - 21 + i]!);
    return gaps.sort((a, b) => a - b)[gaps.length / 2]!;
  };
  const [early, late] = [around(100), around(1000)];
  return { dtype, ms_at_100: early, ms_at_1000: late, ratio: late / early };
}

/** Answers one at a time against 16 side by side. */
async function rowsApart(dtype: Dtype) {
  const tokens = Number(given['row-tokens']);
  const job = { kind: 'answers', build: here, folder, dtype, threads, prompts, newTokens: tokens } as const;
  const single = await inProcess({ ...job, most: 1 });
  const many = await inProcess({ ...job, most: 16 });
  const places = single.answers.flatMap((answer, row) => {
    const at = answer.findIndex((token, i) => token !== many.answers[row]![i]);
    if (at < 0) return [];
    const ids = [...prompts[row]!, ...answer.slice(0, at)];
    return [{ ids, tokens: [answer[at]!, many.answers[row]![at]!] as const, left: answer.length - at }];
  });
  const margins =
    places.length === 0 ? [] : await inProcess({ kind: 'margins', build: here, folder, dtype, threads, places });
  const different = single.answers.flatMap((answer, row) =>
    answer.filter((token, i) => token !== many.answers[row]![i]),
  );
  return {
    dtype,
    answers: prompts.length,
    tokens: tokens * prompts.length,
    first: places.length,
    different: different.length,
    margins,
  };
}

const results: Record<string, unknown> = {};
const fixed = (value: number | null | undefined, digits = 1) => (value == null ? '-' : value.toFixed(digits));

if (parts.has('speed')) {
  const rows: Awaited<ReturnType<typeof speed>>[] = [];
  for (const dtype of dtypes) rows.push(await speed(dtype));
  results.speed = rows;
  const cells = rows.map((row) => [
    row.dtype,
    ...[row.ours, row.build, row.times_build, row.open_s].map((value) => fixed(value)),
    ...[row.weights_mb, row.peak_mb].map((value) => fixed(value, 0)),
  ]);
  print(
    `## New tokens a second\n${table(['dtype', 'ours', 'build', 'x build', 'open s', 'weights MB', 'peak MB'], cells)}`,
  );
  const ours = rows.find(({ dtype }) => dtype === 'fp32')?.ours ?? null;
  const peerOptions = { threads, newTokens, questions: prompts.length, promptTokens: Math.round(meanPrompt) };
  if (given.llama !== undefined && given.gguf !== undefined) {
    const slots = await llamaSpeeds(given.llama, given.gguf, peerOptions);
    const best = Math.max(...slots.map((one) => one.perSecond));
    results.llama = { slots, times: ours === null ? null : ours / best };
    const lines = slots.map((one) => [one.slots, fixed(one.perSecond), fixed(one.decodeAlone)]);
    print(
      `## llama.cpp, F32\n${table(['slots', 'tokens a second', 'decoding alone'], lines)}\nours over its best: ${fixed(ours === null ? null : ours / best, 2)}`,
    );
  }
  if (given.python !== undefined) {
    const peer = await transformersSpeed(given.python, folder, prompts, peerOptions);
    results.transformers = peer;
    print(`## transformers ${peer.version}, batch ${peer.batch}: ${fixed(peer.perSecond)} tokens a second`);
  }
}
if (parts.has('alone')) {
  const rows: Awaited<ReturnType<typeof alone>>[] = [];
  for (const dtype of dtypes) rows.push(await alone(dtype));
  results.alone = rows;
  print(
    `## One answer alone, tokens a second\n${table(
      ['dtype', 'ours', 'build'],
      rows.map((row) => [row.dtype, fixed(row.ours), fixed(row.build)]),
    )}`,
  );
}
if (parts.has('limit')) {
  const found = await limit('fp32');
  results.limit = found;
  const cells = found.rows.map((row) => [
    row.batch,
    ...[row.ms, row.median_ms, row.reading, row.computing].map((ms) => fixed(ms)),
    `${fixed(100 * row.share, 0)} %`,
  ]);
  print(
    `## A step behind ${found.past} tokens, fp32: read ${fixed(found.read_gb_s)} GB/s, compute ${fixed(found.compute_gflop_s, 0)} GFLOP/s\n${table(['answers', 'ms', 'median', 'reading', 'computing', 'share'], cells)}`,
  );
}
if (parts.has('long')) {
  const found = await long('fp32');
  results.long = found;
  print(
    `## An answer of 1,024 tokens: ${fixed(found.ms_at_100)} ms a token at 100, ${fixed(found.ms_at_1000)} at 1,000: ${fixed(found.ratio, 2)}`,
  );
}
if (parts.has('rows')) {
  const rows: Awaited<ReturnType<typeof rowsApart>>[] = [];
  for (const dtype of (['fp32', 'fp16', 'q8', 'q4'] as const).filter(isThere)) rows.push(await rowsApart(dtype));
  results.rows = rows;
  const cells = rows.map((row) => [
    row.dtype,
    row.answers,
    row.tokens,
    row.first,
    row.different,
    fixed(row.margins.length === 0 ? null : Math.max(...row.margins), 4),
  ]);
  print(
    `## 16 side by side against one at a time\n${table(['dtype', 'answers', 'tokens', 'answers apart', 'tokens apart', 'largest margin'], cells)}`,
  );
}
say(`load ${loadavg()[0]!.toFixed(2)}`);
if (given.json) process.stdout.write(`${JSON.stringify({ ...head, ...results })}\n`);
