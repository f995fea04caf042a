/** ARC against lm-evaluation-harness 0.4.13 on rows of our own in ARC's schema (fixtures/arc, README there). */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import type { LoglikelihoodAsk, ScoredRow } from '../nanoeval/questions.ts';
import { openShotPools } from '../nanoeval/run/shots.ts';
import { task } from '../nanoeval/run_arc.ts';
import type { Split } from '../nanoeval/types.ts';
import { runHereWith } from './in_process.ts';
import { ask, askedBy } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const FIXTURES = fileURLToPath(new URL('fixtures/arc/', import.meta.url));
const ROWS = join(FIXTURES, 'rows');
const folder = temporaryFolder('arc');
after(folder.remove);

interface Golden {
  doc_id: number;
  id: string;
  gold: number;
  context: string;
  continuations: string[];
  prompt_sha256: string;
  acc: number;
  acc_norm: number;
  loglikelihoods: number[];
  is_greedy: number[];
  context_tokens: number;
  continuation_tokens: number[];
  divisors: number[];
}
const readLines = <T>(path: string): T[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const golden = (name: string) => readLines<Golden>(join(FIXTURES, `${name}.jsonl`));

/** Which recipe and shots each golden was made with. */
const GOLDENS = { arc_0shot: ['lm_eval', 0], arc_5shot: ['lm_eval', 5], smollm2_card: ['cloze', 0] } as const;

for (const [name, [recipe, num_fewshot]] of Object.entries(GOLDENS)) {
  test(`prompts of ${name}: contexts, continuations and gold byte for byte`, async () => {
    const rows = golden(name);
    let i = 0;
    const settings = { dataset: { path: ROWS }, scoring: { recipe, num_fewshot } };
    for await (const { question, row } of ask(task, settings)) {
      const want = rows[i]!;
      const { prompt, choices } = question as LoglikelihoodAsk;
      assert.equal(prompt, want.context, `row ${i}`);
      assert.deepEqual(
        choices.map(({ continuation }) => continuation),
        want.continuations,
      );
      assert.ok(!('error' in row));
      assert.deepEqual([row.id, row.gold, row.prompt_sha256], [want.id, want.gold, want.prompt_sha256]);
      if (want.divisors !== undefined)
        assert.deepEqual(
          row.choices!.map(({ num_chars }) => num_chars),
          want.divisors,
        );
      i += 1;
    }
    assert.equal(i, rows.length);
  });
}

test('under a chat template lm-eval drops the blank before an option, and the cards keep it', async () => {
  for (const [recipe, first] of [
    ['lm_eval', 'the root'],
    ['cloze', ' the root'],
  ] as const) {
    const settings = {
      dataset: { path: ROWS },
      scoring: { recipe },
      model: { model_id: 'a/b', chat_template: true },
    };
    for await (const { question } of ask(task, settings)) {
      const { prompt, choices } = question as LoglikelihoodAsk;
      assert.deepEqual(prompt, [
        { role: 'user', content: 'Question: Which part of a plant takes up water from the soil?\nAnswer:' },
      ]);
      assert.equal(choices[0]?.continuation, first);
      break;
    }
  }
});

test('shots are drawn from train as the harness draws them, for pools of the published sizes too', async () => {
  interface Draw {
    set: string;
    pool: number;
    num_fewshot: number;
    documents: number[];
    rows: number[][];
  }
  const draws: Draw[] = JSON.parse(readFileSync(join(FIXTURES, 'draws.json'), 'utf8'));
  assert.ok(draws.some(({ pool }) => pool === 2251) && draws.some(({ num_fewshot }) => num_fewshot === 25));
  for (const { pool, num_fewshot, documents, rows } of draws) {
    const shots = {
      split: 'train',
      async *rows() {
        for (let index = 0; index < pool; index += 1) yield { index, row: {} };
      },
    } as unknown as Split;
    const { drawnShots } = openShotPools(shots, num_fewshot);
    const shotsFor = await drawnShots([], ({ index }) => index, 0);
    assert.deepEqual(documents.map(shotsFor), rows, `${num_fewshot} of ${pool}`);
  }
});

test('a key that is no label is refused with the row', async () => {
  const row = { id: 'x', question: 'q', choices: { text: ['a', 'b', 'c'], label: ['1', '2', '3'] }, answerKey: 'A' };
  const asked = ask(task, { dataset: { rows: [row] } });
  await assert.rejects(asked.next(), /arc row 0: answerKey is "A"\. It has to be one of: 1, 2, 3\./);
  const flat = ask(task, { dataset: { rows: [{ ...row, choices: ['a', 'b'] }] } });
  await assert.rejects(flat.next(), /arc row 0: choices\.text is undefined\. It has to be a list of texts/);
  const good = { ...row, answerKey: '1' };
  const found = await askedBy(task, { dataset: { rows: [good, row, { ...row, id: null }, good] } });
  assert.deepEqual(
    found.flatMap((one) => ('error' in one.row ? [one.row.error.message] : [])),
    [
      'arc row 1: answerKey is "A". It has to be one of: 1, 2, 3.',
      'arc row 2: answerKey is "A". It has to be one of: 1, 2, 3.',
    ],
  );
});

test('chance is that of rows with 3, 4 and 5 options', () => {
  const recipe = resolveRecipe(task, task.config.parse({ task: 'arc', model: { model_id: 'a/b' } }));
  const row = (index: number, num_choices: number) =>
    ({
      id: 'x',
      index,
      gold: 0,
      num_choices,
      prediction: 0,
      correct: 1,
      metrics: { acc_norm: 1, acc: 1 },
    }) as unknown as ScoredRow<number>;
  const { primary } = task.summarize([row(0, 3), row(1, 4), row(2, 5)], recipe);
  assert.equal(primary.name, 'acc_norm');
  assert.ok(Math.abs(primary.chance! - (1 / 3 + 1 / 4 + 1 / 5) / 3) < 1e-12);
});

describe("the demo's log-likelihoods as lm-evaluation-harness has them", { concurrency: 2 }, () => {
  for (const shots of [0, 5]) {
    test(`${shots} shots`, async () => {
      const out = join(folder.path, String(shots));
      mkdirSync(out);
      const { code, stderr } = await runHereWith(
        'run_arc',
        out,
        `task: arc\nmodel: { model_id: ${DEMO}, chat_template: false }\ndataset: { path: ${ROWS} }\nscoring: { num_fewshot: ${shots} }\nreport: { output_dir: ${out}/run, save_plot: false }\n`,
      );
      assert.equal(code, 0, stderr);
      const rows = readLines<ScoredRow<number>>(join(out, 'run/predictions.jsonl'));
      const wanted = golden(`arc_${shots}shot`);
      assert.equal(rows.length, wanted.length);
      for (const [i, want] of wanted.entries()) {
        const { choices = [], metrics, num_context_tokens, prompt_sha256 } = rows[i]!;
        assert.equal(prompt_sha256, want.prompt_sha256);
        assert.equal(num_context_tokens, want.context_tokens, `row ${i}`);
        assert.deepEqual(
          choices.map(({ num_tokens, is_greedy }) => [num_tokens, Number(is_greedy)]),
          want.continuation_tokens.map((count, k) => [count, want.is_greedy[k]]),
        );
        for (const [k, { logprob }] of choices.entries())
          assert.ok(Math.abs(logprob - want.loglikelihoods[k]!) < 1e-3, `row ${i}, choice ${k}: ${logprob}`);
        assert.deepEqual([metrics.acc, metrics.acc_norm], [want.acc, want.acc_norm], `row ${i}`);
      }
    });
  }
});
