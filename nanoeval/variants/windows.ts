/** The texts of `distributions` as windows of tokens, which every variant sees alike. */
import type { VariantsConfig } from '../config/variants.ts';
import { textField } from '../data/row.ts';
import { openSplit } from '../data/rows.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { rollingWindows } from '../model/prepare.ts';
import { type Tokenizer, tokenizerOf } from '../model/tokenizer.ts';
import type { Json, Log, Repo } from '../types.ts';
import { UserError } from '../types.ts';

/** Tokens that a model sees at a time. */
export interface TokenWindow {
  /** Row of the data set that the text is. */
  row: number;
  /** Place of the first target among the text's tokens, from 0. */
  start: number;
  /** What is fed: each target is what follows the token before it, the prefix token at the start of a text. */
  input: number[];
  /** The tokens that are looked up, after the last `targets.length` of `input`. */
  targets: number[];
}

/** The files of a checkpoint, looked up and fetched. */
export interface VariantFiles {
  repo: Repo;
  checkpoint: Checkpoint;
}

/** What was read, for the report. */
export interface WindowSource {
  dataset: { id: string; commit: string | null; split: string; column: string; files: Json };
  /** Texts that gave tokens. */
  texts: number;
  /** Tokens that are looked up. */
  tokens: number;
  /** Longest window, in tokens. */
  window: number;
}

/** Whatever the section of a config says of a data set is told under this section's name. */
function underOwnKey(error: unknown): unknown {
  if (!(error instanceof UserError) || error.key === undefined) return error;
  return new UserError(error.message, { key: error.key.replace(/^dataset\b/, 'distributions'), cause: error });
}

/**
 * Reads texts until their tokens are enough: the first ones of the split, cut into windows that score each token once. Throws
 * UserError: rows that are not there or no texts, no token in them, a window longer than the model's.
 */
export async function readWindows(
  settings: VariantsConfig['distributions'],
  tokenizer: Tokenizer,
  maxLength: number,
  options: { log: Log; signal: AbortSignal },
): Promise<{ windows: TokenWindow[]; texts: string[]; source: WindowSource }> {
  const { path, dataset_id, revision, subset_name, split: name, rows, column, tokens: wanted, window } = settings;
  if (window > maxLength)
    throw new UserError(`${window} is more than the ${maxLength} tokens of the model.`, {
      key: 'distributions.window',
    });
  const { prefixToken } = tokenizer;
  if (prefixToken === undefined)
    throw new UserError('the tokenizer has neither a BOS nor an EOS token to begin a text with.', {
      key: 'distributions',
    });
  const spec = { dataset_id: dataset_id ?? '', revision, subset_name: subset_name ?? null, split: name };
  const windows: TokenWindow[] = [];
  const texts: string[] = [];
  let left = wanted;
  try {
    const split = await openSplit({ ...spec, path: path ?? null, rows: rows ?? null }, options);
    for await (const indexed of split.rows([column])) {
      const text = textField('distributions', indexed, column);
      const ids = tokenizer.encode(text).slice(0, left);
      if (ids.length === 0) continue;
      let start = 0;
      for (const { input, targets } of rollingWindows(ids, prefixToken, window)) {
        windows.push({ row: indexed.index, start, input, targets });
        start += targets.length;
      }
      texts.push(text);
      left -= ids.length;
      if (left === 0) break;
    }
    if (windows.length === 0)
      throw new UserError(`${split.dataset_id} ${split.split}: no text in the column "${column}" has a token.`, {
        key: 'distributions',
      });
    const { commit, files } = split;
    const dataset = { id: split.dataset_id, commit, split: split.split, column, files: files as unknown as Json };
    return { windows, texts, source: { dataset, texts: texts.length, tokens: wanted - left, window } };
  } catch (error) {
    throw underOwnKey(error);
  }
}

/** Throws UserError (key `model.model_id`) where a variant reads the texts as other tokens than the reference does. */
export function checkTokens(reference: VariantFiles, variant: VariantFiles, texts: readonly string[]): void {
  if (variant.checkpoint.tokenizerSha256 === reference.checkpoint.tokenizerSha256) return;
  const [a, b] = [reference, variant].map((one) => openVariantTokenizer(one)) as [Tokenizer, Tokenizer];
  const same = (text: string) => String(a.encode(text)) === String(b.encode(text)) && a.prefixToken === b.prefixToken;
  if (texts.every(same)) return;
  throw new UserError(
    `${variant.repo.id} has another tokenizer than the reference ${reference.repo.id}: it sees other tokens, and distributions over them cannot be compared. Name exports of one checkpoint.`,
    { key: 'model.model_id' },
  );
}

export const openVariantTokenizer = ({ repo, checkpoint }: VariantFiles): Tokenizer =>
  tokenizerOf(checkpoint, `${repo.id}: tokenizer.json`);
