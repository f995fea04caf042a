/**
 * What a tokenizer.json says, done as PyPI `tokenizers` does it. Our own: `@huggingface/tokenizers` gives other ids than
 * the Rust library for several parts without an error. Of it the translation of regular expressions is used.
 */
import { UserError } from '../../types.ts';
import { type AddedToken, openAddedTokens } from './added_tokens.ts';
import { type Model, openBpe } from './bpe.ts';
import { createDecoder } from './decoder.ts';
import { createNormalizer, type Part } from './normalizer.ts';
import { bare, createFrame, type Frame } from './post_processor.ts';
import { createPreTokenizer } from './pre_tokenizer.ts';
import { checkShape } from './shape.ts';
import { openUnigram } from './unigram.ts';
import { openWordLevel, openWordPiece } from './words.ts';

export interface Pipeline {
  /** Ids of a text, without special tokens around it. */
  encode(text: string): number[];
  /** Puts around the ids of one text, or of two, what the post-processor puts there. */
  frame: Frame;
  /** Text of ids; ids that no token has are passed over. */
  decode(ids: readonly number[], keepSpecial: boolean): string;
  idOf(token: string): number | undefined;
}

/** `where` begins every message. Throws UserError for a part that is not supported, and names it. */
export function openPipeline(json: object, where: string): Pipeline {
  checkShape(json, where);
  const {
    normalizer,
    pre_tokenizer,
    model: modelPart,
    post_processor,
    decoder,
    added_tokens,
  } = json as Record<string, Part | null | undefined>;
  const normalize = normalizer == null ? (text: string) => text : createNormalizer(normalizer, where);
  const preTokenize = pre_tokenizer == null ? null : createPreTokenizer(pre_tokenizer, where);
  const model = openModel(modelPart!, where);
  const added = openAddedTokens((added_tokens ?? []) as unknown as AddedToken[], model, normalize);
  const frame: Frame = post_processor == null ? bare : createFrame(post_processor, where);
  const decodeTokens = decoder == null ? null : createDecoder(decoder, where);

  function encodePart(text: string, first: boolean, ids: number[]): void {
    const pieces = preTokenize === null ? [{ text, first }] : preTokenize([{ text, first }]);
    for (const piece of pieces) for (const id of model.encode(piece.text)) ids.push(id);
  }

  return {
    encode(text) {
      const ids: number[] = [];
      for (const section of added.inText(text)) {
        if (section.id !== undefined) {
          ids.push(section.id);
          continue;
        }
        for (const part of added.inNormalized(normalize(section.text))) {
          if (part.id !== undefined) ids.push(part.id);
          else encodePart(part.text, section.start === 0 && part.start === 0, ids);
        }
      }
      return ids;
    },
    frame,
    decode(ids, keepSpecial) {
      const tokens = ids
        .map((id) => added.tokenOf(id) ?? model.tokenOf(id))
        .filter((token) => token !== undefined)
        .filter((token) => keepSpecial || !added.isSpecial(token));
      return decodeTokens === null ? tokens.join(' ') : decodeTokens(tokens).join('');
    },
    idOf: (token) => added.idOf(token) ?? model.idOf(token),
  };
}

function openModel(part: Part, where: string): Model {
  switch (part.type ?? guessed(part)) {
    case 'BPE':
      return openBpe(part, where);
    case 'Unigram':
      return openUnigram(part, where);
    case 'WordPiece':
      return openWordPiece(part, where);
    case 'WordLevel':
      return openWordLevel(part, where);
    default:
      throw new UserError(
        `${where}: the model ${JSON.stringify(part.type)} is not supported. Known: BPE, Unigram, WordPiece, WordLevel.`,
      );
  }
}

/** Files of early versions do not name the type. */
function guessed(part: Part): string {
  if (Array.isArray(part.vocab)) return 'Unigram';
  if (part.merges !== undefined) return 'BPE';
  return part.continuing_subword_prefix !== undefined ? 'WordPiece' : 'WordLevel';
}
