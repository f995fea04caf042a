/** Whether a parsed tokenizer.json has the shape that its parts are read by: said at once, not where the first text breaks. */
import { z } from 'zod';
import { UserError } from '../../types.ts';

const id = z.int().min(0);
const list = () => z.array(part).optional();
const pattern = z.union([z.object({ String: z.string() }), z.object({ Regex: z.string() })]);
const pieces = z.array(z.record(z.string(), z.looseObject({ id: z.string() })));
/** Any part: what is checked is what all types share, or what would break one of them. */
const part: z.ZodType = z.lazy(() =>
  z.looseObject({
    type: z.string(),
    normalizers: list(),
    pretokenizers: list(),
    processors: list(),
    decoders: list(),
    pattern: pattern.optional(),
    length: z.int().min(1).optional(),
    single: pieces.optional(),
    pair: pieces.nullish(),
    special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(id) })).optional(),
    sep: z.tuple([z.string(), id]).optional(),
    cls: z.tuple([z.string(), id]).optional(),
  }),
);
const file = z.looseObject({
  added_tokens: z.array(z.looseObject({ id, content: z.string() })).nullish(),
  normalizer: part.nullish(),
  pre_tokenizer: part.nullish(),
  post_processor: part.nullish(),
  decoder: part.nullish(),
  model: z.looseObject({
    type: z.string().nullish(),
    unk_token: z.string().nullish(),
    unk_id: id.nullish(),
    continuing_subword_prefix: z.string().nullish(),
    end_of_word_suffix: z.string().nullish(),
    max_input_chars_per_word: id.nullish(),
  }),
});
/** What a type cannot do without. */
const NEEDS: Record<string, readonly string[]> = {
  Split: ['pattern', 'behavior'],
  Replace: ['pattern'],
  FixedLength: ['length'],
  TemplateProcessing: ['single', 'special_tokens'],
  BertProcessing: ['sep', 'cls'],
  RobertaProcessing: ['sep', 'cls'],
};

/** Throws UserError, with the place of the first fault, where `json` is no tokenizer.json. */
export function checkShape(json: unknown, where: string): void {
  const { error } = file.safeParse(json);
  const issue = error?.issues[0];
  if (issue !== undefined)
    throw broken(where, issue.path.join('.') || 'the file', issue.message.replace(/^Invalid input: /, ''));
  const { model, ...parts } = json as Record<string, unknown>;
  for (const [name, value] of Object.entries(parts)) checkNeeds(value, name, where);
  checkVocabulary(model as Record<string, unknown>, where);
}

function checkNeeds(value: unknown, place: string, where: string): void {
  if (typeof value !== 'object' || value === null) return;
  const { type } = value as { type?: unknown };
  for (const key of NEEDS[String(type)] ?? [])
    if (!Object.hasOwn(value, key)) throw broken(where, `${place}.${key}`, `missing, and ${type} needs it`);
  for (const [name, inner] of Object.entries(value)) checkNeeds(inner, `${place}.${name}`, where);
}

/** By hand: vocabularies have some hundred thousand entries. The ids are looked at where they are read (`readVocabulary`). */
function checkVocabulary({ vocab, merges, type }: Record<string, unknown>, where: string): void {
  if (Array.isArray(vocab)) {
    const at = vocab.findIndex(
      (entry) => !Array.isArray(entry) || typeof entry[0] !== 'string' || !Number.isFinite(entry[1]),
    );
    if (at >= 0) throw broken(where, `model.vocab.${at}`, 'expected a token and its score');
  } else if (typeof vocab !== 'object' || vocab === null) throw broken(where, 'model.vocab', 'expected the tokens');
  if (Array.isArray(vocab) !== (type === 'Unigram') && type != null)
    throw broken(where, 'model.vocab', `${type} needs ${type === 'Unigram' ? 'a list' : 'a mapping'}`);
  if (type !== 'BPE' && merges === undefined) return;
  if (!Array.isArray(merges)) throw broken(where, 'model.merges', 'expected a list');
  const at = merges.findIndex((merge) => !isMerge(merge));
  if (at >= 0) throw broken(where, `model.merges.${at}`, 'expected two tokens');
}

/** Two texts, or both in one with a blank between them. */
function isMerge(merge: unknown): boolean {
  if (Array.isArray(merge)) return merge.length === 2 && typeof merge[0] === 'string' && typeof merge[1] === 'string';
  if (typeof merge !== 'string') return false;
  const blank = merge.indexOf(' ');
  return blank >= 0 && !merge.includes(' ', blank + 1);
}

/** The error of a tokenizer.json that has something else at `place` than `what` says. */
export function broken(where: string, place: string, what: string): UserError {
  // Tokens hold line ends, and a message is one line.
  const shown = place.replace(/[\p{Cc}\u2028\u2029]/gu, (char) => JSON.stringify(char).slice(1, -1));
  return new UserError(`${where}: ${shown}: ${what}. It is not as a tokenizer.json is written; get it again.`);
}
