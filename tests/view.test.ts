/** Pages over many runs, as a user writes them. How they look and work is in tests/page. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Book } from '../nanoeval/report/page_shape.ts';
import { namesOf } from '../nanoeval/view.ts';
import { runHereWith } from './in_process.ts';
import { noBrowser } from './page/browser.ts';
import { plantRanked } from './page/planted.ts';
import { show } from './page/shown.ts';
import { plantSuite } from './planted_run.ts';
import { temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('view');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const bookIn = (path: string) => JSON.parse(/id="book">([^<]*)</.exec(readFileSync(path, 'utf8'))![1]!) as Book;
const view = (folders: unknown, more = '') => {
  mkdirSync(at('yaml'), { recursive: true });
  return runHereWith(
    'view',
    at('yaml'),
    `folders: ${JSON.stringify(folders)}\nreport: { output_dir: ${at('out')} }\n${more}`,
  );
};

test('names are the ends of the paths that tell folders apart', () => {
  assert.deepEqual(namesOf(['/a/mmlu', '/b/mmlu']), ['a/mmlu', 'b/mmlu']);
  assert.deepEqual([namesOf(['/x/one', '/y/two']), namesOf(['/x/one']), namesOf([])], [['one', 'two'], ['one'], []]);
});

test('runs, a suite and a pattern: a leaderboard that leads to the rows of each task', async () => {
  await plantRanked(at('runs/a'), 'made/a', (index) => index % 2 === 0, 40);
  await plantRanked(at('runs/b'), 'made/b', () => true, 40, false);
  await plantRanked(at('suite/mmlu'), 'made/c', () => true, 40, false);
  plantSuite(at('suite'), 'own', [
    { name: 'mmlu', status: 'complete', reference: { acc: 0.9, source: 'a paper' } },
    { name: 'gone', status: 'failed', error: 'no weights' },
  ]);
  await plantRanked(at('runs/unfinished'), 'made/d', () => true, 3, false);
  rmSync(at('runs/unfinished/summary.json'));
  const { code, stdout, stderr } = await view([at('runs/*'), at('suite')], 'title: Ours\n');
  assert.deepEqual([code, stdout], [0, ''], stderr);
  assert.match(stderr, /mmlu: 4 runs/);
  const board = bookIn(at('out/index.html'));
  assert.equal(board.title, 'Ours');
  assert.deepEqual(
    board.runs.map(({ name, model, page, error }) => [name, model, page ?? error]),
    [
      ['a', 'made/a fp32', 'report_mmlu.html'],
      ['b', 'made/b fp32', 'report_mmlu.html'],
      ['unfinished', 'made/d fp32', 'not finished: run its config again'],
      ['mmlu', 'made/c fp32', 'report_mmlu.html'],
    ],
  );
  assert.equal(board.runs[3]!.reference?.acc, 0.9);
  assert.deepEqual(board.links, [{ name: 'mmlu: 4 runs', page: 'report_mmlu.html' }]);
  assert.deepEqual(
    bookIn(at('out/report_mmlu.html')).runs.map(({ prompts, rows }) => [prompts, rows]),
    [
      [40, 40],
      [0, 40],
      [0, 0],
      [0, 40],
    ],
  );
});

test('the leaderboard opens a run, which stands beside another one', { skip: noBrowser }, async () => {
  if (!existsSync(at('out/index.html'))) await view([at('runs/*'), at('suite')]);
  const { page, faults, context } = await show(at('out/index.html'));
  await page.click('.board a:has-text("b")');
  await page.waitForSelector('.line');
  await page.selectOption('.beside select', 'a');
  await page.waitForSelector('.worth');
  assert.match((await page.textContent('.worth'))!, /\+50\.0 points/);
  assert.deepEqual(faults, []);
  await context.close();
});

test('a folder that is none, and a key that is misspelt, are told in one line', async () => {
  const none = await view(at('nothing'));
  assert.equal(none.code, 2);
  assert.match(none.stderr, /view\.yaml:1:10: folders: .*nothing: neither a run nor a suite: it has no run\.json\.$/m);
  writeFileSync(at('a-file'), '');
  assert.equal((await view([at('runs/a'), at('none/*')])).code, 2);
  const misspelt = await view(at('runs/a'), 'titel: x\n');
  assert.match(misspelt.stderr, /titel/);
  assert.equal(misspelt.code, 2);
});
