/**
 * Decimals of a Parquet file with all their digits. hyparquet (1.33) makes a float64 of each, and of one that is annotated in
 * the newer way alone (`logical_type`) the bare integer that is stored: so it is given a schema without the annotation, and
 * what is stored becomes a decimal here.
 */
import type { FileMetaData, SchemaElement, SchemaTree } from 'hyparquet';
import { isListLike, isMapLike } from 'hyparquet/src/schema.js';

/** A file's footer to read it by, and what makes decimals of a column's values, by the column's name. */
export interface RawDecimals {
  metadata: FileMetaData;
  decimals: ReadonlyMap<string, Convert>;
}

type Convert = (value: unknown) => unknown;

/** Digits behind the point, and bytes of a decimal, at most: Arrow's widest have 76 and 32. */
const MOST_DIGITS = 1000;
const MOST_BYTES = 512;
/** Types in which decimals are stored. */
const STORED = new Set(['INT32', 'INT64', 'BYTE_ARRAY', 'FIXED_LEN_BYTE_ARRAY']);

/** `tree`: the schema of `metadata`. Throws Error for decimals that cannot be. */
export function rawDecimals(metadata: FileMetaData, tree: SchemaTree): RawDecimals {
  const bare = new Set<SchemaElement>();
  const decimals = new Map<string, Convert>();
  for (const column of tree.children) {
    const convert = convertOf(column, bare);
    if (convert !== null) decimals.set(column.element.name, convert);
  }
  if (bare.size === 0) return { metadata, decimals };
  const schema = metadata.schema.map((element) => {
    if (!bare.has(element)) return element;
    const { converted_type, logical_type, ...rest } = element;
    return rest;
  });
  return { metadata: { ...metadata, schema }, decimals };
}

/** What makes decimals in the values of a node; null where it has none. Elements of decimals are added to `bare`. */
function convertOf(node: SchemaTree, bare: Set<SchemaElement>): Convert | null {
  const { element, children } = node;
  if (element.logical_type?.type === 'VARIANT') return null;
  if (children.length === 0) {
    const scale = scaleOf(element);
    if (scale === null) return null;
    bare.add(element);
    return each((value) => decimalOf(value, scale));
  }
  if (isListLike(node)) {
    const [items] = node.children;
    const convert = convertOf(items!.children[0] ?? items!, bare);
    return convert === null ? null : each(convert);
  }
  if (isMapLike(node)) {
    // Keys are names by then, and are left as hyparquet has them.
    const value = convertOf(node.children[0]!.children[1]!, bare);
    return value === null ? null : each((map) => entries(map, () => value));
  }
  const named = new Map(children.map((child) => [child.element.name, convertOf(child, bare)]));
  return [...named.values()].every((convert) => convert === null)
    ? null
    : each((struct) => entries(struct, (name) => named.get(name) ?? null));
}

/** Also of a value that is repeated: hyparquet gives a list then. */
const each =
  (convert: Convert): Convert =>
  (value) =>
    Array.isArray(value) ? value.map(each(convert)) : value == null ? null : convert(value);

function entries(value: unknown, convertOfEntry: (name: string) => Convert | null): unknown {
  const all = Object.entries(value as Record<string, unknown>);
  return Object.fromEntries(all.map(([name, one]) => [name, convertOfEntry(name)?.(one) ?? one]));
}

/** Digits behind the point of a decimal; null for another type. */
function scaleOf({ name, type, converted_type, logical_type, scale }: SchemaElement): number | null {
  const newer = logical_type?.type === 'DECIMAL' ? logical_type : null;
  if (converted_type !== 'DECIMAL' && newer === null) return null;
  const digits = scale ?? newer?.scale ?? 0;
  if (STORED.has(type ?? '') && Number.isInteger(digits) && digits >= 0 && digits <= MOST_DIGITS) return digits;
  throw new Error(`the column ${name} has decimals of type ${type} with ${digits} digits behind the point`);
}

/** The decimal of a stored integer: the number where that has all its digits, else the digits as a text. */
function decimalOf(stored: unknown, scale: number): number | string {
  const whole = stored instanceof Uint8Array ? signed(stored) : BigInt(stored as number | bigint);
  const digits = `${whole < 0n ? -whole : whole}`.padStart(scale + 1, '0');
  const point = digits.length - scale;
  const text = `${whole < 0n ? '-' : ''}${digits.slice(0, point)}${scale === 0 ? '' : `.${digits.slice(point)}`}`;
  const number = Number(text);
  const isExact = Math.abs(number) <= Number.MAX_SAFE_INTEGER && scale <= 100 && number.toFixed(scale) === text;
  return isExact || whole === 0n ? number : text;
}

/** Two's complement, the highest byte first. */
function signed(bytes: Uint8Array): bigint {
  if (bytes.length > MOST_BYTES) throw new Error(`a decimal of ${bytes.length} bytes`);
  const bits = 8 * bytes.length;
  return bits === 0 ? 0n : BigInt.asIntN(bits, BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
}
