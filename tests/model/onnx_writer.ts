/**
 * Writes small ONNX files: just enough of the protobuf (reference: onnx.proto3, IR version 9, opset 18) for the toy
 * graphs of these tests. Names of values are given out by `node` and `init`.
 */

const ELEMENT_TYPES = { float32: 1, int32: 6, int64: 7, bool: 9, float16: 10 } as const;
export type ElementType = keyof typeof ELEMENT_TYPES;
/** Numbers, or names of symbolic sizes. */
export type Dims = readonly (number | string)[];
export type Attribute = number | string | readonly number[];

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

const joined = (...parts: (Bytes | number[])[]): Bytes => Uint8Array.from(parts.flatMap((part) => [...part]));
const int = (field: number, value: number | bigint): Bytes => joined(varint(field << 3), varint(value));
const bytes = (field: number, value: Bytes): Bytes => joined(varint((field << 3) | 2), varint(value.length), value);
const text = (field: number, value: string): Bytes => bytes(field, new TextEncoder().encode(value));

function attribute(name: string, value: Attribute): Bytes {
  if (typeof value === 'number') return joined(text(1, name), int(3, value), int(20, 2));
  if (typeof value === 'string') return joined(text(1, name), text(4, value), int(20, 3));
  return joined(text(1, name), ...value.map((one) => int(8, one)), int(20, 7));
}

function valueInfo(name: string, type: ElementType, dims: Dims): Bytes {
  const shape = joined(...dims.map((dim) => bytes(1, typeof dim === 'number' ? int(1, dim) : text(2, dim))));
  return joined(text(1, name), bytes(2, bytes(1, joined(int(1, ELEMENT_TYPES[type]), bytes(2, shape)))));
}

/** The bytes of an initializer, little endian. float16 is not needed: cast inside the graph. */
export function rawData(type: 'float32' | 'int64', values: readonly number[]): Bytes {
  const data = type === 'float32' ? Float32Array.from(values) : BigInt64Array.from(values, BigInt);
  return new Uint8Array(data.buffer);
}

export interface GraphWriter {
  input(name: string, type: ElementType, dims: Dims): string;
  output(name: string, type: ElementType, dims: Dims): void;
  /** One node with one output, whose name is returned. */
  node(op: string, inputs: readonly string[], attributes?: Record<string, Attribute>, output?: string): string;
  init(type: 'float32' | 'int64', dims: readonly number[], values: readonly number[], external?: External): string;
  /** The ModelProto. */
  bytes(): Bytes;
}

export function graphWriter(): GraphWriter {
  const fields: Bytes[] = [];
  let count = 0;
  const fresh = () => `v${count++}`;
  return {
    input(name, type, dims) {
      fields.push(bytes(11, valueInfo(name, type, dims)));
      return name;
    },
    output(name, type, dims) {
      fields.push(bytes(12, valueInfo(name, type, dims)));
    },
    node(op, inputs, attributes = {}, output = fresh()) {
      const node = joined(
        ...inputs.map((name) => text(1, name)),
        text(2, output),
        text(3, `${op}_${output}`),
        text(4, op),
        ...Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value))),
      );
      fields.push(bytes(1, node));
      return output;
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
    bytes: () =>
      joined(int(1, 9), bytes(7, joined(...fields, text(2, 'toy'))), bytes(8, joined(text(1, ''), int(2, 18)))),
  };
}
