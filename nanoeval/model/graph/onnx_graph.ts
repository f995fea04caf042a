/**
 * An ONNX file as a graph that can be changed, without its weights (onnx.proto3 of https://github.com/onnx/onnx).
 *
 * Weights are not read: a tensor of 1 kB or more is remembered as a place in a file, and the written graph points there
 * as external data. So an edited graph of some hundred kB runs on the original file, whose pages the runtime maps.
 */
import { closeSync, openSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  type Bytes,
  bytesField,
  fields,
  floatField,
  inFile,
  inMemory,
  intField,
  joined,
  LONGEST_NUMBER,
  packed,
  textAt,
  textField,
} from './protobuf.ts';

/** TensorProto.DataType. */
export const ELEMENT = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 } as const;

export type AttributeValue = number | string | readonly number[] | { float: number };

export interface GraphNode {
  op: string;
  domain: string;
  name: string;
  /** '' is an optional input left out. */
  inputs: string[];
  outputs: string[];
  /** AttributeProto messages by name. */
  attributes: Map<string, Uint8Array>;
}

/** A constant tensor. */
export interface Initializer {
  name: string;
  dims: number[];
  /** ELEMENT. */
  type: number;
  /** Where the data lies, when it is large. */
  stored: { file: string; offset: number; length: number } | null;
  /** The whole TensorProto, when it is small. */
  proto: Uint8Array | null;
}

export interface GraphValue {
  name: string;
  /** ELEMENT; 0 when it is no tensor. */
  type: number;
  /** Numbers, symbols, or null where nothing is said. */
  dims: (number | string | null)[];
  /** The ValueInfoProto. */
  proto: Uint8Array;
}

export interface OnnxGraph {
  nodes: GraphNode[];
  initializers: Map<string, Initializer>;
  inputs: GraphValue[];
  outputs: GraphValue[];
  /** Domain ('' is ONNX itself) -> version. */
  opsets: Map<string, number>;
  irVersion: number;
  /** Fields of the model that are carried along: local functions. */
  rest: Uint8Array[];
}

/** Tensors below this many bytes stay in the graph: shapes and axes that the runtime must see to infer others. */
const SMALL = 1024;

/** Axes of a tensor. */
const MOST_AXES = 64;

/**
 * Reads a file's graph. Throws Error when it is none, when a weight lies in a file that is not there, or when the graph
 * has subgraphs (If, Loop, Scan), whose names an edit could not follow.
 */
export function readGraph(path: string): OnnxGraph {
  const file = openSync(path, 'r');
  try {
    return parseModel(inFile(file), path);
  } finally {
    closeSync(file);
  }
}

function parseModel(bytes: Bytes, path: string): OnnxGraph {
  const graph: OnnxGraph = {
    nodes: [],
    initializers: new Map(),
    inputs: [],
    outputs: [],
    opsets: new Map(),
    irVersion: 0,
    rest: [],
  };
  let found = false;
  for (const field of fields(bytes)) {
    const { number, start, length } = field;
    if (number === 1) graph.irVersion = field.value;
    else if (number === 7) {
      found = true;
      parseGraph(bytes, start, start + length, graph, path);
    } else if (number === 8) {
      let domain = '';
      let version = 0;
      for (const part of fields(bytes, start, start + length)) {
        if (part.number === 1) domain = textAt(bytes, part);
        if (part.number === 2) version = part.value;
      }
      graph.opsets.set(domain === 'ai.onnx' ? '' : domain, version);
    } else if (number === 25) graph.rest.push(bytesField(25, bytes.read(start, length)));
  }
  if (!found) throw new Error('there is no graph in it');
  return graph;
}

