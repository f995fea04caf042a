/**
 * Pictures as Python sees them: decoded to the same bytes as by Pillow 13.0 and transformers 5.23. Decoding is sharp's
 * (libvips).
 *
 * Choices, where versions of Python differ:
 * - Transparency is put on white (transformers from 5.21 on; before, and in its `load_image`, alpha is dropped).
 * - EXIF orientation is applied (`datasets` and `load_image`); ICC profiles are not (Pillow leaves them alone).
 *
 * Read: JPEG, PNG, WebP, GIF; of several frames the first. Refused, though Pillow reads them: TIFF (11 of 12 common
 * forms came out equal in a trial, the rare ones are untried), AVIF (sharp's colours are others, up to 79 levels), BMP
 * and the rest (sharp has no decoder), and the three forms in `checkForm`. Known difference: Pillow notices a turned
 * bit in some JPEG headers and in the data of a GIF that libvips lets pass.
 */
import type { Metadata, Sharp } from 'sharp';
import { RowError } from '../../types.ts';

/** RGB bytes, row by row, 3 a pixel. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8Array;
}

export interface Size {
  width: number;
  height: number;
}

/** 100 megapixels are 300 MB of RGB; Pillow itself warns from 89 on. */
const MAX_PIXELS = 100_000_000;

/**
 * Files cut off, and sums that do not fit, are refused; what libjpeg merely warns of, Pillow reads as well. Of 440
 * files with one to three bits turned, Pillow 13 and this agree on 427: `truncated` 418, `warning` 416.
 */
const FAIL_ON = 'error';

const ACCEPTED = 'JPEG, PNG, WebP and GIF';
/** Kinds by the hexadecimal digits that a file starts with. */
const KINDS: [name: string, read: boolean, starts: RegExp][] = [
  ['JPEG', true, /^ffd8ff/],
  ['PNG', true, /^89504e470d0a1a0a/],
  ['WebP', true, /^52494646.{8}57454250/],
  ['GIF', true, /^474946383[79]61/],
  ['TIFF', false, /^(49492a00|49492b00|4d4d002a|4d4d002b)/],
  ['AVIF or HEIF', false, /^.{8}66747970/],
  ['BMP', false, /^424d/],
  ['JPEG 2000', false, /^(0000000c6a5020|ff4fff51)/],
  ['PDF', false, /^25504446/],
  ['SVG, XML or HTML', false, /^(efbbbf)?(09|0a|0d|20)*3c/],
];

function refuse(what: string, cause?: unknown): RowError {
  return new RowError('image', `the picture ${what}`, { cause });
}

function checkKind(bytes: Uint8Array): void {
  if (bytes.length === 0) throw refuse('is empty: 0 bytes.');
  const start = Buffer.from(bytes.subarray(0, 64)).toString('hex');
  const kind = KINDS.find(([, , pattern]) => pattern.test(start));
  if (kind === undefined) throw refuse(`is of no known format (${bytes.length} bytes). Read are ${ACCEPTED}.`);
  if (!kind[1]) throw refuse(`is a file of ${kind[0]}, which is not read. Read are ${ACCEPTED}.`);
}

/** libvips is loaded with the first picture: a program that shows none starts sooner. */
const library = async () => (await import('sharp')).default;

async function open(bytes: Uint8Array): Promise<Sharp> {
  const sharp = await library();
  return sharp(bytes, { ignoreIcc: true, failOn: FAIL_ON, limitInputPixels: MAX_PIXELS });
}

function damaged(error: unknown): RowError {
  const reason = error instanceof Error ? error.message : String(error);
  return refuse(`cannot be decoded: ${reason.split('\n')[0]!.replace(/[\s:.]+$/, '')}.`, error);
}

async function readHeader(bytes: Uint8Array): Promise<Metadata> {
  checkKind(bytes);
  let header: Metadata;
  try {
    // The limit is ours, below, for its message.
    const sharp = await library();
    header = await sharp(bytes, { failOn: FAIL_ON, limitInputPixels: false }).metadata();
  } catch (error) {
    throw damaged(error);
  }
  const { width, height } = header;
  if (width * height > MAX_PIXELS) {
    const millions = Math.round((width * height) / 1e6);
    throw refuse(
      `has ${width} x ${height} = ${millions} million pixels. At most ${MAX_PIXELS / 1e6} million are decoded.`,
    );
  }
  checkForm(bytes, header);
  return header;
}

