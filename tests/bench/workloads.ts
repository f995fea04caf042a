/**
 * Each workload in each way, round by round and interleaved with the floor, so that all see the same moods of the
 * machine.
 */

import type { Matmul, Product } from './matmul.ts';
import { type Distance, distance, type EngineSizes, type Timed, time, type Way, watchOthers } from './measure.ts';
import { allPlaces, naivePlaces, type Workload } from './rows.ts';
import { type Sizes, type Work, workOf } from './work.ts';

export interface WayResult {
  way: string;
  mode: string;
  form: string;
  rows: number;
  msPerRow: number;
  tokensAsked: number;
  tokensDistinct: number;
  tokensRun: number;
  tokensPadded: number;
  /** Naive time over this way's; the naive time of rows that were not scored is reckoned by their tokens. */
  timesNaive: number | null;
  /** Floor time over this way's, in percent: of all distinct tokens, and with the header alone shared between rows. */
  ofFloor: number | null;
  ofFloorByQuestion: number | null;
  /** The same once the header is there. */
  afterHeader: { msPerRow: number; ofFloor: number; ofFloorByQuestion: number } | null;
  openMs: number;
  openMb: number | null;
  workerMb: number | null;
  parentMb: number;
  gapMs: number;
  /** Against naive. */
  difference: Distance | null;
  remarks: string[];
}

export interface WorkloadResult {
  workload: string;
  dtype: string;
  rows: number;
  /** GFLOP/s by product, the best until then; the first is the floor's. */
  rates: Record<string, number>;
  /** GFLOP and ms a row at the floor's rate. */
  gflopPerRow: number;
  gflopPerRowByQuestion: number;
  gflopPerRowAfterHeader: number | null;
  floorMsPerRow: number;
  headerTokens: number;
  distinctTokens: number;
  /** Cores that everything else on the machine kept busy meanwhile. */
  othersCores: number | null;
  ways: WayResult[];
  /** Between two ways of sharing, where there are two: the first against the others. */
  between: { ways: [string, string]; difference: Distance }[];
}

export interface Plan {
  dtype: string;
  rounds: number;
  sizes: Sizes;
  engine: EngineSizes;
  floor: Matmul;
  /** GFLOP/s by product, the best of the whole bench so far: another program that was busy must not lower the floor. */
  rates: Record<string, number>;
  /** There is time for one more round. */
  mayRepeat(): boolean;
  say(text: string): void;
}

/** The slow way is not repeated when it takes longer than this. */
const SLOW_MS = 12_000;

export const SQUARE: Product = [2048, 2048, 2048];
/** Tokens of a pass as the tree makes them. */
const PASS_TOKENS = 330;

export function productsOf({ hidden, mlp }: Sizes): Product[] {
  return [SQUARE, [PASS_TOKENS, hidden, mlp], [PASS_TOKENS, mlp, hidden]];
}

/** Once more what the machine gives at best. */
export async function measureFloor({ sizes, floor, rates }: Plan): Promise<void> {
  for (const product of productsOf(sizes)) {
    const key = product.join('x');
    rates[key] = Math.max(rates[key] ?? 0, await floor.rate(product));
  }
}

/** The ways in the order of a round: there and back again. */
export async function measureWorkload(workload: Workload, ways: readonly Way[], plan: Plan): Promise<WorkloadResult> {
  const { dtype, rounds, sizes, engine, floor, rates, mayRepeat, say } = plan;
  const others = watchOthers([floor.pid, ...ways.flatMap((way) => way.pids)]);
  const best = new Map<Way, Timed>();
  for (let round = 0; round < rounds && (round === 0 || mayRepeat()); round += 1) {
    await measureFloor(plan);
    for (const way of round % 2 === 0 ? ways : [...ways].reverse()) {
      const before = best.get(way);
      const naive = way.form === 'naive';
      if (naive && before !== undefined && before.ms > SLOW_MS) continue;
      const found = await time(way, workload, naive ? naivePlaces(workload) : allPlaces(workload), engine);
      say(`${dtype} ${workload.name}: ${way.name} ${(found.ms / found.scores.size).toFixed(1)} ms a row`);
      best.set(way, before === undefined ? found : better(before, found));
    }
  }
  await measureFloor(plan);
  return summary(workload, dtype, best, { ...rates }, workOf(workload, sizes), others());
}

/** The quicker times, the larger memories and gaps. */
function better(a: Timed, b: Timed): Timed {
  const [quick] = a.ms <= b.ms ? [a] : [b];
  return {
    ...quick,
    againMs: a.againMs === null || b.againMs === null ? null : Math.min(a.againMs, b.againMs),
    gapMs: Math.max(a.gapMs, b.gapMs),
    workerMb: a.workerMb === null || b.workerMb === null ? null : Math.max(a.workerMb, b.workerMb),
    parentMb: Math.max(a.parentMb, b.parentMb),
  };
}

function summary(
  workload: Workload,
  dtype: string,
  best: Map<Way, Timed>,
  rates: Record<string, number>,
  work: Work,
  othersCores: number | null,
): WorkloadResult {
  const { rows } = workload;
  const rate = rates[SQUARE.join('x')]! * 1e6;
  // Other number formats have other floors.
  const share = (flop: number, ms: number) => (dtype === 'fp32' ? (100 * flop) / rate / ms : null);
  const naive = [...best].find(([way]) => way.form === 'naive')?.[1] ?? null;
  const allAsked = [...best].find(([way]) => way.form !== 'naive')?.[1].stats.tokens_asked ?? 0;
  const naiveMs =
    naive === null ? null : naive.scores.size === rows ? naive.ms : (naive.ms * allAsked) / naive.stats.tokens_asked;
  const ways = [...best].map(([way, found]): WayResult => {
    const { stats, scores, againMs } = found;
    const isNaive = found === naive;
    const whole = isNaive ? naiveMs! : found.ms;
    return {
      way: way.name,
      mode: way.mode,
      form: way.form,
      rows: scores.size,
      msPerRow: found.ms / scores.size,
      tokensAsked: stats.tokens_asked,
      tokensDistinct: stats.tokens_distinct,
      tokensRun: stats.tokens_run,
      tokensPadded: stats.tokens_padded,
      timesNaive: naiveMs === null ? null : naiveMs / whole,
      ofFloor: share(work.all, whole),
      ofFloorByQuestion: share(work.byQuestion, whole),
      afterHeader:
        againMs === null
          ? null
          : {
              msPerRow: againMs / rows,
              ofFloor: (100 * work.afterHeader) / rate / againMs,
              ofFloorByQuestion: (100 * work.byQuestionAfterHeader) / rate / againMs,
            },
      openMs: way.openMs,
      openMb: way.openMb,
      workerMb: found.workerMb,
      parentMb: found.parentMb,
      gapMs: found.gapMs,
      difference: naive === null || isNaive ? null : distance(found.scores, naive.scores),
      remarks: way.remarks,
    };
  });
  const others = [...best].filter(([way]) => way.form !== 'naive');
  const [first, ...rest] = others;
  return {
    workload: workload.name,
    dtype,
    rows,
    rates,
    gflopPerRow: work.all / rows / 1e9,
    gflopPerRowByQuestion: work.byQuestion / rows / 1e9,
    gflopPerRowAfterHeader: workload.header ? work.byQuestionAfterHeader / rows / 1e9 : null,
    floorMsPerRow: work.all / rate / rows,
    headerTokens: work.header,
    distinctTokens: work.distinct,
    othersCores,
    ways,
    between: rest.map(([way, found]) => ({
      ways: [first![0].name, way.name],
      difference: distance(first![1].scores, found.scores),
    })),
  };
}
