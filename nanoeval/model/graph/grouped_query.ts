/** com.microsoft.GroupQueryAttention, which many exports for onnxruntime have, as operators that take a mask. */
import { type AttentionSizes, addBiases, biasOf, groupedMix, groupedScores, MICROSOFT, shape } from './attention.ts';
import { EDITED, NoEdit } from './edit.ts';
import {
  constant,
  ELEMENT,
  floatOf,
  type GraphNode,
  intsOf,
  nodeOf,
  type OnnxGraph,
  prune,
  tensorValue,
} from './onnx_graph.ts';

/** Inputs of GroupQueryAttention as onnxruntime's ContribOperators.md lists them. */
const QUERY_GROUP_INPUTS = 9;

/**
 * com.microsoft.GroupQueryAttention written out as rotary embedding, products and a Softmax over the grouped heads
 * (key-value heads are not repeated). The operator itself refuses a batch that goes on from a past and ignores
 * positions without one. The written-out form takes its mask from `bias`, so `editMask` has nothing left to do.
 */
export function writeOutGroupQueryAttention(graph: OnnxGraph, sizes: AttentionSizes): void {
  const { layers, headSize } = sizes;
  const attentions = graph.nodes.filter((node) => node.op === 'GroupQueryAttention' && node.domain === MICROSOFT);
  if (attentions.length !== layers)
    throw new NoEdit(`${attentions.length} of ${layers} layers are GroupQueryAttention`);
  if ((graph.opsets.get('') ?? 0) < 15) throw new NoEdit(`opset ${graph.opsets.get('')} is below 15`);
  for (const [i, node] of attentions.entries()) {
    graph.nodes.splice(
      graph.nodes.indexOf(node),
      1,
      ...writtenOut(graph, node, `nanoeval_gqa_${i}`, headSize, biasOf(sizes, i)),
    );
  }
  if (!graph.inputs.some((input) => input.name === 'position_ids'))
    graph.inputs.push(tensorValue('position_ids', ELEMENT.int64));
  addBiases(graph);
  prune(graph);
}

function writtenOut(graph: OnnxGraph, node: GraphNode, prefix: string, headSize: number, bias: string): GraphNode[] {
  const attribute = (name: string, byDefault: number) => intsOf(node, name)?.[0] ?? byDefault;
  const heads = attribute('num_heads', 0);
  const groups = attribute('kv_num_heads', 0);
  const cap = floatOf(node, 'softcap') ?? 0;
  const scale = floatOf(node, 'scale') || 1 / Math.sqrt(headSize);
  for (const [name, only] of [
    ['smooth_softmax', 0],
    ['qk_output', 0],
  ] as const) {
    if (attribute(name, only) !== only) throw new NoEdit(`GroupQueryAttention with ${name} ${attribute(name, only)}`);
  }
  if (attribute('local_window_size', -1) > 0 && bias !== EDITED.windowed)
    throw new NoEdit(
      `GroupQueryAttention slides over ${attribute('local_window_size', -1)} tokens, config.json does not`,
    );
  if (node.inputs.slice(QUERY_GROUP_INPUTS).some((input) => input !== '' && input !== 'position_ids'))
    throw new NoEdit('GroupQueryAttention with inputs beyond the rotary tables');
  if (heads === 0 || groups === 0 || heads % groups !== 0) throw new NoEdit(`${heads} heads in ${groups} groups`);
  const made: GraphNode[] = [];
  const op = (kind: string, inputs: string[], name: string, attributes = {}, domain = '') => {
    made.push(nodeOf(kind, inputs, [`${prefix}_${name}`], attributes, domain));
    return `${prefix}_${name}`;
  };
  let [query, key, value] = node.inputs as [string, string, string];
  const [, , , pastKey, pastValue, , , cos, sin] = node.inputs as string[];
  if (pastKey === '' || pastValue === '' || pastKey === undefined || pastValue === undefined)
    throw new NoEdit('GroupQueryAttention without a past');
  if (key === '' || key === undefined) {
    const sizes = shape(graph, 'nanoeval_qkv', heads * headSize, groups * headSize, groups * headSize);
    const outputs = ['q', 'k', 'v'].map((part) => `${prefix}_${part}_part`);
    made.push(nodeOf('Split', [query, sizes], outputs, { axis: -1 }));
    [query, key, value] = outputs as [string, string, string];
  }
  const rotated = (from: string, count: number, name: string) =>
    attribute('do_rotary', 0) === 0
      ? from
      : op(
          'RotaryEmbedding',
          [from, 'position_ids', cos!, sin!],
          name,
          { interleaved: attribute('rotary_interleaved', 0), num_heads: count, ...partial(graph, cos!, headSize) },
          MICROSOFT,
        );
  const split = (from: string, count: number, name: string) => {
    const byHead = shape(graph, `nanoeval_heads_${count}`, 0, 0, count, headSize);
    return op('Transpose', [op('Reshape', [from, byHead], `${name}_4d`)], name, { perm: [0, 2, 1, 3] });
  };
  const q = split(rotated(query, heads, 'q_rotated'), heads, 'q');
  const [, presentKey, presentValue] = node.outputs as [string, string, string];
  made.push(
    nodeOf('Concat', [pastKey, split(rotated(key, groups, 'k_rotated'), groups, 'k')], [presentKey], { axis: 2 }),
    nodeOf('Concat', [pastValue, split(value, groups, 'v')], [presentValue], { axis: 2 }),
  );
  graph.initializers.set('nanoeval_scale', constant('nanoeval_scale', 'float32', [], [scale]));
  const scaled = op('Mul', [q, op('CastLike', ['nanoeval_scale', query], 'scale')], 'q_scaled');
  const sizes = { layers: 0, heads, groups, headSize };
  let scores = groupedScores(graph, made, prefix, scaled, presentKey, sizes);
  if (cap > 0) {
    graph.initializers.set('nanoeval_cap', constant('nanoeval_cap', 'float32', [], [cap]));
    const typed = op('CastLike', ['nanoeval_cap', query], 'cap');
    scores = op('Mul', [op('Tanh', [op('Div', [scores, typed], 'uncapped')], 'tanh'), typed], 'capped');
  }
  const masked = op('Add', [scores, op('CastLike', [bias, query], 'bias')], 'masked');
  const weights = op('Softmax', [masked], 'softmax', { axis: -1 });
  const mixed = groupedMix(graph, made, prefix, weights, presentValue, sizes);
  const flat = op('Transpose', [mixed], 'flat', { perm: [0, 2, 1, 3] });
  made.push(
    nodeOf('Reshape', [flat, shape(graph, `nanoeval_flat_${heads}`, 0, 0, heads * headSize)], [node.outputs[0]!]),
  );
  return made;
}

/** Rotary tables narrower than the head turn only its first part. */
function partial(graph: OnnxGraph, cos: string, headSize: number): { rotary_embedding_dim?: number } {
  const half = graph.initializers.get(cos)?.dims.at(-1);
  if (half === undefined) throw new NoEdit('the rotary tables of GroupQueryAttention are no constants');
  return half * 2 === headSize ? {} : { rotary_embedding_dim: half * 2 };
}
