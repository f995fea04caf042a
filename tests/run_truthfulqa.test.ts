/** TruthfulQA against lm-evaluation-harness 0.4.13 on rows of our own in its schema (fixtures/truthfulqa, README there). */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import type { ChatMessage, Prediction, ScoredRow } from '../nanoeval/questions.ts';
import { task } from '../nanoeval/run_truthfulqa.ts';
import { runHereWith } from './in_process.ts';
import { ask, askedBy, questionOf } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const FIXTURES = fileURLToPath(new URL('fixtures/truthfulqa/', import.meta.url));
const ROWS = join(FIXTURES, 'rows');
const folder = temporaryFolder('truthfulqa');
after(folder.remove);

interface Golden {
  doc_id: number;
  prompt_sha256: string;
  context: string;
  continuations: string[];
  context_tokens: number;
  continuation_tokens: number[];
  loglikelihoods: number[];
  acc: number;
}
const golden = (name: string) =>
  readFileSync(join(FIXTURES, `${name}.jsonl`), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Golden);
const LISTS = ['mc1', 'mc2'] as const;
type Gold = Record<(typeof LISTS)[number], { choices: number[]; labels: number[] }>;

for (const chat_template of [false, true]) {
  test(`prompts ${chat_template ? 'under a chat template' : 'as plain text'}: both lists byte for byte`, async () => {
    const model = { model_id: 'a/b', chat_template };
    const asked = await askedBy(task, { model, dataset: { path: ROWS } });
    for (const list of LISTS) {
      const wanted = golden(chat_template ? `${list}_chat` : list);
      assert.equal(asked.length, wanted.length);
      for (const [i, want] of wanted.entries()) {
        const { row } = asked[i]!;
        const { prompt, choices } = questionOf(asked[i]!, 'loglikelihood');
        const [message] = prompt as ChatMessage[];
        const text = chat_template
          ? `<|im_start|>user\n${message!.content}<|im_end|>\n<|im_start|>assistant\n`
          : prompt;
        assert.equal(text, want.context, `row ${i}`);
        assert.ok(!('error' in row));
        if (!chat_template) assert.equal(row.prompt_sha256, want.prompt_sha256);
        const { choices: places } = (row.gold as Gold)[list];
        assert.deepEqual(
          places.map((place) => choices[place]!.continuation),
          want.continuations,
        );
        assert.equal(new Set(choices.map(({ text }) => text)).size, choices.length, 'each answer is asked once');
      }
    }
  });
}

const recipeOf = (scoring = {}) =>
  resolveRecipe(task, task.config.parse({ task: 'truthfulqa', model: { model_id: 'a/b' }, scoring }));
const saved = (logprobs: readonly number[], gold: Gold) =>
  ({
    index: 0,
    id: '0',
    gold,
    choices: logprobs.map((logprob) => ({ logprob, num_tokens: 1 })),
  }) as unknown as Prediction<Gold>;
const gold: Gold = {
  mc1: { choices: [0, 1], labels: [1, 0] },
  mc2: { choices: [0, 2, 1], labels: [1, 1, 0] },
};

test('verdicts: mc2 is primary and no matter of right or wrong, mc1 is; either may come first', async () => {
  const logprobs = [Math.log(0.2), Math.log(0.5), Math.log(0.1)];
  const mc2 = await task.score(saved(logprobs, gold), recipeOf());
  assert.deepEqual(Object.keys(mc2.metrics), ['mc2', 'mc1']);
  assert.ok(Math.abs(mc2.metrics.mc2! - 0.3 / 0.8) < 1e-15);
  assert.equal(mc2.metrics.mc1, 0);
  assert.ok(!('prediction' in mc2) && !('correct' in mc2));
  const { metrics, ...mc1 } = await task.score(saved(logprobs, gold), recipeOf({ strategy: 'mc1' }));
  assert.deepEqual([mc1, Object.keys(metrics)], [{ prediction: 1, correct: 0 }, ['mc1', 'mc2']]);
  const tied = await task.score(saved([-3, -3, -9], gold), recipeOf({ strategy: 'mc1' }));
  assert.deepEqual([tied.prediction, tied.correct], [0, 1]);
});

test('answers so long that every probability underflows have their share', async () => {
  const { metrics } = await task.score(saved([-2000, -2001, -2002], gold), recipeOf());
  assert.ok(Math.abs(metrics.mc2! - (1 + Math.exp(-2)) / (1 + Math.exp(-1) + Math.exp(-2))) < 1e-12);
});

