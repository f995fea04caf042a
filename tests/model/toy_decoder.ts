/**
 * A decoder whose logits are known beforehand. With ids x, positions p and everything up to token i:
 *
 *   favourite(i) = (3 · Σ x + Σ p + 5 · x_i) mod vocab          logits[i][v] = −|v − favourite(i)| / 4
 *
 * The sums run through the key cache (ids) and the value cache (positions), so a lost past, a wrong position, a mask of
 * the wrong length, a head of the wrong size or a wrong `use_cache_branch` all move the favourite. All numbers are small
 * multiples of 1/4: exact in float32, and in float16 too.
 */
import {
  type Dims,
  type ElementType,
  type GraphWriter,
  graphWriter,
  rawData,
  type WriterOptions,
} from './onnx_writer.ts';

export interface ToyOptions {
  vocab?: number;
  /** Element type of past and present; null: a graph without a cache. */
  cache?: 'float32' | 'float16' | null;
  /** Sizes of the key-value heads as the graph declares them. The true ones are 2 heads of size 4. */
  headDims?: [heads: number | string, size: number | string];
  /** Whether and how `position_ids` is declared; `past`: positions come from the length of the past. */
  positions?: 'plain' | 'three' | 'past';
  logits?: 'float32' | 'float16' | 'bfloat16';
  /** Element type of ids, mask and positions. */
  integers?: 'int64' | 'int32';
  /** Sizes of `input_ids` as declared. */
  idDims?: Dims;
  /** The rows of the logits that are given: all, or the last one alone, with the axis kept or dropped. */
  rows?: 'all' | 'last' | 'last flat' | 'last undeclared';
  /** Rows of a table that the ids are looked up in; without it any id will do. */
  table?: number;
  writer?: WriterOptions;
  useCacheBranch?: boolean;
  numLogitsToKeep?: boolean | { name: string; type: 'int64' | 'int32'; dims: Dims };
  /** Declared type of `inputs_embeds`, which then takes the place of `input_ids`. */
  embeds?: 'float32' | 'float16' | null;
  /** The token whose presence makes its row of logits NaN. */
  nanToken?: number;
  extraInput?: { name: string; type: ElementType; dims: Dims };
  /** Left out of the outputs. */
  missing?: string;
  /** The vocabulary axis lies in this side file, whose content is `externalAxis(vocab)`. */
  external?: string;
}

export const TOY_CONFIG = { num_attention_heads: 4, num_key_value_heads: 2, head_dim: 4, hidden_size: 16 };

export const externalAxis = (vocab: number) => rawData('float32', [...new Array(vocab).keys()]);

/** The favourite token of each position: what the graph computes, in plain arithmetic. */
export function favourites(ids: readonly number[], vocab: number): number[] {
  let [sumIds, sumPositions] = [0, 0];
  return ids.map((id, i) => {
    sumIds += id;
    sumPositions += i;
    return (3 * sumIds + sumPositions + 5 * id) % vocab;
  });
}

/** Log-probability of `target` where `favourite` is the favourite token. */
export function toyLogprob(favourite: number, target: number, vocab: number): number {
  let sum = 0;
  for (let v = 0; v < vocab; v += 1) sum += Math.exp(-Math.abs(v - favourite) / 4);
  return -Math.abs(target - favourite) / 4 - Math.log(sum);
}

/** What greedy decoding answers to `prompt`. */
export function toyAnswer(prompt: readonly number[], count: number, vocab: number): number[] {
  const all = [...prompt];
  for (let i = 0; i < count; i += 1) all.push(favourites(all, vocab).at(-1)!);
  return all.slice(prompt.length);
}