function parseGraph(bytes: Bytes, from: number, to: number, graph: OnnxGraph, path: string): void {
  for (const { number, start, length } of fields(bytes, from, to)) {
    if (number === 1) graph.nodes.push(parseNode(bytes.read(start, length)));
    else if (number === 5) {
      const tensor = parseInitializer(bytes, start, start + length, path);
      graph.initializers.set(tensor.name, tensor);
    } else if (number === 11) graph.inputs.push(parseValue(bytes.read(start, length)));
    else if (number === 12) graph.outputs.push(parseValue(bytes.read(start, length)));
    else if (number === 15) throw new Error('it has sparse initializers');
  }
  // Old exports list the weights among the inputs; they are fed by nobody.
  graph.inputs = graph.inputs.filter((input) => !graph.initializers.has(input.name));
}

function parseNode(proto: Uint8Array): GraphNode {
  const node: GraphNode = { op: '', domain: '', name: '', inputs: [], outputs: [], attributes: new Map() };
  const bytes = inMemory(proto);
  for (const field of fields(bytes)) {
    const { number, start, length } = field;
    if (number === 1) node.inputs.push(textAt(bytes, field));
    else if (number === 2) node.outputs.push(textAt(bytes, field));
    else if (number === 3) node.name = textAt(bytes, field);
    else if (number === 4) node.op = textAt(bytes, field);
    else if (number === 7) node.domain = textAt(bytes, field) === 'ai.onnx' ? '' : textAt(bytes, field);
    else if (number === 5) {
      const attribute = proto.subarray(start, start + length);
      for (const part of fields(inMemory(attribute))) {
        if (part.number === 1) node.attributes.set(textAt(inMemory(attribute), part), attribute);
        if (part.number === 6 || part.number === 11) throw new Error(`node ${node.name} has a subgraph`);
      }
    }
  }
  return node;
}

function parseInitializer(bytes: Bytes, from: number, to: number, path: string): Initializer {
  const tensor: Initializer = { name: '', dims: [], type: 0, stored: null, proto: null };
  const external = new Map<string, string>();
  let isExternal = false;
  let raw: { start: number; length: number } | null = null;
  for (const field of fields(bytes, from, to)) {
    const { number, wire, value, start, length } = field;
    if (number === 1 && wire === 0) tensor.dims.push(value);
    else if (number === 1) {
      if (length > MOST_AXES * LONGEST_NUMBER) throw new Error(`${length} bytes of sizes at byte ${start}`);
      tensor.dims.push(...packed(bytes.read(start, length)));
    } else if (number === 2) tensor.type = value;
    else if (number === 8) tensor.name = textAt(bytes, field);
    else if (number === 9) raw = { start, length };
    else if (number === 14) isExternal = value === 1;
    else if (number === 13) {
      let key = '';
      for (const part of fields(bytes, start, start + length)) {
        if (part.number === 1) key = textAt(bytes, part);
        if (part.number === 2) external.set(key, textAt(bytes, part));
      }
    }
  }
  if (tensor.dims.length > MOST_AXES) throw new Error(`tensor ${tensor.name} has ${tensor.dims.length} axes`);
  if (isExternal) {
    const location = external.get('location') ?? '';
    if (location.includes('\0')) throw new Error(`tensor ${tensor.name} lies in a file whose name has a zero byte`);
    const file = realpathSync(join(dirname(path), location));
    const [offset, length] = [Number(external.get('offset') ?? 0), Number(external.get('length'))];
    if (![offset, length].every((number) => Number.isSafeInteger(number) && number >= 0))
      throw new Error(`tensor ${tensor.name} does not say where it begins or how long it is`);
    tensor.stored = { file, offset, length };
  } else if (raw !== null && raw.length >= SMALL) {
    tensor.stored = { file: realpathSync(path), offset: raw.start, length: raw.length };
  } else tensor.proto = bytes.read(from, to - from);
  return tensor;
}

