/** Exporters that name a decoder's inputs and outputs otherwise: read under the names that the hub's exports have. */
import { type GraphValue, type OnnxGraph, readGraph } from './onnx_graph.ts';
import { bytesField, fields, inMemory, joined, textField } from './protobuf.ts';

/** Names of caches, and what they are: layer and `key` or `value`. */
const PASTS: readonly RegExp[] = [
  // torch's exporter, of a DynamicCache without names of one's own.
  /^past_key_values_(?<part>key|value)_cache_(?<layer>\d+)$/,
  // transformers' exporter (5.24).
  /^input\.cache\.layers\.(?<layer>\d+)\.(?<part>key|value)s$/,
];

/** The graph of a file under the names `past_key_values.N.key`, `present.N.key` and `logits`. Throws as `readGraph`. */
export function readNamed(path: string): OnnxGraph {
  const graph = readGraph(path);
  renameAll(graph, hubNames(graph));
  return graph;
}

/** Whether a graph with these inputs is read under other names than its own. */
export function isNamedOtherwise(inputs: readonly string[]): boolean {
  return inputs.some((name) => pastName(name) !== null);
}

/** Each name that is another on the hub, and that one. */
function hubNames({ inputs, outputs }: OnnxGraph): Map<string, string> {
  const names = new Map<string, string>();
  const pasts = inputs.filter(({ name }) => pastName(name) !== null || /^past_key_values\./.test(name));
  for (const { name } of pasts) names.set(name, pastName(name) ?? name);
  for (const { name } of outputs) {
    const present = /^output\.(cache\.layers\.\d+\.(?:key|value)s)$/.exec(name);
    if (present !== null) names.set(name, presentOf(pastName(`input.${present[1]}`)!));
  }
  // torch names outputs by their operators: logits have three dimensions, and the caches follow the order of the inputs. Without
  // a cache nothing tells logits from hidden states, and the graph keeps its names.
  const [logits, ...others] = outputs.filter(({ dims }) => dims.length === 3);
  const caches = outputs.filter(({ dims }) => dims.length === 4);
  const renames = pasts.some(({ name }) => names.get(name) !== name) && !outputs.some(({ name }) => name === 'logits');
  if (renames && logits !== undefined && others.length === 0 && caches.length === pasts.length) {
    names.set(logits.name, 'logits');
    for (const [i, { name }] of caches.entries()) names.set(name, presentOf(names.get(pasts[i]!.name)!));
  }
  return names;
}

function pastName(name: string): string | null {
  for (const pattern of PASTS) {
    const found = pattern.exec(name)?.groups;
    if (found !== undefined) return `past_key_values.${found.layer}.${found.part}`;
  }
  return null;
}

const presentOf = (past: string) => past.replace(/^past_key_values/, 'present');

/** Renames values wherever they stand. */
export function renameAll(graph: OnnxGraph, names: ReadonlyMap<string, string>): void {
  if ([...names].every(([from, to]) => from === to)) return;
  const renamed = (name: string) => names.get(name) ?? name;
  for (const node of graph.nodes) {
    node.inputs = node.inputs.map(renamed);
    node.outputs = node.outputs.map(renamed);
  }
  graph.inputs = graph.inputs.map((value) => underName(value, renamed(value.name)));
  graph.outputs = graph.outputs.map((value) => underName(value, renamed(value.name)));
}

/** A ValueInfoProto with another name (field 1). */
function underName(value: GraphValue, name: string): GraphValue {
  if (name === value.name) return value;
  const bytes = inMemory(value.proto);
  const others = [...fields(bytes)].filter(({ number }) => number !== 1);
  const parts = others.map(({ number, start, length }) => bytesField(number, bytes.read(start, length)));
  return { ...value, name, proto: joined([textField(1, name), ...parts]) };
}