export function toyDecoder(options: ToyOptions = {}): Uint8Array {
  const { vocab = 320, cache = 'float32', positions = 'plain', logits = 'float32', embeds = null } = options;
  const [heads, size] = options.headDims ?? [2, 4];
  const { integers = 'int64', idDims = ['batch_size', 'sequence_length'], rows = 'all' } = options;
  const g = graphWriter(options.writer);
  const scalar = (value: number) => g.init('float32', [], [value]);
  const axes = (...values: number[]) => g.init('int64', [values.length], values);
  const times = (a: string, factor: number) => g.node('Mul', [a, scalar(factor)]);
  const plus = (first: string, ...others: string[]) => others.reduce((sum, next) => g.node('Add', [sum, next]), first);
  const floats = (name: string) => g.node('Cast', [name], { to: 1 });
  /** A single size of a value's shape, as a float of shape [1]. */
  const sizeOf = (name: string, axis: number) => floats(g.node('Gather', [g.node('Shape', [name]), axes(axis)]));

  // Ids as [1, seq] floats: the ids themselves, or the first place of each embedding.
  let x: string;
  if (embeds === null) {
    const ids = g.input('input_ids', integers, idDims);
    const table = options.table;
    if (table === undefined) x = floats(ids);
    else x = g.node('Gather', [g.init('float32', [table], [...new Array(table).keys()]), ids]);
  } else {
    const given = floats(g.input('inputs_embeds', embeds, ['batch_size', 'sequence_length', 2]));
    x = g.node('Squeeze', [g.node('Gather', [given, axes(0)], { axis: 2 }), axes(2)]);
  }
  const past = cache === null ? null : pastOf(g, cache, [heads, size]);
  const pastLength = past === null ? scalar(0) : sizeOf(past.key, 2);
  const p = positionsOf(g, [positions, integers], x, pastLength, floats);

  /** [1, seq] -> [1, 2, seq, 4], joined to the past; what comes back is [1, total] in float32. */
  const through = (values: string, kind: 'key' | 'value') => {
    if (past === null) return values;
    const wide = g.node('Expand', [g.node('Unsqueeze', [values, axes(1, 3)]), axes(1, 2, 1, 4)]);
    const own = g.node('Cast', [wide], { to: cache === 'float16' ? 10 : 1 });
    const name = `present.0.${kind}`;
    g.node('Concat', [past[kind], own], { axis: 2 }, name);
    if (options.missing !== name) g.output(name, cache!, ['batch_size', heads, 'total_sequence_length', size]);
    return g.node('ReduceMean', [floats(name), axes(1, 3)], { keepdims: 0 });
  };
  /** Running sums over [1, total]; the last `seq` of them. */
  const running = (all: string) => {
    const sums = g.node('CumSum', [all, g.init('int64', [], [1])]);
    const start = g.node('Neg', [g.node('Gather', [g.node('Shape', [x]), axes(1)])]);
    return g.node('Slice', [sums, start, axes(2 ** 31 - 1), axes(1)]);
  };
  const allIds = through(x, 'key');
  const terms = [times(running(allIds), 3), running(through(p, 'value')), times(x, 5)];

  // Each of these is 0 when the graph is fed as it should be.
  const mask = floats(g.input('attention_mask', integers, ['batch_size', 'total_sequence_length']));
  const total = plus(pastLength, sizeOf(x, 1));
  terms.push(times(g.node('Sub', [g.node('ReduceSum', [mask], { keepdims: 0 }), total]), 7));
  terms.push(times(g.node('Sub', [sizeOf(mask, 1), total]), 11));
  if (past !== null) {
    terms.push(times(g.node('Sub', [sizeOf(past.value, 3), scalar(4)]), 13));
    terms.push(times(g.node('Sub', [sizeOf(past.value, 1), scalar(2)]), 17));
  }
  if (options.useCacheBranch) {
    const branch = floats(g.input('use_cache_branch', 'bool', [1]));
    terms.push(times(g.node('Sub', [branch, g.node('Min', [pastLength, scalar(1)])]), 19));
  }
  if (options.extraInput !== undefined) {
    const { name, type, dims } = options.extraInput;
    g.input(name, type, dims);
  }

  const favourite = g.node('Unsqueeze', [
    g.node('Mod', [plus(terms[0]!, ...terms.slice(1)), scalar(vocab)], { fmod: 1 }),
    axes(2),
  ]);
  const external =
    options.external === undefined ? undefined : { location: options.external, offset: 0, length: 4 * vocab };
  const axis = g.init('float32', [1, 1, vocab], [...new Array(vocab).keys()], external);
  let out = times(g.node('Abs', [g.node('Sub', [axis, favourite])]), -0.25);
  if (options.nanToken !== undefined) {
    const zero = scalar(0);
    const broken = g.node('Div', [zero, g.node('Sub', [x, scalar(options.nanToken)])]);
    out = plus(out, g.node('Unsqueeze', [broken, axes(2)]));
  }
  if (options.numLogitsToKeep) {
    const given = options.numLogitsToKeep;
    const { name, type, dims } =
      given === true ? { name: 'num_logits_to_keep', type: 'int64' as const, dims: [] } : given;
    const keep = g.node('Neg', [g.node('Cast', [g.input(name, type, dims)], { to: 7 })]);
    const first = dims.length === 0 ? g.node('Unsqueeze', [keep, axes(0)]) : keep;
    out = g.node('Slice', [out, first, axes(2 ** 31 - 1), axes(1)]);
  }
  if (rows !== 'all') out = g.node('Slice', [out, axes(-1), axes(2 ** 31 - 1), axes(1)]);
  if (rows === 'last flat') out = g.node('Squeeze', [out, axes(1)]);
  g.node(
    'Cast',
    [out],
    { to: { float32: 1, float16: 10, bfloat16: 16 }[logits] },
    options.missing === 'logits' ? 'scores' : 'logits',
  );
  const axes3 = {
    all: ['batch_size', 'sequence_length', vocab],
    last: ['batch_size', 1, vocab],
    'last flat': ['batch_size', vocab],
    'last undeclared': ['batch_size', 'rows', vocab],
  };
  g.output(options.missing === 'logits' ? 'scores' : 'logits', logits, axes3[rows]);
  return g.bytes();
}

