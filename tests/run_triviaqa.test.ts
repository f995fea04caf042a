/** TriviaQA against lm-evaluation-harness 0.4.13 on rows of our own in its schema (fixtures/triviaqa, README there). */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ChatMessage, Prediction, ScoredRow } from '../nanoeval/questions.ts';
import { recipes, score, task } from '../nanoeval/run_triviaqa.ts';
import { runHereWith } from './in_process.ts';
import { askedBy, questionOf } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const FIXTURES = fileURLToPath(new URL('fixtures/triviaqa/', import.meta.url));
const ROWS = join(FIXTURES, 'rows');
const folder = temporaryFolder('triviaqa');
after(folder.remove);

interface Golden {
  context: string;
  prompt_sha256: string;
  until: string[];
  context_tokens: number;
  output: string;
  exact_match: number;
}
interface PublishedRow {
  question_id: string;
  answer: { aliases: string[] };
}
const readLines = <T>(path: string): T[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const golden = (name: string) => readLines<Golden>(join(FIXTURES, `${name}.jsonl`));
const published = readLines<PublishedRow>(join(ROWS, 'validation.jsonl'));
const goldOf = ({ answer: { aliases } }: PublishedRow) => ({ label: aliases[0]!, aliases });

const chatml = (messages: readonly ChatMessage[]) =>
  `${messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join('')}<|im_start|>assistant\n`;

/** Which recipe, shots and form each golden was made with. */
const GOLDENS = {
  triviaqa_0shot: ['lm_eval', 0, false],
  triviaqa_5shot: ['lm_eval', 5, false],
  triviaqa_2shot_chat: ['lm_eval', 2, true],
  card: ['card', 0, false],
} as const;
const LIMITS = { lm_eval: 256, card: 20 };

for (const [name, [recipe, num_fewshot, chat_template]] of Object.entries(GOLDENS)) {
  test(`prompts of ${name}: contexts and stops byte for byte, every alias kept`, async () => {
    const model = { model_id: 'a/b', chat_template };
    const asked = await askedBy(task, { model, dataset: { path: ROWS }, scoring: { recipe, num_fewshot } });
    const want = golden(name);
    assert.equal(asked.length, want.length);
    for (const [i, one] of asked.entries()) {
      const { prompt, until, max_new_tokens } = questionOf(one, 'generate_until');
      assert.equal(chat_template ? chatml(prompt as ChatMessage[]) : prompt, want[i]!.context, `row ${i}`);
      assert.deepEqual(until, recipe === 'card' ? ['Question:', 'Question'] : want[i]!.until);
      assert.equal(max_new_tokens, LIMITS[recipe]);
      const { id, gold, prompt_sha256 } = one.row as Prediction;
      assert.deepEqual([id, gold], [published[i]!.question_id, goldOf(published[i]!)]);
      if (!chat_template) assert.equal(prompt_sha256, want[i]!.prompt_sha256);
    }
  });
}

test('5 shots by default, none on the card', async () => {
  const first = async (recipe?: string) => {
    const [one] = await askedBy(task, { dataset: { path: ROWS }, scoring: recipe === undefined ? {} : { recipe } });
    return questionOf(one!, 'generate_until').prompt;
  };
  assert.equal(await first(), golden('triviaqa_5shot')[0]!.context);
  assert.equal(await first('card'), golden('card')[0]!.context);
});

test("verdicts on answers that were made up are the harness's, and the card's", () => {
  const rows = readLines<{ doc: number; said: string; filtered: string; exact_match: number; card: number }>(
    join(FIXTURES, 'said.jsonl'),
  );
  assert.ok(rows.length > 90, `${rows.length} answers`);
  for (const { doc, said, exact_match, card } of rows) {
    const gold = goldOf(published[doc]!);
    for (const [recipe, want] of Object.entries({ lm_eval: exact_match, card })) {
      const { correct, metrics, prediction } = score({ output: said, gold }, recipes[recipe]!);
      assert.deepEqual([correct, metrics], [want, { exact_match: want }], `${recipe}: ${JSON.stringify(said)}`);
      assert.equal(typeof prediction, 'string');
    }
  }
  // Both ways of being right are there, and rows on which they differ.
  assert.deepEqual([...new Set(rows.map(({ exact_match, card }) => `${exact_match}${card}`))].sort(), [
    '00',
    '01',
    '10',
    '11',
  ]);
});

test('what was read is in lower case, without punctuation and outer blanks', () => {
  const gold = { label: 'x', aliases: ['x'] };
  assert.equal(score({ output: " The 'Cat'!\n", gold }, recipes.lm_eval!).prediction, 'the cat');
});

test('a row without aliases is refused with its place', async () => {
  const [row] = published;
  const bad = (change: object) =>
    askedBy(task, { dataset: { rows: [{ ...row, ...change }] }, scoring: { num_fewshot: 0 } });
  await assert.rejects(bad({ answer: { aliases: [] } }), {
    message: 'triviaqa row 0: answer.aliases is empty. It has to have one text at least.',
  });
  await assert.rejects(
    bad({ answer: { value: 'x' } }),
    /triviaqa row 0: answer\.aliases is undefined\. It has to be a list/,
  );
  await assert.rejects(bad({ question: null }), /triviaqa row 0: question is null\. It has to be a text\./);
});

for (const name of ['triviaqa_0shot', 'triviaqa_5shot'] as const) {
  test(`the demo's answers as lm-evaluation-harness has them: ${name}`, async () => {
    const out = join(folder.path, name);
    mkdirSync(out);
    const { code, stderr } = await runHereWith(
      'run_triviaqa',
      out,
      `task: triviaqa\nmodel: { model_id: ${DEMO}, chat_template: false }\ndataset: { path: ${ROWS} }\nscoring: { num_fewshot: ${GOLDENS[name][1]}, max_new_tokens: 24 }\nreport: { output_dir: ${out}/run, save_plot: false }\n`,
    );
    assert.equal(code, 0, stderr);
    const rows = readLines<ScoredRow>(join(out, 'run/predictions.jsonl'));
    assert.deepEqual(
      rows.map(({ output, num_context_tokens, metrics }) => [output, num_context_tokens, metrics.exact_match]),
      golden(name).map((want) => [want.output, want.context_tokens, want.exact_match]),
    );
  });
}
