/**
 * Seconds and memory that pictures take, stage by stage, beside transformers on the same machine.
 *
 *   npm run bench:vision -- [--images N] [--folder DIR] [--threads N] [--new-tokens N] [--quick] [--json]
 *                           [--python PATH] [--only stages,tower,memory] [--batches 1,2,4,8]
 *                           [--dtypes fp32,q8,int8] [--tiny]
 *
 * stages: each picture through decoding, tiles, vision tower, prompt and greedy tokens with the product's own code, and
 *   then, never at the same time, through transformers.py with the same threads. Needs a Python with torch,
 *   transformers and Pillow (--python, NANOEVAL_BENCH_PYTHON); without one the peer is left out.
 * tower: the vision tower alone, by tiles of a pass and number format, each in a process of its own.
 * memory: 200 pictures through the whole product with a tiny checkpoint. Ends with exit code 1 when the program or its
 *   worker takes over 25 % more at the last picture than at the 60th.
 *
 * Pictures: of --folder or NANOEVAL_BENCH_IMAGES, else made here in sizes such as MMMU-Pro's. The checkpoint has the
 * shape of SmolVLM-256M-Instruct and random weights; NANOEVAL_BENCH_VLM: a folder with a real one. --tiny: next to no
 * weights, to see that the bench works.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { modelSection } from '../../nanoeval/config/keys.ts';
import { describeHost } from '../../nanoeval/report/host.ts';
import { picturePaths } from './pictures.ts';
import { randomVlm, SMOLVLM_256M, TINY } from './random_vlm.ts';
import { inProcess, type MemoryResult, type Sample, type Stages, type StagesResult } from './vision_jobs.ts';
import { memoryText, type Ratios, ratiosText, stagesText, type TowerRow, towerText } from './vision_tables.ts';

const { values: given } = parseArgs({
  options: {
    images: { type: 'string' },
    folder: { type: 'string', default: process.env.NANOEVAL_BENCH_IMAGES },
    threads: { type: 'string' },
    'new-tokens': { type: 'string', default: '8' },
    'text-tokens': { type: 'string', default: '100' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    python: { type: 'string', default: process.env.NANOEVAL_BENCH_PYTHON },
    only: { type: 'string', default: 'stages,tower,memory' },
    batches: { type: 'string' },
    dtypes: { type: 'string' },
    tiny: { type: 'boolean', default: false },
  },
});
const { quick, tiny } = given;
const started = performance.now();
const say = (text: string) => process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0)} s: ${text}\n`);
const print = (text: string) => {
  if (!given.json) process.stdout.write(`${text}\n\n`);
};
/** A whole number of an option, at least 1. */
function counted(name: 'images' | 'threads' | 'new-tokens' | 'text-tokens', preset: number): number {
  const number = Number(given[name] ?? preset);
  if (!Number.isInteger(number) || number < 1) throw new RangeError(`--${name}: ${given[name]} is no count`);
  return number;
}

/** Memory may grow by this share from the picture of that number to the last. */
const GROWTH = 0.25;
const SETTLED = 60;
/** Mean difference of the features of one number format when tiles share a pass, in parts of their mean size. */
const AGREES = 1e-4;

const parts = new Set(given.only.split(','));
const threads = counted('threads', availableParallelism());
const newTokens = counted('new-tokens', 8);
const textTokens = counted('text-tokens', 100);
const batches = (given.batches ?? (quick ? '1,4' : '1,2,4,8')).split(',').map(Number);
const dtypes = (given.dtypes ?? (quick ? 'fp32,int8' : 'fp32,q8,int8'))
  .split(',')
  .map((dtype) => modelSection.shape.dtype.parse(dtype))
  .filter((dtype) => typeof dtype === 'string');
const real = process.env.NANOEVAL_BENCH_VLM;
const faults: string[] = [];

interface Peer {
  versions: Record<string, string>;
  attention: string;
  each: Stages[];
  peak_rss_mb: number;
}

/** transformers.py over the pictures; null when there is no Python for it. */
async function runPeer(pictures: readonly string[]): Promise<Peer | null> {
  if (!given.python) {
    print('The peer was left out: no Python was named (--python or NANOEVAL_BENCH_PYTHON).');
    return null;
  }
  if (tiny) {
    print('The peer was left out: it has the shape of the 256M model alone.');
    return null;
  }
  say('transformers');
  const script = fileURLToPath(new URL('transformers.py', import.meta.url));
  const options = { threads, 'new-tokens': newTokens, 'text-tokens': textTokens };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const child = spawn(given.python, [script, ...args, ...pictures], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const code = await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject));
  if (code !== 0) throw new Error(`${given.python} ${basename(script)} ended with exit code ${code}`);
  return JSON.parse(output) as Peer;
}

/** Times as long as ours: medians over the pictures. */
function ratiosOf(ours: readonly Stages[], peers: readonly Stages[]): Ratios {
  const middle = (all: readonly Stages[], key: keyof Ratios) => median(all.map((one) => one[key] ?? Number.NaN));
  const keys = ['decode', 'processor', 'encoder', 'prefill', 'decode_token', 'total'] as const;
  const rows = keys.map((key) => {
    const [our, peer] = [middle(ours, key), middle(peers, key)];
    return [key, { ours: our, peer, ratio: peer / our }] as const;
  });
  return Object.fromEntries(rows) as unknown as Ratios;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2;
}

