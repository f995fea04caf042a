/**
 * How much arithmetic a workload cannot do without: floating-point operations of its distinct tokens and scored rows.
 */
import { allPlaces, type Workload } from './rows.ts';

/** Sizes of a decoder, from config.json. */
export interface Sizes {
  layers: number;
  hidden: number;
  heads: number;
  groups: number;
  headSize: number;
  mlp: number;
  vocab: number;
}

export function sizesOf(config: Record<string, unknown>): Sizes {
  const number = (key: string, otherwise?: number) => Number(config[key] ?? otherwise);
  const [hidden, heads] = [number('hidden_size'), number('num_attention_heads')];
  const sizes = {
    layers: number('num_hidden_layers'),
    hidden,
    heads,
    groups: number('num_key_value_heads', heads),
    headSize: number('head_dim', hidden / heads),
    mlp: number('intermediate_size'),
    vocab: number('vocab_size'),
  };
  const missing = Object.entries(sizes).find(([, size]) => !(size > 0));
  if (missing !== undefined) throw new Error(`config.json does not say: ${missing[0]}`);
  return sizes;
}

/** A part of the work: tokens, how many tokens stand above all of them, and states that are projected. */
interface Part {
  tokens: number;
  above: number;
  rows: number;
}

function flops({ layers, hidden, heads, groups, headSize, mlp, vocab }: Sizes, { tokens, above, rows }: Part): number {
  const weights = layers * (2 * hidden * heads * headSize + 2 * hidden * groups * headSize + 3 * hidden * mlp);
  return 2 * weights * tokens + 4 * layers * heads * headSize * above + 2 * hidden * vocab * rows;
}

export interface Work {
  /** Distinct prefixes of all rows, and their operations. */
  distinct: number;
  all: number;
  /** The same with only the header shared between rows: the header once, and each row by itself. */
  byQuestion: number;
  /** Tokens of the header: what all rows begin with. */
  header: number;
  /** `all` and `byQuestion` without the header's. */
  afterHeader: number;
  byQuestionAfterHeader: number;
}

/** Counts by walking the tries of the requests. */
export function workOf(workload: Workload, sizes: Sizes): Work {
  const whole = openTrie();
  const apart: Part = { tokens: 0, above: 0, rows: 0 };
  let shared: Int32Array | null = null;
  const tries = allPlaces(workload).map((place) => {
    const own = openTrie();
    for (const { input, targets } of workload.question(place).requests) {
      whole.add(input, targets.length);
      own.add(input, targets.length);
      const before: Int32Array = shared ?? input;
      let same = 0;
      while (same < Math.min(before.length, input.length) && before[same] === input[same]) same += 1;
      shared = before.subarray(0, same);
    }
    return own;
  });
  // One row alone has no header.
  const header = workload.rows > 1 ? (shared ?? new Int32Array()).length : 0;
  const top: Part = { tokens: header, above: (header * (header - 1)) / 2, rows: 0 };
  for (const { part } of tries) {
    apart.tokens += part.tokens - header;
    apart.above += part.above - top.above;
    apart.rows += part.rows;
  }
  const [all, once, rest] = [flops(sizes, whole.part), flops(sizes, top), flops(sizes, apart)];
  return {
    distinct: whole.part.tokens,
    all,
    byQuestion: once + rest,
    header,
    afterHeader: all - once,
    byQuestionAfterHeader: rest,
  };
}

function openTrie() {
  const part: Part = { tokens: 0, above: 0, rows: 0 };
  /** A node and the token after it -> the next node. */
  const next = new Map<number, number>();
  const scored = new Set<number>();
  return {
    part,
    add(input: Int32Array, targets: number): void {
      let node = 0;
      for (const [i, token] of input.entries()) {
        const key = node * 2 ** 20 + token;
        const known = next.get(key);
        if (known === undefined) {
          part.tokens += 1;
          part.above += i;
          next.set(key, part.tokens);
        }
        node = known ?? part.tokens;
        if (i < input.length - targets || scored.has(node)) continue;
        scored.add(node);
        part.rows += 1;
      }
    },
  };
}