test('chance is that of answers that are all equally likely', () => {
  const row = (labels: number[], count: number) =>
    ({
      index: count,
      id: 'x',
      gold: { mc1: { choices: Array.from({ length: count }, (_, i) => i), labels: [] }, mc2: { choices: [], labels } },
      metrics: { mc2: 1, mc1: 1 },
    }) as unknown as ScoredRow<Gold>;
  const rows = [row([1, 0], 2), row([1, 0, 0, 0], 5)];
  assert.deepEqual(task.summarize(rows, recipeOf()).primary, {
    name: 'mc2',
    unit: 'share',
    better: 'higher',
    chance: 0.375,
  });
  assert.equal(task.summarize(rows, recipeOf({ strategy: 'mc1' })).primary.chance, 0.35);
});

test('rows that are none of its own are refused by number and column; shots, for there are none', async () => {
  const [first] = await askedBy(task, { dataset: { path: ROWS, subset_size: 1 } });
  assert.equal((first!.row as Prediction).group, 'Food');
  const list = (labels: unknown, choices: unknown = ['a', 'b']) => ({ choices, labels });
  const good = { question: 'q', mc1_targets: list([1, 0]), mc2_targets: list([1, 0]) };
  const refused = (row: object) => ask(task, { dataset: { rows: [{ ...good, ...row }] } }).next();
  const [plain] = await askedBy(task, { dataset: { rows: [{ ...good, category: null }] } });
  assert.equal((plain!.row as Prediction).group, undefined);
  await assert.rejects(refused({ question: 1 }), /truthfulqa row 0: question: 1 is not a text/);
  await assert.rejects(refused({ mc1_targets: undefined }), /truthfulqa row 0: mc1_targets: missing/);
  await assert.rejects(refused({ mc1_targets: list([1, 1]) }), /row 0: mc1_targets: it has to have a right choice/);
  await assert.rejects(
    refused({ mc1_targets: list([1, 1, 0], ['a', 'b', 'c']) }),
    /row 0: mc1_targets: one choice alone has to be right\./,
  );
  await assert.rejects(refused({ mc2_targets: list([0, 0]) }), /row 0: mc2_targets: it has to have a right choice/);
  await assert.rejects(refused({ mc2_targets: list([1]) }), /row 0: mc2_targets: choices and labels differ in number/);
  await assert.rejects(refused({ mc2_targets: list([2, 0]) }), /row 0: mc2_targets\.labels\[0\]: 2 is too large/);
  await assert.rejects(askedBy(task, { dataset: { rows: [good] }, scoring: { num_fewshot: 2 } }), {
    key: 'scoring.num_fewshot',
    message: '2, but truthfulqa has no worked examples. Leave it out.',
  });
});

describe("the demo's log-likelihoods as lm-evaluation-harness has them", () => {
  test('mc1 and mc2 of one run', async () => {
    const out = join(folder.path, 'run');
    mkdirSync(out);
    const { code, stderr } = await runHereWith(
      'run_truthfulqa',
      out,
      `task: truthfulqa\nmodel: { model_id: ${DEMO}, chat_template: false }\ndataset: { path: ${ROWS} }\nreport: { output_dir: ${out}/run, save_plot: false }\n`,
    );
    assert.equal(code, 0, stderr);
    const text = readFileSync(join(out, 'run/predictions.jsonl'), 'utf8');
    const rows = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as ScoredRow<Gold>);
    const summary = JSON.parse(readFileSync(join(out, 'run/summary.json'), 'utf8'));
    assert.deepEqual(Object.keys(summary.groups), ['Food', 'Space', 'Words']);
    for (const list of LISTS) {
      const wanted = golden(list);
      assert.equal(rows.length, wanted.length);
      for (const [i, want] of wanted.entries()) {
        const { choices = [], metrics, num_context_tokens, gold } = rows[i]!;
        assert.equal(num_context_tokens, want.context_tokens);
        for (const [k, place] of gold[list].choices.entries()) {
          const { logprob, num_tokens } = choices[place]!;
          assert.equal(num_tokens, want.continuation_tokens[k]);
          assert.ok(Math.abs(logprob - want.loglikelihoods[k]!) < 1e-3, `row ${i}, ${list} ${k}: ${logprob}`);
        }
        // A share moves by a quarter of what its log-odds do at most, and these by 2e-3.
        assert.ok(Math.abs(metrics[list]! - want.acc) < 1e-3, `row ${i}, ${list}: ${metrics[list]}`);
      }
      const head = JSON.parse(readFileSync(join(FIXTURES, `${list}.head.json`), 'utf8'));
      assert.ok(Math.abs(summary.metrics[list].value - head.aggregate.acc) < 1e-3);
    }
  });
});
