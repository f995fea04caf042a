/** What config.json says of a sequence-classification head: its classes and its window. */
import { UserError } from '../types.ts';
import type { TokenizerConfig } from './tokenizer.ts';

type Config = Readonly<Record<string, unknown>>;

/**
 * The classes by their ids, of an architecture `...ForSequenceClassification`; null for any other (a language model's
 * config.json may hold `id2label` too). Without `id2label` they are `LABEL_0` and `LABEL_1`, which transformers leaves out.
 * Throws UserError for a head whose numbers are no classes to choose among (a regression, several labels at once), and for ids
 * or names that do not fit.
 */
export function headClasses(config: Config, where: string): readonly string[] | null {
  const { architectures, id2label = { 0: 'LABEL_0', 1: 'LABEL_1' }, problem_type } = config;
  const isHead = (name: unknown) => typeof name === 'string' && name.endsWith('ForSequenceClassification');
  if (!Array.isArray(architectures) || !architectures.some(isHead)) return null;
  const refuse = (why: string) => new UserError(`${where}: config.json: ${why}`, { key: 'model.model_id' });
  if (problem_type === 'regression' || problem_type === 'multi_label_classification')
    throw refuse(`problem_type is ${problem_type}. It has to be a head that gives one of several classes.`);
  if (typeof id2label !== 'object' || id2label === null || Array.isArray(id2label))
    throw refuse('id2label is no mapping. It has to give each id a name.');
  const names = id2label as Record<string, unknown>;
  const classes = Object.keys(names).map((_, id) => names[id]);
  const missing = classes.findIndex((name) => typeof name !== 'string');
  if (missing >= 0) throw refuse(`id2label gives ${missing} no name. It has to give each id from 0 a text.`);
  if (classes.length < 2)
    throw refuse(`id2label has ${classes.length} class. A head with one number chooses among none.`);
  const twice = classes.find((name, i) => classes.indexOf(name) !== i);
  if (twice !== undefined) throw refuse(`id2label has "${twice}" twice. Names have to differ.`);
  return classes as string[];
}

/** Models whose positions begin behind the id of the padding token, so that their table of positions is longer than the window. */
const OFFSET_POSITIONS = new Set([
  'roberta',
  'xlm-roberta',
  'xlm-roberta-xl',
  'camembert',
  'data2vec-text',
  'mpnet',
  'xmod',
]);

/** Tokens of a head's window: the tokenizer's limit, which transformers cuts at, and no more than there are positions (`whole`). */
export function headWindow(config: Config, tokenizer: TokenizerConfig, whole: number): number {
  const pad = typeof config.pad_token_id === 'number' ? config.pad_token_id : 1;
  const behind =
    OFFSET_POSITIONS.has(String(config.model_type)) && config.max_position_embeddings != null ? pad + 1 : 0;
  return Math.min(whole - behind, tokenizer.model_max_length ?? Number.POSITIVE_INFINITY);
}
