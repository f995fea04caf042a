/** Drawn answers in whole runs of the demo: the same whatever runs beside them, and what is said of seeds and samples. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { cutAtStops } from '../nanoeval/model/engine/decode.ts';
import { openTokenizer } from '../nanoeval/model/tokenizer.ts';
import type { ScoredRow } from '../nanoeval/questions.ts';
import { runHereWith } from './in_process.ts';
import { DEMO, type Finished, ROOT, runWith, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('sampling');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const read = (path: string) => readFileSync(path, 'utf8');
const readRows = (name: string) =>
  read(at(name, 'run/predictions.jsonl'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ScoredRow);
const readSummary = (name: string) => JSON.parse(read(at(name, 'run/summary.json')));

const run = (name: string, yaml: string): Promise<Finished> =>
  runHereWith('run_mmlu', at(name), yaml.replaceAll('OUT', at(name, 'run')));

/** A run as a process, which is killed at a point. */
function runKilled(name: string, yaml: string, kill: string): Promise<Finished> {
  mkdirSync(at(name), { recursive: true });
  const env = { NANOEVAL_TEST_KILL: kill };
  return runWith('run_mmlu', at(name), yaml.replaceAll('OUT', at(name, 'run')), env).finished;
}

const SEEDS = [1, 2, 3, 4, 5];
const drawn = (engine: string) => `task: mmlu
model: { model_id: ${DEMO}, chat_template: false }
engine: { threads_per_worker: 1, ${engine} }
dataset: { path: nanoeval/demo/data/mmlu, subset_size: 3 }
scoring: { strategy: gen_letter, num_fewshot: 0, temperature: 0.8, seeds: [${SEEDS.join(', ')}], samples_per_prompt: 3, max_new_tokens: 4 }
report: { output_dir: OUT, save_plot: false }
`;
const sampled = drawn('workers: 1, batch_tokens: 768');

const whole = (() => {
  let made: Promise<void> | null = null;
  return () => {
    made ??= run('whole', sampled).then(({ code, stderr }) => assert.equal(code, 0, stderr));
    return made;
  };
})();

describe('five seeds at temperature 0.8: the same rows, byte for byte', { concurrency: 2 }, () => {
  const others: [string, string, string[]][] = [
    ['two workers', drawn('workers: 2, batch_tokens: 768'), []],
    ['another batch size', drawn('workers: 1, batch_tokens: 200'), []],
    ['the plain path', drawn('workers: 1, mode: naive'), []],
    ['killed and gone on', sampled, ['row:50', 'row:120']],
  ];
  for (const [name, yaml, kills] of others) {
    test(name, async () => {
      await whole();
      const own = name.replaceAll(' ', '_');
      for (const kill of kills) assert.equal((await runKilled(own, yaml, kill)).code, null);
      const { code, stderr } = await run(own, yaml);
      assert.equal(code, 0, stderr);
      assert.ok(read(at(own, 'run/predictions.jsonl')) === read(at('whole/run/predictions.jsonl')), 'other rows');
    });
  }
});

test('a row for each sample of each seed, in their order; the samples are not all alike', async () => {
  await whole();
  const rows = readRows('whole');
  const indices = [...new Set(rows.map(({ index }) => index))];
  assert.equal(indices.length, 12);
  assert.deepEqual(
    rows.map(({ index, seed, sample }) => [index, seed, sample]),
    indices.flatMap((index) => SEEDS.flatMap((seed) => [0, 1, 2].map((sample) => [index, seed, sample]))),
  );
  for (const seed of SEEDS) {
    const own = rows.filter((row) => row.seed === seed).map(({ output }) => output);
    assert.notDeepEqual(
      own,
      rows.filter((row) => row.seed === (seed % 5) + 1).map(({ output }) => output),
    );
  }
  assert.ok(
    indices.some((index) => new Set(rows.filter((row) => row.index === index).map(({ output }) => output)).size > 1),
  );
});

test('the summary: each seed, how they differ, and metrics over the samples of a question', async () => {
  await whole();
  const summary = readSummary('whole');
  const rows = readRows('whole');
  const shareOf = (some: ScoredRow[]) => some.reduce((sum, { correct }) => sum + correct!, 0) / some.length;
  const means = SEEDS.map((seed) => shareOf(rows.filter((row) => row.seed === seed)));
  const metric = summary.primary.name;
  for (const [i, seed] of SEEDS.entries()) assert.ok(Math.abs(summary.by_seed[seed][metric] - means[i]!) < 1e-12);
  const centre = means.reduce((sum, value) => sum + value, 0) / 5;
  const { mean, std, n } = summary.between_seeds[metric];
  assert.ok(Math.abs(mean - centre) < 1e-12 && n === 5);
  assert.ok(Math.abs(std - Math.sqrt(means.reduce((sum, value) => sum + (value - centre) ** 2, 0) / 4)) < 1e-12);
  assert.ok(std > 0);
  assert.deepEqual(
    Object.keys(summary.metrics).filter((name) => name.includes('_at_')),
    ['pass_at_1', 'pass_at_2', 'pass_at_3', 'avg_at_3', 'maj_at_3'],
  );
  assert.ok(Math.abs(summary.metrics.pass_at_1.value - centre) < 1e-12);
  assert.ok(summary.metrics.pass_at_3.value >= summary.metrics.pass_at_2.value);
  // The rows of a question are one cluster: 12 of them, not 180.
  const byQuestion = [...new Set(rows.map(({ index }) => index))].map((index) =>
    shareOf(rows.filter((row) => row.index === index)),
  );
  const scatter = byQuestion.reduce((sum, value) => sum + (value - centre) ** 2, 0);
  assert.ok(Math.abs(summary.metrics[metric].stderr - Math.sqrt(scatter / 11 / 12)) < 1e-12);
  assert.deepEqual([summary.determinism.flips, summary.determinism.flipped], [0, []]);
});

