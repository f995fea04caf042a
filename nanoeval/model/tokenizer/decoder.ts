/** Decoders of tokenizer.json: from tokens to text (`tokenizers/src/decoders`). */
import { UserError } from '../../types.ts';
import { toBytes } from './bytes.ts';
import type { Part } from './normalizer.ts';
import { type PatternConfig, replaceAll, toRegExp } from './pattern.ts';

/** Turns tokens into texts, which are joined in the end. */
export type Decode = (tokens: readonly string[]) => string[];

const lossy = new TextDecoder('utf-8', { ignoreBOM: true });
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });

/** The function of one decoder. Throws UserError for a type that is not known. */
export function createDecoder(part: Part, where: string): Decode {
  switch (part.type) {
    case 'Sequence': {
      const all = ((part.decoders ?? []) as Part[]).map((one) => createDecoder(one, where));
      return (tokens) => all.reduce<string[]>((done, decode) => decode(done), [...tokens]);
    }
    case 'ByteLevel':
      return (tokens) => [lossy.decode(Uint8Array.from(tokens.flatMap((token) => [...toBytes(token)])))];
    case 'ByteFallback':
      return byteFallback;
    case 'Fuse':
      return (tokens) => [tokens.join('')];
    case 'Strip':
      return (tokens) => tokens.map((token) => strip(token, part));
    case 'Replace': {
      const pattern = toRegExp(part.pattern as PatternConfig, where);
      return (tokens) => tokens.map((token) => replaceAll(token, pattern, String(part.content ?? '')));
    }
    case 'Metaspace':
      return metaspace(part);
    case 'BPEDecoder': {
      const suffix = String(part.suffix ?? '</w>');
      return (tokens) => tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? '' : ' '));
    }
    case 'WordPiece':
      return wordPiece(part);
    case 'CTC':
      return ctc(part);
    default:
      throw new UserError(
        `${where}: the decoder ${JSON.stringify(part.type)} is not supported, and without it texts would be others.`,
      );
  }
}

/** Bytes in a row that are no UTF-8 become one U+FFFD each. */
function byteFallback(tokens: readonly string[]): string[] {
  const texts: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length === 0) return;
    texts.push(utf8(bytes) ?? '\ufffd'.repeat(bytes.length));
    bytes = [];
  };
  for (const token of tokens) {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
    if (byte !== null) {
      bytes.push(Number.parseInt(byte[1]!, 16));
      continue;
    }
    flush();
    texts.push(token);
  }
  flush();
  return texts;
}

function utf8(bytes: readonly number[]): string | null {
  try {
    return strict.decode(Uint8Array.from(bytes));
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/** Up to `start` times `content` from the front, up to `stop` times from the end. */
function strip(token: string, part: Part): string {
  const chars = Array.from(token);
  const [content, start, stop] = [String(part.content), Number(part.start ?? 0), Number(part.stop ?? 0)];
  let from = 0;
  while (from < Math.min(start, chars.length) && chars[from] === content) from += 1;
  let to = chars.length;
  while (chars.length - to < stop && to > 0 && chars[to - 1] === content) to -= 1;
  return chars.slice(from, Math.max(from, to)).join('');
}

function metaspace(part: Part): Decode {
  const blank = String(part.replacement ?? '▁');
  const scheme = part.prepend_scheme ?? (part.add_prefix_space === false ? 'never' : 'always');
  return (tokens) =>
    tokens.map((token, i) => token.replaceAll(blank, () => (i === 0 && scheme !== 'never' ? '' : ' ')));
}

function wordPiece(part: Part): Decode {
  const prefix = String(part.prefix ?? '##');
  return (tokens) =>
    tokens.map((token, i) => {
      const joined = i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
      return (part.cleanup ?? true) ? cleanUp(joined) : joined;
    });
}

/** Blanks that a tokenizer of words put before punctuation, as the library takes them away, in its order. */
const CLEANED: readonly [string, string][] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

function cleanUp(text: string): string {
  return CLEANED.reduce((done, [from, to]) => done.replaceAll(from, to), text);
}

function ctc(part: Part): Decode {
  const pad = String(part.pad_token ?? '<pad>');
  const delimiter = String(part.word_delimiter_token ?? '|');
  return (tokens) =>
    tokens
      .filter((token, i) => token !== tokens[i - 1])
      .map((token) => {
        const bare = token.replaceAll(pad, '');
        return (part.cleanup ?? true) ? cleanUp(bare).replaceAll(delimiter, ' ') : bare;
      })
      .filter((token) => token !== '');
}
