/**
 * GSM8K against lm-evaluation-harness 0.4.13 on rows of our own in GSM8K's schema (fixtures/gsm8k, README there).
 * NANOEVAL_TEST_DATA names a folder with `gsm8k/{train,test}.jsonl` and `gsm8k/example_model_solutions.jsonl` of
 * openai/grade-school-math, and `goldens/smollm2-135m-instruct/gsm8k_5shot.jsonl`, rows of the harness on them: what of it is there is compared too.
 */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ChatMessage, ScoredRow } from '../nanoeval/questions.ts';
import { recipes, score, task } from '../nanoeval/run_gsm8k.ts';
import { sha256 } from '../nanoeval/text/hash.ts';
import { runHereWith } from './in_process.ts';
import { ask, askedBy, questionOf } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const FIXTURES = fileURLToPath(new URL('fixtures/gsm8k/', import.meta.url));
const ROWS = join(FIXTURES, 'rows');
const DATA = process.env.NANOEVAL_TEST_DATA;
const folder = temporaryFolder('gsm8k');
after(folder.remove);

type ByFilter<T> = Record<'strict-match' | 'flexible-extract', T>;
interface Golden {
  doc_id: number;
  prompt_sha256: string;
  context: string;
  context_tokens: number;
  until: string[];
  output: string;
  filtered: ByFilter<string>;
  exact_match: ByFilter<number>;
}
const readLines = <T>(path: string): T[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const golden = (name: string) => readLines<Golden>(join(FIXTURES, `${name}.jsonl`));

/** Which recipe and shots each golden was made with. */
const PLAIN = {
  gsm8k_5shot: ['lm_eval', 5],
  cot_8shot: ['cot', 8],
  cot_2shot: ['cot', 2],
  cot_zeroshot: ['cot_zeroshot', 0],
} as const;
const CHAT = {
  gsm8k_0shot_chat: ['lm_eval', 0],
  gsm8k_2shot_chat: ['lm_eval', 2],
  cot_zeroshot_chat: ['cot_zeroshot', 0],
} as const;
const chatml = (messages: readonly ChatMessage[]) =>
  `${messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join('')}<|im_start|>assistant\n`;

for (const [name, [recipe, num_fewshot]] of Object.entries({ ...PLAIN, ...CHAT })) {
  test(`prompts of ${name}: contexts, stops and gold byte for byte`, async () => {
    const want = golden(name);
    const chat_template = name in CHAT;
    const model = { model_id: 'a/b', chat_template };
    const asked = await askedBy(task, { model, dataset: { path: ROWS }, scoring: { recipe, num_fewshot } });
    assert.equal(asked.length, want.length);
    for (const [i, one] of asked.entries()) {
      const { prompt, until, max_new_tokens } = questionOf(one, 'generate_until');
      assert.equal(chat_template ? chatml(prompt as ChatMessage[]) : prompt, want[i]!.context, `row ${i}`);
      // The harness puts the end of sequence behind the task's own.
      assert.deepEqual(until, want[i]!.until.slice(0, until.length));
      assert.equal(max_new_tokens, 256);
      assert.ok(!('error' in one.row));
      if (!chat_template) assert.equal(one.row.prompt_sha256, want[i]!.prompt_sha256);
      assert.equal(one.row.gold, ['8', '12', '77,000', '-5', '4'][i]);
    }
  });
}

test('the card: the same words as lm_eval, with a blank before the answers in turns of the assistant, and other stops', async () => {
  const plain = await askedBy(task, { dataset: { path: ROWS }, scoring: { recipe: 'card' } });
  for (const [i, { context }] of golden('gsm8k_5shot').entries())
    assert.equal(questionOf(plain[i]!, 'generate_until').prompt, context);
  const model = { model_id: 'a/b', chat_template: true };
  const [chat] = await askedBy(task, { model, dataset: { path: ROWS }, scoring: { recipe: 'card', num_fewshot: 1 } });
  const { prompt, until } = questionOf(chat!, 'generate_until');
  assert.match((prompt as ChatMessage[])[1]!.content as string, /^ \S[\s\S]*#### \S+$/);
  assert.deepEqual(until, ['Question:', 'Question']);
});

const EXACT = { 'strict-match': 'exact_match', 'flexible-extract': 'flexible_extract' } as const;
const verdictOf = (output: string, gold: string, recipe: string) => {
  const { prediction, correct, metrics } = score({ output, gold }, recipes[recipe]!);
  assert.equal(metrics.exact_match, correct);
  assert.deepEqual(Object.keys(metrics), ['exact_match', 'flexible_extract']);
  return { prediction, metrics };
};

test("verdicts on answers that were made up are the harness's", () => {
  type Read = [found: ByFilter<string>, right: ByFilter<number>];
  const rows = readLines<{ answer: string; gold: string; lm_eval: Read; cot: Read }>(
    join(FIXTURES, 'extraction.jsonl'),
  );
  assert.ok(rows.length > 60);
  for (const { answer, gold, ...read } of rows) {
    for (const recipe of ['lm_eval', 'cot', 'cot_zeroshot']) {
      const [found, right] = read[recipe === 'lm_eval' ? 'lm_eval' : 'cot'];
      const { prediction, metrics } = verdictOf(answer, gold, recipe);
      const what = `${recipe}: ${JSON.stringify(answer)}`;
      for (const [filter, metric] of Object.entries(EXACT))
        assert.equal(metrics[metric], right[filter as keyof typeof EXACT], `${what}, ${filter}`);
      const kept = found['strict-match'].replace(/[,$]/g, '').replace(/\.$/, '');
      assert.equal(prediction, kept === '[invalid]' ? null : kept, what);
    }
  }
});

test('the pattern of cot takes a digit for the character that it wants behind the number', () => {
  assert.equal(verdictOf('The answer is 18', '1', 'cot').metrics.exact_match, 1);
  assert.deepEqual(verdictOf('The answer is 8', '8', 'cot'), {
    prediction: null,
    metrics: { exact_match: 0, flexible_extract: 1 },
  });
});

test('the card drops commas alone: a full stop behind the number is part of it', () => {
  assert.equal(verdictOf('#### 1,234', '1234', 'card').metrics.exact_match, 1);
  assert.deepEqual(verdictOf('#### 18.', '18', 'card'), {
    prediction: '18.',
    metrics: { exact_match: 0, flexible_extract: 0 },
  });
});

test('an answer of the data set without its number is refused with the row; more shots than there are, with the key', async () => {
  const bad = (answer: unknown) => {
    const rows = [{ question: 'q', answer }];
    return ask(task, { dataset: { rows }, scoring: { num_fewshot: 0 } }).next();
  };
  const end = /gsm8k row 0: answer is ".*"\. It has to end in "#### " and the number\.$/;
  for (const answer of ['18', 'so 18\n####', 'so 18\n#### ']) await assert.rejects(bad(answer), end);
  await assert.rejects(bad(18), /gsm8k row 0: answer is 18\. It has to be a text\./);
  const rows = [{ question: 'q', answer: '#### 18' }];
  await assert.rejects(askedBy(task, { dataset: { rows }, scoring: { recipe: 'cot', num_fewshot: 9 } }), {
    key: 'scoring.num_fewshot',
    message: '9, but the recipe "cot" has 8 worked examples of its own. Lower it.',
  });
  // The eight need no split: rows of the config are enough, and so is `train` itself.
  const settings = { dataset: { rows, split: 'train' }, scoring: { recipe: 'cot' } };
  assert.equal((await askedBy(task, settings)).length, 1);
  await assert.rejects(askedBy(task, { dataset: { rows } }), { key: 'dataset.rows' });
});

describe("the demo's answers as lm-evaluation-harness has them", { concurrency: 1 }, () => {
  // The second one is longer than the window: both drop tokens on the left.
  for (const name of ['gsm8k_5shot', 'cot_8shot'] as const) {
    test(name, async () => {
      const [recipe, num_fewshot] = PLAIN[name];
      const out = join(folder.path, name);
      mkdirSync(out);
      const { code, stderr } = await runHereWith(
        'run_gsm8k',
        out,
        `task: gsm8k\nmodel: { model_id: ${DEMO}, chat_template: false }\ndataset: { path: ${ROWS} }\nscoring: { recipe: ${recipe}, num_fewshot: ${num_fewshot}, max_new_tokens: 24 }\nreport: { output_dir: ${out}/run, save_plot: false }\n`,
      );
      assert.equal(code, 0, stderr);
      const rows = readLines<ScoredRow<string>>(join(out, 'run/predictions.jsonl'));
      const wanted = golden(name);
      assert.equal(rows.length, wanted.length);
      for (const [i, want] of wanted.entries()) {
        const { output, metrics, num_context_tokens, truncated } = rows[i]!;
        assert.equal(output, want.output, `row ${i}`);
        assert.deepEqual([num_context_tokens, truncated], [want.context_tokens, want.context_tokens > 1000]);
        assert.deepEqual(
          [metrics.exact_match, metrics.flexible_extract],
          [want.exact_match['strict-match'], want.exact_match['flexible-extract']],
        );
      }
    });
  }
});

const has = (...paths: string[]) =>
  DATA !== undefined && paths.every((path) => existsSync(join(DATA, path)))
    ? {}
    : { skip: `NANOEVAL_TEST_DATA names no folder with ${paths.join(' and ')}` };

const SOLUTIONS = 'gsm8k/example_model_solutions.jsonl';
test("verdicts on the authors' 5,276 solutions: theirs, and the harness's one by one", has(SOLUTIONS), () => {
  type Solution = { solution: string; is_correct: boolean };
  const rows = readLines<Record<string, Solution> & { ground_truth: string }>(join(DATA!, SOLUTIONS));
  const verdicts: Record<string, { right: number; sha256: string }> = JSON.parse(
    readFileSync(join(FIXTURES, 'verdicts.json'), 'utf8'),
  );
  for (const [column, want] of Object.entries(verdicts)) {
    const [name, form, filter] = column.split(', ') as [string, string, keyof typeof EXACT];
    const marked = (text: string) => text.replaceAll('\nA: ', '\n#### ');
    const bits = rows.map((row) => {
      const { solution, is_correct } = row[name]!;
      const gold = marked(row.ground_truth).split('#### ').at(-1)!;
      const text = form === 'as published' ? solution : marked(solution);
      const right = verdictOf(text, gold, 'lm_eval').metrics[EXACT[filter]];
      // As published they say `A: 18`, which is not the strict form.
      if (form !== 'as published') assert.equal(right, Number(is_correct), `${column}: ${text}`);
      return right;
    });
    assert.equal(sha256(bits.join('')), want.sha256, column);
    assert.equal(bits.filter((bit) => bit === 1).length, want.right, column);
  }
});

const GOLDENS = 'goldens/smollm2-135m-instruct/gsm8k_5shot.jsonl';
const published = has('gsm8k/train.jsonl', 'gsm8k/test.jsonl', GOLDENS);
test('prompts and verdicts of published rows are those of the harness', published, async () => {
  const wanted = readLines<Golden & { target: string }>(join(DATA!, GOLDENS));
  const path = join(folder.path, 'published');
  mkdirSync(path);
  for (const file of ['train.jsonl', 'test.jsonl']) copyFileSync(join(DATA!, 'gsm8k', file), join(path, file));
  const settings = { dataset: { path, subset_size: wanted.length } };
  const asked = await askedBy(task, settings);
  for (const [i, want] of wanted.entries()) {
    const { row } = asked[i]!;
    assert.ok(!('error' in row));
    assert.deepEqual([row.prompt_sha256, row.gold], [want.prompt_sha256, want.target], `row ${i}`);
    const { metrics } = verdictOf(want.output, want.target, 'lm_eval');
    for (const [filter, metric] of Object.entries(EXACT))
      assert.equal(metrics[metric], want.exact_match[filter as keyof typeof EXACT], `row ${i}`);
  }
});
