/**
 * A decoder's graph for the next tokens of many answers at once: every layer's attention becomes onnxruntime's
 * GroupQueryAttention, which appends to a cache in place where past and present are one buffer, and in which each sequence has
 * a length of its own.
 */
import { type AttentionSizes, cacheBehind, MICROSOFT, productValues, scaleOf, shape } from './attention.ts';
import { EDITED, makersOf, NoEdit } from './edit.ts';
import { ELEMENT, type GraphNode, nodeOf, type OnnxGraph, prune, sequenceValue, tensorValue } from './onnx_graph.ts';
import { exposePositions } from './positions.ts';
import { UNREADABLE } from './session.ts';

/** Inputs and outputs of the decode graph beside ids, positions, caches and those of `EDITED`. */
export const DECODE = {
  /** int32 [batch]: tokens of each sequence's past, its new token not counted. */
  lengths: 'nanoeval_lengths',
  /** int32 []: tokens of the longest sequence, its new token counted. */
  longest: 'nanoeval_longest',
  /** float32 [batch, 1]: 1 / temperature of each sequence's distribution. */
  sharpness: 'nanoeval_sharpness',
  /** int64 [1]: how many of the likeliest tokens come back as `EDITED.best` [1, batch, count] and `top`. */
  count: 'nanoeval_count',
  /** float32 [1, batch, count]: natural log-probabilities of the likeliest tokens, falling. */
  top: 'nanoeval_top',
  /** float32 [1, batch, vocabulary]: natural log-probabilities of all tokens. */
  all: 'nanoeval_logprobs',
} as const;

/**
 * Each sequence's distribution gets a temperature of its own, and as many of its likeliest tokens come back as are asked for.
 * After `editHead`.
 */
export function editChoice(graph: OnnxGraph): void {
  const softmax = graph.nodes.find((node) => node.op === 'LogSoftmax' && node.outputs[0] === DECODE.all);
  const top = graph.nodes.find((node) => node.outputs[1] === EDITED.best);
  if (softmax === undefined || top === undefined) throw new Error('the head is not edited');
  const head = productBehind(graph, softmax.inputs[0]!);
  // States are fewer than logits by far; where a soft cap or a scale lies between, it is the logits that count.
  const sharpened = head ?? softmax;
  const [before] = sharpened.inputs as [string];
  graph.nodes.push(
    nodeOf('CastLike', [DECODE.sharpness, before], ['nanoeval_sharpness_typed']),
    nodeOf('Mul', [before, 'nanoeval_sharpness_typed'], ['nanoeval_sharpened']),
  );
  sharpened.inputs = ['nanoeval_sharpened', ...sharpened.inputs.slice(1)];
  top.inputs = [top.inputs[0]!, DECODE.count];
  graph.inputs.push(tensorValue(DECODE.sharpness, ELEMENT.float32), tensorValue(DECODE.count, ELEMENT.int64));
  graph.outputs.push(tensorValue(DECODE.top, ELEMENT.float32), tensorValue(DECODE.all, ELEMENT.float32));
  graph.nodes.push(nodeOf('SequenceEmpty', [], [UNREADABLE]));
  graph.outputs.unshift(sequenceValue(UNREADABLE, ELEMENT.float32));
  prune(graph);
}

/** The plain product that makes a value, be it cast behind it; null where something else does. */
function productBehind(graph: OnnxGraph, name: string): GraphNode | null {
  const makers = makersOf(graph);
  let node = makers.get(name);
  while (node?.op === 'Cast') node = makers.get(node.inputs[0]!);
  return node?.op === 'MatMul' ? node : null;
}

/** Makes the edit. Throws NoEdit where the attention is not of a shape that it knows, or slides over a window. */
export function editDecode(graph: OnnxGraph, sizes: AttentionSizes): void {
  if (sizes.slides?.some(Boolean)) throw new NoEdit('attention slides over a window');
  const whole = graph.nodes.filter((node) => node.op === 'GroupQueryAttention' && node.domain === MICROSOFT);
  if (whole.length === sizes.layers) {
    for (const node of whole)
      node.inputs = node.inputs.map((input, i) => (i === 5 ? DECODE.lengths : i === 6 ? DECODE.longest : input));
  } else {
    exposePositions(graph);
    if (!graph.inputs.some((input) => input.name === 'position_ids')) throw new NoEdit('position_ids is not an input');
    fuseAttention(graph, sizes);
  }
  graph.inputs.push(tensorValue(DECODE.lengths, ELEMENT.int32), tensorValue(DECODE.longest, ELEMENT.int32));
  if (!graph.opsets.has(MICROSOFT)) graph.opsets.set(MICROSOFT, 1);
  prune(graph);
}

