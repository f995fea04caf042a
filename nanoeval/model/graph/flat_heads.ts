/**
 * GroupQueryAttention and RotaryEmbedding read tokens as rows of all their heads, as projections give them. Exports set the heads
 * apart and turn them to the front, which for one token a sequence is eight copies a layer: they are taken out.
 */
import { MICROSOFT } from './attention.ts';
import { constantOf } from './constants.ts';
import { makersOf } from './edit.ts';
import { type GraphNode, intsOf, nodeOf, type OnnxGraph, prune } from './onnx_graph.ts';

const isTurn = (node: GraphNode) => node.op === 'Transpose' && intsOf(node, 'perm')?.join() === '0,2,1,3';

/**
 * Makes the edit where the way between a projection and the attention is of known operators; returns the number of layers whose
 * queries, keys, values and result are all flat now. After `editDecode` and `fuseRotary`.
 */
export function flattenHeads(graph: OnnxGraph): number {
  const makers = makersOf(graph);
  let flat = 0;
  const whole = graph.nodes.filter((node) => node.op === 'GroupQueryAttention' && node.domain === MICROSOFT);
  for (const [layer, attention] of whole.entries()) {
    const ways = attention.inputs.slice(0, 3).map((input) => wayTo(graph, makers, input));
    for (const [i, way] of ways.entries()) if (way !== null) attention.inputs[i] = laid(graph, way, `${layer}_${i}`);
    const end = joinedAgain(graph, attention.outputs[0]!);
    if (end !== null) {
      graph.nodes.splice(graph.nodes.indexOf(end), 1);
      attention.outputs[0] = end.outputs[0]!;
    }
    if (end !== null && ways.every((way) => way !== null)) flat += 1;
  }
  prune(graph);
  return flat;
}

/** What a projection gave, and what is done with it before the attention, in this order. */
interface Way {
  from: string;
  steps: readonly GraphNode[];
}

/** The way from a projection over split and turned heads to flat ones; null where it is of other operators. */
function wayTo(graph: OnnxGraph, makers: ReadonlyMap<string, GraphNode>, flat: string): Way | null {
  const joint = makers.get(flat);
  const turn = makers.get(joint?.inputs[0] ?? '');
  if (joint?.op !== 'Reshape' || turn === undefined || !isTurn(turn)) return null;
  const steps: GraphNode[] = [];
  for (let at = makers.get(turn.inputs[0]!); at !== undefined; at = makers.get(at.inputs[0]!)) {
    if (isTurn(at)) {
      const split = makers.get(at.inputs[0]!);
      return split?.op === 'Reshape' ? { from: split.inputs[0]!, steps: steps.reverse() } : null;
    }
    if (!isRotary(at) && !scales(graph, makers, at)) return null;
    steps.push(at);
  }
  return null;
}

const isRotary = (node: GraphNode) => node.op === 'RotaryEmbedding' && node.domain === MICROSOFT;

/** A product with one number, whatever the shape of the other side. */
function scales(graph: OnnxGraph, makers: ReadonlyMap<string, GraphNode>, { op, inputs }: GraphNode): boolean {
  if (op !== 'Mul' && op !== 'Div') return false;
  const from = graph.initializers.get(inputs[1]!) ?? makers.get(inputs[1]!);
  const factor = from === undefined ? null : constantOf(from);
  return factor !== null && factor.dims.length <= 1 && factor.dims.every((dim) => dim === 1);
}

/** The same steps over flat heads; the name of what they give. */
function laid(graph: OnnxGraph, { from, steps }: Way, name: string): string {
  let value = from;
  for (const [i, step] of steps.entries()) {
    const output = `nanoeval_flat_${name}_${i}`;
    const copy = nodeOf(step.op, [value, ...step.inputs.slice(1)], [output], {}, step.domain);
    copy.attributes = step.attributes;
    graph.nodes.push(copy);
    value = output;
  }
  return value;
}

/** The last of what sets the result's heads apart, turns them, turns them back and joins them; null where they go elsewhere. */
function joinedAgain(graph: OnnxGraph, result: string): GraphNode | null {
  let name = result;
  let found: GraphNode | null = null;
  for (const fits of [isReshape, isTurn, isTurn, isReshape]) {
    const readers = graph.nodes.filter((node) => node.inputs.includes(name));
    found = readers[0] ?? null;
    if (found === null || readers.length !== 1 || !fits(found)) return null;
    name = found.outputs[0]!;
  }
  return found;
}

const isReshape = ({ op }: GraphNode) => op === 'Reshape';