describe('seeds that change nothing are said to', { concurrency: 2 }, () => {
  for (const [name, scoring, words] of [
    ['ranked', 'num_fewshot: 0, seeds: [1, 2]', 'log-likelihoods'],
    ['greedy', 'strategy: gen_letter, max_new_tokens: 2, num_fewshot: 0, seeds: [1, 2]', 'greedy answers'],
  ]) {
    test(name!, async () => {
      const yaml = sampled
        .replace(/scoring: .*/, `scoring: { ${scoring} }`)
        .replace('subset_size: 3', 'subset_size: 2');
      const { code, stderr } = await run(name!, yaml);
      assert.equal(code, 0, stderr);
      assert.match(
        stderr,
        new RegExp(`scoring\\.seeds: ${words} over all rows do not depend on a seed: every seed gives the same rows\n`),
      );
      const summary = readSummary(name!);
      assert.equal(summary.between_seeds[summary.primary.name].std, 0);
      const rows = readRows(name!);
      assert.equal(rows.length, 16);
      for (const row of rows.filter(({ seed }) => seed === 2))
        assert.deepEqual(
          { ...row, seed: 1 },
          rows.find(({ seed, index }) => seed === 1 && index === row.index),
        );
    });
  }

  test('where rows are drawn they do, and nothing is said', async () => {
    const yaml = sampled
      .replace(/scoring: .*/, 'scoring: { num_fewshot: 0, seeds: [1, 2] }')
      .replace('subset_size: 3', 'sample: 10');
    const { code, stderr } = await run('drawn', yaml);
    assert.equal(code, 0, stderr);
    assert.ok(!stderr.includes('scoring.seeds'), stderr);
    const rows = readRows('drawn');
    const of = (seed: number) => rows.filter((row) => row.seed === seed).map(({ index }) => index);
    assert.deepEqual([of(1).length, of(2).length], [10, 10]);
    assert.notDeepEqual(of(1), of(2));
  });
});

/** Of rows with one context. */
const promptOf = ({ prompt }: ScoredRow): string => {
  assert.equal(typeof prompt, 'string');
  return prompt as string;
};

test('save_tokens: the ids of prompt and output as the tokenizer has them', async () => {
  const json = (name: string) => JSON.parse(read(join(ROOT, DEMO, name)));
  const tokenizer = openTokenizer(json('tokenizer.json'), json('tokenizer_config.json'));
  const kept = (scoring: string) =>
    sampled
      .replace(/scoring: .*/, `scoring: { num_fewshot: 1, ${scoring} }`)
      .replace('save_plot: false', 'save_plot: false, save_tokens: true, save_prompts: true');
  const written = await run('tokens', kept('strategy: gen_letter, temperature: 2, max_new_tokens: 6'));
  assert.equal(written.code, 0, written.stderr);
  for (const row of readRows('tokens')) {
    assert.deepEqual(row.tokens?.prompt, tokenizer.encode(promptOf(row)));
    assert.equal(row.tokens.prompt.length, row.num_context_tokens);
    assert.equal(row.tokens.output.length, row.num_output_tokens);
    const { output } = row.tokens;
    const text = tokenizer.decode(output.filter((id, i) => i < output.length - 1 || id !== 2));
    assert.equal(cutAtStops(text, ['</s>', '\n']), row.output);
  }
  const ranked = await run('ranked_tokens', kept('recipe: lm_eval_continuation'));
  assert.equal(ranked.code, 0, ranked.stderr);
  for (const row of readRows('ranked_tokens')) {
    assert.equal(row.prompt_tokens?.length, row.num_context_tokens);
    const prompt = tokenizer.encode(promptOf(row));
    assert.deepEqual(row.prompt_tokens, prompt);
    for (const choice of row.choices!) {
      assert.equal(choice.tokens?.length, choice.num_tokens);
      const pair = tokenizer.encodePair(promptOf(row), tokenizer.decode(choice.tokens!));
      assert.deepEqual(choice.tokens, pair.continuation);
    }
  }
  assert.ok(existsSync(at('tokens/run/summary.json')));
});
