/** Text <-> token ids, with special tokens where the reference puts them, and lm-eval's split of context and continuation. */
import type { Tokenization } from '../questions.ts';
import { rstrip } from '../text/python_text.ts';
import { RowError } from '../types.ts';
import { openPipeline } from './tokenizer/pipeline.ts';
import type { Frame, Framed } from './tokenizer/post_processor.ts';
import { cutTo, keptLengths } from './tokenizer/truncate.ts';

/** tokenizer_config.json, as far as it is read here. Token values are texts or objects with `content`. */
export interface TokenizerConfig {
  tokenizer_class?: string;
  model_max_length?: number;
  chat_template?: string | { name: string; template: string }[];
  [key: string]: unknown;
}

const SPECIAL = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const;
export type SpecialTokens = Partial<Record<(typeof SPECIAL)[number], string>>;

export interface EncodedPair {
  context: number[];
  continuation: number[];
}

export interface Tokenizer {
  special: SpecialTokens;
  /** Token that stands before an empty context and before rolling texts: BOS, else EOS (lm-eval's prefix token). */
  prefixToken: number | undefined;
  bosToken: number | undefined;
  eosToken: number | undefined;
  /** A prompt's ids, with the special tokens of the tokenizer's own default unless the text already begins with BOS. */
  encode(text: string): number[];
  /** The ids of a text alone: no special token added. */
  encodePlain(text: string): number[];
  /**
   * A text, or a pair of them, as the tokenizer's own call gives it with `truncation=True`: special tokens around, cut to
   * `most` tokens. `length`: tokens before that. An empty second text is none, as in transformers.
   */
  encodeWhole(text: string, pair: string | undefined, most: number): Framed & { length: number };
  /** Special tokens skipped unless they are to be kept, blanks left as they are. */
  decode(ids: readonly number[], keepSpecial?: boolean): string;
  /** The text of each of these tokens, as `Model.tokenTexts` has them. */
  texts(ids: readonly number[]): string[];
  /** `siblings`: all continuations of the example, for `diverging`. */
  encodePair(
    context: string,
    continuation: string,
    tokenization?: Tokenization,
    siblings?: readonly string[],
  ): EncodedPair;
}

/**
 * A tokenizer from the parsed `tokenizer.json` and `tokenizer_config.json` (may be empty); `where` begins messages about
 * the former. Throws UserError for a tokenizer.json with a part that is not supported.
 *
 * BOS: the post-processor of tokenizer.json decides. `add_bos_token` of tokenizer_config.json is not looked at: since
 * version 5 transformers drops it when a tokenizer.json is there (`tokenization_utils_base.py`, read in 5.23.0).
 */
export function openTokenizer(
  tokenizerJson: object,
  config: TokenizerConfig,
  others: SpecialTokens = {},
  where = 'tokenizer.json',
): Tokenizer {
  const inner = openPipeline(tokenizerJson, where);
  const special: SpecialTokens = { ...others };
  for (const name of SPECIAL) {
    const text = tokenText(config[name]);
    if (text !== undefined) special[name] = text;
  }
  const id = (text: string | undefined) => (text === undefined ? undefined : inner.idOf(text));
  const bosToken = id(special.bos_token);
  const eosToken = id(special.eos_token);

  const encodePlain = cutsAtWords(tokenizerJson) ? blockwise(inner.encode) : inner.encode;
  // A text that begins with BOS (a rendered chat template) brings its own and gets no second one.
  const encode = (text: string): number[] =>
    special.bos_token !== undefined && text.startsWith(special.bos_token)
      ? encodePlain(text)
      : inner.frame(encodePlain(text)).ids;
  const prefixToken = bosToken ?? eosToken;

  return {
    special,
    prefixToken,
    bosToken,
    eosToken,
    encode,
    encodePlain,
    encodeWhole: wholeBy(encodePlain, inner.frame, config.truncation_side === 'left' ? 'left' : 'right'),
    decode: (ids, keepSpecial = false) => inner.decode(ids, keepSpecial),
    texts: (ids) => textsBehind(encodePlain('a'), ids, (all) => inner.decode(all, true)),
    encodePair(context, continuation, tokenization = 'joint', siblings = []) {
      if (tokenization === 'diverging') return encodeFromDifference(context, continuation, siblings);
      return tokenization === 'separate'
        ? encodeSeparately(context, continuation)
        : encodeTogether(context, continuation);
    },
  };

  function encodeTogether(context: string, continuation: string): EncodedPair {
    if (context === '') return encodeAfterPrefix(continuation);
    const kept = rstrip(context);
    const moved = context.slice(kept.length) + continuation;
    const whole = encode(kept + moved);
    const head = encode(kept);
    return checked({ context: head, continuation: whole.slice(head.length) }, continuation);
  }

  function encodeSeparately(context: string, continuation: string): EncodedPair {
    if (context === '') return encodeAfterPrefix(continuation);
    return checked({ context: encode(context), continuation: encodePlain(continuation) }, continuation);
  }

  function encodeFromDifference(context: string, continuation: string, siblings: readonly string[]): EncodedPair {
    const ids = encode(context + continuation);
    const others = siblings.map((sibling) => encode(context + sibling));
    let shared = 0;
    while (shared < ids.length && others.every((other) => other[shared] === ids[shared])) shared += 1;
    return checked({ context: ids.slice(0, shared), continuation: ids.slice(shared) }, continuation);
  }

  function encodeAfterPrefix(continuation: string): EncodedPair {
    if (prefixToken === undefined) {
      throw new RowError('tokens', 'the context is empty and the tokenizer has neither a BOS nor an EOS token.');
    }
    const ids = encodePlain(continuation);
    return checked({ context: [prefixToken], continuation: ids[0] === prefixToken ? ids.slice(1) : ids }, continuation);
  }
}

