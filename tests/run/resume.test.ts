/** What a run finds in its folder: nothing, rows to go on from, a finished run, or rows of another. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { JournalRow } from '../../nanoeval/run/journal.ts';
import type { Plan } from '../../nanoeval/run/plan.ts';
import { describeRun, type RunRecord } from '../../nanoeval/run/record.ts';
import { checkForm, lookBefore } from '../../nanoeval/run/resume.ts';
import { runTask } from '../../nanoeval/run/run.ts';
import { FORMAT, UserError } from '../../nanoeval/types.ts';
import { cannedModel, cannedModels } from '../canned_model.ts';
import { temporaryFolder } from '../spawn.ts';
import { openSaid, planOf, predicted, type ToyConfig, toyConfig, toyRows, toyTask } from './toy.ts';

const folder = temporaryFolder('resume');
after(folder.remove);
let count = 0;
const next = () => {
  count += 1;
  return join(folder.path, `r${count}`);
};

/** A plan in a folder of its own. */
async function planned(sections: Record<string, object> = {}, output_dir = next()) {
  const plan = planOf({ ...sections, report: { output_dir, save_plot: false, ...sections.report } });
  const { found, chat, split, shots } = plan;
  const record = await describeRun('toy', plan.config, plan.recipe, { found, chat, split, shots });
  mkdirSync(output_dir, { recursive: true });
  return { ...plan, record };
}

/** Looks into the folder. `opened`: how often the model was called for. */
async function look(plan: Plan<ToyConfig>) {
  const { log, said } = openSaid();
  let opened = 0;
  const open = async () => {
    opened += 1;
    return cannedModel();
  };
  const before = await lookBefore(plan, open, log);
  return { ...before, said, opened };
}

const at = ({ config }: Pick<Plan<ToyConfig>, 'config'>, name: string) => join(config.report.output_dir, name);
const verdict = { prediction: 0, correct: 1, metrics: { acc: 1 } } as const;
const scored = (index: number): JournalRow => ({ ...predicted(index), ...verdict });
const failed = (index: number): JournalRow => ({
  task: 'toy',
  id: `id${index}`,
  index,
  error: { kind: 'nan', message: '' },
});

