/**
 * Products of few rows with wide weights, computed as weights [columns, width] times rows, and not as rows times weights.
 *
 * A step of some dozens of answers reads every weight once and computes little with each. onnxruntime's kernel for float32 goes
 * through packed weights two columns' worth at a time: what it waits for the memory and what it computes come one after the
 * other. The same product with the sides exchanged reads a dozen rows of weights at a time, and the two overlap. Measured (AMD
 * EPYC with AVX-512, 2 cores, SmolLM2-135M, a step behind 155 tokens): 16 answers 28 -> 23 ms, one answer 13.4 -> 14.4 ms.
 */
import { headOf, makersOf } from './edit.ts';
import {
  constant,
  ELEMENT,
  type GraphNode,
  type Initializer,
  nodeOf,
  type OnnxGraph,
  prune,
  tensorValue,
} from './onnx_graph.ts';

/** Inputs of a graph with turned products. */
export const TURNED = {
  /** int64 [3]: groups of rows, rows of a group, 0 (the width stays). */
  groups: 'nanoeval_groups',
  /** int64 [3]: batch, sequence, 0 (the width stays). */
  shape: 'nanoeval_shape',
} as const;

/** Columns below which turning a product's result back costs more than it saves. */
const LEAST_COLUMNS = 512;
/** Rows of a group at most: of so many the kernel sums a whole row of 512 numbers at once. */
const GROUP = 32;

/** How rows are laid out for turned products: [groups, rows of each]; one group where they do not divide. */
export function groupsOf(rows: number): [number, number] {
  const groups = Math.ceil(rows / GROUP);
  return rows % groups === 0 ? [groups, rows / groups] : [1, rows];
}

/** Rows that `groupsOf` divides: so many or a few more. */
export const fullGroups = (rows: number) => {
  const groups = Math.ceil(rows / GROUP);
  return Math.ceil(rows / groups) * groups;
};

/** Operators that work number by number, whatever the layout. */
const BY_NUMBER = new Set(['Sigmoid', 'Tanh', 'Relu', 'Erf', 'Gelu', 'Mul', 'Add', 'Sub', 'Div', 'Pow']);

/** A product with constant weights. */
interface Product {
  node: GraphNode;
  /** [width, columns]. */
  weights: Initializer;
}

/**
 * Turns every product of activations [batch, sequence, width] with constant float32 weights that has enough columns, those
 * of one input together, and what is computed number by number between two of them. Not the vocabulary projection: to turn its
 * result back takes what is saved. Returns the number of products turned; 0 leaves the graph as it is.
 * After `editHead`.
 */
export function turnProducts(graph: OnnxGraph, leastColumns = LEAST_COLUMNS): number {
  prune(graph);
  const head = headOf('logits', makersOf(graph));
  const byInput = new Map<string, Product[]>();
  for (const node of graph.nodes) {
    const product = productOf(graph, node);
    if (product !== null && node !== head)
      byInput.set(node.inputs[0]!, [...(byInput.get(node.inputs[0]!) ?? []), product]);
  }
  const chosen = [...byInput].filter(([, products]) => columnsOf(products) >= leastColumns);
  if (chosen.length === 0) return 0;
  const turning = new Turning(graph);
  const firsts = new Map(chosen.map(([, products]) => [products[0]!.node, products]));
  const members = new Set(chosen.flatMap(([, products]) => products.map(({ node }) => node)));
  for (const node of graph.nodes) {
    if (members.has(node)) turning.turn(firsts.get(node) ?? []);
    else turning.carry(node);
  }
  turning.finish(members);
  return members.size;
}

function productOf(graph: OnnxGraph, node: GraphNode): Product | null {
  if (node.op !== 'MatMul') return null;
  const weights = graph.initializers.get(node.inputs[1]!);
  if (weights === undefined || weights.type !== ELEMENT.float32 || weights.dims.length !== 2) return null;
  return { node, weights };
}

const columnsOf = (products: readonly Product[]) => products.reduce((sum, { weights }) => sum + weights.dims[1]!, 0);

