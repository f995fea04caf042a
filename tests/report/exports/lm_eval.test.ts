/** The results file, exactly, for a made-up run; with subjects, and of several runs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dateId, generationKwargs, resultsJson, sanitizedModel } from '../../../nanoeval/report/exports/lm_eval.ts';
import { estimate, madeRun } from './made_up.ts';

test('names of folders and dates are as the harness writes them', () => {
  assert.equal(sanitizedModel('org/model'), 'org__model');
  assert.equal(sanitizedModel('./a b\\c:"x"'), '.__a b__c__x__');
  const ended = (finished: string) =>
    madeRun({ summary: { timing: { started: '2026-03-05T09:00:00.000Z', finished, seconds: 1 } } });
  assert.equal(dateId([ended('2026-03-05T10:00:02.123Z')]), '2026-03-05T10-00-02.123000');
  assert.equal(
    dateId([ended('2026-03-05T10:00:02.000Z'), ended('2026-03-05T11:00:00.000Z')]),
    '2026-03-05T11-00-00.000000',
  );
});

test('answers say what they are generated with; a limit that only a row may know is null', () => {
  assert.equal(generationKwargs(madeRun()), null);
  const drawn = madeRun({
    config: { scoring: { strategy: 'generate', temperature: 0.5, top_p: 0.9, max_new_tokens: 3 } },
  });
  assert.deepEqual(generationKwargs(drawn), {
    until: ['\n'],
    max_gen_toks: 3,
    do_sample: true,
    temperature: 0.5,
    top_p: 0.9,
  });
  const { max_new_tokens: _limit, ...rule } = drawn.recipe.rule;
  const unlimited = { ...madeRun({ config: { scoring: { strategy: 'generate' } } }) };
  unlimited.recipe = { ...unlimited.recipe, rule };
  assert.equal(generationKwargs(unlimited)?.max_gen_toks, null);
});

test('the exact file of one run', () => {
  const run = madeRun({ summary: { metrics: { acc: estimate(0.5, 3), acc_norm: estimate(0.25, 3, null) } } });
  assert.deepEqual(resultsJson([run], 'org__model'), {
    results: {
      made: {
        name: 'made',
        alias: 'made',
        sample_len: 3,
        'acc,none': 0.5,
        'acc_stderr,none': 0.25,
        'acc_norm,none': 0.25,
        'acc_norm_stderr,none': 'N/A',
      },
    },
    group_subtasks: {},
    configs: {
      made: {
        task: 'made',
        dataset_path: 'org/made',
        dataset_name: 'main',
        test_split: 'test',
        fewshot_split: 'train',
        num_fewshot: 2,
        output_type: 'multiple_choice',
        repeats: 1,
        metric_list: [
          { metric: 'acc', higher_is_better: true },
          { metric: 'acc_norm', higher_is_better: true },
        ],
        metadata: {
          version: 4,
          nanoeval_task: 'made',
          recipe: 'lm_eval',
          strategy: 'rank_ll',
          recipe_sha256: 'r',
          chat_template: false,
          revision: 'd'.repeat(40),
        },
      },
    },
    versions: { made: 4 },
    'n-shot': { made: 2 },
    higher_is_better: { made: { acc: true, acc_norm: true } },
    'n-samples': { made: { original: 3, effective: 3 } },
    config: {
      model: 'nanoeval',
      model_args: { pretrained: 'org/model', revision: 'main', dtype: 'q4', backend: 'onnx' },
      model_dtype: 'q4',
      model_revision: 'main',
      model_sha: 'c'.repeat(40),
      batch_size: null,
      batch_sizes: [],
      device: 'cpu',
      use_cache: null,
      limit: null,
      bootstrap_iters: null,
      gen_kwargs: null,
      random_seed: null,
      numpy_seed: null,
      torch_seed: null,
      fewshot_seed: null,
    },
    git_hash: 'abc123',
    date: 1772704800.5,
    pretty_env_info: null,
    transformers_version: null,
    lm_eval_version: null,
    upper_git_hash: null,
    max_length: 512,
    task_hashes: {},
    model_source: 'nanoeval',
    model_name: 'org/model',
    model_name_sanitized: 'org__model',
    system_instruction: null,
    system_instruction_sha: null,
    fewshot_as_multiturn: false,
    chat_template: null,
    chat_template_sha: null,
    total_evaluation_time_seconds: '1.5',
    nanoeval_version: '0.1.0',
  });
});

test('subjects are tasks of their own, under their groups, under the run', () => {
  const own = (value: number, n: number) => ({ acc: estimate(value, n) });
  const run = madeRun({
    summary: {
      metrics: own(0.5, 4),
      groups: { stem: own(0.75, 3) },
      subjects: { maths: own(1, 1), physics: own(0.5, 2), odd: own(0, 1) },
      subject_groups: { maths: 'stem', physics: 'stem', odd: '' },
      health: { ...madeRun().summary.health, failed: 1 },
    },
  });
  const read = resultsJson([run], 'x') as Record<string, Record<string, Record<string, unknown>>>;
  assert.deepEqual(
    Object.entries(read.results!).map(([name, { alias, sample_len, ...rest }]) => [
      name,
      alias,
      sample_len,
      rest['acc,none'],
    ]),
    [
      ['made', 'made', 4, 0.5],
      ['made_stem', 'stem', 3, 0.75],
      ['made_maths', 'maths', 1, 1],
      ['made_physics', 'physics', 2, 0.5],
      ['made_odd', 'odd', 1, 0],
    ],
  );
  assert.deepEqual(Object.keys(read.groups!), ['made', 'made_stem']);
  assert.deepEqual(read.group_subtasks, { made: ['made_stem', 'made_odd'], made_stem: ['made_maths', 'made_physics'] });
  assert.deepEqual(Object.keys(read.configs!), ['made_maths', 'made_odd', 'made_physics']);
  assert.deepEqual(Object.keys(read.versions!), ['made', 'made_maths', 'made_odd', 'made_physics', 'made_stem']);
  // A row failed: nobody says of which subject.
  assert.deepEqual(read['n-samples']!.made_maths, { original: null, effective: 1 });
});

test('several runs: what they share stands in the config, what differs is null', () => {
  const { selection, recipe } = madeRun().summary;
  const chat = { recipe: { ...recipe, chat_template: true } };
  const two = (limits: [number, number]) =>
    resultsJson(
      limits.map((subset_size, i) =>
        madeRun({ name: `run${i}`, summary: { ...chat, selection: { ...selection, subset_size } } }),
      ),
      'x',
    ) as Record<string, Record<string, unknown>>;
  const read = two([2, 2]);
  assert.deepEqual(Object.keys(read.results!), ['run0', 'run1']);
  assert.deepEqual([read.config!.limit, two([2, 3]).config!.limit], [2, null]);
  assert.deepEqual([read.fewshot_as_multiturn, read.chat_template_sha], [true, 't']);
  assert.equal(read.total_evaluation_time_seconds, '3');
});
