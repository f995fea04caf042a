/** Exports that count positions themselves: where rotary embeddings take them from becomes an input. */
import { makersOf } from './edit.ts';
import { ELEMENT, type GraphNode, type OnnxGraph, tensorValue } from './onnx_graph.ts';

/** Operators between the positions and their cosines. */
const BETWEEN = new Set(['Concat', 'Transpose', 'MatMul', 'Mul', 'Cast', 'Unsqueeze', 'Squeeze', 'Reshape', 'Expand']);

/**
 * Makes `position_ids` an input of a graph whose rotary embeddings turn by a Range over the tokens, as optimum exports Gemma.
 * Leaves a graph alone that has the input, or in which no such Range is found behind a cosine. The Range stays for the masks.
 */
export function exposePositions(graph: OnnxGraph): void {
  if (graph.inputs.some((input) => input.name === 'position_ids')) return;
  const makers = makersOf(graph);
  const seen = new Set<GraphNode>();
  let exposed = false;
  const walk = (node: GraphNode | undefined): void => {
    if (node === undefined || seen.has(node) || !BETWEEN.has(node.op)) return;
    seen.add(node);
    node.inputs = node.inputs.map((input) => {
      const row = makers.get(input);
      // Range [tokens] -> Unsqueeze [1, tokens]: the shape that positions have.
      if (row?.op === 'Unsqueeze' && makers.get(row.inputs[0]!)?.op === 'Range') {
        exposed = true;
        return 'position_ids';
      }
      walk(row);
      return input;
    });
  };
  for (const node of graph.nodes) if (node.op === 'Cos' || node.op === 'Sin') walk(makers.get(node.inputs[0]!));
  if (exposed) graph.inputs.push(tensorValue('position_ids', ELEMENT.int64));
}
