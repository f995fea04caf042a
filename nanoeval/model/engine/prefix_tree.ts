/**
 * What to compute, once: the requests of a window as a trie over token ids, and the runs that cover it.
 *
 * Every edge of the trie is computed by one run. A prefix that many questions share is a group: its tokens run first, in
 * chunks, and their keys and values serve all that hangs under it. What is left of a question, its choices included, is
 * one row of a run: a tree, in which a token sees the tokens above it and no others. Rows of like length under one group
 * run together as a batch.
 *
 * All cuts follow from the window's requests alone, never from what a cache happens to hold or from how many workers there
 * are: so neither changes a digit.
 */
import { createHash } from 'node:crypto';
import type { Question } from '../../types.ts';

/** A model input and the tokens scored: those after its last `targets.length` tokens. */
export interface TokenRequest {
  input: Int32Array;
  targets: readonly number[];
}

/** One question of a window: requests that are answered together. */
export interface TokenQuestion extends Pick<Question<never>, 'place' | 'window' | 'done'> {
  requests: readonly TokenRequest[];
}

/** What a session can run. `tree`: rows with branches, many at once. `batched`: rows without. `single`: one such row. */
export type Form = 'tree' | 'batched' | 'single';

export interface PlanOptions {
  form: Form;
  /** Tokens of a run, padding included; a longer row runs alone. */
  batchTokens: number;
}

/** One forward pass: rows after the same past. */
export interface Run {
  group: Group;
  rows: Row[];
  /** Pairs of numbers: row and position of each state that is projected. */
  select: number[];
  /** Pairs of numbers: place in `select`, and the token whose log-probability is wanted. */
  pairs: number[];
  /** Whose token each pair is: the request, and which of its targets. */
  asks: { request: Asked; target: number }[];
}

export interface Row {
  ids: number[];
  /** The token before each one: a place in the row, or -1 for the past. */
  parents: number[];
}

/** What a run needs to be told: plain data. */
export interface RunOrder {
  /** The cache that it goes on from; null: from the start. */
  past: number | null;
  rows: Row[];
  select: number[];
  pairs: number[];
  /** The number under which the cache of its only row is kept; null: it is not. */
  keep: number | null;
  /** Rows of the widest run that goes on from the same cache: it is repeated once for all of them. This run's by default. */
  widest?: number;
}

export interface RunAnswer {
  /** For each pair, the log-probability of its target. */
  logprobs: number[];
  /** For each selected state, the most likely token. */
  best: number[];
}

/** A prefix whose keys and values are kept while what hangs under it runs. The root has no tokens. */
export interface Group {
  parent: Group | null;
  /** Tokens up to its end. */
  depth: number;
  /** Its own tokens, in chunks: each run has one row and its keys and values are kept. */
  chunks: Run[];
  /** What runs after it. */
  runs: Run[];
  children: Group[];
  /** Names the prefix and its cuts in any window; null where it is not worth keeping beyond this one. */
  key: string | null;
}

/** A request on its way through the plan. */
export interface Asked {
  question: TokenQuestion;
  place: number;
  request: TokenRequest;
}

interface Node {
  /** The edge. */
  tokens: Int32Array;
  /** Tokens before the edge. */
  depth: number;
  parent: Node | null;
  children: Map<number, Node>;
  /** Distinct questions at or below. */
  questions: number;
  lastQuestion: TokenQuestion | null;
  /** Tokens of the edge and of everything below it. */
  size: number;
  /** Ends of paths below. */
  leaves: number;
  /** Requests whose last token is the edge's last. */
  ended: Asked[];
  /** The run that computes it. */
  home: { run: Run; row: number; start: number } | null;
  /** What a chunk's end cut off: rows that hold the node hold it too. */
  rest: Node | null;
}

/** Tokens of a row beyond which its quadratic mask costs more than another run. */
const LONG = 384;
/** Tokens of a chunk of a long edge (performance.md 3: 256 to 384 is fastest). */
const CHUNK = 256;
/** A prefix is kept for those below when it saves this many tokens: about what one more small run costs. */
const WORTH = 64;
/** Shared tokens for which two questions go into one row; behind a long past, which makes rows dear, one will do. */
const TOGETHER = 2;
/** Prefixes that are kept over windows end at multiples of this, so that windows agree on them. */
const GRID = 16;