class Turning {
  readonly #graph: OnnxGraph;
  readonly #made: GraphNode[] = [];
  /** Values that are there with rows last, [groups, columns, rows], by their name in the graph. */
  readonly #turned = new Map<string, string>();
  #count = 0;

  constructor(graph: OnnxGraph) {
    this.#graph = graph;
  }

  /** Products of one input, as one. */
  turn(products: readonly Product[]): void {
    const [first] = products;
    if (first === undefined) return;
    const prefix = `nanoeval_turned_${this.#count}`;
    this.#count += 1;
    const weights = this.#weights(products, prefix);
    const input = this.#turned.get(first.node.inputs[0]!);
    const rows = input ?? this.#reshaped(first.node.inputs[0]!, TURNED.groups, `${prefix}_rows`);
    const attributes = { transA: 0, transB: input === undefined ? 1 : 0, alpha: { float: 1 } };
    this.#add('FusedMatMul', [weights, rows], [`${prefix}_out`], attributes, 'com.microsoft');
    const outputs = products.map(({ node }) => node.outputs[0]!);
    const back = outputs.length === 1 ? outputs[0]! : `${prefix}_all`;
    this.#add('Transpose', [`${prefix}_out`], [`${prefix}_back`], { perm: [0, 2, 1] });
    this.#reshaped(`${prefix}_back`, TURNED.shape, back);
    if (outputs.length === 1) {
      this.#turned.set(back, `${prefix}_out`);
      return;
    }
    const parts = outputs.map((_, i) => `${prefix}_out_${i}`);
    const widths = products.map((product) => columnsOf([product]));
    this.#graph.initializers.set(`${prefix}_widths`, constant(`${prefix}_widths`, 'int64', [widths.length], widths));
    // What nobody reads is not computed: some are read turned, others as they were.
    this.#add('Split', [`${prefix}_out`, `${prefix}_widths`], parts, { axis: 1 });
    this.#add('Split', [back, `${prefix}_widths`], outputs, { axis: 2 });
    for (const [i, output] of outputs.entries()) this.#turned.set(output, parts[i]!);
  }

  /** A value that is computed number by number from turned ones is there turned as well. */
  carry({ op, domain, inputs, outputs, attributes }: GraphNode): void {
    if (domain !== '' || !BY_NUMBER.has(op) || outputs.length !== 1) return;
    const sides = inputs.map((input) => this.#turned.get(input) ?? (this.#isNumber(input) ? input : null));
    if (sides.includes(null) || !inputs.some((input) => this.#turned.has(input))) return;
    const output = `${outputs[0]}_turned`;
    const node = nodeOf(op, sides as string[], [output]);
    node.attributes = attributes;
    this.#made.push(node);
    this.#turned.set(outputs[0]!, output);
  }

  /** Puts what was made in the place of the products. */
  finish(products: ReadonlySet<GraphNode>): void {
    this.#graph.nodes = [...this.#graph.nodes.filter((node) => !products.has(node)), ...this.#made];
    for (const name of Object.values(TURNED)) this.#graph.inputs.push(tensorValue(name, ELEMENT.int64));
    if (!this.#graph.opsets.has('com.microsoft')) this.#graph.opsets.set('com.microsoft', 1);
    prune(this.#graph);
  }

  /** Weights [columns of all, width]: computed once, when the graph is opened. */
  #weights(products: readonly Product[], prefix: string): string {
    const names = products.map(({ weights }) => weights.name);
    let name = names[0]!;
    if (names.length > 1) {
      name = `${prefix}_joined`;
      this.#add('Concat', names, [name], { axis: 1 });
    }
    this.#add('Transpose', [name], [`${prefix}_weights`], { perm: [1, 0] });
    return `${prefix}_weights`;
  }

  #reshaped(from: string, shape: string, name: string): string {
    this.#add('Reshape', [from, shape], [name]);
    return name;
  }

  #isNumber(name: string): boolean {
    const found = this.#graph.initializers.get(name);
    return found?.dims.every((dim) => dim === 1) ?? false;
  }

  #add(...[op, inputs, outputs, attributes, domain]: Parameters<typeof nodeOf>): void {
    this.#made.push(nodeOf(op, inputs, outputs, attributes, domain));
  }
}
