/** Which day chat templates are given: the config's, that of the rows which are there already, else the day of the run. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { suiteDate, templateDate, today } from '../../nanoeval/run/template_date.ts';
import { temporaryFolder } from '../spawn.ts';
import { toyConfig } from './toy.ts';

const folder = temporaryFolder('template_date');
after(folder.remove);

/** A config whose folder has a run.json of this content. */
function configOf(name: string, record: string | null, sections: Record<string, object> = {}) {
  const output_dir = join(folder.path, name);
  mkdirSync(output_dir, { recursive: true });
  if (record !== null) writeFileSync(join(output_dir, 'run.json'), record);
  return toyConfig({ ...sections, report: { output_dir } });
}
const dated = (template_date: string) => JSON.stringify({ template_date });

test('the config goes before the rows that are there, those before the day of the run', () => {
  assert.equal(templateDate(configOf('new', null), '2026-03-09'), '2026-03-09');
  assert.equal(templateDate(configOf('begun', dated('2026-03-05')), '2026-03-09'), '2026-03-05');
  const asked = { model: { template_date: '2026-01-01 10:00:00' } };
  assert.equal(templateDate(configOf('asked', dated('2026-03-05'), asked), '2026-03-09'), '2026-01-01 10:00:00');
  const midnight = { model: { template_date: '2026-01-01 00:00:00' } };
  assert.equal(templateDate(configOf('midnight', null, midnight), '2026-03-09'), '2026-01-01');
});

test('a run that starts afresh has the day of its start', () => {
  const afresh = configOf('afresh', dated('2026-03-05'), { run: { overwrite: true } });
  assert.equal(templateDate(afresh, '2026-03-09'), '2026-03-09');
});

test('a record without a date, or that cannot be read, has none', () => {
  for (const [i, record] of ['{}', '{"template_date": 5}', '{"template_date": "soon"}', '{"templ', 'null'].entries())
    assert.equal(templateDate(configOf(`bad${i}`, record), '2026-03-09'), '2026-03-09', record);
});

test('the day begins at midnight, so that all of its runs have one date', () => {
  assert.equal(today(new Date(2026, 2, 5, 23, 59, 59)), '2026-03-05');
  assert.match(templateDate(configOf('now', null)), /^\d{4}-\d\d-\d\d$/);
});

test('tasks of a suite that have no date yet take the first that one of them has', () => {
  const configs = [
    configOf('one', null),
    configOf('two', dated('2026-03-06')),
    configOf('three', dated('2026-03-05')),
    configOf('four', dated('2020-01-01'), { run: { overwrite: true } }),
  ];
  assert.equal(suiteDate(configs), '2026-03-05');
  assert.equal(suiteDate([configOf('five', null)]), today());
});
