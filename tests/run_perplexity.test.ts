/** Perplexity against lm-evaluation-harness 0.4.13's `wikitext` on pages of our own (fixtures/perplexity, README there). */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Prediction, RollingAsk } from '../nanoeval/questions.ts';
import { detokenize, task } from '../nanoeval/run_perplexity.ts';
import type { TextUnits } from '../nanoeval/score/perplexity.ts';
import { RowError } from '../nanoeval/types.ts';
import { runHereWith } from './in_process.ts';
import { ask, askedBy } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const FIXTURES = fileURLToPath(new URL('fixtures/perplexity/', import.meta.url));
const PAGES = join(FIXTURES, 'pages.jsonl');
const folder = temporaryFolder('perplexity');
after(folder.remove);

interface Golden {
  loglikelihood: number;
  words: number;
  bytes: number;
  tokens: number;
  windows?: number;
  prompt_sha256: string;
}
const readLines = <T>(path: string): T[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const golden = (name: string) => readLines<Golden>(join(FIXTURES, `${name}.jsonl`));
const aggregateOf = (name: string): Record<string, number> =>
  JSON.parse(readFileSync(join(FIXTURES, `${name}.head.json`), 'utf8')).aggregate;

test("pages are detokenised as the harness does it, Python's blanks included", () => {
  const texts = readLines<{ text: string }>(join(FIXTURES, 'detokenized.jsonl'));
  const pages = readLines<{ page: string }>(PAGES);
  assert.equal(pages.length, 4);
  for (const [i, { page }] of pages.entries()) assert.equal(detokenize(page), texts[i]!.text, `page ${i}`);
});

test("the harness's own example of its rules", () => {
  // lm-evaluation-harness, lm_eval/tasks/wikitext/preprocess_wikitext.py, applied by Python to this text.
  const page =
    ' = Robert = \n \n He had a guest @-@ starring role ( in 2000 ) ; it cost 1 @,@ 000 or 2 @.@ 5 . \n He said " hello " . \n';
  assert.equal(
    detokenize(page),
    ' = Robert =\n\nHe had a guest-starring role (in 2000); it cost 1,000 or 2.5.\nHe said "hello".\n',
  );
});

test('the question is the text that is scored, and gold its words and bytes before', async () => {
  const wanted = golden('wikitext_1024');
  let i = 0;
  for await (const { question, row } of ask(task, { dataset: { path: PAGES }, scoring: { window: 64, stride: 16 } })) {
    assert.ok(!('error' in row));
    const { text, window, stride } = question as RollingAsk;
    assert.deepEqual([window, stride], [64, 16]);
    assert.deepEqual(row.gold, { words: wanted[i]!.words, bytes: wanted[i]!.bytes });
    assert.equal(row.prompt_sha256, wanted[i]!.prompt_sha256);
    assert.equal(text, detokenize(text), 'detokenised once');
    i += 1;
  }
  assert.equal(i, 4);
});

test('plain: any column as it is', async () => {
  const rows = [{ body: ' one  @-@ two ' }];
  const settings = { dataset: { rows, column: 'body' }, scoring: { recipe: 'plain' } };
  for await (const { question, row } of ask(task, settings)) {
    assert.equal((question as RollingAsk).text, rows[0]!.body);
    assert.deepEqual((row as Prediction).gold, { words: 5, bytes: 14 });
  }
});

test('windows that the model has not, and strides beyond the window, are refused by their keys', async () => {
  const refused = async (scoring: object, key: string, message: RegExp) =>
    assert.rejects(ask(task, { dataset: { path: PAGES }, scoring }).next(), (error: Error & { key?: string }) => {
      assert.equal(error.key, key);
      assert.match(error.message, message);
      return true;
    });
  await refused({ window: 5000 }, 'scoring.window', /^5000 is more than the 1000 tokens of the model\.$/);
  await refused({ window: 50, stride: 51 }, 'scoring.stride', /^51 is more than the window of 50 tokens\.$/);
});

test('a text without blanks that overflows the perplexity by word is a failed row, never Infinity', () => {
  const row = { logprob: -3000, gold: { words: 1, bytes: 3000 } } as Prediction<TextUnits>;
  const recipe = (name: string) => ({ name }) as Parameters<typeof task.score>[1];
  assert.throws(
    () => task.score(row, recipe('lm_eval')),
    (error) => error instanceof RowError && /word_perplexity is Infinity: 3000 nats for 1 words/.test(error.message),
  );
  assert.ok(
    Math.abs(
      (task.score(row, recipe('plain')) as { metrics: Record<string, number> }).metrics.bits_per_byte! - 1 / Math.LN2,
    ) < 1e-12,
  );
});

/** Harness and float64 references: settings, file. Differences are below 2e-5 nats a token. */
const RUNS = [
  { name: 'wikitext_64', settings: 'max_length: 64' },
  { name: 'wikitext_128', settings: 'max_length: 128' },
  { name: 'wikitext_1024', settings: '' },
  { name: 'stride_64_16', settings: '', scoring: 'window: 64, stride: 16' },
];
describe('log-likelihoods of whole pages with the demo', { concurrency: 2 }, () => {
  for (const { name, settings, scoring = '' } of RUNS) {
    test(name, async () => {
      const out = join(folder.path, name);
      const limit = settings === '' ? '' : `, ${settings}`;
      mkdirSync(out);
      const { code, stderr } = await runHereWith(
        'run_perplexity',
        out,
        `task: perplexity\nmodel: { model_id: ${DEMO}${limit} }\ndataset: { path: ${PAGES} }\nscoring: { ${scoring} }\nreport: { output_dir: ${out}/run, save_plot: false }\n`,
      );
      assert.equal(code, 0, stderr);
      const rows = readLines<Prediction<TextUnits>>(join(out, 'run/predictions.jsonl'));
      for (const [i, want] of golden(name).entries()) {
        const row = rows[i]!;
        assert.equal(row.prompt_sha256, want.prompt_sha256);
        assert.equal(row.num_tokens, want.tokens);
        if (want.windows !== undefined) assert.equal(row.num_windows, want.windows);
        const apart = Math.abs(row.logprob! - want.loglikelihood) / want.tokens;
        assert.ok(apart < 2e-5, `page ${i}: ${row.logprob}, ${want.loglikelihood}`);
      }
      const { metrics, primary, recipe } = JSON.parse(readFileSync(join(out, 'run/summary.json'), 'utf8'));
      // The demo's default is its template; a text is scored as it stands.
      assert.equal(recipe.chat_template, false);
      assert.deepEqual(primary, { name: 'word_perplexity', unit: 'number', better: 'lower', chance: null });
      for (const [metric, value] of Object.entries(aggregateOf(name))) {
        if (metric === 'token_perplexity') continue;
        assert.ok(Math.abs(metrics[metric].value / value - 1) < 1e-3, `${metric} ${metrics[metric].value} ${value}`);
      }
      assert.ok(metrics.token_acc.value > 0 && metrics.token_acc.value < 1);
    });
  }
});

test("a user's text files: one row a file, in the order of their names", async () => {
  const texts = join(folder.path, 'texts');
  mkdirSync(texts);
  writeFileSync(join(texts, 'b.txt'), 'The second text is here.');
  writeFileSync(join(texts, 'a.txt'), 'The first one.\r\nTwo lines.');
  const out = join(folder.path, 'texts-run');
  const { code, stderr } = await runHereWith(
    'run_perplexity',
    folder.path,
    `task: perplexity\nmodel: { model_id: ${DEMO} }\ndataset: { path: ${texts} }\nscoring: { recipe: plain }\nreport: { output_dir: ${out} }\n`,
  );
  assert.equal(code, 0, stderr);
  const rows = readLines<Prediction<TextUnits>>(join(out, 'predictions.jsonl'));
  assert.deepEqual(
    rows.map(({ gold }) => gold),
    [
      { words: 5, bytes: 26 },
      { words: 5, bytes: 24 },
    ],
  );
});

test('a row in the middle without a text fails alone', async () => {
  const rows = [{ text: 'a' }, { text: null }, { text: 3 }, { text: 'b' }];
  const found = await askedBy(task, { dataset: { rows }, scoring: { recipe: 'plain' } });
  assert.deepEqual(
    found
      .map(({ row }) => row)
      .sort((a, b) => a.index - b.index)
      .map((row) => ('error' in row ? row.error.message : row.index)),
    [0, 'perplexity row 1: text is null. It has to be a text.', 'perplexity row 2: text is 3. It has to be a text.', 3],
  );
});
