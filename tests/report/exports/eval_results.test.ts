/** The hub's `.eval_results`: the exact file of a made-up run, and what of other runs differs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evalResult, evalResultsYaml } from '../../../nanoeval/report/exports/eval_results.ts';
import { estimate, type Made, madeRun } from './made_up.ts';

const item = (made: Made = {}) => {
  const made_item = evalResult(madeRun(made));
  assert.notEqual(typeof made_item, 'string', String(made_item));
  return made_item as Exclude<typeof made_item, string>;
};

test('the exact file: a share in percent, every text quoted', () => {
  assert.equal(
    evalResultsYaml([item()]),
    `- dataset:
    id: "org/made"
    task_id: "main"
    revision: "${'d'.repeat(40)}"
  value: 43.1
  date: "2026-03-05T10:00:02.000Z"
  notes: "acc in %, recipe lm_eval of nanoeval, 2-shot, onnx q4, nanoeval 0.1.0"
`,
  );
});

test('what a number hangs on stands in its notes: a part of the rows before all else', () => {
  const { summary } = madeRun();
  assert.equal(
    item({
      config: { scoring: { strategy: 'generate', temperature: 0.7, samples_per_prompt: 4 } },
      summary: {
        selection: { subset_size: 2 },
        health: { ...summary.health, questions: 2 },
        recipe: { ...summary.recipe, chat_template: true },
        model: { ...summary.model, variant: null },
      },
    }).notes,
    '2 of 3 rows (subset_size 2), exact_match in %, recipe lm_eval of nanoeval, 2-shot, chat template, temperature 0.7, 4 samples, onnx, nanoeval 0.1.0',
  );
});

test('a number that is no share is as it is, and a sum the mean that it is of', () => {
  const { value, notes } = item({
    config: { scoring: { strategy: 'rolling_ll' } },
    summary: { metrics: { word_perplexity: estimate(21.5, 3) } },
  });
  assert.equal(value, 21.5);
  assert.equal(notes, 'word_perplexity, recipe lm_eval of nanoeval, onnx q4, nanoeval 0.1.0');
  assert.equal(item({ summary: { reduce: 'sum', metrics: { acc: estimate(2, 4) } } }).value, 50);
});

test('rows of no data set on the hub have no place there', () => {
  const { dataset } = madeRun().summary;
  assert.equal(
    evalResult(madeRun({ summary: { dataset: { ...dataset, commit: null } } })),
    'its rows are of no data set on the hub',
  );
});
