/**
 * What the engine changes in a decoder's graph before a session sees it. Each edit either holds or throws `NoEdit` with
 * the reason; none is trusted until its numbers have been held against the untouched graph (`self_check.ts`).
 */
import { constant, ELEMENT, type GraphNode, intsOf, nodeOf, type OnnxGraph, prune, tensorValue } from './onnx_graph.ts';

/** The graph is not of a shape that the edit knows. */
export class NoEdit extends Error {}

/** Inputs and outputs of an edited graph. */
export const EDITED = {
  /** int64 [n, 2]: sequence and position of each hidden state that goes to the head. */
  select: 'nanoeval_select',
  /** int64 [m, 3]: 0, place in `select`, target token. */
  pairs: 'nanoeval_pairs',
  /** float32 [batch, 1, sequence, past + sequence]: added to the attention scores of every layer. */
  bias: 'nanoeval_bias',
  /** The same for the layers whose attention slides over a window. */
  windowed: 'nanoeval_bias_windowed',
  /** float32 [m]: natural log-probability of each pair's target. */
  logprob: 'nanoeval_logprob',
  /**
   * int64 [1, n, 1]: the most likely token of each selected state, the first one on ties; logits of one float32 step
   * apart may be a tie here, where only the log-probabilities are seen.
   */
  best: 'nanoeval_best',
} as const;

/** Value name -> the node that makes it. */
export const makersOf = (graph: OnnxGraph) =>
  new Map(
    graph.nodes.flatMap((node) =>
      node.outputs.filter((output) => output !== '').map((output) => [output, node] as const),
    ),
  );

/**
 * Whether activations are quantised over a whole tensor at run time, so that a sequence's numbers depend on its
 * neighbours.
 */
export function isDynamicallyQuantized(graph: OnnxGraph): boolean {
  const dynamic = new Set(['DynamicQuantizeLinear', 'DynamicQuantizeMatMul', 'MatMulIntegerToFloat']);
  return graph.nodes.some((node) => dynamic.has(node.op));
}

/** Whether products round their activations to 8 bits, row by row (MatMulNBits with `accuracy_level` 4). */
export function roundsActivations(graph: OnnxGraph): boolean {
  return graph.nodes.some((node) => node.op === 'MatMulNBits' && intsOf(node, 'accuracy_level')?.[0] === 4);
}

/** What attention is made of: whole operators, else the weights of its sums. */
const ATTENTIONS = new Set(['GroupQueryAttention', 'MultiHeadAttention', 'Attention']);

/** Multiplies what each layer's attention gives by `factor`. False where no attention was found. */
export function nudgeAttention(graph: OnnxGraph, factor: number): boolean {
  const whole = graph.nodes.filter((node) => ATTENTIONS.has(node.op));
  const nodes = whole.length > 0 ? whole : graph.nodes.filter((node) => node.op === 'Softmax');
  graph.initializers.set('nanoeval_nudge', constant('nanoeval_nudge', 'float32', [], [factor]));
  for (const [i, node] of nodes.entries()) {
    const output = node.outputs[0]!;
    node.outputs = node.outputs.map((name, at) => (at === 0 ? `nanoeval_nudged_${i}` : name));
    graph.nodes.push(
      nodeOf('CastLike', ['nanoeval_nudge', `nanoeval_nudged_${i}`], [`nanoeval_nudge_${i}`]),
      nodeOf('Mul', [`nanoeval_nudged_${i}`, `nanoeval_nudge_${i}`], [output]),
    );
  }
  prune(graph);
  return nodes.length > 0;
}

/** Operations between the head's product and the logits: scales, soft caps, casts. */
const AFTER_HEAD = new Set(['Cast', 'Mul', 'Div', 'Tanh', 'Add', 'Identity']);
/** Matrix products, by any name. */
export const PRODUCTS = new Set(['MatMul', 'Gemm', 'MatMulNBits', 'MatMulBnb4', 'MatMulInteger', 'FusedMatMul']);

