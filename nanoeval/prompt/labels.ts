/** The labels of a classification as a config says them, and the words that stand for each. */
import { UserError } from '../types.ts';
import { slotsOf } from './template.ts';

/** `labels[i]` is what rows call a class, `words[i]` what is scored for it, or the class of a head. */
export interface Labels {
  labels: readonly string[];
  words: readonly string[];
}

/** What `dataset` and `scoring` of the task say. */
interface Dataset {
  columns?: { text?: string; text_pair?: string; label?: string; labels?: string };
  labels?: Given;
  template: string;
  delimiter?: string;
}

type Given = readonly (string | number)[] | Readonly<Record<string, string | number>>;

const refuse = (why: string, key = 'dataset.labels') => new UserError(why, { key });

/** Why a list will not do as labels; null where it does. */
export function labelFault(labels: readonly string[]): string | null {
  if (labels.length < 2) return `has ${labels.length}. It has to be two labels at least.`;
  if (labels.includes('')) return 'has an empty one. Each has to have a character at least.';
  const twice = labels.find((label, i) => labels.indexOf(label) !== i);
  return twice === undefined ? null : `has "${twice}" twice. Labels have to differ.`;
}

/** The labels of a list, which are their own words, or of a mapping to words. Throws UserError for fewer than two and for equal ones. */
export function labelsOf(given: Given): Labels {
  const pairs = Array.isArray(given) ? given.map((one) => [one, one]) : Object.entries(given);
  const [labels, words] = [pairs.map(([label]) => String(label)), pairs.map(([, one]) => String(one))];
  const fault = labelFault(labels) ?? labelFault(words);
  if (fault !== null) throw refuse(`it ${fault}`);
  return { labels, words };
}

/**
 * The classes of a head by their ids (`classes`), under the names that rows have for them where `given` maps names to classes.
 * Throws UserError for a list, which could only repeat the classes, and for a class that the head does not have.
 */
export function headLabels(given: Given | undefined, classes: readonly string[]): Labels {
  if (given === undefined) return { labels: classes, words: classes };
  if (Array.isArray(given))
    throw refuse('a list, but the head has classes of its own. Leave it out, or map names to classes.');
  const { labels: names, words } = labelsOf(given);
  const other = words.find((one) => !classes.includes(one));
  if (other !== undefined) throw refuse(`"${other}" is no class of the head. It has: ${classes.join(', ')}.`);
  const labels = classes.map((one) => (words.includes(one) ? names[words.indexOf(one)]! : one));
  const fault = labelFault(labels);
  if (fault !== null) throw refuse(`with the head's other classes it ${fault}`);
  return { labels, words: classes };
}

/** Columns by their names in the rows; `pair` and `labels` where they are read. Throws UserError for keys that do not fit together. */
export function columnsOf(
  { columns = {}, labels: given, template, delimiter }: Dataset,
  { strategy, calibration }: { strategy: string; calibration?: string },
) {
  const { text = 'text', label = 'label', labels } = columns;
  const slots = slotsOf(template, ['text', 'text_pair']);
  const pair = columns.text_pair ?? (slots.has('text_pair') ? 'text_pair' : undefined);
  if (strategy === 'head') {
    const idle = {
      'scoring.calibration': calibration,
      'dataset.template': template === '{text}' ? undefined : template,
      'dataset.delimiter': delimiter,
      'dataset.columns.labels': labels,
    };
    for (const [key, value] of Object.entries(idle))
      if (value !== undefined) throw refuse(`"${value}", but a head is given texts as they stand. Leave it out.`, key);
    return { text, label, labels, pair };
  }
  if (pair !== undefined && !slots.has('text_pair'))
    throw refuse(`"${pair}", but dataset.template has no {text_pair}. Put it there.`, 'dataset.columns.text_pair');
  if (given !== undefined && labels !== undefined)
    throw refuse(`"${labels}", beside dataset.labels. Keep one of them.`, 'dataset.columns.labels');
  if (given === undefined && labels === undefined)
    throw refuse('missing. It has to name the labels, unless dataset.columns.labels names a column of lists.');
  return { text, label, labels, pair };
}
