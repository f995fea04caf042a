/** The jobs of a window: what is to be computed, in which order, and who takes what. */
import type { Lane } from './lane.ts';
import type { Group, Pass } from './prefix_tree.ts';

/** A pass of a group, or what leads to it when that is all (a question that ends there). */
export interface Job {
  group: Group;
  pass: Pass | null;
  retried: boolean;
}

/** What openWork returns. */
export type Work = ReturnType<typeof openWork>;

/** The passes of a window in the order of the tree, and which of the lanes takes which. */
export function openWork(root: Group, lanes: readonly Lane[]) {
  const order: { group: Group; jobs: Job[] }[] = [];
  /** Jobs at or below each group that are not finished. */
  const left = new Map<Group, number>();
  /** Something of a question whose answer is not known yet. */
  const isWanted = (pass: Pass) => pass.asks.some(({ request }) => !request.question.done);
  const visit = (group: Group): number => {
    const jobs: Job[] = group.passes.filter(isWanted).map((pass) => ({ group, pass, retried: false }));
    if (jobs.length === 0 && group.chunks.some(isWanted)) jobs.push({ group, pass: null, retried: false });
    if (jobs.length > 0) order.push({ group, jobs });
    const count = group.children.reduce((sum, child) => sum + visit(child), jobs.length);
    left.set(group, count);
    return count;
  };
  visit(root);
  return {
    /**
     * The next job of a lane: of a group whose cache it has, else of one that nobody has, else it helps where most is
     * left, for the price of computing that group's prefix once more.
     */
    take(lane: Lane): Job | null {
      const open = order.filter(({ jobs }) => jobs.length > 0);
      const own =
        open.find(({ group }) => lane.holds(group)) ??
        open.find(({ group }) => !lanes.some((other) => other.holds(group))) ??
        open.reduce<(typeof open)[number] | null>(
          (most, one) => (one.jobs.length > (most?.jobs.length ?? 2) ? one : most),
          null,
        );
      return own?.jobs.shift() ?? null;
    },
    /** Puts jobs of one group back: they are next. */
    again(jobs: Job[]): void {
      const entry = order.find(({ group }) => group === jobs[0]!.group)!;
      entry.jobs.unshift(...jobs);
      for (let at: Group | null = entry.group; at !== null; at = at.parent) left.set(at, left.get(at)! + jobs.length);
    },
    groups: () => [...left.keys()],
    /** Groups under which nothing is left after this job. */
    finish({ group }: Job): Group[] {
      const finished: Group[] = [];
      for (let at: Group | null = group; at !== null; at = at.parent) {
        left.set(at, left.get(at)! - 1);
        if (left.get(at) === 0) finished.push(at);
      }
      return finished;
    },
  };
}

/**
 * Does the jobs of a window on whichever lane is free; gives what they come to as it is known. What `perform` throws
 * ends it after what is under way, and so does `signal`, without a throw.
 */
export async function* doJobs<A>(
  work: Work,
  lanes: readonly Lane[],
  perform: (job: Job, lane: Lane, answers: A[]) => Promise<void>,
  signal: AbortSignal,
): AsyncGenerator<A> {
  const answers: A[] = [];
  const underWay = new Set<Promise<void>>();
  let fault: unknown = null;
  const begin = async (job: Job, lane: Lane): Promise<void> => {
    await perform(job, lane, answers);
    for (const group of work.finish(job)) for (const each of lanes) each.release(group);
  };
  try {
    for (;;) {
      for (const lane of lanes) {
        while (lane.busy < lane.ahead && fault === null && !signal.aborted) {
          const job = work.take(lane);
          if (job === null) break;
          lane.busy += 1;
          const running: Promise<void> = begin(job, lane)
            .catch((error: unknown) => {
              fault ??= error;
            })
            .finally(() => {
              lane.busy -= 1;
              underWay.delete(running);
            });
          underWay.add(running);
        }
      }
      if (answers.length > 0) {
        // While this stands at its yield, jobs may come to an end or be put back: all is looked at again.
        yield* answers.splice(0);
        continue;
      }
      if (underWay.size === 0) break;
      await Promise.race(underWay);
    }
    if (fault !== null) throw fault;
  } finally {
    await Promise.allSettled(underWay);
    // A window that ended early leaves no caches that nobody will ask for.
    for (const group of work.groups()) for (const lane of lanes) lane.release(group);
  }
}
