/** LAMBADA against lm-evaluation-harness 0.4.13 on rows of our own in its schema (fixtures/lambada, README there). */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import type { ChatMessage, Prediction, ScoredRow, Verdict } from '../nanoeval/questions.ts';
import { slimRow } from '../nanoeval/run/tally.ts';
import { config, task } from '../nanoeval/run_lambada.ts';
import { runHereWith } from './in_process.ts';
import { askedBy, questionOf } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const FIXTURES = fileURLToPath(new URL('fixtures/lambada/', import.meta.url));
const ROWS = join(FIXTURES, 'rows/test.jsonl');
const folder = temporaryFolder('lambada');
after(folder.remove);

interface Golden {
  context: string;
  continuation: string;
  prompt_sha256: string;
  context_tokens: number;
  continuation_tokens: number;
  loglikelihood: number;
  acc: 0 | 1;
}
const readLines = <T>(path: string): T[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const golden = (name: string) => readLines<Golden>(join(FIXTURES, `${name}.jsonl`));
const aggregate = (name: string): Record<string, number> =>
  JSON.parse(readFileSync(join(FIXTURES, `${name}.head.json`), 'utf8')).aggregate;

const chatml = (messages: readonly ChatMessage[]) =>
  `${messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join('')}<|im_start|>assistant\n`;

for (const [name, chat_template] of Object.entries({ lambada: false, lambada_chat: true })) {
  test(`prompts of ${name}: contexts and words byte for byte`, async () => {
    const asked = await askedBy(task, { dataset: { path: ROWS }, model: { model_id: 'a/b', chat_template } });
    const found = asked.map((one) => {
      const { prompt, choices } = questionOf(one, 'loglikelihood');
      return [chat_template ? chatml(prompt as ChatMessage[]) : prompt, choices.map((choice) => choice.continuation)];
    });
    assert.deepEqual(
      found,
      golden(name).map(({ context, continuation }) => [context, [continuation]]),
    );
  });
}

test('the word is kept as what is right, without the blank', async () => {
  const rows = ['He sat on the chair', 'alone', 'ends in a blank '].map((text) => ({ text }));
  const asked = await askedBy(task, { dataset: { rows } });
  assert.deepEqual(
    asked.map(({ row }) => (row as Prediction).gold),
    [
      { label: 'chair', words: 1, bytes: 5 },
      { label: 'alone', words: 1, bytes: 5 },
      { label: '', words: 1, bytes: 0 },
    ],
  );
});

test('a row without a text is refused with its place; there are no shots', async () => {
  const refused = askedBy(task, { dataset: { rows: [{ text: 7 }] } });
  await assert.rejects(refused, { message: 'lambada row 0: text is 7. It has to be a text.' });
  const shots = askedBy(task, { dataset: { rows: [{ text: 'a b' }] }, scoring: { num_fewshot: 1 } });
  await assert.rejects(shots, { key: 'scoring.num_fewshot' });
});

const resolved = resolveRecipe(task, config.parse({ task: 'lambada', model: { model_id: 'a/b' } }));
const said = (index: number, logprob: number, num_greedy: number, num_tokens = 2) =>
  ({
    index,
    id: String(index),
    gold: { label: 'x', words: 1, bytes: 1 },
    choices: [{ logprob, num_tokens, num_greedy, num_chars: 1, num_bytes: 1, is_greedy: num_greedy === num_tokens }],
  }) as unknown as Prediction<{ label: string; words: number; bytes: number }>;

test('a word is right where all its tokens are greedy; a log-likelihood that is no number fails its row', () => {
  const verdict = (...given: Parameters<typeof said>) => task.score(said(...given), resolved) as Verdict;
  assert.deepEqual(verdict(0, -Math.LN2, 2), { correct: 1, metrics: { acc: 1, perplexity: 2 } });
  assert.deepEqual(verdict(0, -Math.log(8), 1).metrics, { acc: 0, perplexity: Math.exp(Math.log(8)) });
  for (const logprob of [Number.NaN, Number.NEGATIVE_INFINITY])
    assert.throws(() => verdict(0, logprob, 0), { kind: 'nan' });
});

test('perplexity is over all words, whatever their tokens; its standard error goes through the exponential', () => {
  const rows = [said(0, -1, 1, 1), said(1, -4, 2, 5), said(2, -4, 0, 3)].map(
    (row) => slimRow({ ...row, ...(task.score(row, resolved) as Verdict) } as never).row as ScoredRow<never>,
  );
  const { primary, metrics, pooled } = task.summarize(rows, resolved);
  assert.deepEqual([primary.name, primary.better, primary.chance], ['acc', 'higher', null]);
  assert.deepEqual(Object.keys(metrics), ['acc', 'perplexity', 'token_acc']);
  assert.equal(metrics.acc?.value, 1 / 3);
  // The mean is -3, its standard error 1.
  assert.ok(Math.abs(metrics.perplexity!.value - Math.exp(3)) < 1e-9, `${metrics.perplexity?.value}`);
  assert.ok(Math.abs(metrics.perplexity!.stderr! - Math.exp(3)) < 1e-9, `${metrics.perplexity?.stderr}`);
  assert.equal(metrics.token_acc?.value, 3 / 9);
  assert.deepEqual(pooled, ['perplexity', 'token_acc']);
});

test("the demo's log-likelihoods, verdicts and means as lm-evaluation-harness has them", async () => {
  const out = join(folder.path, 'demo');
  mkdirSync(out);
  const { code, stderr } = await runHereWith(
    'run_lambada',
    out,
    `task: lambada\nmodel: { model_id: ${DEMO}, chat_template: false }\ndataset: { path: ${ROWS} }\nreport: { output_dir: ${out}/run, save_plot: false }\n`,
  );
  assert.equal(code, 0, stderr);
  const rows = readLines<ScoredRow>(join(out, 'run/predictions.jsonl'));
  const wanted = golden('lambada');
  assert.deepEqual(
    rows.map(({ metrics, num_context_tokens, prompt_sha256, choices = [] }) => [
      metrics.acc,
      num_context_tokens,
      choices[0]?.num_tokens,
      prompt_sha256,
    ]),
    wanted.map((want) => [want.acc, want.context_tokens, want.continuation_tokens, want.prompt_sha256]),
  );
  assert.ok(wanted.filter(({ acc }) => acc === 1).length > 4, 'right words among the rows');
  for (const [i, want] of wanted.entries()) {
    const found = rows[i]!.choices![0]!.logprob;
    assert.ok(Math.abs(found - want.loglikelihood) < 1e-3, `row ${i}: ${found} and ${want.loglikelihood}`);
  }
  const { metrics } = JSON.parse(readFileSync(join(out, 'run/summary.json'), 'utf8'));
  const means = aggregate('lambada');
  assert.equal(metrics.acc.value, means['acc,none']);
  const ratio = metrics.perplexity.value / means['perplexity,none']!;
  assert.ok(Math.abs(ratio - 1) < 1e-3, `perplexity ${ratio} times the harness's`);
});
