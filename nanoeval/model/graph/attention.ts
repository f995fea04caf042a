/**
 * Edits of the attention of a decoder's graph: who sees whom becomes an input, and copies that the graph makes go away.
 */
import { EDITED, makersOf, NoEdit, PRODUCTS } from './edit.ts';
import { constant, ELEMENT, type GraphNode, nodeOf, type OnnxGraph, prune, tensorValue } from './onnx_graph.ts';
import type { GraphFiles } from './session.ts';
import { slidingLayers } from './window.ts';

/** Sizes of the attention, from config.json. */
export interface AttentionSizes {
  layers: number;
  heads: number;
  /** Key-value heads. */
  groups: number;
  headSize: number;
  /** Whether each layer's attention slides over a window; absent where none does. */
  slides?: readonly boolean[];
}

/** From config.json; the number of layers with a cache from the graph itself. */
export function attentionSizes(graph: OnnxGraph, { textConfig: config }: GraphFiles): AttentionSizes {
  const layers = graph.inputs.filter((input) => /^past_key_values\..*key$/.test(input.name)).length;
  const heads = Number(config.num_attention_heads ?? config.n_head ?? config.num_heads);
  const groups = Number(config.num_key_value_heads ?? heads);
  const headSize = Number(config.head_dim ?? Number(config.hidden_size ?? config.n_embd) / heads);
  if (layers === 0) throw new NoEdit('the graph has no cache');
  if (![heads, groups, headSize].every((size) => Number.isSafeInteger(size) && size > 0))
    throw new NoEdit('config.json does not say how many heads of which size');
  const sliding = slidingLayers(config, layers);
  return { layers, heads, groups, headSize, ...(sliding === null ? {} : { slides: sliding.slides }) };
}

/** The input that a layer takes its mask from. */
export function biasOf({ slides }: AttentionSizes, layer: number): string {
  return slides?.[layer] ? EDITED.windowed : EDITED.bias;
}

/** Declares the masks that the layers read. */
export function addBiases(graph: OnnxGraph): void {
  for (const name of [EDITED.bias, EDITED.windowed]) {
    if (graph.nodes.some((node) => node.inputs.includes(name))) graph.inputs.push(tensorValue(name, ELEMENT.float32));
  }
}

/**
 * The mask of every attention layer is replaced by the input `bias`, so that a sequence can hold a tree: which token
 * sees which is the caller's to say. Positions must be an input too. For attention written out as products and a
 * Softmax, and for the operators that take a mask (ONNX's Attention, com.microsoft.MultiHeadAttention); call
 * `writeOutGroupQueryAttention` first for the other kind.
 */
export function editMask(graph: OnnxGraph, sizes: AttentionSizes): void {
  const { layers } = sizes;
  if (!graph.inputs.some((input) => input.name === 'position_ids')) throw new NoEdit('position_ids is not an input');
  if ((graph.opsets.get('') ?? 0) < 15) throw new NoEdit(`opset ${graph.opsets.get('')} is below 15`);
  prune(graph);
  const makers = makersOf(graph);
  const fromProduct = productValues(graph);
  let edited = 0;
  const added: GraphNode[] = [];
  // A bias in the type of the first layer's scores that reads it.
  const typed = (layer: number, like: string) => {
    const name = biasOf(sizes, layer);
    if (!added.some((node) => node.outputs[0] === `${name}_typed`))
      added.push(nodeOf('CastLike', [name, like], [`${name}_typed`]));
    return `${name}_typed`;
  };
  for (const softmax of graph.nodes) {
    const place = MASKED_BY_INPUT.get(softmax.op);
    if (place !== undefined) {
      takeMask(softmax, place, typed(edited, softmax.inputs[0]!));
      edited += 1;
      continue;
    }
    if (softmax.op !== 'Softmax') continue;
    // The mask may be added after the scores were widened to float32, or before.
    let holder = softmax;
    while (makers.get(holder.inputs[0]!)?.op === 'Cast') holder = makers.get(holder.inputs[0]!)!;
    let scores = holder.inputs[0]!;
    for (let inner = unmasked(scores, makers, fromProduct); inner !== null; ) {
      scores = inner;
      inner = unmasked(scores, makers, fromProduct);
    }
    if (scores === holder.inputs[0]) continue;
    const masked = `nanoeval_scores_${edited}`;
    added.push(nodeOf('Add', [scores, typed(edited, scores)], [masked]));
    holder.inputs = holder.inputs.map((input, i) => (i === 0 ? masked : input));
    edited += 1;
  }
  if (edited !== layers)
    throw new NoEdit(`${edited} of ${layers} attention layers have a mask that is added to the scores`);
  graph.nodes.push(...added);
  addBiases(graph);
  prune(graph);
}

