/**
 * What to compute, once: the passes that cover a window's trie.
 *
 * Every edge of the trie is computed by one pass; where nothing can be kept (`whole`), by each pass whose input it begins,
 * and its numbers are the first one's. Which prefixes become groups, which questions share a sequence and
 * which sequences share a pass follows from the window's requests alone, never from what a cache happens to hold or
 * from how many workers there are: so neither changes a digit.
 */
import { createHash } from 'node:crypto';
import type { Asked, Form, Group, Pass, Sequence } from './prefix_tree.ts';
import { cut, measure, type Node, subtree, type Trie, whole } from './trie.ts';

export interface PlanOptions {
  form: Form;
  /** Tokens of a pass, padding included; a longer sequence is a pass of its own. */
  batchTokens: number;
}

/** Tokens of a sequence beyond which its quadratic mask costs more than another pass. */
const LONG = 384;
/** Tokens of a chunk of a long edge (256 to 384 is fastest on two cores). */
const CHUNK = 256;
/** A prefix is kept for those below when it saves this many tokens: about what one more small pass costs. */
const WORTH = 64;
/**
 * Shared tokens for which two questions go into one sequence; behind a long past, which makes sequences dear, one will
 * do.
 */
const TOGETHER = 2;
/** Prefixes that are kept over windows end at multiples of this, so that windows agree on them. */
const GRID = 16;
/**
 * What a pass costs besides its tokens, in tokens: reading the weights once (17 ms against 0.62 ms a token on 2 cores).
 */
const PASS_COST = 27;

/**
 * The passes of a window: the root group, under which all others hang. Each token of the trie is in at least one pass.
 */
export function plan(trie: Trie, options: PlanOptions): Group {
  const steps = planInSteps(trie, options);
  for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value;
}

/** `plan` in pieces of some milliseconds, for a thread that has other things to do meanwhile. */
export function* planInSteps(trie: Trie, options: PlanOptions): Generator<void, Group> {
  measure(trie.root);
  yield;
  const layout = new Layout(options.form);
  yield* layout.place(trie.root, layout.root, []);
  yield;
  for (const [group, sequences] of layout.sequences) yield* fillPasses(group, sequences, options);
  yield* askAll(trie.root);
  return layout.root;
}

/** The groups of a plan, and the nodes of each sequence under them. */
class Layout {
  readonly root: Group = { parent: null, depth: 0, chunks: [], passes: [], children: [], key: null };
  readonly sequences = new Map<Group, Node[][]>([[this.root, []]]);
  readonly #form: Form;
  #placed = 0;

  constructor(form: Form) {
    this.#form = form;
  }

  /**
   * Puts what hangs under `node` into sequences and groups; `pending` are the nodes between the group and it, itself
   * included.
   */
  *place(node: Node, group: Group, pending: Node[]): Generator<void> {
    const form = this.#form;
    const before = node.depth + node.tokens.length - group.depth;
    const least = group.depth >= WORTH ? 1 : TOGETHER;
    const items: Node[][] = [];
    for (const child of node.children.values()) {
      this.#placed += 1;
      if (this.#placed % 64 === 0) yield;
      if (form === 'whole') {
        if (child.children.size === 0) this.sequences.get(group)!.push([...pending, child]);
        else yield* this.place(child, group, [...pending, child]);
        continue;
      }
      const sequences = form === 'tree' ? Math.max(child.questions, Math.ceil(child.size / LONG)) : child.leaves;
      const upTo = before + child.tokens.length;
      const fits = before + child.size <= LONG;
      const shares = child.questions === 1 || (child.questions - 1) * child.tokens.length >= least;
      if (fits && (form === 'tree' ? shares : child.children.size === 0)) items.push([...pending, ...subtree(child)]);
      else if ((sequences - 1) * upTo >= WORTH || upTo > LONG) yield* this.#keep(child, group, pending);
      else if (child.children.size === 0) items.push([...pending, child]);
      else yield* this.place(child, group, [...pending, child]);
    }
    this.#join(items, group, { before, shared: pending.length, together: form === 'tree' && before >= least });
  }

  /**
   * Makes the items sequences of the group. `together`: items go into one sequence while they fit, for they share
   * enough of what is not kept; their first `shared` nodes, `before` tokens, are the same.
   */
  #join(
    items: readonly Node[][],
    group: Group,
    { before, shared, together }: { before: number; shared: number; together: boolean },
  ): void {
    let open: Node[] | null = null;
    let size = 0;
    for (const item of items) {
      const own = item.slice(shared);
      const length = own.reduce((sum, one) => sum + one.tokens.length, 0);
      if (together && open !== null && size + length <= LONG) {
        open.push(...own);
        size += length;
      } else {
        open = item;
        size = before + length;
        this.sequences.get(group)!.push(open);
      }
    }
  }

  /** Makes a group that ends with `child`, or with a part of it, and places the rest. */
  *#keep(child: Node, group: Group, pending: Node[]): Generator<void> {
    const end = child.depth + child.tokens.length;
    const lasts = group === this.root && child.questions > 1 && end >= 4 * GRID;
    const stop = lasts ? Math.max(child.depth + 1, end - (end % GRID)) : end;
    if (stop < end) cut(child, stop - child.depth);
    const made: Group = { parent: group, depth: stop, chunks: [], passes: [], children: [], key: null };
    if (lasts) made.key = keyOf(child, stop);
    group.children.push(made);
    this.sequences.set(made, []);
    yield* this.place(fillChunks(made, [...pending, child]), made, []);
  }
}