/**
 * Only the states in `select` go through the vocabulary projection, and log-softmax, the targets' log-probabilities and
 * the arg-max are taken in the graph: n + m numbers come back in place of [batch, sequence, vocabulary] logits.
 *
 * `before`: the states are picked before the head. Otherwise after it, which saves the copy but not the work; a
 * dynamically quantised head must see every state, or its scale changes.
 */
export function editHead(graph: OnnxGraph, before: boolean): void {
  if ((graph.opsets.get('') ?? 0) < 13) throw new NoEdit(`opset ${graph.opsets.get('')} is below 13`);
  // Ways through the graph have an end from here on: one that leads back to itself is an error.
  prune(graph);
  const makers = makersOf(graph);
  const logits = graph.outputs.find((output) => output.name === 'logits');
  if (logits === undefined) throw new NoEdit('there is no output "logits"');
  const picked = 'nanoeval_picked';
  const wide = 'nanoeval_picked_3d';
  const pick = (from: string) => [
    nodeOf('GatherND', [from, EDITED.select], [picked]),
    nodeOf('Unsqueeze', [picked, 'nanoeval_0'], [wide]),
  ];
  let rows = 'logits';
  if (before) {
    const head = headOf('logits', makers);
    if (head === null) throw new NoEdit('the product that makes the logits was not found');
    const hidden = head.inputs[0]!;
    const made = makers.get(hidden);
    // A quantised head reads one tensor, its scale and its zero point: they are taken from the picked states.
    const quantizer = made?.op === 'DynamicQuantizeLinear' ? made : null;
    graph.nodes.push(...pick(quantizer === null ? hidden : quantizer.inputs[0]!));
    const reader = quantizer ?? head;
    const readers = graph.nodes.filter((node) => node.inputs.includes(reader.outputs[0]!));
    if (quantizer !== null && readers.some((node) => node !== head))
      throw new NoEdit('the head shares its quantised input');
    reader.inputs = reader.inputs.map((input, i) => (i === 0 ? wide : input));
  } else {
    graph.nodes.push(...pick('logits'));
    rows = wide;
  }
  for (const value of [0, 1])
    graph.initializers.set(`nanoeval_${value}`, constant(`nanoeval_${value}`, 'int64', [1], [value]));
  graph.nodes.push(
    nodeOf('Cast', [rows], ['nanoeval_logits'], { to: ELEMENT.float32 }),
    nodeOf('LogSoftmax', ['nanoeval_logits'], ['nanoeval_logprobs'], { axis: -1 }),
    nodeOf('GatherND', ['nanoeval_logprobs', EDITED.pairs], [EDITED.logprob]),
    // TopK is three times as fast as ArgMax here and takes the first one on ties too. It reads the log-probabilities,
    // so that LogSoftmax has its input to itself and works in place: a second copy of it costs more than the operator.
    nodeOf('TopK', ['nanoeval_logprobs', 'nanoeval_1'], ['nanoeval_top', EDITED.best], { axis: -1 }),
  );
  graph.inputs.push(tensorValue(EDITED.select, ELEMENT.int64), tensorValue(EDITED.pairs, ELEMENT.int64));
  graph.outputs = graph.outputs.filter((output) => output !== logits);
  graph.outputs.push(tensorValue(EDITED.logprob, ELEMENT.float32), tensorValue(EDITED.best, ELEMENT.int64));
  prune(graph);
}

/** The product behind a value, through scales and casts; null when there is none or more than one way. */
export function headOf(name: string, makers: Map<string, GraphNode>): GraphNode | null {
  const node = makers.get(name);
  if (node === undefined) return null;
  if (PRODUCTS.has(node.op)) return node;
  if (!AFTER_HEAD.has(node.op)) return null;
  const found = node.inputs.map((input) => headOf(input, makers)).filter((head) => head !== null);
  return found.length === 1 ? found[0]! : null;
}
