import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import type { Prediction, ScoredRow, Verdict } from '../nanoeval/questions.ts';
import { config, recipes, task } from '../nanoeval/run_mmlu.ts';
import { RowError } from '../nanoeval/types.ts';
import { type Asked, ask, askedBy, type Golden, goldensOf, questionOf } from './requests.ts';
import { ROOT } from './spawn.ts';

const goldens = goldensOf('mmlu');
const GOLDEN = join(ROOT, 'tests/golden/mmlu');

const all = (settings: object) => askedBy(task, settings);

async function askedFor({ recipe, num_fewshot, row }: Golden): Promise<Asked> {
  // The second row's subject has no shots in the fixture.
  const dataset = { path: GOLDEN, ...(row === 0 ? { subjects: 'abstract_algebra' } : {}) };
  const asked = await all({ dataset, scoring: { recipe, num_fewshot } });
  return asked[row]!;
}

test('every recipe has a golden prompt', () => {
  assert.deepEqual([...new Set(goldens.map(({ recipe }) => recipe))].sort(), Object.keys(recipes).sort());
});

for (const golden of goldens) {
  test(`golden prompt: ${golden.context}`, async () => {
    const asked = await askedFor(golden);
    const { row, context } = asked;
    const { text } = golden;
    const question = questionOf(asked, 'loglikelihood');
    assert.deepEqual([question.prompt, context], [text, text]);
    assert.deepEqual(
      question.choices.map(({ continuation, prompt }) => [continuation, prompt]),
      golden.continuations.map((continuation) => [continuation, undefined]),
    );
    assert.equal(question.tokenization ?? 'joint', golden.tokenization);
    assert.ok('choices' in row && row.choices);
    // lm-eval's acc_norm: code points of the choice without the blank in front.
    assert.deepEqual(
      row.choices.map(({ num_chars }) => num_chars),
      golden.texts.map((choice) => [...choice].length),
    );
    assert.equal(row.prompt_sha256, createHash('sha256').update(text).digest('hex'));
  });
}

test('a row carries its subject and group, the gold and its place', async () => {
  const asked = await all({ dataset: { path: GOLDEN }, scoring: { recipe: 'cloze' } });
  assert.deepEqual(
    asked.map(({ row }) => {
      const { task, id, index, group, subject, gold } = row as Prediction;
      return [task, id, index, group, subject, gold];
    }),
    [
      ['mmlu', '0', 0, 'stem', 'abstract_algebra', 1],
      ['mmlu', '1', 1, 'humanities', 'formal_logic', 0],
    ],
  );
});

test('subjects by group or name keep the index of the published row', async () => {
  for (const subjects of ['humanities', 'formal_logic', ['formal_logic', 'astronomy']]) {
    const asked = await all({ dataset: { path: GOLDEN, subjects }, scoring: { num_fewshot: 0 } });
    assert.deepEqual(
      asked.map(({ row }) => row.index),
      [1],
    );
  }
});

test('subset_size counts rows of each subject', async () => {
  const path = join(ROOT, 'nanoeval/demo/data/mmlu');
  const asked = await all({ dataset: { path, subset_size: 2 }, scoring: { num_fewshot: 1 } });
  assert.equal(asked.length, 8);
  const counts = new Map<string, number>();
  for (const { row } of asked) {
    const { subject = '' } = row as Prediction;
    counts.set(subject, (counts.get(subject) ?? 0) + 1);
  }
  assert.deepEqual([...counts.values()], [2, 2, 2, 2]);
});

test('hendrycks drops shots while the prompt is longer than 2,048 tokens, the last one first', async () => {
  const long = { ...recipes.hendrycks!, max_prompt_tokens: 100 };
  const whole = goldens.find(({ context }) => context === 'mmlu/hendrycks.5shot.abstract_algebra.txt')!.text;
  const [header, ...parts] = whole.split('\n\n');
  // Words as tokens (requests.ts): the header and 2 of the 5 shots fit into 100.
  const wordsOf = (shots: number) => [header, ...parts.slice(0, shots), parts.at(-1)].join('\n\n').split(/\s+/).length;
  const fits = [5, 4, 3, 2, 1, 0].find((shots) => wordsOf(shots) <= 100)!;
  assert.ok(fits > 0 && fits < 5, `${fits}`);
  recipes.hendrycks_100 = long;
  try {
    const settings = task.config.parse({
      task: 'mmlu',
      model: { model_id: 'a/b' },
      dataset: { path: GOLDEN, subjects: 'abstract_algebra' },
      scoring: { recipe: 'hendrycks' },
    });
    settings.scoring.recipe = 'hendrycks_100';
    const open = { ...task, config: { parse: () => settings } as unknown as typeof task.config };
    const asked = await askedBy(open, {});
    assert.equal(asked.length, 1);
    assert.equal(asked[0]?.context, [header, ...parts.slice(0, fits), parts.at(-1)].join('\n\n'));
  } finally {
    delete recipes.hendrycks_100;
  }
  assert.equal(recipes.hendrycks?.max_prompt_tokens, 2048);
});