export const MICROSOFT = 'com.microsoft';
/** Attention operators, and the place among their inputs of the mask that is added to the scores. */
const MASKED_BY_INPUT = new Map([
  ['Attention', 3],
  ['MultiHeadAttention', 5],
]);

/** Gives an operator another mask, which then is all that hides a token from another. */
function takeMask(node: GraphNode, place: number, mask: string): void {
  if (node.op === 'Attention' && !['', 'ai.onnx'].includes(node.domain))
    throw new NoEdit(`${node.domain}.Attention has no mask to replace`);
  const flag = node.op === 'Attention' ? 'is_causal' : 'unidirectional';
  // The operator would hide by places in the sequence; a branch stands behind tokens that it may not see, before others.
  node.attributes.delete(flag);
  if (node.op === 'MultiHeadAttention' && (node.inputs[4] ?? '') !== '')
    throw new NoEdit('MultiHeadAttention with a mask of padding');
  while (node.inputs.length <= place) node.inputs.push('');
  node.inputs[place] = mask;
}

/** What stands under one layer of mask: the other side of an Add, or of a Where; null when there is no mask. */
function unmasked(name: string, makers: Map<string, GraphNode>, fromProduct: Set<string>): string | null {
  const node = makers.get(name);
  const sides = node?.op === 'Add' ? node.inputs : node?.op === 'Where' ? node.inputs.slice(1) : [];
  if (node?.op === 'Where' && fromProduct.has(node.inputs[0]!)) return null;
  const scores = sides.filter((side) => fromProduct.has(side));
  return sides.length === 2 && scores.length === 1 ? scores[0]! : null;
}

/** The values that depend on a matrix product, not counting those that only ask for a shape. */
export function productValues(graph: OnnxGraph): Set<string> {
  const found = new Set<string>();
  for (const node of graph.nodes) {
    if (node.op === 'Shape' || node.op === 'Size') continue;
    if (PRODUCTS.has(node.op) || node.inputs.some((input) => found.has(input)))
      for (const output of node.outputs) if (output !== '') found.add(output);
  }
  return found;
}

/** The name of a constant list of integers, made when it is not there. */
export function shape(graph: OnnxGraph, name: string, ...values: number[]): string {
  graph.initializers.set(name, constant(name, 'int64', [values.length], values));
  return name;
}

/**
 * Scores [batch, heads, sequence, total] of queries [batch, heads, sequence, size] against keys [batch, groups, total,
 * size]. The queries of a group are read as one long row, so no key is repeated for its heads.
 */
export function groupedScores(
  graph: OnnxGraph,
  made: GraphNode[],
  prefix: string,
  query: string,
  key: string,
  { heads, groups, headSize }: AttentionSizes,
): string {
  const byGroup = shape(graph, 'nanoeval_by_group', 0, groups, -1, headSize);
  const byHead = shape(graph, 'nanoeval_scores_by_head', 0, heads, -1, 0);
  made.push(
    nodeOf('Reshape', [query, byGroup], [`${prefix}_q_grouped`]),
    nodeOf('Transpose', [key], [`${prefix}_k_turned`], { perm: [0, 1, 3, 2] }),
    nodeOf('MatMul', [`${prefix}_q_grouped`, `${prefix}_k_turned`], [`${prefix}_scores`]),
    nodeOf('Reshape', [`${prefix}_scores`, byHead], [`${prefix}_scores_by_head`]),
  );
  return `${prefix}_scores_by_head`;
}

/**
 * Values [batch, groups, total, size] mixed by weights [batch, heads, sequence, total] -> [batch, heads, sequence,
 * size].
 */
