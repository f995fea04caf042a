/**
 * Benchmarks whose choices are ranked, against lm-evaluation-harness 0.4.13 on rows of our own in their schemas
 * (fixtures/lm_eval_choices, README there): requests byte for byte, drawn examples, log-likelihoods of the demo checkpoint.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { TaskConfig } from '../nanoeval/config/keys.ts';
import type { ChatMessage, LoglikelihoodAsk, Prompt, ScoredRow } from '../nanoeval/questions.ts';
import { openShotPools } from '../nanoeval/run/shots.ts';
import type { Task } from '../nanoeval/task.ts';
import { sha256 } from '../nanoeval/text/hash.ts';
import type { Split } from '../nanoeval/types.ts';
import { runHereWith } from './in_process.ts';
import { askedBy, questionOf } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const FIXTURES = fileURLToPath(new URL('fixtures/lm_eval_choices/', import.meta.url));

/** A row of a golden file. `contexts` where each choice has its own. */
interface Golden {
  doc_id: number;
  gold: number;
  shots?: number[];
  context?: string;
  contexts?: string[];
  continuations: string[];
  /** Not in the files of chats. */
  acc: number;
  acc_norm?: number;
  context_tokens: number[];
  continuation_tokens: number[];
  loglikelihoods: number[];
  is_greedy: number[];
}

/** The folder of a task's rows, a file for each split. */
export const rowsOf = (name: string) => join(FIXTURES, 'rows', name);

function readLines<T>(path: string): T[] {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as T);
}
const goldens = (file: string) => readLines<Golden>(join(FIXTURES, `${file}.jsonl`));
const contextsOf = ({ context, contexts, continuations }: Golden) => contexts ?? continuations.map(() => context!);

