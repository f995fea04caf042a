/**
 * MMLU: 14,042 four-way questions in 57 subjects (Hendrycks et al. 2021, https://arxiv.org/abs/2009.03300).
 *
 * `rank_ll` compares log-likelihoods of the choices, `gen_letter` reads a letter from a greedy answer. Few-shot examples
 * are the first rows of `dev` of the same subject. `anatomy` counts as stem, as in lm-eval (Hendrycks: other). Details:
 *
 * - `lm_eval`: 5 shots, as the paper (the harness takes 0 unless told otherwise).
 * - `hendrycks`: shots are dropped while the prompt is longer than 2,048 of its tokens; no letter can fall out of a top 100.
 * - `nanoeval`: prompt and option tokenised apart. Mended: BOS, truncation counted, the letter read from the answer alone.
 */
import type { z } from 'zod';
import { taskSchema } from './config/keys.ts';
import type { Recipe, Rule } from './config/recipe.ts';
import { indexField, textField, textListField } from './data/row.ts';
import groups from './mmlu_subjects.json' with { type: 'json' };
import { main } from './program.ts';
import { askOf } from './prompt/ask.ts';
import { fitShots, type PromptParts, promptFor } from './prompt/fewshot.ts';
import { fill } from './prompt/template.ts';
import type { Example } from './questions.ts';
import { letters, readLetters } from './score/letters.ts';
import { rank } from './score/loglikelihood.ts';
import { summarizeRows, verdict } from './score/summarize.ts';
import type { Run, Task } from './task.ts';
import { strip } from './text/python_text.ts';
import type { IndexedRow } from './types.ts';

interface MmluRecipe extends Recipe {
  description: string;
  question: string;
  strip_question: boolean;
  /** What is scored after the context: ` A`, ` B`, ... or the option texts; a blank before it under a chat template. */
  ranked: 'letter' | 'text';
  chat_delimiter?: ' ';
  tokenization: 'joint' | 'separate';
  max_prompt_tokens: number | null;
}
const byLetter: Rule = { verb: 'loglikelihood', primary: 'acc' };
const byText: Rule = { ...byLetter, normalized: 'acc_norm' };
const greedy: Rule = { verb: 'generate_until', primary: 'exact_match', until: ['</s>', '\n'], max_new_tokens: 256 };
const letters5: MmluRecipe = {
  about: 'lm-evaluation-harness `mmlu`: the letter after a lettered list; `mmlu_generative` under `gen_letter`',
  description: 'The following are multiple choice questions (with answers) about {subject}.\n\n',
  question: '{question}\nA. {A}\nB. {B}\nC. {C}\nD. {D}\nAnswer:',
  strip_question: false,
  ranked: 'letter',
  tokenization: 'joint',
  max_prompt_tokens: null,
  num_fewshot: 5,
  strategies: { rank_ll: byLetter },
};
const texts = { rank_ll: byText };
const texts0: MmluRecipe = { ...letters5, description: '', ranked: 'text', num_fewshot: 0, strategies: texts };
export const recipes: Record<string, MmluRecipe> = {
  lm_eval: { ...letters5, strip_question: true, strategies: { rank_ll: byLetter, gen_letter: greedy } },
  lm_eval_continuation: {
    ...texts0,
    about: 'lm-evaluation-harness `mmlu_continuation`: the option texts, not shown before',
    description: 'The following are questions (with answers) about {subject}.\n\n',
    question: 'Question: {question}\nAnswer:',
    strip_question: true,
    num_fewshot: 5,
  },
  hendrycks: {
    ...letters5,
    about: "the paper's code: the letter, the authors' prompt",
    description: letters5.description.replace('about ', 'about  '),
    max_prompt_tokens: 2048,
  },
  cloze: {
    ...texts0,
    about: '"MMLU (cloze)" of the SmolLM2 cards: the option texts, not shown before',
    question: 'The following are questions about {subject}.\nQuestion: {question}\nAnswer:',
    chat_delimiter: ' ',
    strategies: { rank_ll: { ...byText, normalize_by_length: true } },
  },
  nanoeval: {
    ...texts0,
    about: 'the Python `nanoeval`, nothing published: the option texts after a lettered list',
    question:
      'You are given a multiple-choice question. Choose the correct answer.\n\nQuestion:\n{question}\n\nOptions:\nA. {A}\nB. {B}\nC. {C}\nD. {D}\n\nAnswer:',
    tokenization: 'separate',
    strategies: {
      rank_ll: { ...byText, normalized: 'acc_token' },
      gen_letter: { ...greedy, primary: 'acc', until: [], max_new_tokens: 8 },
    },
  },
};

const source = { dataset_id: 'cais/mmlu', subset_name: 'all', split: 'test' };
const subjects = { column: 'subject', groups, subsetOfEach: true };
export const config = taskSchema('mmlu', source, recipes, { subjects });
type Config = z.infer<typeof config>;

const readQuestion = (row: IndexedRow) => ({
  subject: textField('mmlu', row, 'subject'),
  question: textField('mmlu', row, 'question'),
  choices: textListField('mmlu', row, 'choices', 4),
  answer: indexField('mmlu', row, 'answer'),
});
type Question = ReturnType<typeof readQuestion>;

const ranked = (recipe: MmluRecipe, { choices }: Question) => (recipe.ranked === 'letter' ? letters(4) : choices);

/** The literal words: description, shots and question. */
export function prompt(recipe: MmluRecipe, row: Question, shots: readonly Question[]): PromptParts {
  const subject = row.subject.replaceAll('_', ' ');
  const words = ({ question, choices }: Question) => {
    const [A = '', B = '', C = '', D = ''] = choices;
    return fill(recipe.question, { subject, question: recipe.strip_question ? strip(question) : question, A, B, C, D });
  };
  return {
    description: fill(recipe.description, { subject }),
    shots: shots.map((shot) => ({ question: words(shot), answer: ranked(recipe, shot)[shot.answer] ?? '' })),
    question: words(row),
  };
}

async function* examples(run: Run<Config>): AsyncGenerator<Example<number>> {
  const recipe = recipes[run.recipe.name]!;
  const columns = ['question', 'subject', 'choices', 'answer'];
  const shotsOf = await run.firstShots(columns, readQuestion, (row) => row.subject);
  const withParts = (row: Question) => ({ ...row, parts: prompt(recipe, row, shotsOf(row.subject)) });
  for await (const { index, row } of run.rows(columns, (one) => withParts(readQuestion(one)))) {
    const parts = await fitShots(row.parts, recipe.max_prompt_tokens, run.countTokens);
    const delimiter = run.chat ? (recipe.chat_delimiter ?? '') : ' ';
    const choices = ranked(recipe, row).map((text) => ({ text, continuation: delimiter + text }));
    yield {
      id: String(index),
      index,
      subject: row.subject,
      options: row.choices,
      gold: row.answer,
      ask: askOf(run.recipe, promptFor(parts, run.chat), choices, recipe.tokenization),
    };
  }
}

export const task: Task<Config, number> = {
  name: 'mmlu',
  shots: { split: 'dev' },
  subjects,
  config,
  recipes,
  examples,
  score: ({ choices, output = '', gold }, { primary, rule }) =>
    verdict(choices ? rank(choices, rule.normalized !== undefined) : readLetters(output, 4), primary, gold),
  summarize: (rows, recipe) => summarizeRows(rows, recipe, 0.25),
};
await main(import.meta.url, task);