export function groupedMix(
  graph: OnnxGraph,
  made: GraphNode[],
  prefix: string,
  weights: string,
  value: string,
  { heads, groups, headSize }: AttentionSizes,
): string {
  const byGroup = shape(graph, 'nanoeval_weights_by_group', 0, groups, -1, 0);
  const byHead = shape(graph, 'nanoeval_by_head', 0, heads, -1, headSize);
  made.push(
    nodeOf('Reshape', [weights, byGroup], [`${prefix}_weights`]),
    nodeOf('MatMul', [`${prefix}_weights`, value], [`${prefix}_mixed`]),
    nodeOf('Reshape', [`${prefix}_mixed`, byHead], [`${prefix}_mixed_by_head`]),
  );
  return `${prefix}_mixed_by_head`;
}

const REPEATS = new Set(['Unsqueeze', 'Expand', 'Reshape', 'Transpose']);

/**
 * The cache output behind a value that is only reshaped, repeated, turned or scaled (torch's SDPA scales queries and
 * keys apart), and the scales; null when it is something else.
 */
export function cacheBehind(
  name: string,
  makers: Map<string, GraphNode>,
  presents: Set<string>,
  fromProduct: Set<string>,
): { cache: string; scales: string[] } | null {
  const scales: string[] = [];
  let at = name;
  while (!presents.has(at)) {
    const node = makers.get(at);
    const [first, second] = node?.inputs ?? [];
    if (node !== undefined && REPEATS.has(node.op)) at = first!;
    else if (node?.op === 'Mul' && fromProduct.has(first!) && !fromProduct.has(second!)) {
      scales.push(second!);
      at = first!;
    } else return null;
  }
  return { cache: at, scales };
}

/**
 * The only reader of a product, when all that it does is to multiply it with a constant number or to divide it by one.
 */
export function scaleOf(graph: OnnxGraph, product: string): GraphNode | null {
  const readers = graph.nodes.filter((node) => node.inputs.includes(product));
  const [reader] = readers;
  if (readers.length !== 1 || (reader?.op !== 'Mul' && reader?.op !== 'Div') || reader.inputs[0] !== product)
    return null;
  const factor = graph.initializers.get(reader.inputs[1]!);
  return factor !== undefined && factor.dims.reduce((size, dim) => size * dim, 1) === 1 ? reader : null;
}

/**
 * Exports of grouped-query attention that repeat each key-value head for its query heads (`repeat_kv`) get the grouped
 * form instead: the whole cache is no longer copied in each layer. Returns the number of products changed.
 */
export function groupHeads(graph: OnnxGraph, sizes: AttentionSizes): number {
  if (sizes.heads === sizes.groups) return 0;
  const makers = makersOf(graph);
  const presents = new Set(graph.outputs.map((output) => output.name));
  const fromProduct = productValues(graph);
  let changed = 0;
  for (const node of [...graph.nodes]) {
    if (node.op !== 'MatMul') continue;
    const [left, right] = node.inputs as [string, string];
    const found = cacheBehind(right, makers, presents, fromProduct);
    if (found === null || makers.get(right) === undefined) continue;
    const { cache, scales } = found;
    const made: GraphNode[] = [];
    const prefix = `nanoeval_group_${changed}`;
    const isKey = cache.endsWith('key');
    // The scores' scale goes to the queries, which are fewer by far behind a long cache.
    const scale = isKey ? scaleOf(graph, node.outputs[0]!) : null;
    let query = left;
    for (const [i, factor] of scales.entries()) {
      made.push(nodeOf('Mul', [query, factor], [`${prefix}_by_scale_${i}`]));
      query = `${prefix}_by_scale_${i}`;
    }
    if (scale !== null) {
      made.push(nodeOf(scale.op, [query, scale.inputs[1]!], [`${prefix}_q_scaled`]));
      query = `${prefix}_q_scaled`;
      graph.nodes.splice(graph.nodes.indexOf(scale), 1);
    }
    const grouped = isKey ? groupedScores : groupedMix;
    grouped(graph, made, prefix, query, cache, sizes);
    // The last node takes the name that the rest of the graph reads.
    made.at(-1)!.outputs = [(scale ?? node).outputs[0]!];
    graph.nodes.splice(graph.nodes.indexOf(node), 1, ...made);
    changed += 1;
  }
  prune(graph);
  return changed;
}

