/** The letters that stand for bytes in byte-level vocabularies (GPT-2's `bytes_to_unicode`). */

const encoder = new TextEncoder();

/** Letter of each byte. */
const LETTERS: readonly string[] = letters();
const BYTES: ReadonlyMap<string, number> = new Map(LETTERS.map((letter, byte) => [letter, byte]));

function letters(): string[] {
  const shown = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    if (shown(byte)) return String.fromCharCode(byte);
    others += 1;
    return String.fromCharCode(255 + others);
  });
}

/** The text's UTF-8 bytes, each as its letter. */
export function toLetters(text: string): string {
  // Most words: printable ASCII that stands for itself, behind one blank at most.
  if (/^[!-~]*$/.test(text)) return text;
  if (/^ [!-~]*$/.test(text)) return `Ġ${text.slice(1)}`;
  let found = '';
  for (const byte of encoder.encode(text)) found += LETTERS[byte]!;
  return found;
}

/** The bytes of a token: of its letters, or of its UTF-8 where one of its characters stands for no byte. */
export function toBytes(token: string): Iterable<number> {
  const bytes: number[] = [];
  for (const char of token) {
    const byte = BYTES.get(char);
    if (byte === undefined) return encoder.encode(token);
    bytes.push(byte);
  }
  return bytes;
}

/** `<0x0A>`: the token that stands for a byte where a vocabulary falls back to bytes. */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

/** The byte tokens of a text's UTF-8. */
export function byteTokens(text: string): string[] {
  return Array.from(encoder.encode(text), byteToken);
}
