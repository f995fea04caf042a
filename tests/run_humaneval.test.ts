/**
 * HumanEval: what is asked, what programs answers make, verdicts against recorded ones, and a run of the demo with its score
 * given later. The recorded verdicts of the 164 tasks are compared where NANOEVAL_TEST_HUMANEVAL names a folder with
 * HumanEval.jsonl.gz and verdicts/*_results.jsonl (lines of openai/human-eval: task_id, completion, passed).
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import type { Prediction, ScoredRow } from '../nanoeval/questions.ts';
import { inParallel } from '../nanoeval/run/in_parallel.ts';
import { programOf, recipes, task } from '../nanoeval/run_humaneval.ts';
import { runHereWith } from './in_process.ts';
import { askedBy, questionOf } from './requests.ts';
import { NO_SANDBOX, strongest } from './score/sandbox/rooms.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('humaneval');
after(folder.remove);
const skip = (await strongest()) === null ? NO_SANDBOX : false;

interface Row {
  task_id: string;
  prompt: string;
  test: string;
  entry_point: string;
}
interface Answer {
  completion: string;
  passed: boolean;
}
const linesIn = <T>(text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const MADE = linesIn<Row & { answers: Answer[] }>(
  readFileSync(new URL('fixtures/humaneval/rows.jsonl', import.meta.url), 'utf8'),
);
const plain = ({ task_id, prompt, test: own, entry_point }: Row): Row => ({ task_id, prompt, test: own, entry_point });
const rows = MADE.map(plain);
const config = task.config.parse({
  task: 'humaneval',
  model: { model_id: 'a/b' },
  sandbox: { enabled: true, python: process.env.NANOEVAL_TEST_PYTHON ?? 'python3' },
});

/** Of the runs. */
const few = rows.slice(0, 2);
const window = { max_length: 4096 };

/** The verdict on an answer to a row. */
const verdictOn = (gold: Row, output: string, recipe = 'lm_eval', program_timeout = 3) =>
  task.score(
    { output, gold: plain(gold) } as unknown as Prediction<Row>,
    resolveRecipe(task, { ...config, scoring: { ...config.scoring, recipe } }),
    { ...config, scoring: { ...config.scoring, program_timeout } },
  );

test('the prompt as it stands, with the stops of the paper; or a request in words, without any', async () => {
  const [first] = await askedBy(task, { dataset: { rows } }, window);
  assert.deepEqual(questionOf(first!, 'generate_until'), {
    verb: 'generate_until',
    prompt: MADE[0]!.prompt,
    until: ['\nclass', '\ndef', '\n#', '\nif', '\nprint'],
    max_new_tokens: 1024,
  });
  const saved = first!.row as Prediction<Row>;
  assert.equal(saved.id, 'Made/count_vowels');
  const { task_id: _id, ...gold } = rows[0]!;
  assert.deepEqual(saved.gold, gold);
  const [chat] = await askedBy(
    task,
    {
      dataset: { rows },
      scoring: { recipe: 'instruct' },
      model: { model_id: 'a/b', chat_template: true },
    },
    window,
  );
  const asked = questionOf(chat!, 'generate_until');
  const content = `Write a solution to the following problem and make sure that it passes the tests:\n\`\`\`python\n${MADE[0]!.prompt}\n\`\`\`\n`;
  assert.deepEqual([asked.prompt, asked.until], [[{ role: 'user', content }], []]);
});

test('a row without its columns is named', async () => {
  const found = await askedBy(task, { dataset: { rows: [rows[0], { ...rows[1], test: 3 }] } }, window);
  const errors = found.map(({ row }) => ('error' in row ? row.error.message : ''));
  assert.deepEqual(errors.filter(Boolean), ['humaneval row 1: test is 3. It has to be a text.']);
});

test('programs: prompt and completion in a row; of words the code', () => {
  const row = { output: '```python\n    return 1\n```', gold: rows[0]! } as unknown as Prediction<Row>;
  assert.equal(programOf(row, recipes.lm_eval!), `${rows[0]!.prompt}\`\`\`python\n    return 1\n\`\`\``);
  assert.equal(programOf(row, recipes.instruct!), `${rows[0]!.prompt}    return 1\n`);
});

test('made rows have the verdicts that one plain Python process gave them (the first six; NANOEVAL_TEST_ALL=1: all)', {
  skip,
}, async () => {
  const jobs = MADE.flatMap((row) => row.answers.map((answer) => ({ row, answer })));
  const chosen = process.env.NANOEVAL_TEST_ALL === '1' ? jobs : jobs.slice(0, 6);
  async function* each() {
    yield* chosen;
  }
  const work = async ({ row, answer }: (typeof jobs)[number]) => {
    const { correct, metrics, failure } = await verdictOn(row, answer.completion, 'lm_eval', 1);
    assert.deepEqual([metrics, failure === undefined], [{ pass: correct }, correct === 1]);
    return correct === (answer.passed ? 1 : 0) ? null : `${row.task_id}: ${answer.completion}: ${failure}`;
  };
  const faults: (string | null)[] = [];
  for await (const fault of inParallel(each(), 2, work)) if (fault !== null) faults.push(fault);
  assert.deepEqual(faults, []);
});