/** The trie of a window. Tokens are added question by question; `plan` cuts it into runs. */
export interface PrefixTree {
  add(question: TokenQuestion): void;
  /** Questions added. */
  count: number;
  /** Tokens of all inputs, and of the trie. */
  asked: number;
  distinct: number;
}

type Tree = PrefixTree & { root: Node };

const nodeAt = (tokens: Int32Array, depth: number, parent: Node | null): Node => ({
  tokens,
  depth,
  parent,
  children: new Map(),
  questions: 0,
  lastQuestion: null,
  size: 0,
  leaves: 0,
  ended: [],
  home: null,
  rest: null,
});

/** An empty trie. */
export function prefixTree(): PrefixTree {
  const root = nodeAt(new Int32Array(0), 0, null);
  const tree: Tree = {
    root,
    count: 0,
    asked: 0,
    distinct: 0,
    add(question) {
      tree.count += 1;
      for (const [place, request] of question.requests.entries()) {
        insert(root, request.input, question).ended.push({ question, place, request });
        tree.asked += request.input.length;
      }
    },
  };
  return tree;

  function insert(from: Node, ids: Int32Array, question: TokenQuestion): Node {
    let node = from;
    for (let at = 0; ; ) {
      if (node.lastQuestion !== question) {
        node.lastQuestion = question;
        node.questions += 1;
      }
      if (at === ids.length) return node;
      const next = node.children.get(ids[at]!);
      if (next === undefined) {
        const leaf = nodeAt(ids.subarray(at), at, node);
        node.children.set(ids[at]!, leaf);
        tree.distinct += ids.length - at;
        node = leaf;
        at = ids.length;
        continue;
      }
      let shared = 1;
      const most = Math.min(next.tokens.length, ids.length - at);
      while (shared < most && next.tokens[shared] === ids[at + shared]) shared += 1;
      if (shared < next.tokens.length) cut(next, shared);
      node = next;
      at += shared;
    }
  }
}

/** Cuts an edge in two; the node keeps the upper part. Returns the lower one. */
function cut(node: Node, length: number): Node {
  const lower = nodeAt(node.tokens.subarray(length), node.depth + length, node);
  lower.children = node.children;
  for (const child of lower.children.values()) child.parent = lower;
  Object.assign(lower, { questions: node.questions, lastQuestion: node.lastQuestion, leaves: node.leaves });
  lower.ended = node.ended;
  node.ended = [];
  lower.size = node.size - length;
  node.tokens = node.tokens.subarray(0, length);
  node.children = new Map([[lower.tokens[0]!, lower]]);
  return lower;
}

/** A node and what was cut off it since it was put into a row. */
const whole = (node: Node): Node[] => (node.rest === null ? [node] : [node, ...whole(node.rest)]);

/** The runs of a window: the root group, under which all others hang. Each token of the trie is in at least one run. */
export function plan(tree: PrefixTree, options: PlanOptions): Group {
  const steps = planInSteps(tree, options);
  for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value;
}