test('gen_letter asks lm-eval mmlu_generative: the same words, stops and 256 new tokens', async () => {
  const dataset = { path: GOLDEN, subjects: 'abstract_algebra' };
  const [asked] = await all({ dataset, scoring: { strategy: 'gen_letter' } });
  const golden = goldens.find(({ context }) => context === 'mmlu/lm_eval.5shot.abstract_algebra.txt')!;
  assert.deepEqual(asked?.question, {
    verb: 'generate_until',
    prompt: golden.text,
    until: ['</s>', '\n'],
    max_new_tokens: 256,
  });
  const { options, choices } = asked.row as Prediction;
  const published = JSON.parse(readFileSync(join(GOLDEN, 'test.jsonl'), 'utf8').split('\n')[0]!);
  assert.deepEqual([options, choices], [published.choices, undefined]);
  const [short] = await all({ dataset, scoring: { strategy: 'gen_letter', max_new_tokens: 3 } });
  assert.equal(questionOf(short!, 'generate_until').max_new_tokens, 3);
  const [original] = await all({ dataset, scoring: { recipe: 'nanoeval', strategy: 'gen_letter' } });
  const { until, max_new_tokens } = questionOf(original!, 'generate_until');
  assert.deepEqual([until, max_new_tokens], [[], 8]);
});

test('chat: description as system message, shots as turns, choices without the blank', async () => {
  const settings = { model: { model_id: 'a/b', chat_template: true }, scoring: { num_fewshot: 1 } };
  const [asked] = await all({ ...settings, dataset: { path: GOLDEN, subjects: 'abstract_algebra' } });
  const five = goldens.find(({ context }) => context === 'mmlu/lm_eval.5shot.abstract_algebra.txt')!.text;
  const [header, shot = '', ...rest] = five.split('\n\n');
  const [, words, letter] = /^(.*) ([A-D])$/s.exec(shot)!;
  const question = questionOf(asked!, 'loglikelihood');
  assert.deepEqual(question.prompt, [
    { role: 'system', content: `${header}\n\n` },
    { role: 'user', content: words },
    { role: 'assistant', content: letter },
    { role: 'user', content: rest.at(-1) },
  ]);
  assert.equal(
    asked!.context,
    `<system>${header}\n\n</system><user>${words}</user><assistant>${letter}</assistant><user>${rest.at(-1)}</user><assistant>`,
  );
  assert.deepEqual(
    question.choices.map(({ continuation, text }) => [continuation, text]),
    ['A', 'B', 'C', 'D'].map((one) => [one, one]),
  );
});

test("chat: the cards' options keep the blank", async () => {
  const settings = { model: { model_id: 'a/b', chat_template: true }, scoring: { recipe: 'cloze' } };
  const [asked] = await all({ ...settings, dataset: { path: GOLDEN, subjects: 'abstract_algebra' } });
  const { prompt, choices } = questionOf(asked!, 'loglikelihood');
  const { text, continuations } = goldens.find(({ recipe, row }) => recipe === 'cloze' && row === 0)!;
  assert.deepEqual(prompt, [{ role: 'user', content: text }]);
  assert.deepEqual(
    choices.map(({ continuation }) => continuation),
    continuations,
  );
});

// ---------------------------------------------------------------- scores

const resolved = (scoring: object = {}) =>
  resolveRecipe(task, config.parse({ task: 'mmlu', model: { model_id: 'a/b' }, scoring }));

function prediction(more: Partial<Prediction<number>>, index = 0): Prediction<number> {
  const head = { task: 'mmlu', id: String(index), index, group: 'stem', subject: 'astronomy', gold: 1 };
  return { ...head, num_context_tokens: 9, truncated: false, prompt_sha256: '', ...more };
}
/** A score here is known at once. */
const score = (...args: Parameters<typeof task.score>) => task.score(...args) as Verdict;
const choice = (logprob: number, length: number) => ({
  logprob,
  num_tokens: length,
  num_chars: length,
  num_bytes: length,
  is_greedy: false,
});

test('score: ranked choices under the metric that the recipe makes primary', () => {
  const choices = [choice(-4, 1), choice(-8, 8), choice(-5, 1), choice(-6, 1)];
  const metrics = { acc: 0, acc_norm: 1, acc_bytes: 1, acc_token: 1 };
  // Letters are all of one length: acc alone.
  const letters = { prediction: 0, correct: 0, metrics: { acc: 0 } };
  assert.deepEqual(score(prediction({ choices }), resolved()), letters);
  const cloze = score(prediction({ choices }), resolved({ recipe: 'cloze' }));
  assert.deepEqual(cloze, { prediction: 1, correct: 1, metrics });
  assert.equal(Object.keys(cloze.metrics)[0], 'acc_norm');
  const original = score(prediction({ choices }), resolved({ recipe: 'nanoeval', normalize_by_length: true }));
  assert.equal(Object.keys(original.metrics)[0], 'acc_token');
  assert.throws(() => score(prediction({ choices: [choice(Number.NaN, 1)] }), resolved()), RowError);
});

