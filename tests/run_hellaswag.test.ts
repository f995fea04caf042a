import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import type { Prediction, ScoredRow, Verdict } from '../nanoeval/questions.ts';
import { clean, cleanForLlamaCpp, config, recipes, task } from '../nanoeval/run_hellaswag.ts';
import { RowError } from '../nanoeval/types.ts';
import { ask, askedBy, goldensOf, questionOf } from './requests.ts';
import { ROOT, temporaryFolder } from './spawn.ts';

const goldens = goldensOf('hellaswag');
const GOLDEN = join(ROOT, 'tests/golden/hellaswag');

const all = (settings: object) => askedBy(task, settings);

test('every recipe has a golden prompt', () => {
  assert.deepEqual([...new Set(goldens.map(({ recipe }) => recipe))].sort(), Object.keys(recipes).sort());
});

for (const { recipe, row: index, context: file, text, continuations, texts, tokenization } of goldens) {
  test(`golden prompt: ${file}`, async () => {
    const asked = (await all({ dataset: { path: GOLDEN }, scoring: { recipe } }))[index]!;
    const { row, context } = asked;
    const question = questionOf(asked, 'loglikelihood');
    assert.deepEqual([question.prompt, context], [text, text]);
    assert.deepEqual(
      question.choices.map(({ continuation, prompt }) => [continuation, prompt]),
      continuations.map((continuation) => [continuation, undefined]),
    );
    assert.equal(question.tokenization ?? 'joint', tokenization);
    assert.ok('choices' in row && row.choices);
    assert.deepEqual(
      row.choices.map(({ num_chars, num_bytes }) => [num_chars, num_bytes]),
      texts.map((ending) => [[...ending].length, Buffer.from(ending).length]),
    );
    assert.equal(row.prompt_sha256, createHash('sha256').update(text).digest('hex'));
  });
}

test('under a chat template lm-eval drops the blank before an ending, and the cards keep it', async () => {
  const dataset = { path: GOLDEN };
  const model = { model_id: 'a/b', chat_template: true };
  for (const recipe of ['lm_eval', 'cloze']) {
    const [plain] = await all({ dataset, scoring: { recipe } });
    const [chat] = await all({ dataset, scoring: { recipe }, model });
    const { prompt, choices } = questionOf(chat!, 'loglikelihood');
    const [kept, endings] = [questionOf(plain!, 'loglikelihood').prompt, questionOf(plain!, 'loglikelihood').choices];
    assert.deepEqual(prompt, [{ role: 'user', content: kept }], recipe);
    assert.deepEqual(
      choices.map(({ continuation }) => continuation),
      endings.map(({ continuation }) => (recipe === 'cloze' ? continuation : continuation!.slice(1))),
      recipe,
    );
  }
});

test("clean: lm-eval's preprocess without its strip", () => {
  // The first three are benchmarks.md 3.2, verified with lm-eval; the others follow its four steps by hand.
  const table: [string, string][] = [
    [
      'Home and Garden: [header] How to clean an iron [title] Unplug it. [step] Let the iron cool for 30 minutes.',
      'Home and Garden: How to clean an iron. Unplug it. Let the iron cool for 30 minutes.',
    ],
    ['[substeps] Wipe the plate with a damp cloth. [title] Rinse.', ' Wipe the plate with a damp cloth.. Rinse.'],
    ['Sports: A man kicks the ball. The us team', 'Sports: A man kicks the ball. The us team'],
    ['a   b', 'a  b'],
    ['a    b', 'a  b'],
    ['a [b] c', 'a c'],
    ['a[]b', 'ab'],
    ['a [b', 'a [b'],
    ['a [b\nc] d', 'a [b\nc] d'],
    ['[a [b] c]', ' c]'],
    ['x [title] [title] y', 'x. . y'],
    ['[title] x', ' x'],
    ['', ''],
  ];
  for (const [text, wanted] of table) assert.equal(clean(text), wanted, JSON.stringify(text));
});