/**
 * `x cos + rotate_half(x) sin` becomes onnxruntime's RotaryEmbedding, six operators in one. Its tables are made from
 * the graph's own cosines and sines, so whatever scales the frequencies still does. Returns the number of places
 * changed.
 */
export function fuseRotary(graph: OnnxGraph, { headSize }: AttentionSizes): number {
  if (headSize % 2 !== 0) throw new NoEdit(`heads of ${headSize} numbers have no halves to turn`);
  const makers = makersOf(graph);
  const tables = new Map<string, string>();
  const added: GraphNode[] = [];
  let changed = 0;
  const tableOf = (name: string) => {
    const known = tables.get(name);
    if (known !== undefined) return known;
    const table = `nanoeval_rotary_${tables.size}`;
    const [from, to, axis] = [0, headSize / 2, -1].map((value) => shape(graph, `nanoeval_at_${value}`, value));
    added.push(
      nodeOf('Slice', [name, from!, to!, axis!], [`${table}_half`]),
      nodeOf('Reshape', [`${table}_half`, shape(graph, 'nanoeval_table', -1, headSize / 2)], [table]),
    );
    tables.set(name, table);
    return table;
  };
  for (const node of [...graph.nodes]) {
    const found = node.op === 'Add' ? rotation(node, makers) : null;
    if (found === null) continue;
    const fused = nodeOf(
      'RotaryEmbedding',
      [found.x, 'nanoeval_places', tableOf(found.cos), tableOf(found.sin)],
      [node.outputs[0]!],
      {},
      MICROSOFT,
    );
    graph.nodes[graph.nodes.indexOf(node)] = fused;
    changed += 1;
  }
  if (changed === 0) return 0;
  // Row r of the tables belongs to the r-th token of the call, counted over the batch.
  const sizeAt = (axis: number, name: string) => {
    added.push(nodeOf('Gather', ['nanoeval_ids_shape', shape(graph, `nanoeval_at_${axis}`, axis)], [name]));
    return name;
  };
  graph.initializers.set('nanoeval_zero', constant('nanoeval_zero', 'int64', [], [0]));
  graph.initializers.set('nanoeval_one', constant('nanoeval_one', 'int64', [], [1]));
  added.push(
    nodeOf('Shape', ['position_ids'], ['nanoeval_ids_shape']),
    nodeOf('Mul', [sizeAt(0, 'nanoeval_batch'), sizeAt(1, 'nanoeval_length')], ['nanoeval_tokens_1d']),
    nodeOf('Squeeze', ['nanoeval_tokens_1d'], ['nanoeval_tokens']),
    nodeOf('Range', ['nanoeval_zero', 'nanoeval_tokens', 'nanoeval_one'], ['nanoeval_range']),
    nodeOf('Reshape', ['nanoeval_range', 'nanoeval_ids_shape'], ['nanoeval_places']),
  );
  graph.nodes.push(...added);
  if (!graph.opsets.has(MICROSOFT)) graph.opsets.set(MICROSOFT, 1);
  prune(graph);
  return changed;
}

/** Add(Mul(x, cos), Mul(Concat(Neg(second half of x), first half of x), sin)), in either order of each pair. */
function rotation(add: GraphNode, makers: Map<string, GraphNode>): { x: string; cos: string; sin: string } | null {
  const sides = add.inputs.map((input) => makers.get(input));
  if (sides.length !== 2 || sides.some((side) => side?.op !== 'Mul')) return null;
  for (const [plain, turned] of [sides, [...sides].reverse()] as [GraphNode, GraphNode][]) {
    for (const [half, sin] of [turned.inputs, [...turned.inputs].reverse()] as [string, string][]) {
      const joint = makers.get(half);
      if (joint?.op !== 'Concat' || joint.inputs.length !== 2) continue;
      const negative = makers.get(joint.inputs[0]!);
      const second = makers.get(negative?.inputs[0] ?? '');
      const first = makers.get(joint.inputs[1]!);
      const source = first?.inputs[0];
      const halves = new Set(['Slice', 'Split']);
      if (negative?.op !== 'Neg' || !halves.has(first?.op ?? '') || second?.inputs[0] !== source) continue;
      const cos = plain.inputs.find((input) => input !== source);
      if (source !== undefined && plain.inputs.includes(source) && cos !== undefined) return { x: source, cos, sin };
    }
  }
  return null;
}