test('score: a letter read from an answer; nothing read is null and wrong', () => {
  const harness = resolved({ strategy: 'gen_letter' });
  const original = resolved({ recipe: 'nanoeval', strategy: 'gen_letter' });
  const table: [string, number | null, number | null][] = [
    [' B', 1, 1],
    ['The answer is B.', null, 1],
    ['I do not know', null, null],
    ['', null, null],
    ['C', 2, 2],
  ];
  for (const [output, exact, free] of table) {
    const metrics = { exact_match: exact === 1 ? 1 : 0, acc: free === 1 ? 1 : 0 };
    const said = { prediction: exact, correct: metrics.exact_match, metrics };
    assert.deepEqual(score(prediction({ output }), harness), said, output);
    const read = { prediction: free, correct: metrics.acc, metrics };
    assert.deepEqual(score(prediction({ output }), original), read, output);
  }
});

test('summarize: micro and macro, by group and by subject', () => {
  const rows: ScoredRow<number>[] = [
    ['stem', 'astronomy', 1],
    ['stem', 'astronomy', 0],
    ['stem', 'astronomy', 1],
    ['stem', 'astronomy', 1],
    ['humanities', 'philosophy', 0],
    ['humanities', 'philosophy', 1],
  ].map(([group, subject, correct], index) => ({
    ...prediction({ group: String(group), subject: String(subject) }, index),
    prediction: 0,
    correct: correct as 0 | 1,
    metrics: { acc: Number(correct) },
  }));
  const scores = task.summarize(rows, resolved());
  assert.deepEqual(scores.primary, { name: 'acc', unit: 'share', better: 'higher', chance: 0.25 });
  // By hand: 4 of 6; (3/4 + 1/2) / 2; pooled sqrt((3*4*0.25^2 + 1*2*0.5^2) / (6-2) / 6) with se 0.25 and 0.5.
  assert.equal(scores.metrics.acc?.value, 4 / 6);
  assert.ok(Math.abs(scores.metrics.acc!.stderr! - Math.sqrt((0.75 + 0.5) / 4 / 6)) < 1e-15);
  assert.equal(scores.metrics.acc_macro?.value, 0.625);
  assert.equal(scores.groups.stem?.acc?.value, 0.75);
  assert.equal(scores.subjects.philosophy?.acc?.value, 0.5);
  assert.deepEqual(scores.subject_groups, { astronomy: 'stem', philosophy: 'humanities' });
});

// ---------------------------------------------------------------- the whole split

const SHARED = join(ROOT, '../shared');
const PARQUET = join(SHARED, 'hub/datasets/cais/mmlu');

for (const shots of [0, 5]) {
  const recorded = join(SHARED, `data/goldens/mmlu_prompts_${shots}shot.jsonl`);
  test(`all 14,042 prompts with ${shots} shots are lm-evaluation-harness 0.4.13's`, async (t) => {
    if (!existsSync(recorded) || !existsSync(PARQUET)) return t.skip(`${recorded} or ${PARQUET} is not there`);
    const wanted = new Map<string, string[]>();
    for (const line of readFileSync(recorded, 'utf8').trimEnd().split('\n')) {
      const { subject, sha256_12 } = JSON.parse(line) as { subject: string; sha256_12: string[] };
      wanted.set(subject, sha256_12);
    }
    const found = new Map<string, string[]>();
    let count = 0;
    for await (const asked of ask(task, { dataset: { path: PARQUET }, scoring: { num_fewshot: shots } })) {
      const { subject = '', prompt_sha256 } = asked.row as Prediction;
      found.set(subject, [...(found.get(subject) ?? []), prompt_sha256.slice(0, 12)]);
      assert.deepEqual(
        questionOf(asked, 'loglikelihood').choices.map(({ continuation }) => continuation),
        [' A', ' B', ' C', ' D'],
      );
      count += 1;
    }
    assert.equal(count, 14_042);
    assert.equal(wanted.size, 57);
    for (const [subject, hashes] of wanted) assert.deepEqual(found.get(subject), hashes, subject);
  });
}

test('a row in the middle without gold, choices or shots fails alone', async () => {
  const row = { question: 'q', subject: 'anatomy', choices: ['a', 'b', 'c', 'd'], answer: 1 };
  const rows = [row, { ...row, answer: null }, { ...row, answer: 4 }, { ...row, choices: ['a'] }, row];
  const told = (asked: Asked[]) =>
    asked
      .map(({ row }) => row)
      .sort((a, b) => a.index - b.index)
      .map((one) => ('error' in one ? one.error.message : one.index));
  assert.deepEqual(told(await all({ dataset: { rows }, scoring: { num_fewshot: 0 } })), [
    0,
    'mmlu row 1: answer is null. It has to be an index from 0.',
    'mmlu row 2 (id 2): gold 4 is outside its 4 choices.',
    'mmlu row 3: choices is ["a"]. It has to be a list of 4 texts.',
    4,
  ]);
  // The second row's subject has no shots in the fixture.
  assert.deepEqual(told(await all({ dataset: { path: GOLDEN }, scoring: { num_fewshot: 1 } })), [
    0,
    'scoring.num_fewshot: 1, but the split "dev" has 0 rows of formal_logic.',
  ]);
});
