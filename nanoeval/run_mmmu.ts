/**
 * MMMU: college-level questions about pictures in 30 subjects, 847 with options and 53 open ones in `validation` (Yue et al. 2023,
 * https://arxiv.org/abs/2311.16502); the test split has no answers. Rows are those of `lmms-lab/MMMU`, which has all subjects
 * in one config; of `MMMU/MMMU` a run reads one: `dataset: { dataset_id: MMMU/MMMU, subset_name: Art }`.
 *
 * The answer is greedy, 512 tokens at most, and read as the authors' script reads it (`acc`): a letter in brackets or between
 * blanks, else the text of an option in an answer of more than five words; of an open question numbers to two places, and
 * texts within what stands behind `is`, `so`, `answer` and the like. Where the script, and lm-eval too, draws a random letter the
 * row is wrong here and counts as `unparsed`: with four options their score is higher by a quarter of those rows in the mean.
 * Recipes:
 *
 * - `lm_eval`: lm-evaluation-harness `mmmu_val`, which is for chat templates. A picture stands at each of its mentions, repeated
 *   ones again. Three open questions have a list of answers as a text (`['Tampa', 'Florida']`), and all of it is wanted.
 * - `official`: the authors' words, with a line more behind the options, and any answer of such a list. Deviation: pictures as in
 *   `lm_eval`; their script is for models that take one.
 *
 * The SmolVLM cards' numbers (28.3 for 256M) are VLMEvalKit's, with other words: nothing here is comparable with them.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe } from './config/recipe.ts';
import { imageField, literalListField, textField } from './data/row.ts';
import groups from './mmmu_pro_subjects.json' with { type: 'json' };
import { main } from './program.ts';
import { askOf } from './prompt/ask.ts';
import { type Pictured, placePictures, withFiles } from './prompt/pictures.ts';
import { fill } from './prompt/template.ts';
import type { Example, Prediction, ScoredRow, Verdict } from './questions.ts';
import { letters } from './score/letters.ts';
import { holdsGold, keyTexts } from './score/open_answer.ts';
import { plainLetter } from './score/option_letter.ts';
import { mean } from './score/statistics.ts';
import { summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { strip } from './text/python_text.ts';
import { type IndexedRow, RowError, UserError } from './types.ts';

interface MmmuRecipe extends Recipe {
  choice: string;
  open: string;
  /** Of a list of answers that an open question has: it is one text, or each of them is right. */
  answers: 'as one text' | 'any';
}
const lm_eval: MmmuRecipe = {
  about: 'lm-evaluation-harness `mmmu_val`, without its random guesses',
  choice: "{question}\n\n{options}\n\nAnswer with the option's letter from the given choices directly.",
  open: '{question}\n\nAnswer the question using a single word or phrase.',
  answers: 'as one text',
  num_fewshot: 0,
  strategies: {
    generate: { verb: 'generate_until', primary: 'acc', until: ['<|endoftext|>'], max_new_tokens: 512 },
  },
};
export const recipes: Record<string, MmmuRecipe> = {
  lm_eval,
  official: {
    ...lm_eval,
    about: "the words and rules of the authors' repository, without its random guesses",
    choice: lm_eval.choice.replace('{options}', '{options}\n'),
    answers: 'any',
  },
};

/** `validation_Art_Theory_12` is of Art_Theory. */
const subjectOf = (id: string) => /^[^_]+_(.+)_\d+$/.exec(id)?.[1] ?? id;
const source = { dataset_id: 'lmms-lab/MMMU', subset_name: 'default', split: 'validation' };
const subjects = { column: 'id', of: subjectOf, groups };
export const config = taskSchema('mmmu', source, recipes, { subjects });
type Config = z.infer<typeof config>;

/** What is right: the index of an option; or the text of an answer, and the answers that it lists where it is a list. */
type Gold = number | { label: string; listed?: readonly string[] };

/** The literal words, and where pictures stand. No options: an open question. */
export function prompt(recipe: MmmuRecipe, question: string, options: readonly string[]): Pictured {
  const lines = options.map((text, i) => `(${letters(26)[i]}) ${text}`).join('\n');
  return placePictures(fill(options.length > 0 ? recipe.choice : recipe.open, { question, options: lines }), 'each');
}

function readRow(row: IndexedRow, recipe: MmmuRecipe) {
  const text = (column: string) => textField('mmmu', row, column);
  const [id, answer, type] = [text('id'), text('answer'), text('question_type')];
  if (type !== 'open' && type !== 'multiple-choice')
    throw new UserError(`mmmu row ${row.index}: question_type is "${type}". It has to be multiple-choice or open.`);
  const options = type === 'open' ? [] : literalListField('mmmu', row, 'options');
  const listed = /^\[(['"]).*\1\]$/s.test(answer) ? { listed: literalListField('mmmu', row, 'answer') } : {};
  const gold: Gold = type === 'open' ? { label: answer, ...listed } : letters(26).indexOf(answer);
  const tags = [...literalListField('mmmu', row, 'img_type', 0), type];
  const { parts, shown } = prompt(recipe, text('question'), options);
  const files = shown.map((n) => imageField('mmmu', row, `image_${n}`));
  return {
    id,
    subject: subjectOf(id),
    tags,
    ...(type === 'open' ? {} : { options }),
    gold,
    parts: withFiles(parts, files),
  };
}

const columns = ['id', 'question', 'options', 'answer', 'question_type', 'img_type', 'image_1'];
/** Where no row has so many pictures, a writer that leaves nulls out leaves the column out. */
const more = [2, 3, 4, 5, 6, 7].map((n) => `image_${n}`);

async function* examples(run: Run<Config>): AsyncGenerator<Example<Gold>> {
  const recipe = recipes[run.recipe.name]!;
  for await (const { index, row } of run.rows(columns, (one) => readRow(one, recipe), more)) {
    const { parts, ...known } = row;
    const message = parts instanceof RowError || !run.chat ? parts : [{ role: 'user' as const, content: parts }];
    yield { ...known, index, ask: message instanceof RowError ? message : askOf(run.recipe, message, []) };
  }
}

/** The verdict on an answer. */
export function score(
  { output = '', options = [], gold }: Pick<Prediction<Gold>, 'output' | 'options' | 'gold'>,
  recipe: MmmuRecipe,
): Verdict {
  if (typeof gold === 'number') return verdict({ acc: plainLetter(output, options) }, 'acc', gold);
  const keys = keyTexts(output);
  const golds = recipe.answers === 'any' ? (gold.listed ?? [gold.label]) : [gold.label];
  const correct = holdsGold(keys, golds) ? 1 : 0;
  return { prediction: strip(output) === '' ? null : keys.join(' | '), correct, metrics: { acc: correct } };
}

/** Of a random option; nobody guesses an open answer. */
const chanceOf = ({ gold, options = [] }: ScoredRow<Gold>) => (typeof gold === 'number' ? 1 / options.length : 0);

export const task: Task<Config, Gold> = {
  name: 'mmmu',
  images: true,
  subjects,
  config,
  recipes,
  examples,
  score: (row, { name }) => score(row, recipes[name]!),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, mean(rows.map(chanceOf))),
};
await main(import.meta.url, task);