test('cleanForLlamaCpp: the rules of benchmarks.md 3.3, by hand', () => {
  const table: [string, string][] = [
    ['[header] How to rest [title] Sit down.', 'How to rest. Sit down.'],
    ['[step] Sit. [substeps] Stand.', 'Sit. Stand.'],
    ['[title] Sit.', 'Sit.'],
    ['[title]. Sit.', 'Sit.'],
    ['  two', 'two'],
    ['   three', ' three'],
    ['one ', 'one'],
    ['a [b] c', 'a [b] c'],
  ];
  for (const [text, wanted] of table) assert.equal(cleanForLlamaCpp(text), wanted, JSON.stringify(text));
});

test('a row carries its kind as group, gold and place; subset_size is the first n', async () => {
  const asked = await all({ dataset: { path: GOLDEN, subset_size: 2 } });
  assert.deepEqual(
    asked.map(({ row }) => {
      const { task, id, index, group, subject, gold } = row as Prediction;
      return [task, id, index, group, subject, gold];
    }),
    [
      ['hellaswag', '0', 0, 'activitynet', undefined, 0],
      ['hellaswag', '1', 1, 'wikihow', undefined, 1],
    ],
  );
});

test('the test split, whose labels are empty, is an error that names the row', async () => {
  const source = readFileSync(join(GOLDEN, 'validation.jsonl'), 'utf8').replace('"label":"0"', '"label":""');
  const folder = temporaryFolder('hellaswag');
  try {
    const path = join(folder.path, 'rows.jsonl');
    writeFileSync(path, source);
    await assert.rejects(all({ dataset: { path } }), {
      message: 'hellaswag row 0: label is "". It has to be an index from 0.',
    });
    writeFileSync(path, source.replace('"label":""', '"label":"4"'));
    await assert.rejects(all({ dataset: { path } }), {
      message: 'hellaswag row 0 (id 0): gold 4 is outside its 4 choices.',
    });
    // In the middle each of them is a failed row.
    const [first, second] = readFileSync(join(GOLDEN, 'validation.jsonl'), 'utf8').trimEnd().split('\n') as [
      string,
      string,
    ];
    const bad = [{ label: '' }, { label: '4' }, { endings: null }, { source_id: 7 }].map((change) =>
      JSON.stringify({ ...JSON.parse(second), ...change }),
    );
    writeFileSync(path, [first, ...bad, second].join('\n'));
    const rows = (await all({ dataset: { path } })).map(({ row }) => row).sort((a, b) => a.index - b.index);
    assert.deepEqual(
      rows.map((row) => ('error' in row ? row.error.message : row.index)),
      [
        0,
        'hellaswag row 1: label is "". It has to be an index from 0.',
        'hellaswag row 2 (id 2): gold 4 is outside its 4 choices.',
        'hellaswag row 3: endings is null. It has to be a list of 4 texts.',
        'hellaswag row 4: source_id is 7. It has to be a text.',
        5,
      ],
    );
  } finally {
    folder.remove();
  }
});

// ---------------------------------------------------------------- scores

const resolved = (scoring: object = {}) =>
  resolveRecipe(task, config.parse({ task: 'hellaswag', model: { model_id: 'a/b' }, scoring }));
/** A score here is known at once. */
const score = (...args: Parameters<typeof task.score>) => task.score(...args) as Verdict;
const choice = (logprob: number, num_chars: number, num_bytes: number, num_tokens: number) => ({
  logprob,
  num_tokens,
  num_chars,
  num_bytes,
  is_greedy: false,
});
const prediction = (more: Partial<Prediction<number>>): Prediction<number> => ({
  task: 'hellaswag',
  id: '7',
  index: 7,
  group: 'wikihow',
  gold: 2,
  num_context_tokens: 9,
  truncated: false,
  prompt_sha256: '',
  ...more,
});