/**
 * The tokens of a new group as passes of one sequence, cut where the depth alone says. Returns the last node of the
 * path.
 */
function fillChunks(group: Group, nodes: Node[]): Node {
  let todo = nodes.flatMap(whole);
  let last = nodes.at(-1)!;
  for (let at = group.parent!.depth; at < group.depth; ) {
    const left = group.depth - at;
    const stop = left > LONG ? Math.floor(at / CHUNK + 1) * CHUNK : group.depth;
    const own: Node[] = [];
    while (todo.length > 0 && todo[0]!.depth < stop) {
      const node = todo[0]!;
      const length = Math.min(node.tokens.length, stop - node.depth);
      todo = todo.slice(1);
      if (length < node.tokens.length) {
        node.rest = cut(node, length);
        todo.unshift(node.rest);
      }
      own.push(node);
      last = node;
    }
    group.chunks.push(passOf(group, [own]));
    at = stop;
  }
  return last;
}

/**
 * Sequences of like length together, the longest first. The cuts make the sum of padded tokens and `PASS_COST` for each
 * pass the smallest that there is under the limit. `whole`: each by itself, question by question, for their passes are
 * long and a run that is stopped should have few questions half answered.
 */
function* fillPasses(group: Group, sequences: Node[][], { form, batchTokens }: PlanOptions): Generator<void> {
  const sized = sequences.map((nodes) => {
    const sequence = nodes.flatMap(whole);
    return { sequence, length: sequence.reduce((sum, node) => sum + node.tokens.length, 0) };
  });
  const alone = form === 'single' || form === 'whole';
  if (form !== 'whole') sized.sort((a, b) => b.length - a.length);
  // The least cost of sequences i and later, and where the pass that begins with sequence i ends.
  const best = new Array<number>(sized.length + 1).fill(0);
  const next = new Array<number>(sized.length).fill(0);
  for (let i = sized.length - 1; i >= 0; i -= 1) {
    const { length } = sized[i]!;
    const most = alone ? 1 : Math.max(1, Math.floor(batchTokens / length));
    best[i] = Number.POSITIVE_INFINITY;
    for (let end = i + 1; end <= Math.min(sized.length, i + most); end += 1) {
      const cost = (end - i) * length + PASS_COST + best[end]!;
      if (cost < best[i]!) {
        best[i] = cost;
        next[i] = end;
      }
    }
  }
  for (let i = 0; i < sized.length; i = next[i]!) {
    const batch = sized.slice(i, next[i]!).map(({ sequence }) => sequence);
    group.passes.push(passOf(group, batch));
    if (group.passes.length % 8 === 0) yield;
  }
}

/** Nodes in an order in which each stands behind its parent -> a pass of sequences. A node's first pass is its home. */
function passOf(group: Group, batch: Node[][]): Pass {
  const pass: Pass = { group, sequences: [], select: [], pairs: [], asks: [] };
  for (const [s, nodes] of batch.entries()) {
    const sequence: Sequence = { ids: [], parents: [] };
    const ends = new Map<Node, number>();
    for (const node of nodes) {
      const start = sequence.ids.length;
      node.home ??= { pass, sequence: s, start };
      for (let i = 0; i < node.tokens.length; i += 1) {
        sequence.ids.push(node.tokens[i]!);
        sequence.parents.push(i > 0 ? start + i - 1 : (ends.get(node.parent!) ?? -1));
      }
      ends.set(node, sequence.ids.length - 1);
    }
    pass.sequences.push(sequence);
  }
  return pass;
}

/** The place in `select` of each state that a pass projects, by sequence and position. */
type Selected = Map<Pass, Map<number, number>>;

/** Asks each scored token of the window of the pass that computes it. */
function* askAll(root: Node): Generator<void> {
  const selected: Selected = new Map();
  let done = 0;
  for (const node of subtree(root)) {
    for (const asked of node.ended) {
      ask(asked, node, selected);
      done += 1;
      if (done % 64 === 0) yield;
    }
  }
}

/** Follows a request from its last token up; each scored token is asked of the pass that computes it. */
function ask(asked: Asked, leaf: Node, selected: Selected): void {
  const { input, targets } = asked.request;
  const first = input.length - targets.length;
  let node: Node = leaf;
  for (let at = input.length - 1; at >= first; at -= 1) {
    while (at < node.depth) node = node.parent!;
    if (node.home === null) throw new Error(`no pass computes token ${at} of a request`);
    const { pass, sequence, start } = node.home;
    const position = start + at - node.depth;
    const known = selected.get(pass) ?? new Map<number, number>();
    selected.set(pass, known);
    const state = sequence * 2 ** 20 + position;
    const index = known.get(state) ?? known.size;
    if (index === known.size) {
      known.set(state, index);
      pass.select.push(sequence, position);
    }
    pass.pairs.push(index, targets[at - first]!);
    pass.asks.push({ request: asked, target: at - first });
  }
}

/** Over the tokens of the path and where it was cut: equal keys mean equal passes, and so equal numbers. */
function keyOf(node: Node, depth: number): string {
  const path: Int32Array[] = [];
  for (let at: Node | null = node; at !== null; at = at.parent) path.unshift(at.tokens);
  const hash = createHash('sha256');
  for (const tokens of path) hash.update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength));
  return `${depth}:${hash.digest('hex')}`;
}