/** The conversation as the maker's ChatML template prints it. */
export function chatMl(messages: readonly ChatMessage[]): string {
  const turns = messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`);
  return `${turns.join('')}<|im_start|>assistant\n`;
}
const textOf = (prompt: Prompt) => (typeof prompt === 'string' ? prompt : chatMl(prompt as ChatMessage[]));

/** What is sent for each choice: its context and its continuation, as text. */
export const requestsOf = ({ prompt: shared, choices }: LoglikelihoodAsk) =>
  choices.map(({ prompt = shared, continuation }) => [textOf(prompt), continuation]);

/** Every form of a task: its file, whether it is a chat, how many examples. */
function formsOf(name: string): { form: string; chat: boolean; shots: number }[] {
  const has = existsSync(join(FIXTURES, `${name}_5shot.jsonl`));
  return [
    { form: '0shot', chat: false, shots: 0 },
    ...(has ? [{ form: '5shot', chat: false, shots: 5 }] : []),
    { form: 'chat', chat: true, shots: has ? 2 : 0 },
  ];
}

/** Registers the tests of a task's recipe `lm_eval` against the harness. */
export function testGoldens<C extends TaskConfig>(task: Task<C, number>): void {
  const { name } = task;
  const folder = temporaryFolder(name);
  after(folder.remove);
  for (const { form, chat, shots } of formsOf(name)) {
    test(`requests of ${name}_${form}: contexts, continuations and gold byte for byte`, async () => {
      const wanted = goldens(`${name}_${form}`);
      const asked = await askedBy(task, {
        model: { model_id: 'a/b', chat_template: chat },
        dataset: { path: rowsOf(name), ...(chat ? { subset_size: wanted.length } : {}) },
        scoring: { recipe: 'lm_eval', num_fewshot: shots },
      });
      assert.equal(asked.length, wanted.length);
      for (const [i, want] of wanted.entries()) {
        const contexts = contextsOf(want);
        const requests = requestsOf(questionOf(asked[i]!, 'loglikelihood'));
        assert.deepEqual(
          requests,
          want.continuations.map((continuation, k) => [contexts[k], continuation]),
          `row ${i}`,
        );
        const { row } = asked[i]!;
        assert.deepEqual('error' in row ? row : [row.index, row.gold], [want.doc_id, want.gold], `row ${i}`);
      }
    });
    if (!chat)
      test(`log-likelihoods of the demo for ${name}_${form}`, () => compareRun(task, folder.path, form, shots));
  }
  if (task.shots !== undefined)
    test(`examples of ${name} are drawn as the harness draws them from a pool of the published size`, () =>
      compareDraws(name, task.shots!.split));
}

/** Registers the test of a task's recipe `cloze` against the prompts of lighteval's functions (make_cards.py). */
export function testCards<C extends TaskConfig>(task: Task<C, number>): void {
  const { name } = task;
  test(`requests of ${name}_card: contexts, continuations, gold and lengths as lighteval has them`, async () => {
    const wanted = readLines<Golden & { divisors: number[] }>(join(FIXTURES, `${name}_card.jsonl`));
    const asked = await askedBy(task, { dataset: { path: rowsOf(name) }, scoring: { recipe: 'cloze' } });
    assert.ok(wanted.length >= 12, `${wanted.length} rows`);
    for (const want of wanted) {
      const { row, question } = asked[want.doc_id]!;
      const requests = requestsOf(question as LoglikelihoodAsk);
      assert.deepEqual(
        requests,
        want.continuations.map((continuation) => [want.context, continuation]),
        `row ${want.doc_id}`,
      );
      if ('error' in row) assert.fail(row.error.message);
      const lengths = row.choices!.map(({ num_chars }) => num_chars);
      assert.deepEqual([row.gold, lengths], [want.gold, want.divisors], `row ${want.doc_id}`);
    }
  });
}

/** A whole run on the demo checkpoint, row by row. */
async function compareRun({ name }: { name: string }, folder: string, form: string, shots: number): Promise<void> {
  const out = join(folder, form);
  mkdirSync(out);
  const yaml = `task: ${name}\nmodel: { model_id: ${DEMO}, chat_template: false }\ndataset: { path: ${rowsOf(name)} }\nscoring: { recipe: lm_eval, num_fewshot: ${shots} }\nreport: { output_dir: ${out}/run, save_plot: false }\n`;
  const { code, stderr } = await runHereWith(`run_${name}`, out, yaml);
  assert.equal(code, 0, stderr);
  const rows = readLines<ScoredRow<number>>(join(out, 'run/predictions.jsonl'));
  const wanted = goldens(`${name}_${form}`);
  assert.equal(rows.length, wanted.length);
  for (const [i, want] of wanted.entries()) {
    const { choices = [], metrics, num_context_tokens, prompt_sha256 } = rows[i]!;
    assert.equal(prompt_sha256, sha256(want.context ?? JSON.stringify(want.contexts)), `row ${i}`);
    assert.equal(num_context_tokens, want.context_tokens[0], `row ${i}`);
    assert.deepEqual(
      choices.map(({ num_tokens, is_greedy }) => [num_tokens, Number(is_greedy)]),
      want.continuation_tokens.map((count, k) => [count, want.is_greedy[k]]),
      `row ${i}`,
    );
    for (const [k, { logprob }] of choices.entries())
      assert.ok(
        Math.abs(logprob - want.loglikelihoods[k]!) < 1e-3,
        `row ${i}, choice ${k}: ${logprob}, not ${want.loglikelihoods[k]}`,
      );
    assert.deepEqual([metrics.acc, metrics.acc_norm], [want.acc, want.acc_norm], `row ${i}`);
  }
}

async function compareDraws(name: string, split: string): Promise<void> {
  interface Draw {
    task: string;
    pool: number;
    num_fewshot: number;
    spare: 0 | 1;
    rows: number[][];
  }
  const draws: Draw[] = JSON.parse(readFileSync(join(FIXTURES, 'draws.json'), 'utf8'));
  const { pool, num_fewshot, spare, rows } = draws.find(({ task }) => task === name)!;
  const shots = {
    split,
    async *rows() {
      for (let index = 0; index < pool; index += 1) yield { index, row: {} };
    },
  } as unknown as Split;
  const { drawnShots } = openShotPools(shots, num_fewshot);
  const shotsFor = await drawnShots([], ({ index }) => index, spare);
  assert.deepEqual([0, 1, 2].map(shotsFor), rows);
}
