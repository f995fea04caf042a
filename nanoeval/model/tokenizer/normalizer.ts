/** Normalisers of tokenizer.json, as the Rust library applies them (`tokenizers/src/normalizers`). */
import { UserError } from '../../types.ts';
import { toLetters } from './bytes.ts';
import { openCharsmap } from './charsmap.ts';
import { type PatternConfig, replaceAll, toRegExp } from './pattern.ts';

export type Part = { type?: string; [key: string]: unknown };
export type Normalize = (text: string) => string;

/** Rust's `char::is_whitespace`. JavaScript's `\s` has U+FEFF and lacks U+0085. */
const WHITE_SPACE = '\\p{White_Space}';
const LEFT = new RegExp(`^${WHITE_SPACE}+`, 'u');
const BLANK = new RegExp(WHITE_SPACE, 'u');

/** The function of one normaliser. Throws UserError for a type that is not known. */
export function createNormalizer(part: Part, where: string): Normalize {
  switch (part.type) {
    case 'Sequence': {
      const all = ((part.normalizers ?? []) as Part[]).map((one) => createNormalizer(one, where));
      return (text) => all.reduce((done, normalize) => normalize(done), text);
    }
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD': {
      const form = part.type;
      return (text) => text.normalize(form);
    }
    case 'Lowercase':
      return lowercase;
    case 'Strip':
      return (text) => {
        const cut = part.strip_left ? text.replace(LEFT, '') : text;
        return part.strip_right ? stripEnd(cut) : cut;
      };
    case 'StripAccents':
      return (text) => text.replace(/\p{M}/gu, '');
    case 'Replace': {
      const pattern = toRegExp(part.pattern as PatternConfig, where);
      const content = String(part.content ?? '');
      return (text) => replaceAll(text, pattern, content);
    }
    case 'Prepend':
      return (text) => (text === '' ? '' : String(part.prepend ?? '') + text);
    case 'BertNormalizer':
      return bertNormalizer(part);
    case 'Nmt':
      return nmt;
    case 'ByteLevel':
      return toLetters;
    case 'Precompiled':
      return openCharsmap(part.precompiled_charsmap, where);
    default:
      throw new UserError(
        `${where}: the normalizer ${JSON.stringify(part.type)} is not supported, and without it the tokens would be others.`,
      );
  }
}

/** Character by character: Rust's rule knows no final sigma. */
function lowercase(text: string): string {
  if (!text.includes('Σ')) return text.toLowerCase();
  return Array.from(text, (char) => char.toLowerCase()).join('');
}

/** Walks from the end: a regular expression anchored there is quadratic on long runs of blanks. */
function stripEnd(text: string): string {
  let end = text.length;
  while (end > 0 && BLANK.test(text[end - 1]!)) end -= 1;
  return text.slice(0, end);
}

const CONTROL = /[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu;
const CJK =
  /[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;

/** `tokenizers/src/normalizers/bert.rs`: control characters, CJK characters, accents, case, in this order. */
function bertNormalizer(part: Part): Normalize {
  const stripAccents = part.strip_accents ?? part.lowercase ?? true;
  return (text) => {
    let done = text;
    if (part.clean_text ?? true) done = done.replace(CONTROL, '').replace(/\p{White_Space}/gu, ' ');
    if (part.handle_chinese_chars ?? true) done = done.replace(CJK, ' $& ');
    if (stripAccents) done = done.normalize('NFD').replace(/\p{Mn}/gu, '');
    return (part.lowercase ?? true) ? lowercase(done) : done;
  };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that the normaliser removes.
const NMT_REMOVED = /[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/gu;
const NMT_BLANKS = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/gu;

function nmt(text: string): string {
  return text.replace(NMT_REMOVED, '').replace(NMT_BLANKS, ' ');
}