function pastOf(g: GraphWriter, type: ElementType, [heads, size]: [number | string, number | string]) {
  const dims = ['batch_size', heads, 'past_sequence_length', size];
  const key = g.input('past_key_values.0.key', type, dims);
  return { key, value: g.input('past_key_values.0.value', type, dims) };
}

/** Positions as [1, seq] floats; the three sections of Qwen-VL must be alike, or the result is far off. */
function positionsOf(
  g: GraphWriter,
  [kind, type]: ['plain' | 'three' | 'past', 'int64' | 'int32'],
  x: string,
  pastLength: string,
  floats: (name: string) => string,
): string {
  if (kind === 'plain') return floats(g.input('position_ids', type, ['batch_size', 'sequence_length']));
  if (kind === 'three') {
    const all = floats(g.input('position_ids', type, [3, 'batch_size', 'sequence_length']));
    const [a, b, c] = [0, 1, 2].map((i) => g.node('Gather', [all, g.init('int64', [], [i])], { axis: 0 }));
    const unlike = g.node('Abs', [g.node('Sub', [g.node('Add', [a!, b!]), g.node('Add', [c!, c!])])]);
    return g.node('Add', [a!, g.node('Mul', [unlike, g.init('float32', [], [23])])]);
  }
  const ones = g.node('Add', [g.node('Mul', [x, g.init('float32', [], [0])]), g.init('float32', [], [1])]);
  const counted = g.node('CumSum', [ones, g.init('int64', [], [1])]);
  return g.node('Sub', [g.node('Add', [counted, pastLength]), g.init('float32', [], [1])]);
}

/** ids -> [1, seq, 2] embeddings that begin with the id. */
export function toyEmbed(type: 'float32' | 'float16' = 'float32', ids: 'int64' | 'int32' = 'int64'): Uint8Array {
  const g = graphWriter();
  const given = g.node('Cast', [g.input('input_ids', ids, ['batch_size', 'sequence_length'])], { to: 1 });
  const tall = g.node('Unsqueeze', [given, g.init('int64', [1], [2])]);
  const both = g.node('Concat', [tall, g.node('Neg', [tall])], { axis: 2 });
  g.node('Cast', [both], { to: type === 'float16' ? 10 : 1 }, 'inputs_embeds');
  g.output('inputs_embeds', type, ['batch_size', 'sequence_length', 2]);
  return g.bytes();
}
