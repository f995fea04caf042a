/** A workload timed in one way, with what it did to the memory and to the program's event loop. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type ModelSettings, modelSection } from '../../nanoeval/config/keys.ts';
import { openEngine } from '../../nanoeval/model/engine/engine.ts';
import type { Executor, ExecutorOptions } from '../../nanoeval/model/engine/executor.ts';
import type { EngineStats } from '../../nanoeval/model/engine/lane.ts';
import { openWorker } from '../../nanoeval/model/engine/workers.ts';
import type { GraphFiles } from '../../nanoeval/model/graph/session.ts';
import { questionsOf, type Workload } from './rows.ts';

/** Workers that hold a checkpoint in one mode. */
export interface Way {
  name: string;
  mode: ExecutorOptions['mode'];
  form: string;
  threads: number;
  executors: Executor[];
  /** Process ids; empty where the system does not say. */
  pids: number[];
  openMs: number;
  /** Most memory of a worker while it was loading, in MB; null where the system does not say. */
  openMb: number | null;
  remarks: string[];
  reopen(): Promise<Executor>;
  close(): Promise<void>;
}

export interface Timed {
  ms: number;
  /** Place -> a log-likelihood for each choice. */
  scores: Map<number, number[]>;
  stats: EngineStats;
  /** Milliseconds for the same once more while the headers' caches are there. */
  againMs: number | null;
  /** Longest time between two ticks of a timer of 2 ms. */
  gapMs: number;
  /** Most memory of one worker, and of this process, in MB. */
  workerMb: number | null;
  parentMb: number;
}

/** Tokens of a pass and bytes of cache, as the config's defaults say. */
export interface EngineSizes {
  batchTokens: number;
  cacheBytes: number;
}

const MB = 1e6;

/** Workers of this process: the children whose program is `worker.ts`. */
export function workerPids(): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          const parent = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[1];
          return Number(parent) === process.pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('worker.ts');
        } catch {
          return false;
        }
      });
  } catch {
    return [];
  }
}

/** The most memory that one of the processes ever took, in MB. */
export function peakOf(pids: readonly number[]): number | null {
  const peaks = pids.map((pid) => {
    try {
      const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
      return line === null ? null : (Number(line[1]) * 1024) / MB;
    } catch {
      return null;
    }
  });
  const known = peaks.filter((peak) => peak !== null);
  return known.length === 0 ? null : Math.max(...known);
}

/** Peaks are counted from here on, where the system lets them be. */
function forgetPeaks(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
    } catch {
      // Then the peak of the loading stands.
    }
  }
}

/** Seconds of processor time that these processes and this one have used; null where the system does not say. */
function ownSeconds(pids: readonly number[]): number | null {
  const { user, system } = process.cpuUsage();
  let sum = (user + system) / 1e6;
  for (const pid of pids) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
      sum += (Number(fields[11]) + Number(fields[12])) / 100;
    } catch {
      return null;
    }
  }
  return sum;
}

const allSeconds = () =>
  cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0) / 1000;

/** How many cores everything else on the machine keeps busy from now on, as a function that says so. */
export function watchOthers(pids: readonly number[]): () => number | null {
  const begin = performance.now();
  const own = ownSeconds(pids);
  const all = allSeconds();
  return () => {
    const later = ownSeconds(pids);
    if (own === null || later === null) return null;
    const seconds = (performance.now() - begin) / 1000;
    return Math.max(0, (allSeconds() - all - (later - own)) / seconds);
  };
}

export interface WayOptions {
  name: string;
  mode: ExecutorOptions['mode'];
  workers: number;
  threads: number;
}

/** Starts the workers of a way. */
export async function openWay(
  files: GraphFiles,
  dtype: string,
  { name, mode, workers, threads }: WayOptions,
): Promise<Way> {
  const settings: ModelSettings = modelSection.parse({ model_id: 'bench', dtype });
  const before = new Set(workerPids());
  const start = performance.now();
  const reopen = () => openWorker(files, settings, { mode, threads });
  const executors = await Promise.all(Array.from({ length: workers }, reopen));
  const openMs = performance.now() - start;
  const pids = workerPids().filter((pid) => !before.has(pid));
  const { form, remarks } = executors[0]!.info;
  return {
    name,
    mode,
    form,
    threads,
    executors,
    pids,
    openMs,
    openMb: peakOf(pids),
    remarks,
    reopen,
    async close() {
      await Promise.all(executors.map((executor) => executor.close()));
    },
  };
}

/** Scores the rows of `places`. Throws when a row fails, as none of a bench should. */
export async function time(
  way: Way,
  workload: Workload,
  places: readonly number[],
  { batchTokens, cacheBytes }: EngineSizes,
): Promise<Timed> {
  const never = new AbortController().signal;
  const log = { info: () => undefined, progress: () => undefined };
  // An engine of its own: nothing of an earlier one is in its caches.
  const engine = openEngine(way.executors, way.reopen, { batchTokens, cacheBytes, log });
  const once = async () => {
    const scores = new Map<number, number[]>();
    const start = performance.now();
    for await (const answer of engine.score(questionsOf(workload, places), never)) {
      if (answer.scores instanceof Error) throw answer.scores;
      scores.set(
        answer.place,
        answer.scores.map(({ logprob }) => logprob),
      );
    }
    return { ms: performance.now() - start, scores };
  };

  forgetPeaks(way.pids);
  let parentMb = 0;
  const watch = setInterval(() => {
    parentMb = Math.max(parentMb, process.memoryUsage.rss() / MB);
  }, 50);
  const loop = monitorEventLoopDelay({ resolution: 2 });
  loop.enable();
  try {
    const { ms, scores } = await once();
    const stats = { ...engine.stats };
    loop.disable();
    const shared = way.form !== 'naive' && way.form !== 'alone';
    const againMs = workload.header && shared ? (await once()).ms : null;
    // Caches are numbered from 1; those that the engine keeps go with it.
    const numbers = Array.from({ length: engine.stats.passes }, (_, i) => i + 1);
    if (shared) await Promise.all(way.executors.map((executor) => executor.free(numbers)));
    parentMb = Math.max(parentMb, process.memoryUsage.rss() / MB);
    return { ms, scores, stats, againMs, gapMs: loop.max / 1e6, workerMb: peakOf(way.pids), parentMb };
  } finally {
    loop.disable();
    clearInterval(watch);
  }
}

/** How far apart two ways are, over the choices that both scored. */
export interface Distance {
  largest: number;
  mean: number;
  choices: number;
}

export function distance(a: Timed['scores'], b: Timed['scores']): Distance {
  const apart: number[] = [];
  for (const [place, scores] of a) {
    const others = b.get(place);
    if (others === undefined) continue;
    // One that is missing is infinitely far away.
    for (const [i, score] of scores.entries()) apart.push(Math.abs(score - (others[i] ?? Number.POSITIVE_INFINITY)));
  }
  const mean = apart.reduce((sum, one) => sum + one, 0) / apart.length;
  return { largest: Math.max(...apart), mean, choices: apart.length };
}
