/**
 * MMMU-Pro: 1,730 college-level questions about pictures in 30 subjects (Yue et al. 2024, https://arxiv.org/abs/2409.02813).
 *
 * `dataset.subset_name`: `standard (10 options)`, `standard (4 options)`, or `vision`, where question and options are in
 * the picture. The answer is greedy and read as the official `evaluate.py` reads it (`acc`); where that guesses at random
 * the row counts as `unparsed` and wrong. `letter_prob` is ours: the option whose letter, bare or behind a blank, is the
 * most likely first token; it needs no answer that can be read. `rank_ll` is refused: nothing published ranks here.
 * Recipes (no `lm_eval`: the harness has no such task):
 *
 * - `direct`, `cot`: the official prompts. Deviation: pictures stand where the text names them; a picture that is named
 *   again is `[image n]` in the text there (4 rows, one of which has 35 references).
 * - `direct_images_last`, `cot_images_last`: the official layout for transformers: `[image]` in the text, all pictures
 *   behind it in the order of appearance, repeated ones again.
 * - `nanoeval`: the original's words. Mended: pictures in their places (it put them first, in column order, and left
 *   `<image 1>` in the text), `vision` works, the letter is read from the answer alone.
 *
 * Answers are longer or shorter elsewhere: the official scripts allow 50 (transformers) or 4,096 new tokens (API).
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { imageField, literalListField, textField } from './data/row.ts';
import groups from './mmmu_pro_subjects.json' with { type: 'json' };
import { main } from './program.ts';
import { placePictures, withFiles } from './prompt/pictures.ts';
import { fill } from './prompt/template.ts';
import type { Example } from './questions.ts';
import { letters, letterTokens, likelyLetter } from './score/letters.ts';
import { officialLetter } from './score/option_letter.ts';
import { chanceOf, summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { type IndexedRow, RowError } from './types.ts';

interface MmmuProRecipe extends Recipe {
  standard: string;
  /** The question is in the picture, `<image 1>`. */
  vision: string;
  pictures: 'inline' | 'last';
}
const LAST_LINE =
  "The last line of your response should be of the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of options.";
const rule = (max_new_tokens: number): Record<string, Rule> => ({
  gen_letter: { verb: 'generate_until', primary: 'acc', until: [], max_new_tokens },
});
const DIRECT = 'Answer with the option letter from the given choices directly.';
const direct: MmmuProRecipe = {
  about: 'MMMU-Pro "direct" but for the places of the pictures: a greedy answer to the official prompt',
  standard: `{question}\n{options}\n${DIRECT}`,
  vision: `${DIRECT} ${LAST_LINE}<image 1>`,
  pictures: 'inline',
  num_fewshot: 0,
  strategies: rule(50),
};
const cot: MmmuProRecipe = {
  ...direct,
  about: 'MMMU-Pro "CoT" but for the places of the pictures: the same, step by step',
  standard: `{question}\n{options}\nAnswer the preceding multiple choice question. ${LAST_LINE} Think step by step before answering.`,
  vision: `Write out the multiple-choice question in the image and then solve it. ${LAST_LINE} Think step by step before answering.<image 1>`,
  strategies: rule(1024),
};
const LAST = 'the official script for transformers: all pictures behind the text';
const ASK =
  'You will see one or more images and a question with answer options. Select the option that best answers the question.\n\n';
export const recipes: Record<string, MmmuProRecipe> = {
  direct,
  cot,
  direct_images_last: { ...direct, about: LAST, pictures: 'last' },
  cot_images_last: { ...cot, about: LAST, pictures: 'last' },
  nanoeval: {
    ...direct,
    about: "the Python `nanoeval`, nothing published: a greedy answer to the original's words",
    standard: `${ASK}Question:\n{question}\n\nOptions:\n{options}\n\nAnswer:`,
    vision: `${ASK}<image 1>\n\nAnswer:`,
    strategies: rule(8),
  },
};

const source = { dataset_id: 'MMMU/MMMU_Pro', subset_name: 'standard (10 options)', split: 'test' };
const subjects = { column: 'subject', groups };
export const config = taskSchema('mmmu_pro', source, recipes, { subjects });
type Config = z.infer<typeof config>;

/** The literal words. Where the question is in the picture there is one picture, and it comes last. */
export function prompt({ standard, vision, pictures }: MmmuProRecipe, question: string | null, options: string[]) {
  if (question === null) return placePictures(vision, 'inline');
  const lines = options.map((text, i) => `${letters(26)[i]}. ${text}`).join('\n');
  return placePictures(fill(standard, { question, options: lines }), pictures);
}

const readQuestion = (row: IndexedRow, inPicture: boolean) => ({
  id: textField('mmmu_pro', row, 'id'),
  subject: textField('mmmu_pro', row, 'subject'),
  question: inPicture ? null : textField('mmmu_pro', row, 'question'),
  options: literalListField('mmmu_pro', row, 'options'),
  answer: textField('mmmu_pro', row, 'answer'),
  kinds: inPicture ? [] : literalListField('mmmu_pro', row, 'img_type', 0),
  picture: (n: number) => imageField('mmmu_pro', row, inPicture ? 'image' : `image_${n}`),
});

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const inPicture = run.config.dataset.subset_name === 'vision';
  const asked = inPicture ? ['image'] : ['question', 'img_type', 'image_1'];
  // Where no row has so many pictures, a writer that leaves nulls out leaves the column out.
  const more = inPicture ? [] : [2, 3, 4, 5, 6, 7].map((n) => `image_${n}`);
  const { until, maxNewTokens: max_new_tokens } = run.recipe;
  const read = (indexed: IndexedRow) => {
    const row = readQuestion(indexed, inPicture);
    const placed = prompt(recipes[run.recipe.name]!, row.question, row.options);
    return { ...row, parts: withFiles(placed.parts, placed.shown.map(row.picture)) };
  };
  for await (const { index, row } of run.rows(['id', 'subject', 'options', 'answer', ...asked], read, more)) {
    const { id, subject, options, parts } = row;
    const first_tokens = letterTokens(options.length);
    yield {
      id,
      index,
      subject,
      ...(inPicture ? {} : { tags: row.kinds }),
      options,
      gold: letters(26).indexOf(row.answer),
      ask:
        parts instanceof RowError
          ? parts
          : {
              verb: 'generate_until',
              prompt: run.chat ? [{ role: 'user', content: parts }] : parts,
              until,
              max_new_tokens,
              first_tokens,
            },
    };
  }
}

export const task: Task<Config, number> = {
  name: 'mmmu_pro',
  images: true,
  subjects,
  config,
  recipes,
  examples,
  score: ({ output = '', options = [], first_logprobs, gold }, { primary }) => {
    const acc = officialLetter(output, options);
    // A server may not tell how likely a first token is: no metric then, and not one of zeros.
    const likely = first_logprobs && { letter_prob: likelyLetter(first_logprobs, options.length) };
    return verdict({ acc, ...likely }, primary, gold);
  },
  summarize: (rows, recipe) => summarizeRows(rows, recipe, chanceOf(rows)),
};
await main(import.meta.url, task);