function parseValue(proto: Uint8Array): GraphValue {
  const value: GraphValue = { name: '', type: 0, dims: [], proto };
  const bytes = inMemory(proto);
  const inside = function* (start: number, length: number, wanted: number) {
    for (const field of fields(bytes, start, start + length)) if (field.number === wanted) yield field;
  };
  for (const field of fields(bytes)) {
    if (field.number === 1) value.name = textAt(bytes, field);
    if (field.number !== 2) continue;
    for (const tensor of inside(field.start, field.length, 1)) {
      for (const type of inside(tensor.start, tensor.length, 1)) value.type = type.value;
      for (const shape of inside(tensor.start, tensor.length, 2)) {
        for (const dim of inside(shape.start, shape.length, 1)) {
          let size: number | string | null = null;
          for (const part of fields(bytes, dim.start, dim.start + dim.length)) {
            // What the axis means may stand beside its size.
            if (part.number === 1) size = part.value;
            else if (part.number === 2) size = textAt(bytes, part);
          }
          value.dims.push(size);
        }
      }
    }
  }
  return value;
}

/** The integers of an attribute (`i` or `ints`); undefined when the node has none of that name. */
export function intsOf(node: GraphNode, name: string): number[] | undefined {
  const attribute = node.attributes.get(name);
  if (attribute === undefined) return undefined;
  const out: number[] = [];
  for (const { number, wire, value, start, length } of fields(inMemory(attribute))) {
    if ((number === 3 || number === 8) && wire === 0) out.push(value);
    else if (number === 8) for (const one of packed(attribute.subarray(start, start + length))) out.push(one);
  }
  return out;
}

/** The number of a float attribute; undefined when the node has none of that name. */
export function floatOf(node: GraphNode, name: string): number | undefined {
  const attribute = node.attributes.get(name);
  if (attribute === undefined) return undefined;
  for (const { number, wire, start } of fields(inMemory(attribute))) {
    if (number === 2 && wire === 5)
      return new DataView(attribute.buffer, attribute.byteOffset + start, 4).getFloat32(0, true);
  }
  return undefined;
}

// ---------------------------------------------------------------- making

/** A tensor input or output without a stated shape. */
export function tensorValue(name: string, type: number): GraphValue {
  const tensor = bytesField(1, intField(1, type));
  return { name, type, dims: [], proto: joined([textField(1, name), bytesField(2, tensor)]) };
}

/** An input or output that is a list of tensors of an element type. */
export function sequenceValue(name: string, type: number): GraphValue {
  const tensor = bytesField(1, intField(1, type));
  return {
    name,
    type: 0,
    dims: [],
    proto: joined([textField(1, name), bytesField(2, bytesField(4, bytesField(1, tensor)))]),
  };
}

/** A small constant. */
export function constant(
  name: string,
  type: 'int64' | 'float32',
  dims: number[],
  values: readonly number[],
): Initializer {
  const data = type === 'int64' ? BigInt64Array.from(values, BigInt) : Float32Array.from(values);
  const proto = joined([
    ...dims.map((dim) => intField(1, dim)),
    intField(2, ELEMENT[type]),
    textField(8, name),
    bytesField(9, new Uint8Array(data.buffer)),
  ]);
  return { name, dims, type: ELEMENT[type], stored: null, proto };
}

/** A node; attributes are integers, lists of them, texts or `{ float }`. */
export function nodeOf(
  op: string,
  inputs: string[],
  outputs: string[],
  attributes: Record<string, AttributeValue> = {},
  domain = '',
): GraphNode {
  const protos = new Map(Object.entries(attributes).map(([name, value]) => [name, attributeProto(name, value)]));
  return { op, domain, name: `nanoeval/${outputs[0]}`, inputs, outputs, attributes: protos };
}

function attributeProto(name: string, value: AttributeValue): Uint8Array {
  const head = textField(1, name);
  if (typeof value === 'number') return joined([head, intField(3, value), intField(20, 2)]);
  if (typeof value === 'string') return joined([head, textField(4, value), intField(20, 3)]);
  if ('float' in value) return joined([head, floatField(2, value.float), intField(20, 1)]);
  return joined([head, ...value.map((one) => intField(8, one)), intField(20, 7)]);
}