function leave(
  plan: Plan<ToyConfig>,
  rows: JournalRow[],
  record: Partial<RunRecord> | null = plan.record,
  tail = '',
): void {
  writeFileSync(at(plan, 'predictions.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join('') + tail);
  if (record !== null) writeFileSync(at(plan, 'run.json'), JSON.stringify(record));
}

test('an empty folder, and one with an empty file: nothing is known, the model is not called for', async () => {
  const plan = await planned();
  const nothing = { scored: new Set(), failed: new Set(), sum: 0, torn: 0 };
  assert.deepEqual(await look(plan), { earlier: nothing, known: null, result: null, said: [], opened: 0 });
  writeFileSync(at(plan, 'predictions.jsonl'), '');
  assert.deepEqual(await look(plan), { earlier: nothing, known: null, result: null, said: [], opened: 0 });
});

test('a run that stopped midway: its rows stand, its record is known, and its model is called for meanwhile', async () => {
  const plan = await planned();
  leave(plan, [scored(0), failed(1), scored(2)]);
  const { earlier, known, result, said, opened } = await look(plan);
  assert.deepEqual([[...earlier.scored], [...earlier.failed], earlier.sum], [['0', '2'], ['1'], 2]);
  assert.deepEqual([known?.fingerprint, result, opened], [plan.record.fingerprint, null, 1]);
  assert.deepEqual(said, ['toy: going on after 2 rows, 1 that failed are tried again']);
});

test('a torn last line is dropped and said so', async () => {
  const plan = await planned();
  leave(plan, [scored(0)], plan.record, '{"task":"toy","id"');
  const { earlier, said } = await look(plan);
  assert.deepEqual([earlier.scored.size, earlier.torn], [1, 18]);
  assert.deepEqual(said, [
    `${at(plan, 'predictions.jsonl')}: a torn last line of 18 bytes is dropped`,
    'toy: going on after 1 rows',
  ]);
  assert.ok(readFileSync(at(plan, 'predictions.jsonl'), 'utf8').endsWith('}\n'));
});

test('a model that cannot be opened is told where it is waited for, not here', async () => {
  const plan = await planned();
  leave(plan, [scored(0)]);
  const { log } = openSaid();
  const before = await lookBefore(plan, () => Promise.reject(new UserError('gone')), log);
  assert.equal(before.earlier.scored.size, 1);
});

test('a finished run: its result, and no model', async () => {
  const output_dir = join(folder.path, 'done');
  const config = toyConfig({
    dataset: { rows: toyRows(3) },
    report: { output_dir, save_plot: false },
    run: { check_rows: 0 },
  });
  const { log, said } = openSaid();
  const { signal } = new AbortController();
  const models = cannedModels(cannedModel());
  const first = await runTask(toyTask(), config, models, log, signal);
  said.length = 0;
  const again = await runTask(
    toyTask(),
    config,
    { ...models, open: () => assert.fail('the model is not opened') },
    log,
    signal,
  );
  assert.deepEqual(said, [`toy: done, 3 rows in ${output_dir}; run.overwrite: true runs it again`]);
  assert.deepEqual(again.scores?.metrics, first.scores?.metrics);
  assert.deepEqual(again.files, first.files);
});

const refused = async (plan: Plan<ToyConfig>, key: string, message: RegExp) => {
  const rows = readFileSync(at(plan, 'predictions.jsonl'));
  await assert.rejects(look(plan), (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.key, key);
    assert.match(error.message, message);
    return true;
  });
  assert.deepEqual(readFileSync(at(plan, 'predictions.jsonl')), rows);
};

test('rows of another run, of another format or of nobody knows what are refused with what helps', async () => {
  const plan = await planned();
  const remedy =
    'Name another report\\.output_dir, or set run\\.overwrite: true \\(the old folder is kept aside\\)\\.$';
  leave(plan, [scored(0)], null);
  await refused(plan, 'report.output_dir', new RegExp(`is not there to say what they are\\. ${remedy}`));
  leave(plan, [scored(0)], { ...plan.record, format: FORMAT - 1 });
  await refused(
    plan,
    'report.output_dir',
    new RegExp(`run\\.json has format ${FORMAT - 1}, and this version of NanoEval reads format ${FORMAT}\\. ${remedy}`),
  );
  const other = await planned({ scoring: { strategy: 'gen_letter' } }, plan.config.report.output_dir);
  leave(plan, [scored(0)]);
  await refused(
    other,
    'report.output_dir',
    new RegExp(`recipe\\.strategy: "rank_ll" there, "gen_letter" now.*${remedy}`),
  );
});

test('rows without verdicts and rows with them do not mix', async () => {
  const plan = await planned({ run: { score: false } });
  leave(plan, [predicted(0)]);
  const scoring = await planned({}, plan.config.report.output_dir);
  // Two runs of other fingerprints: told by the key in which they differ.
  await refused(scoring, 'report.output_dir', /run\.score: false there, true now/);
  assert.equal((await look(plan)).earlier.scored.size, 1);
});

test('overwrite: the old rows are kept aside, with everything that the run wrote, and nothing is known', async () => {
  const plan = await planned({ run: { overwrite: true } });
  leave(plan, [scored(0)], { ...plan.record, format: 1 });
  writeFileSync(at(plan, 'notes.txt'), 'mine');
  const { earlier, known, said } = await look(plan);
  assert.deepEqual([earlier.scored.size, known], [0, null]);
  const aside = `${plan.config.report.output_dir}.old-1`;
  assert.deepEqual(said, [`the old run is kept in ${aside}`]);
  assert.ok(existsSync(join(aside, 'predictions.jsonl')) && existsSync(join(aside, 'run.json')));
  assert.ok(existsSync(at(plan, 'notes.txt')) && !existsSync(at(plan, 'run.json')));
  assert.deepEqual((await look(plan)).said, [], 'there is nothing to keep any more');
});

test('rows computed in two forms are not of one kind', async () => {
  const { config, record } = await planned();
  const model = (form: string | undefined) => ({ ...cannedModel(), engine: form === undefined ? {} : { form } });
  assert.doesNotThrow(() => checkForm(config, { ...record, computed: { form: 'tree' } }, model('tree')));
  // A backend without forms has none to differ in.
  assert.doesNotThrow(() => checkForm(config, { ...record, computed: {} }, model(undefined)));
  assert.throws(
    () => checkForm(config, { ...record, computed: { form: 'tree' } }, model('naive')),
    (error) =>
      error instanceof UserError &&
      error.key === 'engine.mode' &&
      error.message.startsWith(
        `${config.report.output_dir} was begun in the engine's form tree, and here it takes the form naive: `,
      ),
  );
});
