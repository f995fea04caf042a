/** IFEval: what is asked, what is kept of a row, what is judged, what is refused, and a run of the demo. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import type { Prediction, ScoredRow } from '../nanoeval/questions.ts';
import { verdictOn } from '../nanoeval/run/verdict.ts';
import { task } from '../nanoeval/run_ifeval.ts';
import type { Instructions } from '../nanoeval/score/ifeval/instructions.ts';
import { runHereWith } from './in_process.ts';
import { askedBy, questionOf } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('ifeval');
after(folder.remove);

/** As the hub's JSON lines have them, and as its Parquet copy does. */
const rows = [
  {
    key: 1000,
    prompt: ' Write "é"\n{x} twice. ',
    instruction_id_list: ['punctuation:no_comma', 'length_constraints:number_words'],
    kwargs: [{}, { relation: 'less than', num_words: 4 }],
  },
  {
    key: 1001,
    prompt: 'Two bullets.',
    instruction_id_list: ['detectable_format:number_bullet_lists'],
    kwargs: [{ num_bullets: 2, relation: null, keywords: null, language: null }],
  },
];
/** What is asked of a model that has room for 1280 new tokens. */
const askedHere = (settings: object) => askedBy(task, settings, { max_length: 4096 });

const [first, second] = rows as [(typeof rows)[0], (typeof rows)[1]];

test('the request as it stands, one message under a chat template; greedy, 1280 tokens, nothing else ends it', async () => {
  const asked = await askedHere({ dataset: { rows }, model: { model_id: 'a/b', chat_template: true } });
  assert.deepEqual(questionOf(asked[0]!, 'generate_until'), {
    verb: 'generate_until',
    prompt: [{ role: 'user', content: ' Write "é"\n{x} twice. ' }],
    until: [],
    max_new_tokens: 1280,
  });
  const plain = await askedHere({ dataset: { rows }, scoring: { max_new_tokens: 7 } });
  const question = questionOf(plain[0]!, 'generate_until');
  assert.deepEqual([question.prompt, question.max_new_tokens], [' Write "é"\n{x} twice. ', 7]);
});

test('a row keeps its key and its instructions with the arguments that they take', async () => {
  const asked = await askedHere({ dataset: { rows } });
  const kept = asked.map(({ row }) => row as Prediction<Instructions>);
  assert.deepEqual(
    kept.map(({ id, gold }) => [id, gold]),
    [
      ['1000', { instruction_id_list: first.instruction_id_list, kwargs: first.kwargs }],
      ['1001', { instruction_id_list: second.instruction_id_list, kwargs: [{ num_bullets: 2 }] }],
    ],
  );
  const { key: _key, ...unnamed } = first;
  const [own] = await askedHere({ dataset: { rows: [unnamed] } });
  assert.equal(own!.row.id, '0');
});

test('what stands behind the thoughts is judged; the four metrics, prompt and instruction', async () => {
  const config = task.config.parse({ task: 'ifeval', model: { model_id: 'a/b' } });
  const recipe = resolveRecipe(task, config);
  const asked = await askedHere({ dataset: { rows } });
  const outputs = ['<think>a, b, c, d</think>\nSo it is', 'Sure:\n- a\n- b\n- c'];
  const scored: ScoredRow<Instructions>[] = [];
  for (const [place, output] of outputs.entries()) {
    const saved = { ...JSON.parse(JSON.stringify(asked[place]!.row)), output };
    scored.push({ ...saved, ...(await verdictOn(task, saved, recipe)) });
  }
  assert.deepEqual(
    scored.map(({ correct, metrics }) => [correct, metrics]),
    [
      [1, { prompt_level_strict_acc: 1, prompt_level_loose_acc: 1 }],
      [0, { prompt_level_strict_acc: 0, prompt_level_loose_acc: 1 }],
    ],
  );
  const { primary, metrics, tags } = task.summarize(scored, recipe);
  assert.deepEqual(
    Object.entries(metrics).map(([name, { value, n }]) => [name, value, n]),
    [
      ['prompt_level_strict_acc', 1 / 2, 2],
      ['prompt_level_loose_acc', 1, 2],
      ['inst_level_strict_acc', 2 / 3, 3],
      ['inst_level_loose_acc', 1, 3],
    ],
  );
  assert.deepEqual([primary.name, primary.chance], ['prompt_level_strict_acc', null]);
  assert.equal(tags!['punctuation:no_comma']!.inst_level_strict_acc!.value, 1);
});

test('a row that is none is refused with its place: instructions, arguments, their number', async () => {
  const broken = [
    { ...second, instruction_id_list: ['detectable_format:number_bullets'] },
    { ...second, kwargs: [{ num_bullets: null }] },
    { ...second, kwargs: [] },
    { ...second, prompt: '' },
    { ...first, kwargs: [{}, { relation: 'at most', num_words: 4 }] },
  ];
  const asked = await askedHere({ dataset: { rows: [first, ...broken] } });
  const failed = asked.flatMap(({ row }) => ('error' in row ? [row] : [])).sort((a, b) => a.index - b.index);
  const errors = failed.map(({ error }) => error.message);
  assert.equal(errors.length, broken.length);
  assert.match(errors[0]!, /^ifeval row 1: instruction_id_list\[0\]: "detectable_format:number_bullets"/);
  assert.match(
    errors[1]!,
    /^ifeval row 2 \(key 1001\): kwargs\[0\] of detectable_format:number_bullet_lists: num_bullets: /,
  );
  assert.match(errors[2]!, /^ifeval row 3 \(key 1001\): kwargs: 0 of them for 1 instructions\./);
  assert.match(errors[3]!, /^ifeval row 4: prompt: /);
  assert.match(
    errors[4]!,
    /^ifeval row 5 \(key 1000\): kwargs\[1\] of length_constraints:number_words: relation: .*"at most"/,
  );
});

test('a run of the demo: four metrics, and why rows are wrong', async () => {
  const path = join(folder.path, 'rows.jsonl');
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  const out = join(folder.path, 'run');
  const { code, stdout, stderr } = await runHereWith(
    'run_ifeval',
    folder.path,
    `task: ifeval
model: { model_id: ${DEMO}, chat_template: false }
engine: { workers: 1, threads_per_worker: 1 }
dataset: { path: ${path} }
scoring: { max_new_tokens: 3 }
run: { check_rows: 0 }
report: { output_dir: ${out}, save_plot: false }
`,
  );
  assert.equal(code, 0, stderr);
  for (const metric of [
    'prompt_level_strict_acc',
    'prompt_level_loose_acc',
    'inst_level_strict_acc',
    'inst_level_loose_acc',
  ])
    assert.match(stdout, new RegExp(`\\| ${metric} +\\| [01]\\.`));
  assert.match(stdout, /\| 1001 +\| detectable_format:number_bullet_lists +\| 0 bullet points, not 2 +\|/);
  const found = readFileSync(join(out, 'predictions.jsonl'), 'utf8').trimEnd().split('\n');
  assert.equal(found.length, 2);
});