/** `plan` in pieces of some milliseconds, for a thread that has other things to do meanwhile. */
export function* planInSteps(given: PrefixTree, options: PlanOptions): Generator<void, Group> {
  const tree = given as Tree;
  measure(tree.root);
  yield;
  const root: Group = { parent: null, depth: 0, chunks: [], runs: [], children: [], key: null };
  const rowsOf = new Map<Group, Node[][]>([[root, []]]);
  const selected = new Map<Run, Map<number, number>>();
  let placed = 0;
  yield* place(tree.root, root, []);
  yield;
  for (const [group, rows] of rowsOf) yield* fillRuns(group, rows, options);
  let done = 0;
  for (const node of subtree(tree.root)) {
    for (const asked of node.ended) {
      ask(asked, node);
      done += 1;
      if (done % 64 === 0) yield;
    }
  }
  return root;

  /** Puts what hangs under `node` into rows and groups; `pending` are the nodes between the group and it, itself included. */
  function* place(node: Node, group: Group, pending: Node[]): Generator<void> {
    const before = node.depth + node.tokens.length - group.depth;
    const least = group.depth >= WORTH ? 1 : TOGETHER;
    const items: Node[][] = [];
    for (const child of node.children.values()) {
      placed += 1;
      if (placed % 64 === 0) yield;
      const rows = options.form === 'tree' ? Math.max(child.questions, Math.ceil(child.size / LONG)) : child.leaves;
      const upTo = before + child.tokens.length;
      const fits = before + child.size <= LONG;
      const shares = child.questions === 1 || (child.questions - 1) * child.tokens.length >= least;
      if (fits && (options.form === 'tree' ? shares : child.children.size === 0))
        items.push([...pending, ...subtree(child)]);
      else if ((rows - 1) * upTo >= WORTH || upTo > LONG) yield* keep(child, group, pending);
      else if (child.children.size === 0) items.push([...pending, child]);
      else yield* place(child, group, [...pending, child]);
    }
    // Questions that share enough of what is not kept go into one row.
    const together = options.form === 'tree' && before >= least;
    let open: Node[] | null = null;
    let size = 0;
    for (const item of items) {
      const own = item.slice(pending.length);
      const length = own.reduce((sum, one) => sum + one.tokens.length, 0);
      if (together && open !== null && size + length <= LONG) {
        open.push(...own);
        size += length;
      } else {
        open = item;
        size = before + length;
        rowsOf.get(group)!.push(open);
      }
    }
  }

  /** Makes a group that ends with `child`, or with a part of it, and places the rest. */
  function* keep(child: Node, group: Group, pending: Node[]): Generator<void> {
    const end = child.depth + child.tokens.length;
    const lasts = group === root && child.questions > 1 && end >= 4 * GRID;
    const stop = lasts ? Math.max(child.depth + 1, end - (end % GRID)) : end;
    if (stop < end) cut(child, stop - child.depth);
    const made: Group = { parent: group, depth: stop, chunks: [], runs: [], children: [], key: null };
    if (lasts) made.key = keyOf(child, stop);
    group.children.push(made);
    rowsOf.set(made, []);
    yield* place(chunk(made, [...pending, child]), made, []);
  }

  /** The tokens of a new group as runs of one row, cut where the depth alone says. Returns the last node of the path. */
  function chunk(group: Group, nodes: Node[]): Node {
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
      group.chunks.push(runOf(group, [own]));
      at = stop;
    }
    return last;
  }

  /** Follows a request from its last token up; each scored token is asked of the run that computes it. */
  function ask(asked: Asked, leaf: Node): void {
    const { input, targets } = asked.request;
    const first = input.length - targets.length;
    let node: Node = leaf;
    for (let at = input.length - 1; at >= first; at -= 1) {
      while (at < node.depth) node = node.parent!;
      if (node.home === null) throw new Error(`no run computes token ${at} of a request`);
      const { run, row, start } = node.home;
      const position = start + at - node.depth;
      const known = selected.get(run) ?? new Map<number, number>();
      selected.set(run, known);
      const state = row * 2 ** 20 + position;
      const index = known.get(state) ?? known.size;
      if (index === known.size) {
        known.set(state, index);
        run.select.push(row, position);
      }
      run.pairs.push(index, targets[at - first]!);
      run.asks.push({ request: asked, target: at - first });
    }
  }
}

/** Sizes and leaves, from the leaves up. */
function measure(root: Node): void {
  const order: Node[] = [root];
  for (let i = 0; i < order.length; i += 1) order.push(...order[i]!.children.values());
  for (const node of order.reverse()) {
    node.size = node.tokens.length;
    node.leaves = node.children.size === 0 ? 1 : 0;
    for (const child of node.children.values()) {
      node.size += child.size;
      node.leaves += child.leaves;
    }
  }
}

