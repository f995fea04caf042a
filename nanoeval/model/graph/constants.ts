/** What constants of a graph hold, be they initializers or nodes. */
import { ELEMENT, type GraphNode, type Initializer, intsOf } from './onnx_graph.ts';
import { fields, inMemory, packed } from './protobuf.ts';

export interface Constant {
  /** ELEMENT; 0 where it is not known. */
  type: number;
  dims: readonly number[];
  /** The integer that it is; null where it holds none or several. */
  value: number | null;
}

/** A tensor, or what a Constant node makes; null for any other node, and for one without a tensor or integers. */
export function constantOf(from: Initializer | GraphNode): Constant | null {
  if ('dims' in from) return { type: from.type, dims: from.dims, value: from.proto === null ? null : integerIn(from) };
  if (from.op !== 'Constant') return null;
  const integers = intsOf(from, 'value_int') ?? intsOf(from, 'value_ints');
  if (integers !== undefined) return { type: ELEMENT.int64, dims: [integers.length], value: only(integers) };
  const attribute = from.attributes.get('value') ?? new Uint8Array(0);
  // AttributeProto: 5 is a tensor.
  for (const { number, start, length } of fields(inMemory(attribute))) {
    if (number !== 5) continue;
    const proto = attribute.subarray(start, start + length);
    const dims: number[] = [];
    let type = 0;
    for (const part of fields(inMemory(proto))) {
      if (part.number === 1 && part.wire === 0) dims.push(part.value);
      else if (part.number === 1) dims.push(...packed(proto.subarray(part.start, part.start + part.length)));
      else if (part.number === 2) type = part.value;
    }
    return { type, dims, value: integerIn({ type, proto }) };
  }
  return null;
}

const only = (values: readonly number[]) => (values.length === 1 ? values[0]! : null);

/** TensorProto: 5 and 7 are values of int32 and int64, 9 is raw bytes. */
function integerIn({ type, proto }: Pick<Initializer, 'type' | 'proto'>): number | null {
  if (proto === null || (type !== ELEMENT.int64 && type !== ELEMENT.int32)) return null;
  const values: number[] = [];
  for (const { number, wire, value, start, length } of fields(inMemory(proto))) {
    if (number === 9) {
      const data = new DataView(proto.buffer, proto.byteOffset + start, length);
      if (type === ELEMENT.int64 && length === 8) values.push(Number(data.getBigInt64(0, true)));
      if (type === ELEMENT.int32 && length === 4) values.push(data.getInt32(0, true));
    } else if (number === 5 || number === 7) {
      if (wire === 0) values.push(value);
      else values.push(...packed(proto.subarray(start, start + length)));
    }
  }
  return only(values);
}
