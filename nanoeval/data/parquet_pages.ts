/**
 * Looks over the pages of a row group before hyparquet (1.33) decodes them. It believes what a page says of its own
 * length: a changed byte in a run makes it fill the memory until the process is gone, which no `catch` sees.
 */
import type { ColumnMetaData, CompressionCodec, Compressors, FileMetaData, PageHeader, SchemaTree } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { getMaxDefinitionLevel, getMaxRepetitionLevel, getTreePath, isFlatColumn } from 'hyparquet/src/schema.js';
import type { RandomAccess } from '../types.ts';

/** Values that a run may have beyond those of its page: a writer may round up. */
const SLACK = 1 << 16;
/** Parquet's word for pages that hold bytes as they are. */
const PLAIN_CODEC = 'UNCOMPRESSED';

/** What hyparquet reads one row group with. */
export interface CheckedGroup {
  file: RandomAccess;
  metadata: FileMetaData;
  compressors: Compressors;
}

/** A column of the group: where it lies, how its levels are written, what its pages say of themselves. */
interface Column {
  from: number;
  to: number;
  /** Bits of a repetition and of a definition level; 0 where there are none. */
  repetition: number;
  definition: number;
  isFlat: boolean;
  rows: number;
  meta: ColumnMetaData;
  /** Headers of the pages that are unpacked, in order; those at the front have been. */
  packed: PageHeader[];
}

/**
 * A file, footer and decompressors for one row group, such that each page is looked over when it has been read and when
 * it has been unpacked. Reading throws Error for a page that cannot be true.
 *
 * Every column gets a codec of its own name, which is how a page that was unpacked is known to be of this column.
 */
export function checkedGroup(
  file: RandomAccess,
  metadata: FileMetaData,
  tree: SchemaTree,
  number: number,
  codecs: Compressors,
): CheckedGroup {
  const group = metadata.row_groups[number]!;
  const compressors: Compressors = {};
  const columns: Column[] = [];
  const renamed = group.columns.map((chunk, i) => {
    const meta = chunk.meta_data;
    if (meta === undefined) return chunk;
    const column = columnOf(meta, getTreePath(tree, meta.path_in_schema), Number(group.num_rows));
    columns.push(column);
    const codec = `${meta.codec} ${i}` as CompressionCodec;
    compressors[codec] = (bytes, size) => {
      const unpack = meta.codec === PLAIN_CODEC ? (same: Uint8Array) => same : codecs[meta.codec];
      if (unpack === undefined) throw new Error(`the compression ${meta.codec} is not read`);
      const page = unpack(bytes, size);
      checkPage(page, column.packed.shift(), column);
      return page;
    };
    return { ...chunk, meta_data: { ...meta, codec } };
  });
  const row_groups = metadata.row_groups.with(number, { ...group, columns: renamed });
  async function read(start: number, end: number): Promise<ArrayBuffer> {
    const bytes = await file.slice(start, end);
    for (const column of columns) {
      if (start > column.from || column.to > end) continue;
      column.packed = packedPages(new DataView(bytes, column.from - start, column.to - column.from), column);
    }
    return bytes;
  }
  function slice(start: number, end: number = file.byteLength): Promise<ArrayBuffer> {
    const bytes = read(start, end);
    // hyparquet reads ahead, and when one column fails nobody may wait for the bytes of another. Who waits still hears.
    bytes.catch(() => {});
    return bytes;
  }
  return { file: { byteLength: file.byteLength, slice }, metadata: { ...metadata, row_groups }, compressors };
}

function columnOf(meta: ColumnMetaData, path: SchemaTree[], rows: number): Column {
  const from = Number(meta.dictionary_page_offset || meta.data_page_offset);
  const bits = (level: number) => 32 - Math.clz32(level);
  return {
    from,
    to: from + Number(meta.total_compressed_size),
    repetition: bits(getMaxRepetitionLevel(path)),
    definition: bits(getMaxDefinitionLevel(path)),
    isFlat: isFlatColumn(path),
    rows,
    meta,
    packed: [],
  };
}