/**
 * Keeps what the outputs need, in the order in which it can be computed, and drops every other node, constant and
 * input. Throws Error when a value comes from nowhere, or from itself.
 */
export function prune(graph: OnnxGraph): void {
  const makerOf = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  // Outputs that are left out are not what stands for inputs that are.
  makerOf.delete('');
  const given = new Set([...graph.initializers.keys(), ...graph.inputs.map((input) => input.name), '']);
  const used = new Set<string>();
  const ordered: GraphNode[] = [];
  const state = new Map<GraphNode, 'open' | 'done'>();
  const stack = graph.outputs.map((output) => output.name).reverse();
  while (stack.length > 0) {
    const name = stack.at(-1)!;
    used.add(name);
    const node = makerOf.get(name);
    if (node === undefined || state.get(node) === 'done') {
      if (node === undefined && !given.has(name)) throw new Error(`nothing makes the value ${name}`);
      stack.pop();
    } else if (state.get(node) === 'open') {
      stack.pop();
      state.set(node, 'done');
      ordered.push(node);
    } else {
      state.set(node, 'open');
      for (const input of node.inputs) {
        const before = state.get(makerOf.get(input)!);
        if (before === 'open') throw new Error(`the value ${input} is made from itself`);
        if (before !== 'done') stack.push(input);
      }
    }
  }
  graph.nodes = ordered;
  graph.inputs = graph.inputs.filter((input) => used.has(input.name));
  for (const name of graph.initializers.keys()) if (!used.has(name)) graph.initializers.delete(name);
}

/** A graph as bytes for a session, and the folder that its weights are in (null: it has no large ones). */
export interface WrittenGraph {
  bytes: Uint8Array;
  folder: string | null;
}

/**
 * Writes the ModelProto. Throws Error when the weights do not all lie in one folder, the only one a session looks in.
 */
export function writeGraph(graph: OnnxGraph): WrittenGraph {
  const stored = [...graph.initializers.values()].flatMap((tensor) => tensor.stored ?? []);
  const folders = [...new Set(stored.map(({ file }) => dirname(file)))];
  if (folders.length > 1) throw new Error(`its weights lie in several folders: ${folders.join(', ')}`);
  const parts: Uint8Array[] = [textField(2, 'nanoeval')];
  for (const node of graph.nodes) {
    parts.push(
      bytesField(
        1,
        joined([
          ...node.inputs.map((input) => textField(1, input)),
          ...node.outputs.map((output) => textField(2, output)),
          textField(3, node.name),
          textField(4, node.op),
          ...[...node.attributes.values()].map((attribute) => bytesField(5, attribute)),
          ...(node.domain === '' ? [] : [textField(7, node.domain)]),
        ]),
      ),
    );
  }
  for (const tensor of graph.initializers.values()) parts.push(bytesField(5, tensor.proto ?? pointer(tensor)));
  for (const input of graph.inputs) parts.push(bytesField(11, input.proto));
  for (const output of graph.outputs) parts.push(bytesField(12, output.proto));
  const opsets = [...graph.opsets].map(([domain, version]) =>
    bytesField(8, joined([textField(1, domain), intField(2, version)])),
  );
  const bytes = joined([intField(1, graph.irVersion), bytesField(7, joined(parts)), ...opsets, ...graph.rest]);
  return { bytes, folder: folders[0] ?? null };
}

function pointer({ name, dims, type, stored }: Initializer): Uint8Array {
  const entry = (key: string, value: string) => bytesField(13, joined([textField(1, key), textField(2, value)]));
  return joined([
    ...dims.map((dim) => intField(1, dim)),
    intField(2, type),
    textField(8, name),
    entry('location', basename(stored!.file)),
    entry('offset', String(stored!.offset)),
    entry('length', String(stored!.length)),
    intField(14, 1),
  ]);
}