function subtree(node: Node): Node[] {
  const nodes: Node[] = [];
  const stack = [node];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    nodes.push(next);
    stack.push(...[...next.children.values()].reverse());
  }
  return nodes;
}

/** What a run costs besides its tokens, in tokens: reading the weights once (17 ms against 0.62 ms a token on 2 cores). */
const RUN = 27;

/**
 * Rows of like length together, the longest first. The cuts make the sum of padded tokens and `RUN` for each run the
 * smallest that there is under the limit.
 */
function* fillRuns(group: Group, rows: Node[][], { form, batchTokens }: PlanOptions): Generator<void> {
  const sized = rows.map((nodes) => {
    const row = nodes.flatMap(whole);
    return { row, length: row.reduce((sum, node) => sum + node.tokens.length, 0) };
  });
  sized.sort((a, b) => b.length - a.length);
  // The least cost of rows i and later, and where the run that begins with row i ends.
  const best = new Array<number>(sized.length + 1).fill(0);
  const next = new Array<number>(sized.length).fill(0);
  for (let i = sized.length - 1; i >= 0; i -= 1) {
    const { length } = sized[i]!;
    const most = form === 'single' ? 1 : Math.max(1, Math.floor(batchTokens / length));
    best[i] = Number.POSITIVE_INFINITY;
    for (let end = i + 1; end <= Math.min(sized.length, i + most); end += 1) {
      const cost = (end - i) * length + RUN + best[end]!;
      if (cost < best[i]!) {
        best[i] = cost;
        next[i] = end;
      }
    }
  }
  for (let i = 0; i < sized.length; i = next[i]!) {
    const batch = sized.slice(i, next[i]!).map(({ row }) => row);
    group.runs.push(runOf(group, batch));
    if (group.runs.length % 8 === 0) yield;
  }
}

/** Nodes in an order in which each stands behind its parent -> a run of rows. A node's first run is its home. */
function runOf(group: Group, batch: Node[][]): Run {
  const run: Run = { group, rows: [], select: [], pairs: [], asks: [] };
  for (const [r, nodes] of batch.entries()) {
    const row: Row = { ids: [], parents: [] };
    const ends = new Map<Node, number>();
    for (const node of nodes) {
      const start = row.ids.length;
      node.home ??= { run, row: r, start };
      for (let i = 0; i < node.tokens.length; i += 1) {
        row.ids.push(node.tokens[i]!);
        row.parents.push(i > 0 ? start + i - 1 : (ends.get(node.parent!) ?? -1));
      }
      ends.set(node, row.ids.length - 1);
    }
    run.rows.push(row);
  }
  return run;
}

/** Over the tokens of the path and where it was cut: equal keys mean equal runs, and so equal numbers. */
function keyOf(node: Node, depth: number): string {
  const path: Int32Array[] = [];
  for (let at: Node | null = node; at !== null; at = at.parent) path.unshift(at.tokens);
  const hash = createHash('sha256');
  for (const tokens of path) hash.update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength));
  return `${depth}:${hash.digest('hex')}`;
}

/** A run's halves, or null when it has one row. For when the memory does not do for the whole. */
export function halves(run: Run): [Run, Run] | null {
  if (run.rows.length < 2) return null;
  const middle = Math.ceil(run.rows.length / 2);
  const part = (from: number, to: number): Run => {
    const half: Run = { group: run.group, rows: run.rows.slice(from, to), select: [], pairs: [], asks: [] };
    const places = new Map<number, number>();
    for (let i = 0; i < run.select.length; i += 2) {
      if (run.select[i]! < from || run.select[i]! >= to) continue;
      places.set(i / 2, half.select.push(run.select[i]! - from, run.select[i + 1]!) / 2 - 1);
    }
    for (const [i, ask] of run.asks.entries()) {
      const selected = places.get(run.pairs[2 * i]!);
      if (selected === undefined) continue;
      half.pairs.push(selected, run.pairs[2 * i + 1]!);
      half.asks.push(ask);
    }
    return half;
  };
  return [part(0, middle), part(middle, run.rows.length)];
}