async function benchStages(folder: string, pictures: readonly string[]) {
  say(`stages of ${pictures.length} pictures`);
  const ours: StagesResult = await inProcess({ kind: 'stages', folder, pictures, threads, newTokens, textTokens });
  print(stagesText('NanoEval, fp32', ours));
  const peer = await runPeer(pictures);
  if (peer === null) return { ours, peer, ratios: null };
  print(stagesText(`transformers ${peer.versions.transformers}, torch ${peer.versions.torch}, fp32`, peer));
  for (const [i, { file, tiles }] of ours.each.entries())
    if (peer.each[i]!.tiles !== tiles) faults.push(`${file}: ${tiles} tiles, by transformers ${peer.each[i]!.tiles}`);
  const ratios = ratiosOf(ours.each, peer.each);
  print(ratiosText(ratios));
  return { ours, peer, ratios };
}

/** The tower by tiles of a pass and number format; differences are held against one tile a pass in float32. */
async function benchTower(folder: string, pictures: readonly string[]): Promise<TowerRow[]> {
  // A tall narrow one takes 9 tiles: the cheapest that fills a pass of 8.
  const picture = pictures.find((path) => path.includes('_300x900')) ?? pictures[0]!;
  const rows: TowerRow[] = [];
  let exact: Float32Array | null = null;
  for (const dtype of dtypes) {
    let single: Float32Array | null = null;
    for (const batch of batches) {
      say(`tower, ${dtype}, ${batch} tiles a pass`);
      const rounds = quick ? 1 : 2;
      const { features, ...found } = await inProcess({ kind: 'tower', folder, dtype, batch, picture, threads, rounds });
      exact ??= features;
      single ??= features;
      const [off, offBatch] = [distance(features, exact), distance(features, single)];
      rows.push({ dtype, batch, ...found, off, offBatch });
      if (!features.every(Number.isFinite)) faults.push(`${dtype}, ${batch} tiles a pass: features are not finite`);
      // Also true of NaN. Formats that quantise at run time see what else is in the pass.
      if (dtype === 'fp32' && !(offBatch <= AGREES)) faults.push(`${batch} tiles a pass: features are ${offBatch} off`);
    }
  }
  print(towerText(rows, basename(picture)));
  return rows;
}

/** Mean difference in parts of the mean size. */
function distance(a: Float32Array, b: Float32Array): number {
  let [apart, size] = [0, 0];
  for (let i = 0; i < b.length; i += 1) {
    apart += Math.abs((a[i] ?? Number.NaN) - b[i]!);
    size += Math.abs(b[i]!);
  }
  return apart / size;
}

async function benchMemory(pictures: readonly string[]): Promise<MemoryResult> {
  const count = quick ? 100 : 200;
  say(`memory over ${count} pictures`);
  const result = await inProcess({
    kind: 'memory',
    folder: randomVlm(TINY),
    pictures,
    count,
    every: 20,
    threads,
  });
  print(memoryText(result));
  faults.push(...growthOf(result.samples));
  return result;
}

/** Who takes too much more at the end. */
function growthOf(samples: readonly Sample[]): string[] {
  const settled = samples.find(({ shown }) => shown === SETTLED)!;
  const last = samples.at(-1)!;
  const who = { parent_mb: 'program', worker_mb: 'worker' } as const;
  return (['parent_mb', 'worker_mb'] as const).flatMap((key) => {
    const [before, after] = [settled[key], last[key]];
    if (before === null || after === null || after <= before * (1 + GROWTH)) return [];
    return `memory of the ${who[key]}: ${before.toFixed(0)} MB at picture ${SETTLED}, ${after.toFixed(0)} at the last`;
  });
}

const scratch = mkdtempSync(join(tmpdir(), 'nanoeval-pictures-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
process.on('SIGINT', () => process.exit(130));

const folder = real ?? randomVlm(tiny ? TINY : SMOLVLM_256M);
const pictures = await picturePaths(
  given.folder,
  given.images === undefined ? (quick ? 2 : undefined) : counted('images', 1),
  scratch,
);
if (pictures.length === 0) throw new RangeError(`${given.folder}: no pictures in it`);

const { platform, cpu, memory_gib, cores, node, onnxruntime } = describeHost();
const head = {
  platform,
  cpu,
  cores,
  memory_gib,
  node,
  onnxruntime,
  load_before: loadavg()[0]!,
  model: real === undefined ? `random, ${tiny ? 'tiny' : 'shape of SmolVLM-256M-Instruct'}` : basename(real),
  pictures: `${pictures.length}, ${given.folder === undefined ? 'made here' : 'of a folder'}`,
  threads,
  new_tokens: newTokens,
  text_tokens: textTokens,
  quick,
};
print(
  Object.entries(head)
    .map(([key, value]) => `${key.padEnd(13)} ${value}`)
    .join('\n'),
);

const stages = parts.has('stages') ? await benchStages(folder, pictures) : null;
const tower = parts.has('tower') ? await benchTower(folder, pictures) : null;
const memory = parts.has('memory') ? await benchMemory(pictures) : null;

const seconds = Math.round((performance.now() - started) / 1000);
if (given.json) process.stdout.write(`${JSON.stringify({ ...head, seconds, stages, tower, memory, faults })}\n`);
print(
  `${faults.length > 0 ? `Faults:\n${faults.join('\n')}\n` : ''}` +
    `${seconds} s; load before and after: ${head.load_before.toFixed(2)}, ${loadavg()[0]!.toFixed(2)}`,
);
process.exitCode = faults.length > 0 ? 1 : 0;
