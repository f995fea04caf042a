/** The requests of a window as a trie over token ids: what they share is there once. */
import type { Asked, Pass, TokenQuestion } from './prefix_tree.ts';

/** An edge of the trie with the place where it ends. */
export interface Node {
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
  /** The pass that computes it, and where in the pass it begins. */
  home: { pass: Pass; sequence: number; start: number } | null;
  /** What a chunk's end cut off: sequences that hold the node hold it too. */
  rest: Node | null;
}

function nodeAt(tokens: Int32Array, depth: number, parent: Node | null): Node {
  return {
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
  };
}

/** A window's trie. Tokens are added question by question; `plan` cuts it into passes, which uses it up. */
export class Trie {
  readonly root: Node = nodeAt(new Int32Array(0), 0, null);
  /** Questions added. */
  count = 0;
  /** Tokens of all inputs, and of the trie. */
  asked = 0;
  distinct = 0;

  add(question: TokenQuestion): void {
    this.count += 1;
    for (const [place, request] of question.requests.entries()) {
      this.#insert(request.input, question).ended.push({ question, place, request });
      this.asked += request.input.length;
    }
  }

  /** The node that ends with the last of the ids. */
  #insert(ids: Int32Array, question: TokenQuestion): Node {
    let node = this.root;
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
        this.distinct += ids.length - at;
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
export function cut(node: Node, length: number): Node {
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

/** Fills in `size` and `leaves` of all nodes, from the leaves up. */
export function measure(root: Node): void {
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

/** A node and all below it, each before its children. */
export function subtree(node: Node): Node[] {
  const nodes: Node[] = [];
  const stack = [node];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    nodes.push(next);
    stack.push(...[...next.children.values()].reverse());
  }
  return nodes;
}

/** A node and what was cut off it since it was put into a sequence. */
export function whole(node: Node): Node[] {
  return node.rest === null ? [node] : [node, ...whole(node.rest)];
}
