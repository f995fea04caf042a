import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveRecipe } from '../../nanoeval/config/recipe.ts';
import { barsInput, confusionInput } from '../../nanoeval/run/charts.ts';
import type { RunRecord } from '../../nanoeval/run/record.ts';
import { recipes, subjects, toyConfig } from './toy.ts';

const charted = (sections: Record<string, object> = {}) => {
  const config = toyConfig(sections);
  const record = { model: { label: 'a/b', variant: 'q4' }, recipe: { chat_template: true } } as unknown as RunRecord;
  return { task: { name: 'toy', subjects }, config, recipe: resolveRecipe({ name: 'toy', recipes }, config), record };
};
const estimate = { value: 0.5, stderr: 0.1, ci95: [0.3, 0.7] as [number, number], n: 4 };

test('a chart says what was run on which rows, and tags are left to the table', () => {
  const input = barsInput(
    charted({ dataset: { subset_size: 4 } }),
    {
      primary: { name: 'acc', unit: 'share', better: 'higher', chance: 0.25 },
      metrics: { acc: estimate },
      groups: { g: { acc: estimate } },
      subjects: {},
      subject_groups: {},
      tags: { t: { acc: estimate } },
    },
    4,
  );
  assert.deepEqual(input.title.details, ['q4', '0-shot', 'rank_ll', 'chat template', 'first 4 rows']);
  assert.deepEqual(
    input.rows.map(({ label }) => label),
    ['all', 'g'],
  );
  assert.equal(input.chance, 0.25);
});

test('a matrix counts its rows', () => {
  const { title, subtitle } = confusionInput(charted(), {
    labels: ['a', 'b'],
    counts: [
      [1, 2],
      [3, 1200],
    ],
  });
  assert.equal(title, 'toy: confusion');
  assert.equal(subtitle.at(-1), 'n = 1,206');
});
