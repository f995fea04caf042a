/** Baselines: where they lie, and when they are not saved. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { baselineFolder, findBaseline, saveBaseline } from '../../nanoeval/compare/baseline.ts';
import { openSet } from '../../nanoeval/compare/sources.ts';
import { UserError } from '../../nanoeval/types.ts';
import { type Planted, plantRun, rankedRow } from '../planted_run.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('baseline');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const log = { info() {}, progress() {} };
const rows = (prediction: number, n = 300) => Array.from({ length: n }, (_, i) => rankedRow(i, 1, prediction));

async function set(name: string, planted: Partial<Planted> = {}) {
  return openSet(await plantRun(at(name), { rows: rows(1), ...planted }), 'current');
}

const refuses = (what: Promise<unknown>, key: string, message: RegExp) =>
  assert.rejects(what, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    assert.equal(error.key, key);
    return true;
  });

test('a baseline takes at most 100 bytes a row, and is what it was saved from', async () => {
  await saveBaseline(await set('first'), at('kept/small'), false, log);
  const size = statSync(at('kept/small/hellaswag.rows.jsonl')).size;
  assert.ok(size / 300 <= 100, `${size / 300} bytes a row`);
  const saved = await openSet(at('kept/small'), 'baseline');
  assert.equal(saved.runs[0]!.summary.metrics.acc_norm!.value, 1);
  assert.equal('host' in saved.runs[0]!.summary, false);
});

test('a run of the same questions takes its place; one of others does not, unless told to', async () => {
  await saveBaseline(await set('one'), at('kept/place'), false, log);
  await saveBaseline(await set('two', { rows: rows(2), model: 'made/other' }), at('kept/place'), false, log);
  const acc = async () => (await openSet(at('kept/place'), 'baseline')).runs[0]!.summary.metrics.acc!.value;
  assert.equal(await acc(), 0);
  const other = await set('three', {
    summary: (summary) => void Object.assign(summary.recipe as object, { name: 'cloze' }),
  });
  await refuses(
    saveBaseline(other, at('kept/place'), false, log),
    'run.save_baseline',
    /was asked in another way \(hellaswag: recipe\.name\)\. Set it to replace/,
  );
  assert.equal(await acc(), 0);
  await saveBaseline(other, at('kept/place'), true, log);
  assert.equal(await acc(), 1);
});

test('an invalid run and one with failed rows is no baseline, and nothing is written', async () => {
  const invalid = await set('invalid', {
    summary: (summary) => Object.assign(summary, { status: 'invalid', faults: ['too bad'] }),
  });
  await refuses(
    saveBaseline(invalid, at('kept/bad'), true, log),
    'run.save_baseline',
    /hellaswag is invalid: too bad\.$/,
  );
  const failure = { task: 'hellaswag', id: '9', index: 9, error: { kind: 'nan', message: 'NaN' } };
  const failed = await set('failed', { rows: [rankedRow(0, 1, 1), failure] });
  await refuses(saveBaseline(failed, at('kept/bad'), true, log), 'run.save_baseline', /hellaswag: 1 rows failed\.$/);
  assert.equal(existsSync(at('kept/bad')), false);
});

test('the baseline of a branch, and that of main where it has none', async () => {
  const saved = await set('branches');
  for (const branch of ['main', 'feature/x']) await saveBaseline(saved, at('base', branch, 'smoke'), false, log);
  assert.equal(await findBaseline(at('base'), 'smoke', 'feature/x', log), at('base/feature/x/smoke'));
  // Here: whatever is checked out, it has no baseline of its own in this folder.
  assert.equal(await findBaseline(at('base'), 'smoke', undefined, log), at('base/main/smoke'));
  await refuses(
    findBaseline(at('base'), 'smoke', 'gone', log),
    'baseline',
    /no baseline of "smoke": neither is in \S+gone\/smoke\./,
  );
  await refuses(findBaseline(at('base'), 'smoke', '../up', log), 'branch', /"\.\.\/up" is not the name of a branch\.$/);
});

test('git says the branch', async (t) => {
  const repository = at('repository');
  mkdirSync(repository);
  try {
    execFileSync('git', ['init', '-q', '-b', 'feature/y', repository]);
  } catch {
    t.skip('there is no git');
    return;
  }
  const before = process.cwd();
  process.chdir(repository);
  try {
    assert.equal(await baselineFolder('kept', 'smoke'), join('kept/feature/y/smoke'));
    await saveBaseline(await set('here'), at('kept/git'), false, log);
    // A repository without a commit has none to name.
    assert.equal(JSON.parse(readFileSync(at('kept/git/baseline.json'), 'utf8')).git_commit, null);
  } finally {
    process.chdir(before);
  }
});