/** Texts of tokens behind `head`: decoders take a blank off the first token of a text, and only there. */
function textsBehind(
  head: readonly number[],
  ids: readonly number[],
  decode: (ids: readonly number[]) => string,
): string[] {
  const { length } = decode(head);
  return ids.map((id) => decode([...head, id]).slice(length));
}

/** `encodeWhole` over a tokenizer's parts. */
const wholeBy =
  (encode: (text: string) => number[], frame: Frame, side: 'left' | 'right'): Tokenizer['encodeWhole'] =>
  (text, pair, most) => {
    const given = [text, ...(pair ? [pair] : [])].map(encode);
    const framed = ([first = [], second]: readonly (readonly number[])[]) => frame(first, second);
    const added = framed(given.map(() => [])).ids.length;
    if (added > most) throw new RowError('length', `${added} special tokens in a window of ${most}.`);
    const lengths = given.map((ids) => ids.length);
    const kept = keptLengths(lengths, most - added);
    const cut = framed(given.map((ids, i) => cutTo(ids, kept[i]!, side)));
    return { ...cut, length: lengths.reduce((sum, one) => sum + one, added) };
  };

/** The tokenizer of a checkpoint whose files were read; `where` begins messages about tokenizer.json. Throws as `openTokenizer`. */
export function tokenizerOf(
  files: { tokenizerJson: object; tokenizerConfig: TokenizerConfig; specialTokens: Record<string, unknown> },
  where: string,
): Tokenizer {
  return openTokenizer(files.tokenizerJson, files.tokenizerConfig, specialTexts(files.specialTokens), where);
}

/** special_tokens_map.json: texts, or objects with `content`. */
function specialTexts(map: Record<string, unknown>): SpecialTokens {
  const texts = Object.entries(map).map(([name, value]) => [name, tokenText(value)]);
  return Object.fromEntries(texts.filter(([, text]) => text !== undefined)) as SpecialTokens;
}

/**
 * Says where transformers 5 reads the same files otherwise, so that numbers published with it may be of other tokens; null
 * where it does not. Its classes build parts of their own (`models/gpt2/tokenization_gpt2.py`,
 * `models/llama/tokenization_llama.py`, 5.24.0) unless the model type is among those that it sends to the file.
 */
export function otherReading(tokenizerJson: object, config: TokenizerConfig, modelType: unknown): string | null {
  const { normalizer, pre_tokenizer } = tokenizerJson as Record<string, { type?: string } | null | undefined>;
  const name = String(config.tokenizer_class).replace(/Fast$/, '');
  if (modelType !== 'llama' && modelType !== 'gpt2') return null;
  const dropped =
    name === 'GPT2Tokenizer' && pre_tokenizer != null && pre_tokenizer.type !== 'ByteLevel'
      ? 'pre-tokenizer'
      : name === 'LlamaTokenizer' && normalizer != null
        ? 'normalizer'
        : null;
  if (dropped === null) return null;
  return (
    `tokenizer.json is read as it stands; transformers 5 drops its ${dropped} for tokenizer_class ${config.tokenizer_class}, ` +
    'so numbers published with it may be of other tokens'
  );
}

