/** Pre-tokenizers of tokenizer.json, as the Rust library applies them (`tokenizers/src/pre_tokenizers`). */
import { UserError } from '../../types.ts';
import { toLetters } from './bytes.ts';
import type { Part } from './normalizer.ts';
import { type Behavior, type PatternConfig, split, toBehavior, toRegExp } from './pattern.ts';

/** A part of the text. `first`: it begins where the whole text began. */
export interface Piece {
  text: string;
  first: boolean;
}
export type PreTokenize = (pieces: readonly Piece[]) => Piece[];

// Word characters of Rust's regex crate (UTS 18 Annex C).
const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';
const WORDS = new RegExp(`[${WORD}]+|[^${WORD}\\p{White_Space}]+`, 'gu');
const BLANK = /\p{White_Space}/gu;
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/gu;
const NUMERIC = /\p{N}/gu;
const BYTE_LEVEL =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** The function of one pre-tokenizer. Throws UserError for a type that is not known. */
export function createPreTokenizer(part: Part, where: string): PreTokenize {
  switch (part.type) {
    case 'Sequence': {
      const all = ((part.pretokenizers ?? []) as Part[]).map((one) => createPreTokenizer(one, where));
      return (pieces) => all.reduce<Piece[]>((done, cut) => cut(done), [...pieces]);
    }
    case 'ByteLevel':
      return byteLevel(part);
    case 'Split':
      return cutting(
        toRegExp(part.pattern as PatternConfig, where),
        toBehavior(part.behavior, where),
        part.invert === true,
      );
    case 'Digits':
      return cutting(NUMERIC, part.individual_digits ? 'Isolated' : 'Contiguous');
    case 'Punctuation':
      return cutting(PUNCTUATION, part.behavior === undefined ? 'Isolated' : toBehavior(part.behavior, where));
    case 'Whitespace':
      return cutting(WORDS, 'Removed', true);
    case 'WhitespaceSplit':
      return cutting(BLANK, 'Removed');
    case 'BertPreTokenizer': {
      const [words, marks] = [cutting(BLANK, 'Removed'), cutting(PUNCTUATION, 'Isolated')];
      return (pieces) => marks(words(pieces));
    }
    case 'CharDelimiterSplit':
      return cutting(toRegExp({ String: String(part.delimiter) }, where), 'Removed');
    case 'Metaspace':
      return metaspace(part, where);
    case 'FixedLength':
      return fixedLength(Number(part.length));
    default:
      throw new UserError(
        `${where}: the pre-tokenizer ${JSON.stringify(part.type)} is not supported, and without it the tokens would be others.`,
      );
  }
}

/** Each piece cut by `cut`; the first part of a first piece stays first where it begins with that piece's first character. */
function each(pieces: readonly Piece[], cut: (piece: Piece) => string[]): Piece[] {
  const all: Piece[] = [];
  for (const piece of pieces) {
    cut(piece).forEach((text, i) => {
      all.push({ text, first: piece.first && i === 0 && piece.text.startsWith(text) });
    });
  }
  return all;
}

function cutting(pattern: RegExp, behavior: Behavior, invert = false): PreTokenize {
  return (pieces) => each(pieces, ({ text }) => split(text, pattern, behavior, invert));
}

function byteLevel({ add_prefix_space, use_regex }: Part): PreTokenize {
  return (pieces) =>
    pieces.flatMap(({ text, first }) => {
      const begun = (add_prefix_space ?? true) && !text.startsWith(' ') ? ` ${text}` : text;
      const parts = (use_regex ?? true) ? split(begun, BYTE_LEVEL, 'Isolated') : [begun];
      return parts.map((one, i) => ({ text: toLetters(one), first: first && i === 0 }));
    });
}

/** `tokenizers/src/pre_tokenizers/metaspace.rs`. */
function metaspace(part: Part, where: string): PreTokenize {
  const blank = String(part.replacement ?? '▁');
  const scheme = part.prepend_scheme ?? (part.add_prefix_space === false ? 'never' : 'always');
  const pattern = toRegExp({ String: blank }, where);
  return (pieces) =>
    pieces.flatMap(({ text, first }) => {
      const written = text.replaceAll(' ', blank);
      const prepends = !written.startsWith(blank) && (scheme === 'always' || (scheme === 'first' && first));
      const whole = prepends ? blank + written : written;
      const parts = (part.split ?? true) ? split(whole, pattern, 'MergedWithNext') : [whole];
      return parts.map((one, i) => ({ text: one, first: first && i === 0 }));
    });
}

/** Pieces of `length` characters (code points). */
function fixedLength(length: number): PreTokenize {
  return (pieces) =>
    each(pieces, ({ text }) => {
      const chars = Array.from(text);
      return Array.from({ length: Math.ceil(chars.length / length) }, (_, i) =>
        chars.slice(i * length, (i + 1) * length).join(''),
      );
    });
}
