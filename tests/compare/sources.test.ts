/** What is compared, as it lies on the disk. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { saveBaseline } from '../../nanoeval/compare/baseline.ts';
import { openSet } from '../../nanoeval/compare/sources.ts';
import { FORMAT, IncomparableError, UserError } from '../../nanoeval/types.ts';
import { plantRun, plantSuite, rankedRow } from '../planted_run.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('sources');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const rows = [0, 1, 2].map((i) => rankedRow(i, i, i));
const log = { info() {}, progress() {} };

test('a run, a suite and a baseline of it hold the same rows', async () => {
  await plantRun(at('suite/hellaswag'), { rows });
  await plantRun(at('suite/again'), { rows });
  const done = { task: 'hellaswag', status: 'complete', error: null };
  plantSuite(at('suite'), 'two', [
    { ...done, name: 'hellaswag', output_dir: '/moved/away/hellaswag' },
    { ...done, name: 'again', output_dir: at('suite/again') },
  ]);
  const single = await openSet(at('suite/hellaswag'), 'current');
  const suite = await openSet(at('suite'), 'current');
  assert.deepEqual([single.name, single.runs.map(({ name }) => name)], ['hellaswag', ['hellaswag']]);
  assert.deepEqual([suite.name, suite.runs.map(({ name }) => name)], ['two', ['hellaswag', 'again']]);
  await saveBaseline(suite, at('saved'), false, log);
  const baseline = await openSet(at('saved'), 'baseline');
  assert.deepEqual([baseline.name, baseline.runs.map(({ name }) => name)], ['two', ['hellaswag', 'again']]);
  const read = async (set: typeof suite) => {
    const all = [];
    for await (const some of set.runs[0]!.batches()) all.push(...some);
    return all;
  };
  assert.equal((await read(suite)).length, 3);
  assert.deepEqual(await read(suite), await read(single));
  assert.deepEqual(await read(suite), await read(baseline));
});

test('the checkpoints of a suite have folders of their own', async () => {
  for (const model of ['big', 'small'])
    await plantRun(at('many', model, 'hellaswag'), { rows, model: `made/${model}` });
  const done = { task: 'hellaswag', name: 'hellaswag', status: 'complete', error: null, output_dir: 'gone' };
  plantSuite(at('many'), 'many', [
    { ...done, model: 'big' },
    { ...done, model: 'small' },
  ]);
  const { runs } = await openSet(at('many'), 'current');
  assert.deepEqual(
    runs.map(({ name, summary }) => [name, summary.model.label]),
    [
      ['big/hellaswag', 'made/big'],
      ['small/hellaswag', 'made/small'],
    ],
  );
});

const write = (name: string, files: Record<string, string>) => {
  mkdirSync(at(name), { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(at(name, file), text);
  return at(name);
};

test('folders that hold nothing to compare are one line', async () => {
  const refuses = (path: string, message: RegExp) =>
    assert.rejects(openSet(path, 'baseline'), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n/);
      assert.equal(error.key, 'baseline');
      return true;
    });
  await refuses(at('nowhere'), /there is no such folder\. Name a run's folder, a suite's or a baseline's\.$/);
  await refuses(write('empty', {}), /neither a run \(run\.json\), nor a suite \(suite_summary\.json\), nor a baseline/);
  await refuses(write('torn', { 'suite_summary.json': '{"format": ' }), /suite_summary\.json: not JSON: /);
  await refuses(write('list', { 'baseline.json': '[1]' }), /baseline\.json: not a JSON object\.$/);
  await refuses(
    write('old', { 'baseline.json': '{"format":1}' }),
    /has format 1, and this version of NanoEval reads format/,
  );
  const head = { format: FORMAT, suite: 's' };
  await refuses(
    write('none', { 'suite_summary.json': JSON.stringify({ ...head, tasks: [] }) }),
    /not the summary of a suite: "tasks" is \[\]\. Run the suite again\.$/,
  );
  await refuses(
    write('lost', { 'baseline.json': JSON.stringify({ ...head, tasks: ['a'] }) }),
    /a\.rows\.jsonl: missing\. Save/,
  );
  await refuses(write('record', { 'run.json': '{}' }), /run\.json: not the record of a run/);
});

test('an unfinished run and a failed task may not be compared', async () => {
  await plantRun(at('open'), { rows, summary: null });
  await assert.rejects(openSet(at('open'), 'current'), (error) => {
    assert.ok(error instanceof IncomparableError);
    assert.match(error.message, /the run is not finished \(no summary\.json\)\. Run its config again\.$/);
    return true;
  });
  const failed = {
    name: 'hellaswag',
    task: 'hellaswag',
    status: 'failed',
    error: 'no network\nstack',
    output_dir: 'x',
  };
  await assert.rejects(openSet(plantSuite(at('bad'), 'bad', [failed]), 'current'), (error) => {
    assert.ok(error instanceof IncomparableError);
    assert.match(error.message, /hellaswag failed: no network Run the suite again\.$/);
    return true;
  });
});