/**
 * Whether the tokenizer cuts a text between a letter or digit and a blank before a letter, whatever stands around: then the
 * parts can be tokenised one by one. True of byte-level BPE with a pre-tokenizer of regular expressions about letters; not
 * of SentencePiece's, which sees the whole text as one word, nor where an added token reaches over such a place.
 */
function cutsAtWords(tokenizerJson: object): boolean {
  const { model, normalizer, pre_tokenizer, added_tokens } = tokenizerJson as {
    model?: { type?: string; dropout?: number | null };
    normalizer?: { type?: string } | null;
    pre_tokenizer?: { type?: string; use_regex?: boolean; pretokenizers?: object[] } | null;
    added_tokens?: { content: string; rstrip?: boolean }[];
  };
  if (pre_tokenizer == null || (model?.type ?? 'BPE') !== 'BPE' || model?.dropout) return false;
  if (normalizer != null && normalizer.type !== 'NFC') return false;
  const reaches = ({ content, rstrip }: { content: string; rstrip?: boolean }) =>
    /[\p{L}\p{N}] \p{L}/u.test(content) || (rstrip && /[\p{L}\p{N}]$/u.test(content));
  if (added_tokens?.some(reaches)) return false;
  const parts = pre_tokenizer.pretokenizers ?? [pre_tokenizer];
  const known = new Set(['ByteLevel', 'Split', 'Digits', 'Punctuation']);
  const types = parts as { type?: string; use_regex?: boolean; pattern?: { Regex?: string } }[];
  return (
    types.every(({ type }) => known.has(type ?? '')) &&
    types.some(({ type, use_regex, pattern }) =>
      type === 'Split' ? pattern?.Regex?.includes('\\p{L') : type === 'ByteLevel' && use_regex !== false,
    )
  );
}

/** Characters after which a block ends at the next place that allows it. */
const BLOCK = 160;
/** Blocks remembered: some hundred kB of text, a few subjects' few-shot headers. */
const REMEMBERED = 4096;
/** Texts that are tokenised both ways before the short way is trusted. */
const TRIED = 8;

/**
 * Tokenises in blocks and remembers them. Where a block ends follows from the text before it alone, so texts that share a
 * beginning share its blocks: a few-shot header is tokenised once and not for each choice of each row. The first texts are
 * tokenised whole as well; if the two ever differ, it is whole from then on.
 */
function blockwise(encode: (text: string) => number[]): (text: string) => number[] {
  const known = new Map<string, number[]>();
  const boundary = /[\p{L}\p{N}](?= \p{L})/gu;
  let tried = 0;
  let trusted = true;
  return (text) => {
    if (!trusted || text.length <= BLOCK) return encode(text);
    const ids: number[] = [];
    for (let start = 0; start < text.length; ) {
      boundary.lastIndex = start + BLOCK;
      const found = start + BLOCK < text.length ? boundary.exec(text) : null;
      const end = found === null ? text.length : found.index + found[0].length;
      const block = text.slice(start, end);
      let tokens = known.get(block);
      if (tokens === undefined) {
        tokens = encode(block);
        // The last block is a row's own; it would only push the shared ones out.
        if (end < text.length) {
          if (known.size >= REMEMBERED) known.clear();
          known.set(block, tokens);
        }
      }
      for (const token of tokens) ids.push(token);
      start = end;
    }
    if (tried < TRIED) {
      tried += 1;
      const whole = encode(text);
      trusted = whole.length === ids.length && whole.every((token, i) => token === ids[i]);
      if (!trusted) return whole;
    }
    return ids;
  };
}

/** lm-eval's backends stop here with an assertion: nothing to condition on, or nothing to score. */
function checked(pair: EncodedPair, continuation: string): EncodedPair {
  if (pair.context.length === 0) throw new RowError('tokens', 'the context has no tokens.');
  if (pair.continuation.length === 0) {
    throw new RowError('tokens', `the continuation ${JSON.stringify(continuation)} has no tokens of its own.`);
  }
  return pair;
}

function tokenText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null && 'content' in value && typeof value.content === 'string') {
    return value.content;
  }
  return undefined;
}
