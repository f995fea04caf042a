/** The page of a suite over runs that are there. That suite.ts writes it is in tests/suite.test.ts. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Book } from '../../nanoeval/report/page_shape.ts';
import { readRun } from '../../nanoeval/run/saved_run.ts';
import type { Outcome } from '../../nanoeval/suite/lines.ts';
import { writeSuitePage } from '../../nanoeval/suite/suite_page.ts';
import { plantRanked } from '../page/planted.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('suite-page');
after(folder.remove);

async function outcome(model: string | null, page: boolean, failed = false): Promise<Outcome> {
  const own = await plantRanked(join(folder.path, model ?? 'single', 'mmlu'), `made/${model}`, () => true, 10);
  const { config, task } = await readRun(own);
  const summary = JSON.parse(readFileSync(join(own, 'summary.json'), 'utf8'));
  const entry = {
    name: 'mmlu',
    model,
    task,
    config: { ...config, report: { ...config.report, page } },
    reference: { acc: 0.5, source: 'a paper' },
  };
  return {
    entry,
    result: failed ? null : { summary },
    error: failed ? { code: 2, text: 'no weights' } : null,
  } as unknown as Outcome;
}

test('every task with its checkpoint and its reported value; one that failed says why', async () => {
  const path = await writeSuitePage(folder.path, 'all', [await outcome('a', true), await outcome('b', true, true)]);
  assert.equal(path, join(folder.path, 'report.html'));
  const book = JSON.parse(/id="book">([^<]*)</.exec(readFileSync(path, 'utf8'))![1]!) as Book;
  assert.deepEqual([book.kind, book.title], ['suite', 'all']);
  assert.deepEqual(
    book.runs.map(({ name, model, rows, error, reference }) => [name, model, rows, error, reference?.acc]),
    [
      ['a/mmlu', 'a', 10, undefined, 0.5],
      ['b/mmlu', 'b', 0, 'no weights', undefined],
    ],
  );
});

test('without `report.page` in any task there is none', async () => {
  assert.equal(await writeSuitePage(folder.path, 'none', [await outcome(null, false)]), null);
});
