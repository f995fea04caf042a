/** MMLU-Pro against lm-evaluation-harness 0.4.13 on rows of our own in its schema (fixtures/mmlu_pro, README there). */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import type { ChatMessage, ChoiceScore, Prediction, ScoredRow, Verdict } from '../nanoeval/questions.ts';
import { config, recipes, task } from '../nanoeval/run_mmlu_pro.ts';
import { letters } from '../nanoeval/score/letters.ts';
import { runHereWith } from './in_process.ts';
import { askedBy, questionOf } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const FIXTURES = fileURLToPath(new URL('fixtures/mmlu_pro/', import.meta.url));
const ROWS = join(FIXTURES, 'rows');
const folder = temporaryFolder('mmlu_pro');
after(folder.remove);

interface Golden {
  question_id: number;
  context: string;
  prompt_sha256: string;
  until: string[];
  context_tokens: number;
  output: string;
  exact_match: number;
  gold: number;
  continuations: string[];
}
interface PublishedRow {
  question_id: number;
  question: string;
  options: string[];
  answer: string;
  answer_index: number;
  category: string;
  cot_content: string;
}
const readLines = <T>(path: string): T[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const golden = (name: string) => readLines<Golden>(join(FIXTURES, `${name}.jsonl`));
const published = readLines<PublishedRow>(join(ROWS, 'test.jsonl'));
const byId = (id: number) => published.find((row) => row.question_id === id)!;

const chatml = (messages: readonly ChatMessage[]) =>
  `${messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join('')}<|im_start|>assistant\n`;
/** Room for 2,048 tokens of an answer, and for a prompt that the paper's script would shorten. */
const asked = (settings: object) => askedBy(task, settings, { max_length: 8192 });
const all = { path: ROWS };
const card = { recipe: 'card', strategy: 'rank_ll' };

/** Which recipe, shots and form each golden was made with. */
const GOLDENS = {
  mmlu_pro_5shot: ['lm_eval', 5, false],
  mmlu_pro_2shot_chat: ['lm_eval', 2, true],
  official: ['official', 5, false],
} as const;
for (const [name, [recipe, num_fewshot, chat_template]] of Object.entries(GOLDENS)) {
  test(`prompts of ${name}: contexts and stops byte for byte`, async () => {
    const model = { model_id: 'a/b', chat_template };
    const found = await asked({ model, dataset: all, scoring: { recipe, num_fewshot } });
    const want = golden(name);
    assert.ok(want.length >= 8, `${want.length} rows`);
    for (const { question_id, context, prompt_sha256 } of want) {
      const one = found.find(({ row }) => row.id === String(question_id))!;
      const { prompt, until, max_new_tokens } = questionOf(one, 'generate_until');
      assert.equal(chat_template ? chatml(prompt as ChatMessage[]) : prompt, context, `row ${question_id}`);
      assert.deepEqual([until, max_new_tokens], [['Question:'], 2048]);
      if (!chat_template) assert.equal((one.row as Prediction).prompt_sha256, prompt_sha256);
    }
  });
}

test('the card: the letter after a lettered list, no blank before it, one message under a chat template', async () => {
  for (const chat_template of [false, true]) {
    const found = await asked({ model: { model_id: 'a/b', chat_template }, dataset: all, scoring: card });
    assert.deepEqual(
      found.map((one) => {
        const { prompt, choices } = questionOf(one, 'loglikelihood');
        return [
          Number(one.row.id),
          (one.row as Prediction).gold,
          prompt,
          choices.map(({ continuation, text }) => `${text}${continuation}`),
        ];
      }),
      golden('card').map(({ question_id, gold, context, continuations }) => [
        question_id,
        gold,
        chat_template ? [{ role: 'user', content: context }] : context,
        continuations.map((letter) => letter + letter),
      ]),
    );
  }
});

test('a row carries its category, the group of MMLU, its options and its gold', async () => {
  const found = await asked({ dataset: all });
  assert.deepEqual(
    found.map(({ row }) => {
      const { id, index, group, subject, options, gold } = row as Prediction;
      return { id, index, group, subject, options, gold };
    }),
    published.map(({ question_id, category, options, answer_index }, index) => ({
      id: String(question_id),
      index,
      group: category === 'law' ? 'humanities' : 'stem',
      subject: category,
      options,
      gold: answer_index,
    })),
  );
});

test('categories and groups can be chosen; subset_size counts the rows of each category, as --limit does', async () => {
  const ids = async (dataset: object) =>
    (await asked({ dataset: { ...all, ...dataset } })).map(({ row }) => Number(row.id));
  assert.deepEqual(await ids({ subjects: 'law' }), [101, 104, 107, 110]);
  assert.deepEqual(await ids({ subjects: ['humanities', 'computer science'], subset_size: 1 }), [101, 103]);
  assert.deepEqual(await ids({ subset_size: 1 }), [100, 101, 103]);
});

test("the paper's script drops shots until the prompt has less than 2,048 tokens; the harness keeps them", async () => {
  const shots = readLines<PublishedRow>(join(ROWS, 'validation.jsonl')).filter(({ category }) => category === 'law');
  // The stand-in for a model counts words.
  const long = shots.map((row) => ({ ...row, cot_content: `A: Let's think step by step. ${'word '.repeat(480)}end.` }));
  const path = join(folder.path, 'long');
  mkdirSync(path);
  const write = (split: string, rows: object[]) =>
    writeFileSync(join(path, `${split}.jsonl`), rows.map((row) => JSON.stringify(row)).join('\n'));
  write('validation', long);
  write('test', [byId(104)]);
  const shown = async (recipe: string) => {
    const [one] = await asked({ dataset: { path }, scoring: { recipe } });
    return one!.context.split('word end.').length - 1;
  };
  assert.deepEqual([await shown('official'), await shown('lm_eval')], [3, 5]);
});

test('more shots than a category has, an answer that is no option and eleven options are refused with the row', async () => {
  await assert.rejects(asked({ dataset: { ...all, subjects: 'law' }, scoring: { num_fewshot: 6 } }), {
    key: 'scoring.num_fewshot',
    message: '6, but the split "validation" has 5 rows of law.',
  });
  const row = byId(104);
  const bad = (change: object) => asked({ dataset: { rows: [{ ...row, ...change }] }, scoring: { num_fewshot: 0 } });
  const wanted = 'It has to be the letter of one of 10 options at most.';
  await assert.rejects(bad({ answer: 'D' }), { message: `mmlu_pro row 0: answer is "D" of 3 options. ${wanted}` });
  await assert.rejects(bad({ answer: '' }), { message: `mmlu_pro row 0: answer is "" of 3 options. ${wanted}` });
  const eleven = { options: letters(11), answer: 'K' };
  await assert.rejects(bad(eleven), { message: `mmlu_pro row 0: answer is "K" of 11 options. ${wanted}` });
  await assert.rejects(bad({ options: 'one' }), /mmlu_pro row 0: options is "one"\. It has to be a list of texts\./);
});

// ---------------------------------------------------------------- scores

const resolved = (scoring: object = {}) =>
  resolveRecipe(task, config.parse({ task: 'mmlu_pro', model: { model_id: 'a/b' }, scoring }));
const verdictOn = (row: Partial<Prediction<number>>, scoring: object = {}) =>
  task.score(row as Prediction<number>, resolved(scoring)) as Verdict;

test("verdicts on answers that were made up are the harness's filter's, and the paper's script's", () => {
  type Said = { question_id: number; said: string; filtered: string; exact_match: number; official: string | null };
  const rows = readLines<Said>(join(FIXTURES, 'said.jsonl'));
  assert.ok(rows.length > 140, `${rows.length} answers`);
  for (const { question_id, said, filtered, exact_match, official } of rows) {
    const { options, answer_index: gold } = byId(question_id);
    const what = `${question_id}: ${JSON.stringify(said)}`;
    const place = (letter: string | null) => {
      const index = letter === null ? -1 : letters(options.length).indexOf(letter);
      return index < 0 ? null : index;
    };
    const acc = place(official) === gold ? 1 : 0;
    assert.deepEqual(
      verdictOn({ output: said, options, gold }),
      { prediction: place(filtered), correct: exact_match as 0 | 1, metrics: { exact_match, acc } },
      what,
    );
    const script = verdictOn({ output: said, options, gold }, { recipe: 'official' });
    assert.deepEqual([script.prediction, script.correct], [place(official), acc], what);
    assert.deepEqual(Object.keys(script.metrics), ['acc', 'exact_match']);
  }
  assert.ok(
    rows.some(({ question_id, exact_match }) => question_id === 104 && exact_match === 1),
    'right answers of three options',
  );
});

test('the card takes the likeliest letter, the first of several', () => {
  const choice = (logprob: number) => ({ logprob, num_tokens: 1, num_chars: 1, num_bytes: 1 }) as ChoiceScore;
  const choices = [-3, -1, -1].map(choice);
  assert.deepEqual(verdictOn({ choices, gold: 1 }, card), { prediction: 1, correct: 1, metrics: { acc: 1 } });
  assert.deepEqual(verdictOn({ choices, gold: 2 }, card).correct, 0);
});

test('means over all rows, by group and category; chance is the mean of one in so many options', () => {
  const rows = [
    ['math', 'stem', 1, 10],
    ['math', 'stem', 0, 10],
    ['law', 'humanities', 1, 5],
  ].map(
    ([subject, group, exact_match, count], index) =>
      ({
        index,
        id: String(index),
        subject,
        group,
        options: letters(count as number),
        metrics: { exact_match, acc: 1 },
      }) as unknown as ScoredRow<number>,
  );
  const scores = task.summarize(rows, resolved());
  assert.deepEqual(scores.primary, { name: 'exact_match', unit: 'share', better: 'higher', chance: 0.4 / 3 });
  assert.equal(scores.metrics.exact_match?.value, 2 / 3);
  assert.equal(scores.metrics.exact_match_macro?.value, 0.75);
  assert.deepEqual(
    Object.entries(scores.subjects).map(([name, { exact_match }]) => [name, exact_match?.value]),
    [
      ['math', 0.5],
      ['law', 1],
    ],
  );
  assert.equal(scores.groups.stem?.exact_match?.n, 2);
});

test("the demo's answers as lm-evaluation-harness has them", async () => {
  const out = join(folder.path, 'demo');
  const { code, stderr } = await runHereWith(
    'run_mmlu_pro',
    out,
    `task: mmlu_pro\nmodel: { model_id: ${DEMO}, chat_template: false }\ndataset: { path: ${ROWS} }\nscoring: { max_new_tokens: 24 }\nreport: { output_dir: ${out}/run, save_plot: false }\n`,
  );
  assert.equal(code, 0, stderr);
  const rows = readLines<ScoredRow>(join(out, 'run/predictions.jsonl'));
  assert.deepEqual(
    rows.map(({ id, output, num_context_tokens, metrics }) => [
      Number(id),
      output,
      num_context_tokens,
      metrics.exact_match,
    ]),
    golden('mmlu_pro_5shot').map((want) => [want.question_id, want.output, want.context_tokens, want.exact_match]),
  );
});

test('each recipe has a golden prompt', () => {
  const seen = new Set([...Object.values(GOLDENS).map(([recipe]) => recipe), 'card']);
  assert.deepEqual([...seen].sort(), Object.keys(recipes).sort());
});
