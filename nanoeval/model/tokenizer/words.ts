/** WordPiece and WordLevel as the Rust library does them (`tokenizers/src/models/{wordpiece,wordlevel}`). */
import { UserError } from '../../types.ts';
import { type Model, readVocabulary, remembering } from './bpe.ts';
import type { Part } from './normalizer.ts';

/** Longest match first from the left; a word of which some part is in no token is unknown as a whole. Throws UserError. */
export function openWordPiece(config: Part, where: string): Model {
  const { vocab, tokens } = readVocabulary(config, where);
  const unknown = unknownId(config, vocab, where);
  const prefix = String(config.continuing_subword_prefix ?? '##');
  const most = Number(config.max_input_chars_per_word ?? 100);
  return {
    encode: remembering((word) => {
      const chars = Array.from(word);
      if (chars.length > most) return [unknown];
      const ids: number[] = [];
      for (let start = 0; start < chars.length; ) {
        let end = chars.length;
        let id: number | undefined;
        for (; end > start; end -= 1) {
          id = vocab.get((start > 0 ? prefix : '') + chars.slice(start, end).join(''));
          if (id !== undefined) break;
        }
        if (id === undefined) return [unknown];
        ids.push(id);
        start = end;
      }
      return ids;
    }),
    idOf: (token) => vocab.get(token),
    tokenOf: (id) => tokens[id],
    size: vocab.size,
  };
}

/** A word is a token or unknown. Throws UserError. */
export function openWordLevel(config: Part, where: string): Model {
  const { vocab, tokens } = readVocabulary(config, where);
  const unknown = unknownId(config, vocab, where);
  return {
    encode: (word) => [vocab.get(word) ?? unknown],
    idOf: (token) => vocab.get(token),
    tokenOf: (id) => tokens[id],
    size: vocab.size,
  };
}

function unknownId(config: Part, vocab: ReadonlyMap<string, number>, where: string): number {
  const id = vocab.get(String(config.unk_token));
  if (id === undefined) {
    throw new UserError(`${where}: the unknown token ${JSON.stringify(config.unk_token)} is not in the vocabulary.`);
  }
  return id;
}
