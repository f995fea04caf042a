/** The JSON files of runs, suites and baselines: what they have to hold, and faults in one line. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readIndex, readJsonFile, readSuite, readSummary } from '../../nanoeval/compare/saved_files.ts';
import { FORMAT, UserError } from '../../nanoeval/types.ts';
import { plantRun, rankedRow } from '../planted_run.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('saved-files');
after(folder.remove);
const at = (name: string) => join(folder.path, name);
const write = (name: string, value: unknown): string => {
  writeFileSync(at(name), typeof value === 'string' ? value : JSON.stringify(value));
  return at(name);
};
const refuses = (what: () => unknown, message: RegExp) =>
  assert.throws(what, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n/);
    assert.equal(error.key, 'current');
    return true;
  });

test('a summary as a run writes it is read as it stands, one of infinite perplexity too', async () => {
  await plantRun(at('run'), { rows: [rankedRow(0, 1, 1)] });
  const summary = readSummary(join(at('run'), 'summary.json'), 'current', 'Again.');
  assert.deepEqual([summary.task, summary.status, summary.metrics.acc?.value], ['hellaswag', 'complete', 1]);
  const metrics = { word_perplexity: { value: null, stderr: null, ci95: null, n: 3 } };
  assert.equal(readSummary(write('infinite', { ...summary, metrics }), 'current', '').metrics.acc, undefined);
});

test('suites and lists of tasks', () => {
  const suite = { format: FORMAT, suite: 's', tasks: [{ name: 'a', model: 'm', status: 'complete', error: null }] };
  assert.equal(readSuite(write('suite', suite), 'current').tasks[0]!.model, 'm');
  const index = { format: FORMAT, suite: 's', tasks: ['a', 'model/b'] };
  assert.deepEqual(readIndex(write('index', index), 'current', '').tasks, ['a', 'model/b']);
  refuses(
    () => readIndex(write('up', { ...index, tasks: ['a/../../b'] }), 'current', 'Again.'),
    /"tasks\[0\]" is "a\/\.\.\/\.\.\/b"\. Again\.$/,
  );
});

test('what a file lacks is named with what stands in its place', () => {
  const head = { format: FORMAT };
  refuses(
    () => readSummary(write('none', head), 'current', 'Again.'),
    /not the summary of a run: it has no "task"\. Again\.$/,
  );
  refuses(
    () => readSuite(write('text', { ...head, suite: 's', tasks: 'a' }), 'current'),
    /"tasks" is "a"\. Run the suite again\.$/,
  );
  refuses(
    () => readSuite(write('nameless', { ...head, suite: 's', tasks: [{}] }), 'current'),
    /it has no "tasks\[0\]\.name"\./,
  );
});

test('a file that is not there, a folder, no JSON, no object, another format', () => {
  mkdirSync(at('folder'));
  refuses(() => readJsonFile(at('gone'), 'current'), /gone: cannot be read: ENOENT/);
  refuses(() => readJsonFile(at('folder'), 'current'), /folder: cannot be read: EISDIR/);
  refuses(() => readJsonFile(write('torn', '{\n"a": [1,\n'), 'current'), /torn: not JSON: /);
  refuses(() => readJsonFile(write('list', '[]'), 'current'), /list: not a JSON object\.$/);
  refuses(() => readJsonFile(write('old', { format: 1 }), 'current'), /old has format 1, and this version/);
});