test('score: four metrics that disagree, and the primary one of each recipe', () => {
  // Sums: 0 is best. By characters -2, -1.25, -2.5: 1. By bytes -2, -1.25, -0.5: 2. By tokens -1, -5, -5, -0.5: 3.
  const choices = [choice(-4, 2, 2, 4), choice(-5, 4, 4, 1), choice(-10, 4, 20, 2), choice(-12, 3, 4, 24)];
  const metrics = { acc: 0, acc_norm: 0, acc_bytes: 1, acc_token: 0 };
  const primary = {
    lm_eval: 'acc_norm',
    lighteval: 'acc_norm',
    cloze: 'acc_norm',
    nanogpt: 'acc_token',
    nanoeval: 'acc',
  };
  const best = { acc: 0, acc_norm: 1, acc_token: 3 };
  for (const [recipe, metric] of Object.entries(primary)) {
    const verdict = score(prediction({ choices }), resolved({ recipe }));
    assert.deepEqual(verdict, { prediction: best[metric as keyof typeof best], correct: 0, metrics }, recipe);
    assert.equal(Object.keys(verdict.metrics)[0], metric);
  }
  const plain = score(prediction({ choices, gold: 0 }), resolved({ normalize_by_length: false }));
  assert.deepEqual(plain, { prediction: 0, correct: 1, metrics: { acc: 1, acc_norm: 0, acc_bytes: 0, acc_token: 0 } });
  const byToken = score(prediction({ choices }), resolved({ recipe: 'nanoeval', normalize_by_length: true }));
  assert.equal(Object.keys(byToken.metrics)[0], 'acc_token');
});

test('score: a row without choices, or with a log-likelihood that is no number, fails', () => {
  assert.throws(() => score(prediction({}), resolved()), RowError);
  const broken = [choice(Number.NEGATIVE_INFINITY, 1, 1, 1), choice(-1, 1, 1, 1)];
  assert.throws(() => score(prediction({ choices: broken }), resolved()), RowError);
});

test('summarize: over all rows and by kind, no subjects', () => {
  const rows: ScoredRow<number>[] = [1, 0, 1, 1].map((correct, index) => ({
    ...prediction({ index, id: String(index), group: index < 2 ? 'activitynet' : 'wikihow' }),
    prediction: 0,
    correct: correct as 0 | 1,
    metrics: { acc_norm: correct, acc: 1 - correct },
  }));
  const scores = task.summarize(rows, resolved());
  assert.deepEqual(scores.primary, { name: 'acc_norm', unit: 'share', better: 'higher', chance: 0.25 });
  // benchmarks.md 1.9: [1,0,1,1] -> 0.25
  assert.equal(scores.metrics.acc_norm?.value, 0.75);
  assert.equal(scores.metrics.acc_norm?.stderr, 0.25);
  assert.equal(scores.metrics.acc?.value, 0.25);
  assert.equal(scores.groups.activitynet?.acc_norm?.value, 0.5);
  assert.equal(scores.groups.wikihow?.acc_norm?.value, 1);
  assert.deepEqual(scores.subjects, {});
});

// ---------------------------------------------------------------- the whole split

test("all 10,042 contexts and endings are lm-evaluation-harness's", async (t) => {
  const recorded = join(ROOT, '../shared/data/hellaswag/hellaswag_val_lmeval_reconstructed.jsonl');
  const path = join(ROOT, '../shared/hub/datasets/Rowan/hellaswag');
  if (!existsSync(recorded) || !existsSync(path)) return t.skip(`${recorded} or ${path} is not there`);
  const lines = readFileSync(recorded, 'utf8').trimEnd().split('\n');
  assert.equal(lines.length, 10_042);
  let i = 0;
  for await (const asked of ask(task, { dataset: { path } })) {
    const { query, choices, gold } = JSON.parse(lines[i]!) as { query: string; choices: string[]; gold: number };
    const question = questionOf(asked, 'loglikelihood');
    assert.equal(question.prompt, query, `row ${i}`);
    assert.deepEqual(
      question.choices.map(({ continuation }) => continuation),
      choices.map((ending) => ` ${ending}`),
      `row ${i}`,
    );
    assert.equal((asked.row as Prediction).gold, gold);
    i += 1;
  }
  assert.equal(i, 10_042);
});
