/**
 * Writes small ONNX files: just enough of the protobuf (reference: onnx.proto3, IR version 9, opset 18) for the toy
 * graphs of these tests. Names of values are given out by `node` and `init`.
 */

const ELEMENT_TYPES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
} as const;
export type ElementType = keyof typeof ELEMENT_TYPES;
export type ConstantType = Exclude<ElementType, 'bool' | 'bfloat16'>;
/** Numbers, or names of symbolic sizes. */
export type Dims = readonly (number | string)[];
/** `graph` is a GraphProto. */
export type Attribute = number | string | readonly number[] | { float: number } | { graph: Uint8Array };

/** Where an initializer's bytes lie outside the graph file. */
export interface External {
  location: string;
  offset: number;
  length: number;
}

type Bytes = Uint8Array;

function varint(value: number | bigint): number[] {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return [...out, Number(rest)];
}

function joined(...parts: (Bytes | number[])[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
const int = (field: number, value: number | bigint): Bytes => joined(varint(field << 3), varint(value));
const bytes = (field: number, value: Bytes): Bytes => joined(varint((field << 3) | 2), varint(value.length), value);
const text = (field: number, value: string): Bytes => bytes(field, new TextEncoder().encode(value));

function attribute(name: string, value: Attribute): Bytes {
  if (typeof value === 'number') return joined(text(1, name), int(3, value), int(20, 2));
  if (typeof value === 'string') return joined(text(1, name), text(4, value), int(20, 3));
  if ('float' in value)
    return joined(text(1, name), varint((2 << 3) | 5), rawData('float32', [value.float]), int(20, 1));
  if ('graph' in value) return joined(text(1, name), bytes(6, value.graph), int(20, 5));
  return joined(text(1, name), ...value.map((one) => int(8, one)), int(20, 7));
}

function valueInfo(name: string, type: ElementType, dims: Dims): Bytes {
  const shape = joined(...dims.map((dim) => bytes(1, typeof dim === 'number' ? int(1, dim) : text(2, dim))));
  return joined(text(1, name), bytes(2, bytes(1, joined(int(1, ELEMENT_TYPES[type]), bytes(2, shape)))));
}

/** The bytes of an initializer, little endian. */
export function rawData(type: ConstantType, values: readonly number[]): Bytes {
  const made = {
    float32: () => Float32Array.from(values),
    float16: () => Uint16Array.from(values, halfOf),
    uint8: () => Uint8Array.from(values),
    int8: () => Int8Array.from(values),
    int32: () => Int32Array.from(values),
    int64: () => BigInt64Array.from(values, BigInt),
  };
  return new Uint8Array(made[type]().buffer);
}

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/** The float16 next to a number, as its bits. */
function halfOf(value: number): number {
  single[0] = value;
  const bits = singleBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  if (exponent >= 31) return sign | 0x7c00;
  if (exponent <= 0) return sign | Math.round(Math.abs(value) * 2 ** 24);
  return sign + (exponent << 10) + (((bits & 0x7fffff) + 0x1000) >> 13);
}

export interface GraphWriter {
  input(name: string, type: ElementType, dims: Dims): string;
  output(name: string, type: ElementType, dims: Dims): void;
  /** One node with one output, whose name is returned. */
  /** An output that is a list of tensors. */
  sequenceOutput(name: string, type: ElementType): void;
  node(
    op: string,
    inputs: readonly string[],
    attributes?: Record<string, Attribute>,
    output?: string,
    domain?: string,
  ): string;
  /** One node with any outputs; '' is one left out. */
  nodeWith(
    op: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes?: Record<string, Attribute>,
    domain?: string,
  ): void;
  init(type: ConstantType, dims: readonly number[], values: readonly number[], external?: External): string;
  /** The GraphProto. */
  graph(): Bytes;
  /** The ModelProto. */
  bytes(): Bytes;
}

export interface WriterOptions {
  /** Version of ONNX's own operators. */
  opset?: number;
  /** Version of the file format. */
  ir?: number;
  /** Versions of other domains. */
  domains?: Record<string, number>;
  /** Names that are given out begin with it. */
  prefix?: string;
}

export function graphWriter({ opset = 18, ir = 9, domains = {}, prefix = 'v' }: WriterOptions = {}): GraphWriter {
  const fields: Bytes[] = [];
  let count = 0;
  const fresh = () => `${prefix}${count++}`;
  const writer: GraphWriter = {
    input(name, type, dims) {
      fields.push(bytes(11, valueInfo(name, type, dims)));
      return name;
    },
    output(name, type, dims) {
      fields.push(bytes(12, valueInfo(name, type, dims)));
    },
    sequenceOutput(name, type) {
      const tensor = bytes(1, int(1, ELEMENT_TYPES[type]));
      fields.push(bytes(12, joined(text(1, name), bytes(2, bytes(4, bytes(1, tensor))))));
    },
    node(op, inputs, attributes = {}, output = fresh(), domain = '') {
      writer.nodeWith(op, inputs, [output], attributes, domain);
      return output;
    },
    nodeWith(op, inputs, outputs, attributes = {}, domain = '') {
      const node = joined(
        ...inputs.map((name) => text(1, name)),
        ...outputs.map((name) => text(2, name)),
        text(3, `${op}_${outputs[0]}`),
        text(4, op),
        ...Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value))),
        domain === '' ? [] : text(7, domain),
      );
      fields.push(bytes(1, node));
    },
    init(type, dims, values, external) {
      const name = fresh();
      const data =
        external === undefined
          ? bytes(9, rawData(type, values))
          : joined(
              ...Object.entries(external).map(([key, value]) => bytes(13, joined(text(1, key), text(2, `${value}`)))),
              int(14, 1),
            );
      const tensor = joined(...dims.map((dim) => int(1, dim)), int(2, ELEMENT_TYPES[type]), text(8, name), data);
      fields.push(bytes(5, tensor));
      return name;
    },
    graph: () => joined(...fields, text(2, 'toy')),
    bytes() {
      const opsets = Object.entries({ '': opset, ...domains });
      return joined(
        int(1, ir),
        bytes(7, writer.graph()),
        ...opsets.map(([domain, version]) => bytes(8, joined(text(1, domain), int(2, version)))),
      );
    },
  };
  return writer;
}
