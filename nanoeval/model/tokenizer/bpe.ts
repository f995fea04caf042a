/** Byte-pair encoding as the Rust library does it (`tokenizers/src/models/bpe/model.rs`). */
import { UserError } from '../../types.ts';
import { byteToken, byteTokens } from './bytes.ts';
import { Merges, mergeAll } from './merges.ts';
import type { Part } from './normalizer.ts';
import { broken } from './shape.ts';

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
  const { vocab, tokens } = readVocabulary(config, where);
  const prefix = text(config.continuing_subword_prefix);
  const suffix = text(config.end_of_word_suffix);
  const merges = readMerges(config, tokens, prefix.length, where);
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
  const cuts = cutter(cuttable && vocab.has('▁') ? joinedBy(config.merges as Merge[]) : null);

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

/**
 * Tokens by id and ids by token of a model's `vocab`. Throws UserError for an id that is none: looked at here, for going through
 * a large vocabulary twice takes a tenth of a second.
 */
export function readVocabulary(
  { vocab: entries }: Part,
  where: string,
): { vocab: Map<string, number>; tokens: string[] } {
  const vocab = new Map<string, number>();
  const names = Object.keys(entries as object);
  // At its full length from the start: numbers among the tokens come first, whatever their ids, and a list that is written
  // far behind its end becomes a table of places.
  const tokens = new Array<string>(names.length);
  for (const token of names) {
    const id = (entries as Record<string, unknown>)[token];
    if (!Number.isInteger(id) || (id as number) < 0)
      throw broken(where, `model.vocab.${token}`, 'expected an id, a whole number from 0');
    vocab.set(token, id as number);
    tokens[id as number] = token;
  }
  return { vocab, tokens };
}

/** Two tokens, or both with a blank between them. */
type Merge = string | readonly [string, string];

function sidesOf(entry: Merge): readonly [string, string] {
  if (typeof entry !== 'string') return entry;
  const blank = entry.indexOf(' ');
  return [entry.slice(0, blank), entry.slice(blank + 1)];
}

function readMerges(config: Part, tokens: readonly string[], prefixLength: number, where: string): Merges {
  const list = config.merges as Merge[];
  // Asked of the parsed object itself, which knows most of these texts by where they lie, a Map by comparing them.
  const entries = config.vocab as Record<string, unknown>;
  const idOf = (token: string): number => {
    const id = entries[token];
    return typeof id === 'number' ? id : -1;
  };
  const merges = new Merges(list.length);
  // Merges mostly stand in the order of what they make: looked at first, that spares joining two texts.
  let next = 0;
  for (let rank = 0; rank < list.length; rank += 1) {
    const [left, right] = sidesOf(list[rank]!);
    const added = prefixLength === 0 ? right : right.slice(prefixLength);
    let made = next;
    if (isJoined(tokens[next - 1], left, added)) made = next - 1;
    else if (!isJoined(tokens[next], left, added)) made = idOf(left + added);
    const [a, b] = [idOf(left), idOf(right)];
    if (a < 0 || b < 0 || made < 0) {
      throw new UserError(
        `${where}: merge ${rank + 1} (${JSON.stringify([left, right])}) has tokens that are not in the vocabulary.`,
      );
    }
    merges.set(a, b, rank, made);
    next = made + 1;
  }
  return merges;
}

function isJoined(token: string | undefined, left: string, right: string): boolean {
  return token?.length === left.length + right.length && token.startsWith(left) && token.endsWith(right);
}

/** What stands before `▁` inside of some token that merging makes. */
function joinedBy(list: readonly Merge[]): ReadonlySet<string> {
  const joined = new Set<string>(['▁']);
  for (const entry of list) {
    const product = sidesOf(entry).join('');
    for (let at = product.indexOf('▁', 1); at > 0; at = product.indexOf('▁', at + 1)) joined.add(product[at - 1]!);
  }
  return joined;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