/** What of a layer's attention was found. */
interface Layer {
  /** Queries [batch, heads, 1, size], scaled. */
  query: string;
  /** What the products with the values gave. */
  mixed: string;
}

function fuseAttention(graph: OnnxGraph, { layers, heads, groups }: AttentionSizes): void {
  const makers = makersOf(graph);
  const presents = new Set(graph.outputs.map((output) => output.name));
  const fromProduct = productValues(graph);
  const found = new Map<string, Partial<Layer>>();
  const made: GraphNode[] = [];
  for (const node of graph.nodes) {
    if (node.op !== 'MatMul') continue;
    const behind = cacheBehind(node.inputs[1]!, makers, presents, fromProduct);
    const name = /^present\.(\d+)\.(key|value)$/.exec(behind?.cache ?? '');
    if (behind === null || name === null) continue;
    const layer = found.get(name[1]!) ?? {};
    found.set(name[1]!, layer);
    if (name[2] === 'value') layer.mixed = node.outputs[0]!;
    else layer.query = scaled(graph, made, node, behind.scales, name[1]!);
  }
  if (found.size !== layers) throw new NoEdit(`${found.size} of ${layers} layers multiply queries with their cache`);
  for (const [layer, { query, mixed }] of found) {
    if (query === undefined || mixed === undefined) throw new NoEdit(`layer ${layer} has no products with its cache`);
    made.push(...attention(graph, makers, layer, { query, mixed }, { heads, groups }));
  }
  graph.nodes.push(...made);
}

/** The queries with every scale that stands between them and the scores. Throws NoEdit for a soft cap. */
function scaled(
  graph: OnnxGraph,
  made: GraphNode[],
  product: GraphNode,
  scales: readonly string[],
  layer: string,
): string {
  let query = product.inputs[0]!;
  const by = (op: string, factor: string) => {
    const name = `nanoeval_query_${layer}_${made.length}`;
    made.push(nodeOf(op, [query, factor], [name]));
    query = name;
  };
  for (const factor of scales) by('Mul', factor);
  const scale = scaleOf(graph, product.outputs[0]!);
  if (scale !== null) by(scale.op, scale.inputs[1]!);
  const last = scale?.outputs[0] ?? product.outputs[0]!;
  if (graph.nodes.some((node) => ['Tanh', 'Div', 'Mul'].includes(node.op) && node.inputs.includes(last)))
    throw new NoEdit('scores have a soft cap');
  return query;
}

function attention(
  graph: OnnxGraph,
  makers: ReadonlyMap<string, GraphNode>,
  layer: string,
  { query, mixed }: Layer,
  { heads, groups }: Pick<AttentionSizes, 'heads' | 'groups'>,
): GraphNode[] {
  const made: GraphNode[] = [];
  const flat = shape(graph, 'nanoeval_flat', 0, 0, -1);
  const joined = (from: string, name: string) => {
    made.push(
      nodeOf('Transpose', [from], [`${name}_turned`], { perm: [0, 2, 1, 3] }),
      nodeOf('Reshape', [`${name}_turned`, flat], [name]),
    );
    return name;
  };
  const prefix = `nanoeval_decode_${layer}`;
  const parts = (['key', 'value'] as const).map((part) => {
    const past = `past_key_values.${layer}.${part}`;
    const concat = makers.get(`present.${layer}.${part}`);
    if (concat?.op !== 'Concat' || concat.inputs.length !== 2 || concat.inputs[0] !== past)
      throw new NoEdit(`present.${layer}.${part} is not its past and what is new`);
    graph.nodes.splice(graph.nodes.indexOf(concat), 1);
    return { past, fresh: joined(concat.inputs[1]!, `${prefix}_${part}`) };
  });
  const [key, value] = parts as [(typeof parts)[number], (typeof parts)[number]];
  const out = graph.nodes.findIndex((node) => node.outputs.includes(mixed));
  graph.nodes.splice(out, 1);
  made.push(
    nodeOf(
      'GroupQueryAttention',
      [joined(query, `${prefix}_query`), key.fresh, value.fresh, key.past, value.past, DECODE.lengths, DECODE.longest],
      [`${prefix}_out`, `present.${layer}.key`, `present.${layer}.value`],
      { num_heads: heads, kv_num_heads: groups, scale: { float: 1 } },
      MICROSOFT,
    ),
    nodeOf(
      'Reshape',
      [`${prefix}_out`, shape(graph, `nanoeval_heads_${heads}`, 0, 0, heads, -1)],
      [`${prefix}_by_head`],
    ),
    nodeOf('Transpose', [`${prefix}_by_head`], [mixed], { perm: [0, 2, 1, 3] }),
  );
  return made;
}
