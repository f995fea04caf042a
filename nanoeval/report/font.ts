/** The chart's own font: how wide a text is in it, where a long one is broken. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** XML refuses control characters, and a label has one line. */
export function oneLine(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}

/**
 * Parts joined by ` · `, in lines of at most `width` pixels: a new line starts at a part, and a part that is too wide
 * by itself (the path of a checkpoint) is cut behind a `/`, `-`, `_` or blank, or anywhere when it has none.
 */
export function wrap(parts: readonly string[], width: number, face: Face, size: number): string[] {
  const fits = (text: string) => widthOf(face, text, size) <= width;
  const lines: string[] = [];
  let line = '';
  for (const part of parts) {
    const joined = line === '' ? oneLine(part) : `${line} · ${oneLine(part)}`;
    if (fits(joined)) {
      line = joined;
      continue;
    }
    if (line !== '') lines.push(line);
    let rest = [...oneLine(part)];
    while (!fits(rest.join(''))) {
      let take = 1;
      while (fits(rest.slice(0, take + 1).join(''))) take++;
      const place = rest.slice(0, take).findLastIndex((c) => '/-_ '.includes(c)) + 1;
      // A break in the first half would leave a ragged stub: better to cut the word there.
      if (place > take / 2) take = place;
      lines.push(rest.slice(0, take).join(''));
      rest = rest.slice(take);
    }
    line = rest.join('');
  }
  return [...lines, line];
}

/** Paths of the two weights. */
export const FONT_FILES = {
  regular: fileURLToPath(new URL('fonts/Inter_400Regular.ttf', import.meta.url)),
  bold: fileURLToPath(new URL('fonts/Inter_600SemiBold.ttf', import.meta.url)),
};

/** How far each character moves the pen, as a share of the font size. */
export interface Face {
  advances: Map<number, number>;
}

/** Weight 400, and 600 for titles and bold labels. */
export interface Faces {
  regular: Face;
  bold: Face;
}

/**
 * Width in pixels. Kerning is left out: it moves a label by a pixel. A character that the font lacks counts as 1 em.
 */
export function widthOf(face: Face, text: string, size: number): number {
  let em = 0;
  for (const c of text) em += face.advances.get(c.codePointAt(0)!) ?? 1;
  return em * size;
}

/**
 * Reads the widths from a TrueType file: tables `head`, `hhea`, `hmtx` and the `cmap` of format 12
 * (learn.microsoft.com/typography/opentype/spec/otff). Throws when the file is missing or is not such a font: resvg
 * would leave the text out without a word.
 */
export async function readFace(path: string): Promise<Face> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new Error(`report/chart: ${path}: the chart's font cannot be read. Install the package again.`, {
      cause: error,
    });
  }
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const broken = (what: string) => new Error(`report/chart: ${path}: ${what}. It must be a TrueType font.`);
  if (bytes.length < 12 || data.getUint32(0) !== 0x00010000) throw broken('no TrueType header');

  const tables = new Map<string, number>();
  for (let i = 0; i < data.getUint16(4); i++) {
    const entry = 12 + 16 * i;
    tables.set(bytes.toString('latin1', entry, entry + 4), data.getUint32(entry + 8));
  }
  const table = (name: string): number => {
    const offset = tables.get(name);
    if (offset === undefined) throw broken(`no table "${name}"`);
    return offset;
  };
  const unitsPerEm = data.getUint16(table('head') + 18);
  const numMetrics = data.getUint16(table('hhea') + 34);
  const hmtx = table('hmtx');
  const cmap = table('cmap');

  const advances = new Map<number, number>();
  for (let i = 0; i < data.getUint16(cmap + 2); i++) {
    const subtable = cmap + data.getUint32(cmap + 4 + 8 * i + 4);
    if (data.getUint16(subtable) !== 12) continue;
    for (let j = 0; j < data.getUint32(subtable + 12); j++) {
      const range = subtable + 16 + 12 * j;
      const [first, last, glyph] = [data.getUint32(range), data.getUint32(range + 4), data.getUint32(range + 8)];
      for (let code = first; code <= last; code++) {
        // Glyphs after the last metric are as wide as that one.
        const metric = Math.min(glyph + code - first, numMetrics - 1);
        advances.set(code, data.getUint16(hmtx + 4 * metric) / unitsPerEm);
      }
    }
  }
  if (advances.size === 0) throw broken('no "cmap" of format 12');
  return { advances };
}