test('failures say in a line what went wrong where; code in words is judged too', { skip }, async () => {
  const vowels = MADE[0]!;
  const said = async (output: string, recipe?: string) => (await verdictOn(vowels, output, recipe)).failure;
  assert.equal(await said('    return len(text)\n'), 'AssertionError (line 4 of the test)');
  assert.equal(await said('    return 1 / 0\n'), 'ZeroDivisionError: division by zero (line 6 of the program)');
  assert.equal(await said('    return (\n'), "SyntaxError: '(' was never closed (line 6 of the program)");
  const answer = `Sure:\n\`\`\`python\ndef count_vowels(text):\n    return sum(text.count(one) for one in 'aeiou')\n\`\`\``;
  assert.equal(await said(answer, 'instruct'), undefined);
});

const home = process.env.NANOEVAL_TEST_HUMANEVAL;
test('recorded verdicts of two models, and the canonical solutions', {
  skip: skip || (home === undefined ? 'NANOEVAL_TEST_HUMANEVAL names no folder' : false),
}, async () => {
  const text = gunzipSync(readFileSync(join(home!, 'HumanEval.jsonl.gz'))).toString('utf8');
  const published = linesIn<Row & { canonical_solution: string }>(text);
  const byId = new Map(published.map((row) => [row.task_id, row]));
  const own = published.map((row) => ({ ...row, completion: row.canonical_solution, passed: true }));
  const files = readdirSync(join(home!, 'verdicts')).filter((name) => name.endsWith('_results.jsonl'));
  const recorded = files.flatMap((name) =>
    linesIn<Answer & { task_id: string }>(readFileSync(join(home!, 'verdicts', name), 'utf8')),
  );
  assert.deepEqual([own.length, recorded.length], [164, 164 * files.length]);
  async function* each() {
    yield* own;
    yield* recorded;
  }
  const work = async ({ task_id, completion, passed }: Answer & { task_id: string }) => {
    const { correct, failure } = await verdictOn(byId.get(task_id)!, completion);
    return correct === (passed ? 1 : 0) ? null : `${task_id}: ${failure}`;
  };
  const faults: (string | null)[] = [];
  for await (const fault of inParallel(each(), 2, work)) if (fault !== null) faults.push(fault);
  assert.deepEqual(faults, []);
});

const yaml = (out: string, more: string) => `task: humaneval
model: { model_id: ${DEMO}, chat_template: false }
engine: { workers: 1, threads_per_worker: 1 }
dataset: { path: ${join(folder.path, 'rows.jsonl')} }
scoring: { max_new_tokens: 4, temperature: 1, samples_per_prompt: 2 }
report: { output_dir: ${out}, save_plot: false }
${more}`;

test('without a word about the sandbox a run is refused before it begins; predictions alone are made, and scored later', {
  skip,
}, async () => {
  writeFileSync(join(folder.path, 'rows.jsonl'), few.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const out = join(folder.path, 'run');
  const refused = await runHereWith('run_humaneval', folder.path, yaml(out, ''));
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /sandbox\.enabled: false, and scores come from running what the model wrote\./);
  const made = await runHereWith('run_humaneval', folder.path, yaml(out, 'run: { score: false, check_rows: 0 }'));
  assert.equal(made.code, 0, made.stderr);
  const later = join(folder.path, 'later');
  const rescore = (more: string) =>
    runHereWith('rescore', folder.path, `runs: ${out}\nreport: { output_dir: ${later}, save_plot: false }\n${more}`);
  const without = await rescore('');
  assert.equal(without.code, 2);
  assert.match(without.stderr, /sandbox\.enabled: false, and scores come from running/);
  const scored = await rescore(`sandbox: { enabled: true, python: ${config.sandbox.python} }`);
  assert.equal(scored.code, 0, scored.stderr);
  const found = linesIn<ScoredRow>(readFileSync(join(later, 'run', 'predictions.jsonl'), 'utf8'));
  assert.deepEqual(
    found.map(({ index, sample, correct }) => [index, sample, correct]),
    few.flatMap((_, index) => [0, 1].map((sample) => [index, sample, 0])),
  );
  assert.match(found[0]!.failure!, /^\w+Error/);
  const read = (name: string) => JSON.parse(readFileSync(join(later, 'run', name), 'utf8'));
  const about = (await strongest())!.about;
  assert.deepEqual([read('run.json').scored_with, read('summary.json').scored_with], [[about], [about]]);
  assert.equal(read('summary.json').metrics.pass_at_2.value, 0);
  assert.equal(task.config.safeParse(read('run.json').config).success, true);
});

test('with it a run scores as it goes, and says what its programs run under', { skip }, async () => {
  const out = join(folder.path, 'whole');
  const more = `sandbox: { enabled: true, python: ${config.sandbox.python} }\nrun: { check_rows: 1 }`;
  const { code, stdout, stderr } = await runHereWith('run_humaneval', folder.path, yaml(out, more));
  assert.equal(code, 0, stderr);
  assert.match(stderr, /humaneval: programs run under /);
  assert.match(stdout, /\| pass +\| 0\.0000 \|/);
  const { scored_with, health } = JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8'));
  assert.deepEqual([scored_with, health.rows, health.failed], [[(await strongest())!.about], 4, 0]);
});
