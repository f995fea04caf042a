#!/usr/bin/env -S npx tsx
/**
 * The bootstrap of score/bootstrap.ts beside plain resampling and scipy's, on the same numbers in one run: processor time,
 * and how far the draws' quantiles lie apart.
 *
 *     npx tsx tests/bench/bootstrap.ts [--python PATH] [--rows 2000,100000] [--draws 10000] [--shapes normal,...]
 *
 * `--python` (or NANOEVAL_BENCH_PYTHON) names a Python with scipy; without one scipy is left out. Quantiles are compared
 * in standard deviations of the draws, with what two plain bootstraps of so many draws differ by as the yardstick.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { quantile, resampledMeans, resampledRatios } from '../../nanoeval/score/bootstrap.ts';
import { Random } from '../../nanoeval/score/random.ts';
import { table } from './tables.ts';

const { values: given } = parseArgs({
  options: {
    python: { type: 'string', default: process.env.NANOEVAL_BENCH_PYTHON },
    rows: { type: 'string', default: '2000,100000' },
    draws: { type: 'string', default: '10000' },
    shapes: { type: 'string' },
  },
});
const DRAWS = Number(given.draws);
const SHARES = [0.0042, 0.025, 0.5, 0.975, 0.9958];
const TIMEOUT_MS = 600_000;

const SHAPES: Record<string, (random: Random) => number> = {
  '-1, 0, 1': (random) => ((u) => (u < 0.05 ? -1 : u < 0.11 ? 1 : 0))(random.uniform()),
  normal: (random) => random.roughNormal(),
  exponential: (random) => -Math.log(random.uniform()),
  'heavy tails (t, 2.5)': (random) => Math.sign(random.uniform() - 0.5) * (random.uniform() ** -0.4 - 1),
};

/** Each row drawn for itself, whatever the number of rows: what the bins stand in for. */
function plainMeans(values: Float64Array, seed: number): Float64Array {
  const random = new Random(seed);
  const n = values.length;
  const means = Float64Array.from({ length: DRAWS }, () => {
    let sum = 0;
    for (let i = 0; i < n; i += 1) sum += values[random.below(n)]!;
    return sum / n;
  });
  return means.sort();
}

/** Milliseconds of processor time: of wall time, what else the machine does takes its part. */
function timed<T>(work: () => T): [result: T, ms: number] {
  const before = process.cpuUsage();
  const result = work();
  const { user, system } = process.cpuUsage(before);
  return [result, (user + system) / 1000];
}

const quantiles = (sorted: Float64Array) => SHARES.map((share) => quantile(sorted, share));

interface Peer {
  batch: number;
  cpu_seconds: number;
  quantiles: number[];
  scipy: string;
}

function scipy(values: Float64Array): Peer | null {
  if (!given.python) return null;
  const folder = mkdtempSync(join(tmpdir(), 'nanoeval_bootstrap_'));
  try {
    const file = join(folder, 'values.f64');
    writeFileSync(file, Buffer.from(values.buffer));
    const script = fileURLToPath(new URL('bootstrap.py', import.meta.url));
    const args = [script, file, '--draws', `${DRAWS}`, '--shares', SHARES.join(',')];
    const { status, stdout, stderr } = spawnSync(given.python, args, { encoding: 'utf8', timeout: TIMEOUT_MS });
    if (status !== 0) throw new Error(`${given.python} bootstrap.py ended with exit code ${status}: ${stderr}`);
    return JSON.parse(stdout) as Peer;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The largest difference of two sets of quantiles, in `deviation`s. */
const apart = (a: readonly number[], b: readonly number[], deviation: number) =>
  (Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / deviation).toFixed(3);

const lines: (string | number | null)[][] = [];
for (const n of given.rows.split(',').map(Number))
  for (const [name, shape] of Object.entries(SHAPES)) {
    if (given.shapes !== undefined && !given.shapes.split(',').some((part) => name.startsWith(part))) continue;
    const random = new Random(n);
    const values = Float64Array.from({ length: n }, () => shape(random));
    // The first run of a process compiles as well; all are shown, for a comparison has several metrics.
    const [, firstMs] = timed(() => resampledMeans(values, { level: 0.95, seed: 9, draws: DRAWS }));
    const [ours, ms] = timed(() => resampledMeans(values, { level: 0.95, seed: 1, draws: DRAWS }));
    const [plain, plainMs] = timed(() => plainMeans(values, 2));
    const again = quantiles(plainMeans(values, 3));
    const mean = plain.reduce((sum, value) => sum + value, 0) / DRAWS;
    const deviation = Math.sqrt(plain.reduce((sum, value) => sum + (value - mean) ** 2, 0) / DRAWS);
    const peer = scipy(values);
    lines.push([
      `${n} ${name}`,
      firstMs.toFixed(1),
      ms.toFixed(1),
      plainMs.toFixed(0),
      peer === null ? null : (1000 * peer.cpu_seconds).toFixed(0),
      peer?.batch ?? null,
      peer === null ? null : ((1000 * peer.cpu_seconds) / ms).toFixed(0),
      apart(quantiles(ours), quantiles(plain), deviation),
      apart(again, quantiles(plain), deviation),
      peer === null ? null : apart(quantiles(ours), peer.quantiles, deviation),
    ]);
  }
const head = [
  'rows',
  'first ms',
  'ms',
  'plain ms',
  'scipy ms',
  'batch',
  'x scipy',
  'to plain',
  'plain to plain',
  'to scipy',
];
process.stdout.write(
  `${DRAWS} draws; quantiles ${SHARES.join(', ')}: largest difference in standard deviations; processor time\n\n`,
);
process.stdout.write(`${table(head, lines)}\n\n`);

const n = 100_000;
const random = new Random(6);
const weights = Float64Array.from({ length: n }, () => 5 + random.below(50));
const before = weights.map((words) => -words * (3 + 0.2 * random.roughNormal()));
const after = before.map((value) => value + random.roughNormal());
const perplexity = () =>
  resampledRatios({ values: after, weights }, { values: before, weights }, (ratio) => Math.exp(-ratio), {
    level: 0.95,
    seed: 1,
  });
perplexity();
process.stdout.write(`a difference of perplexities, ${n} rows: ${timed(perplexity)[1].toFixed(1)} ms\n`);