/** Walks over the pages as hyparquet does. Throws Error where they cannot be true; returns those that are unpacked. */
function packedPages(view: DataView, column: Column): PageHeader[] {
  const found: PageHeader[] = [];
  const most = column.isFlat ? column.rows : Number(column.meta.num_values);
  const reader = { view, offset: 0 };
  for (let seen = 0; reader.offset < view.byteLength - 1 && !(column.isFlat && seen >= most); ) {
    const header = parquetHeader(reader);
    const { compressed_page_size: size, data_page_header_v2: v2 } = header;
    if (!(size >= 0 && reader.offset + size <= view.byteLength))
      throw new Error(`a page of ${size} bytes where ${view.byteLength - reader.offset} are left`);
    const values = (header.data_page_header ?? v2)?.num_values ?? 0;
    const nulls = v2?.num_nulls ?? 0;
    if (!(values >= 0 && seen + values <= most && nulls >= 0 && nulls <= values))
      throw new Error(`a page of ${values} values, ${nulls} of them null, where ${most - seen} are left`);
    const levels = v2 === undefined ? 0 : checkLevels(view, reader.offset, header, column);
    if (v2 === undefined || (v2.is_compressed !== false && header.uncompressed_page_size !== levels))
      found.push(header);
    else {
      const bytes = new DataView(view.buffer, view.byteOffset + reader.offset + levels, size - levels);
      checkValues(bytes, 0, v2.encoding, values, column);
    }
    seen += values;
    reader.offset += size;
  }
  return found;
}

/** The levels of a page of the second version stand before what is compressed. Returns how many bytes they are. */
function checkLevels(view: DataView, offset: number, header: PageHeader, { repetition, definition }: Column): number {
  const {
    num_values,
    repetition_levels_byte_length: first,
    definition_levels_byte_length: second,
  } = header.data_page_header_v2!;
  if (!(first >= 0 && second >= 0 && first + second <= header.compressed_page_size))
    throw new Error(`levels of ${first} and ${second} bytes in a page of ${header.compressed_page_size}`);
  if (repetition > 0) checkRuns(view, offset, repetition, num_values);
  if (definition > 0) checkRuns(view, offset + first, definition, num_values);
  return first + second;
}

/** Looks over what was unpacked: of the first version levels and values, of the second values, of a dictionary nothing. */
function checkPage(bytes: Uint8Array, header: PageHeader | undefined, column: Column): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const page = header?.data_page_header;
  if (page === undefined) {
    const v2 = header?.data_page_header_v2;
    if (v2 !== undefined) checkValues(view, 0, v2.encoding, v2.num_values, column);
    return;
  }
  let at = 0;
  for (const width of [column.repetition, column.definition]) {
    if (width === 0) continue;
    const length = view.getUint32(at, true);
    checkRuns(view, at + 4, width, page.num_values);
    at += 4 + length;
  }
  checkValues(view, at, page.encoding, page.num_values, column);
}

function checkValues(view: DataView, at: number, encoding: string, values: number, { meta }: Column): void {
  if (at >= view.byteLength) return;
  if (encoding.endsWith('_DICTIONARY')) checkRuns(view, at + 1, view.getUint8(at), values);
  else if (encoding === 'RLE' && meta.type === 'BOOLEAN') checkRuns(view, at + 4, 1, values);
}

/** Runs of levels or of places in a dictionary, `width` bits each. What ends too early hyparquet sees by itself. */
function checkRuns(view: DataView, start: number, width: number, values: number): void {
  let at = start;
  for (let seen = 0; seen < values && at < view.byteLength; ) {
    let header = 0;
    for (let shift = 0; at < view.byteLength; shift += 7) {
      const byte = view.getUint8(at++);
      header |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    const count = header >>> 1;
    if (header & 1) {
      seen += count * 8;
      at += count * width;
    } else {
      seen += count;
      at += (width + 7) >> 3;
      if (seen > values + SLACK) throw new Error(`a run of ${count} in a page of ${values} values`);
    }
  }
}
