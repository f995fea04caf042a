/** Byte-pair encoding as the Rust library does it (`tokenizers/src/models/bpe/model.rs`). */
import { UserError } from '../../types.ts';
import { byteToken, byteTokens } from './bytes.ts';
import { Merges, mergeAll } from './merges.ts';
import type { Part } from './normalizer.ts';

/** Ids of one piece of text behind the pre-tokenizer. */
export interface Model {
  encode(piece: string): readonly number[];
  idOf(token: string): number | undefined;
  tokenOf(id: number): string | undefined;
  /** Number of tokens. */
  size: number;
}

/** Words remembered, and the longest of them. Most of a benchmark's words come again. */
const REMEMBERED = 50_000;
const LONGEST = 64;

/** `encode`, with the ids of short words remembered. */
export function remembering(encode: (word: string) => readonly number[]): (word: string) => readonly number[] {
  const known = new Map<string, readonly number[]>();
  return (word) => {
    const found = known.get(word);
    if (found !== undefined) return found;
    const ids = encode(word);
    if (word.length <= LONGEST) {
      if (known.size >= REMEMBERED) known.clear();
      known.set(word, ids);
    }
    return ids;
  };
}

const ALL_BYTES = Array.from({ length: 256 }, (_, byte) => byteToken(byte));

/** The model of tokenizer.json's `model`. Throws UserError where its merges name tokens that it has not. */
export function openBpe(config: Part, where: string): Model {
  const { vocab, tokens } = readVocabulary(config.vocab as Record<string, number>);
  const prefix = text(config.continuing_subword_prefix);
  const suffix = text(config.end_of_word_suffix);
  const { merges, joined } = readMerges(config.merges as unknown[], vocab, prefix.length, where);
  const unknown = typeof config.unk_token === 'string' ? vocab.get(config.unk_token) : undefined;
  if (typeof config.unk_token === 'string' && unknown === undefined) {
    throw new UserError(`${where}: the unknown token ${JSON.stringify(config.unk_token)} is not in the vocabulary.`);
  }
  if (typeof config.dropout === 'number' && config.dropout > 0) {
    throw new UserError(
      `${where}: dropout is ${config.dropout}, which draws other tokens at each call. It has to be 0 or null.`,
    );
  }
  // A character that becomes nothing would let its neighbours merge across it.
  const allBytes = Boolean(config.byte_fallback) && ALL_BYTES.every((token) => vocab.has(token));
  const cuttable = prefix === '' && suffix === '' && !config.ignore_merges && (unknown !== undefined || allBytes);
  const cuts = cutter(cuttable && vocab.has('▁') ? joined : null);

  /** Ids of the characters, before merging. */
  function symbols(word: string): number[] {
    const ids: number[] = [];
    const chars = Array.from(word);
    let pending = false;
    const flush = () => {
      if (pending) ids.push(unknown!);
      pending = false;
    };
    chars.forEach((char, i) => {
      const symbol = (i > 0 ? prefix : '') + char + (i === chars.length - 1 ? suffix : '');
      const id = vocab.get(symbol);
      if (id !== undefined) {
        flush();
        ids.push(id);
        return;
      }
      const bytes = config.byte_fallback ? byteTokens(symbol).map((byte) => vocab.get(byte)) : [undefined];
      // An unknown character that waits stays behind these bytes: so the library does it.
      if (bytes.every((byte) => byte !== undefined)) ids.push(...bytes);
      else if (unknown !== undefined) {
        if (!config.fuse_unk) flush();
        pending = true;
      }
    });
    flush();
    return ids;
  }

  const encodeWord = remembering((word) => {
    const entry = config.ignore_merges ? vocab.get(word) : undefined;
    return entry === undefined ? mergeAll(symbols(word), merges) : [entry];
  });

  return {
    encode: (piece) => {
      const words = cuts(piece);
      if (words === null) return encodeWord(piece);
      const ids: number[] = [];
      for (const word of words) for (const id of encodeWord(word)) ids.push(id);
      return ids;
    },
    idOf: (token) => vocab.get(token),
    tokenOf: (id) => tokens[id],
    size: vocab.size,
  };
}

/**
 * Cuts a long piece before `▁` where no merge ever reaches over, so that words can be merged and remembered one by one:
 * SentencePiece's vocabularies see a whole text as one word. `joined`: what stands before `▁` inside of some token that
 * merging makes; null: never cut. Everywhere else the ids are those of the whole piece.
 */
function cutter(joined: ReadonlySet<string> | null): (piece: string) => string[] | null {
  if (joined === null) return () => null;
  return (piece) => {
    const words: string[] = [];
    let start = 0;
    for (let at = piece.indexOf('▁', 1); at > 0; at = piece.indexOf('▁', at + 1)) {
      if (joined.has(piece[at - 1]!)) continue;
      words.push(piece.slice(start, at));
      start = at;
    }
    words.push(piece.slice(start));
    return words;
  };
}

/** Tokens by id and ids by token. */
export function readVocabulary(entries: Record<string, number>): { vocab: Map<string, number>; tokens: string[] } {
  const vocab = new Map<string, number>();
  const tokens: string[] = [];
  for (const token of Object.keys(entries)) {
    vocab.set(token, entries[token]!);
    tokens[entries[token]!] = token;
  }
  return { vocab, tokens };
}

function readMerges(list: unknown[], vocab: ReadonlyMap<string, number>, prefixLength: number, where: string) {
  const merges = new Merges(list.length);
  const joined = new Set<string>(['▁']);
  list.forEach((entry, rank) => {
    const [left, right] = (Array.isArray(entry) ? entry : String(entry).split(' ')) as [string, string];
    const product = left + (prefixLength === 0 ? right : String(right).slice(prefixLength));
    const [a, b, id] = [vocab.get(left), vocab.get(right), vocab.get(product)];
    if (a === undefined || b === undefined || id === undefined) {
      throw new UserError(
        `${where}: merge ${rank + 1} (${JSON.stringify([left, right])}) has tokens that are not in the vocabulary.`,
      );
    }
    merges.set(a, b, rank, id);
    for (let at = product.indexOf('▁', 1); at > 0; at = product.indexOf('▁', at + 1)) joined.add(product[at - 1]!);
  });
  return { merges, joined };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