/** Refuses what libvips shows in another way than Pillow. */
function checkForm(bytes: Uint8Array, header: Metadata): void {
  // Only without an orientation in EXIF does Pillow look into XMP, and libvips never (Image.getexif).
  const inXmp = header.orientation === undefined && /tiff:Orientation(?:="|>)([2-8])/.exec(header.xmpAsString ?? '');
  if (inXmp)
    throw refuse(`is to be turned (orientation ${inXmp[1]}) by its XMP data, which is not done. Turn it itself.`);
  if (header.format === 'png') {
    const [bits, colours] = [bytes[24]!, bytes[25]!];
    // Pillow looks for the 16-bit number among bytes, and for that of 2 or 4 bits among shades already spread to 8.
    if (header.hasAlpha && colours === 0 && ![1, 8].includes(bits)) {
      throw refuse(
        `is a grey PNG of ${bits} bits with a transparent shade, which Pillow misreads. Save it with 8 bits.`,
      );
    }
  }
  if (header.format === 'gif' && !header.hasAlpha && !firstFrameCovers(bytes)) {
    throw refuse('is a GIF whose first frame leaves a border, for which programs take other colours. Save it as PNG.');
  }
}

/** Whether the first frame of a GIF covers its whole screen; true when no frame is found. */
function firstFrameCovers(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tableBytes = (flags: number) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  let at = 13 + tableBytes(bytes[10]!);
  // Extensions, each a chain of blocks with their lengths, come before the frame.
  while (bytes[at] === 0x21) {
    at += 2;
    while (bytes[at]) at += bytes[at]! + 1;
    at += 1;
  }
  if (bytes[at] !== 0x2c || at + 9 > bytes.length) return true;
  const side = (offset: number) => view.getUint16(offset, true);
  const [left, top, width, height] = [side(at + 1), side(at + 3), side(at + 5), side(at + 7)];
  return left === 0 && top === 0 && width >= side(6) && height >= side(8);
}

/**
 * Width and height after EXIF orientation, from the header alone.
 * Throws RowError('image') as `decodeImage` does, as far as the header tells.
 */
export async function imageSize(bytes: Uint8Array): Promise<Size> {
  const { width, height } = (await readHeader(bytes)).autoOrient;
  return { width, height };
}

/**
 * The bytes that `ImageOps.exif_transpose` and transformers' `convert_to_rgb` give for the file (see the file's
 * header).
 *
 * Throws RowError('image') for a file that is no picture, is cut off or damaged, has a format that is not read, or
 * more than 100 million pixels; the last is seen in the header, before anything is decoded.
 */
export async function decodeImage(bytes: Uint8Array): Promise<Pixels> {
  const header = await readHeader(bytes);
  const picture = (await open(bytes)).autoOrient();
  try {
    if (header.space === 'cmyk') return await decodeCmyk(picture);
    if (header.hasAlpha) return await decodeOnWhite(picture);
    if (header.space === 'grey16') return await decodeGrey16(picture);
    const { data, info } = await picture.toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
    expectChannels(info.channels, 3);
    return { width: info.width, height: info.height, data };
  } catch (error) {
    throw error instanceof RowError ? error : damaged(error);
  }
}

function expectChannels(found: number, wanted: number): void {
  if (found !== wanted) throw refuse(`has ${found} channels once decoded. There should be ${wanted}.`);
}

/** `Image.alpha_composite` on white; sharp's `flatten` rounds otherwise (1 level in up to 16 % of the values). */
async function decodeOnWhite(picture: Sharp): Promise<Pixels> {
  const { data, info } = await picture.toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
  expectChannels(info.channels, 4);
  const rgb = new Uint8Array(info.width * info.height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const alpha = data[from + 3]!;
    const white = 255 * (255 - alpha) + 128;
    for (let c = 0; c < 3; c++) {
      const sum = data[from + c]! * alpha + white;
      rgb[to + c] = ((sum >> 8) + sum) >> 8;
    }
  }
  return { width: info.width, height: info.height, data: rgb };
}

/** Pillow's `cmyk2rgb` (Convert.c). Left to itself, sharp goes through a colour profile: mean 2 levels off. */
async function decodeCmyk(picture: Sharp): Promise<Pixels> {
  const inks = picture.pipelineColourspace('cmyk').toColourspace('cmyk').raw();
  const { data, info } = await inks.toBuffer({ resolveWithObject: true });
  expectChannels(info.channels, 4);
  const rgb = new Uint8Array(info.width * info.height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const light = 255 - data[from + 3]!;
    for (let c = 0; c < 3; c++) {
      const sum = data[from + c]! * light + 128;
      rgb[to + c] = Math.max(0, light - (((sum >> 8) + sum) >> 8));
    }
  }
  return { width: info.width, height: info.height, data: rgb };
}

/** Pillow clips 16-bit grey at 255, where sharp takes the high byte. */
async function decodeGrey16(picture: Sharp): Promise<Pixels> {
  const { data, info } = await picture
    .toColourspace('grey16')
    .raw({ depth: 'ushort' })
    .toBuffer({ resolveWithObject: true });
  expectChannels(info.channels, 1);
  const rgb = new Uint8Array(info.width * info.height * 3);
  // Bytes of the machine's own order, which is little-endian wherever Node 20 and sharp run.
  for (let from = 0, to = 0; from < data.length; from += 2, to += 3) {
    rgb.fill(data[from + 1]! > 0 ? 255 : data[from]!, to, to + 3);
  }
  return { width: info.width, height: info.height, data: rgb };
}
