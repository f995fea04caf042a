/**
 * RACE: questions on reading from English exams of Chinese schools, four options each; the 1,045 articles of `test`, subset `high`
 * (Lai et al. 2017, https://arxiv.org/abs/1704.04683), in EleutherAI's edition: a row is an article with all of its problems.
 *
 * The last problem of each article is asked, after the others with their right options; its four options are ranked by
 * log-likelihood and not shown before. The recipe `lm_eval` is lm-evaluation-harness `race`, which reports `acc` alone. The SmolLM2
 * and Qwen2.5 cards have no RACE. Details of its words:
 *
 * - a problem that is shown and ends in `  _  .` is a sentence with its gap filled and without the full stop; another one stands
 *   behind `Question:` and `Answer:`;
 * - the one that is asked stands as it is, gap and all, with neither `Question:` before it nor `Answer:` behind it.
 *
 * There are no other shots: the published set has the split `test` alone, from which lm-eval would draw them.
 */
import { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe } from './config/recipe.ts';
import { literalField, rowBy } from './data/row.ts';
import { main } from './program.ts';
import { askForTexts } from './prompt/ask.ts';
import { fill } from './prompt/template.ts';
import type { Example } from './questions.ts';
import { letters } from './score/letters.ts';
import { rank } from './score/loglikelihood.ts';
import { summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import type { IndexedRow } from './types.ts';

interface RaceRecipe extends Recipe {
  article: string;
  /** A problem that is shown, and one that ends in `gap`. */
  problem: string;
  filled: string;
  gap: string;
}
export const recipes: Record<string, RaceRecipe> = {
  lm_eval: {
    about: 'lm-evaluation-harness `race`: the option texts after the article and its other problems, solved',
    article: 'Article: {article}\n\n',
    problem: 'Question: {question}\nAnswer: {answer}\n',
    filled: '{question} {answer}\n',
    gap: '  _  .',
    num_fewshot: 0,
    strategies: { rank_ll: { verb: 'loglikelihood', primary: 'acc' } },
  },
};

const source = { dataset_id: 'EleutherAI/race', subset_name: 'high', split: 'test' };
export const config = taskSchema('race', source, recipes);
type Config = z.infer<typeof config>;

const LETTERS = letters(4);
const problemSchema = z.looseObject({
  question: z.string(),
  answer: z.enum(LETTERS),
  options: z.array(z.string()).refine(({ length }) => length === 4, { error: 'it has to be a list of 4 texts.' }),
});
const rowSchema = z.looseObject({ article: z.string(), problems: z.array(problemSchema).min(1) });
type Article = z.infer<typeof rowSchema>;
type Problem = Article['problems'][number];

/** `problems` is published as a Python literal. */
const readRow = ({ index, row }: IndexedRow) =>
  rowBy('race', { index, row: { ...row, problems: literalField('race', { index, row }, 'problems') } }, rowSchema);

const rightOption = ({ answer }: Problem) => LETTERS.indexOf(answer);

/** The literal words: the article, its solved problems, and the last one's question. */
export function prompt(recipe: RaceRecipe, { article, problems }: Article): string {
  const solved = problems.slice(0, -1).map((problem) => {
    const { question, options } = problem;
    const answer = options[rightOption(problem)] ?? '';
    if (!question.endsWith(recipe.gap)) return fill(recipe.problem, { question, answer });
    return fill(recipe.filled, { question: question.slice(0, -recipe.gap.length), answer });
  });
  return fill(recipe.article, { article }) + solved.join('') + problems.at(-1)!.question;
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const recipe = recipes[run.recipe.name]!;
  for await (const { index, row } of run.rows(['article', 'problems'], readRow)) {
    const last = row.problems.at(-1)!;
    const ask = askForTexts(run, { shots: [], question: prompt(recipe, row) }, last.options);
    yield { id: String(index), index, gold: rightOption(last), ask };
  }
}

export const task: Task<Config, number> = {
  name: 'race',
  config,
  recipes,
  examples,
  score: ({ choices = [], gold }, { primary }) => verdict(rank(choices, false), primary, gold),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, 0.25),
};
await main(import.meta.url, task);
