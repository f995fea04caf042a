/** The tasks of a window: what is to be run, in which order, and who takes what. */
import type { Lane } from './lane.ts';
import type { Asked, Group, Run } from './prefix_tree.ts';

/** A run of a group, or what leads to it when that is all (a question that ends there). */
export interface Task {
  group: Group;
  run: Run | null;
  retried: boolean;
}

/** What openWork returns. */
export type Work = ReturnType<typeof openWork>;

/**
 * A plan of prompts as one task a prompt: the tokens that no group has, to go on from. A prompt that ends inside a group
 * goes on from the group above it.
 */
export function promptsUnder(root: Group): Group {
  const askedOf = (runs: readonly Run[]): Asked[] => runs.flatMap((run) => run.asks.map(({ request }) => request));
  const visit = (group: Group): void => {
    const own = [...askedOf(group.runs), ...group.children.flatMap((child) => askedOf(child.chunks))];
    group.runs = own.map((request) => {
      const ids = [...request.request.input.subarray(group.depth)];
      const row = { ids, parents: ids.map((_, i) => i - 1) };
      return { group, rows: [row], select: [], pairs: [], asks: [{ request, target: 0 }] };
    });
    for (const child of group.children) {
      for (const chunk of child.chunks) Object.assign(chunk, { select: [], pairs: [], asks: [] });
      visit(child);
    }
  };
  visit(root);
  return root;
}

/** The runs of a window in the order of the tree, and which of the lanes takes which. */
export function openWork(root: Group, lanes: readonly Lane[]) {
  const order: { group: Group; tasks: Task[] }[] = [];
  /** Tasks at or below each group that are not finished. */
  const left = new Map<Group, number>();
  /** Something of a question whose answer is not known yet. */
  const isWanted = (run: Run) => run.asks.some(({ request }) => !request.question.done);
  const visit = (group: Group): number => {
    const tasks: Task[] = group.runs.filter(isWanted).map((run) => ({ group, run, retried: false }));
    if (tasks.length === 0 && group.chunks.some(isWanted)) tasks.push({ group, run: null, retried: false });
    if (tasks.length > 0) order.push({ group, tasks });
    const count = group.children.reduce((sum, child) => sum + visit(child), tasks.length);
    left.set(group, count);
    return count;
  };
  visit(root);
  return {
    /**
     * The next task of a lane: of a group whose cache it has, else of one that nobody has, else it helps where most is
     * left, for the price of computing that group's prefix once more.
     */
    take(lane: Lane): Task | null {
      const open = order.filter(({ tasks }) => tasks.length > 0);
      const own =
        open.find(({ group }) => lane.holds(group)) ??
        open.find(({ group }) => !lanes.some((other) => other.holds(group))) ??
        open.reduce<(typeof open)[number] | null>(
          (most, one) => (one.tasks.length > (most?.tasks.length ?? 2) ? one : most),
          null,
        );
      return own?.tasks.shift() ?? null;
    },
    again(tasks: Task[]): void {
      const entry = order.find(({ group }) => group === tasks[0]!.group)!;
      entry.tasks.unshift(...tasks);
      for (let at: Group | null = entry.group; at !== null; at = at.parent) left.set(at, left.get(at)! + tasks.length);
    },
    groups: () => [...left.keys()],
    /** Groups under which nothing is left after this task. */
    finish({ group }: Task): Group[] {
      const finished: Group[] = [];
      for (let at: Group | null = group; at !== null; at = at.parent) {
        left.set(at, left.get(at)! - 1);
        if (left.get(at) === 0) finished.push(at);
      }
      return finished;
    },
  };
}
