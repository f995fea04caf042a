/** The page of a run: which blocks it has and what they hold. How it looks and works is in tests/page. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { Book, PageList, PageRow } from '../../nanoeval/report/page_shape.ts';
import { writePage } from '../../nanoeval/run/report_page.ts';
import { UserError } from '../../nanoeval/types.ts';
import { paged, plantGenerated, plantRanked } from '../page/planted.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('run-page');
after(folder.remove);

const bookIn = (html: string) => JSON.parse(/id="book">([^<]*)</.exec(html)![1]!) as Book;
const blockIn = <T>(html: string, name: string): T | null => {
  const found = new RegExp(`id="${name}">([^<]*)<`).exec(html);
  return found === null ? null : (JSON.parse(gunzipSync(Buffer.from(found[1]!, 'base64')).toString()) as T);
};

test('all rows, their details and prompts stand in blocks of 256, the list in one', async () => {
  const own = await plantRanked(join(folder.path, 'ranked'), 'made/one', (index) => index % 4 !== 0);
  const html = readFileSync(
    await writePage(join(folder.path, 'a.html'), { kind: 'run', title: 'a', runs: [await paged(own, 'one')] }),
    'utf8',
  );
  const [run] = bookIn(html).runs;
  assert.deepEqual([run!.rows, run!.prompts, run!.how, run!.status], [300, 300, '', 'complete']);
  assert.deepEqual(
    run!.charts.map(({ name }) => name),
    ['acc'],
  );
  assert.equal(run!.scores.metrics.acc!.value, 0.75);
  const list = blockIn<PageList>(html, 'r0-list')!;
  assert.deepEqual(
    [list.index.length, list.status.slice(0, 5), list.subjects],
    [300, 'wrrrw', ['anatomy', 'philosophy']],
  );
  const details = [0, 1, 2].map((block) => blockIn<object[]>(html, `r0-rows-${block}`)?.length);
  assert.deepEqual(details, [256, 44, undefined]);
  const prompts = blockIn<[number, PageRow][]>(html, 'r0-prompts-1')!;
  assert.deepEqual([prompts.length, prompts[43]![1].row, prompts[43]![0]], [44, '299', 0]);
});

test('a run without page.jsonl says how to have prompts; a failed one why there is nothing', async () => {
  const own = await plantRanked(join(folder.path, 'bare'), 'made/bare', () => true, 5, false);
  const failed = { name: 'gone', task: 'mmlu', error: 'weights are gone' };
  const html = readFileSync(
    await writePage(join(folder.path, 'b.html'), {
      kind: 'suite',
      title: 'b',
      runs: [failed, await paged(own, 'bare')],
    }),
    'utf8',
  );
  const [first, second] = bookIn(html).runs;
  assert.deepEqual([first!.error, first!.rows], ['weights are gone', 0]);
  assert.match(second!.how, /report\.page: true/);
  assert.deepEqual(
    [blockIn(html, 'r1-prompts-0'), blockIn(html, 'r1-shared'), blockIn<object[]>(html, 'r1-rows-0')!.length],
    [null, null, 5],
  );
});

test('pictures stand in the page small, once; a damaged page.jsonl is told', async () => {
  const own = await plantGenerated(join(folder.path, 'generated'));
  const run = await paged(own, 'generated');
  const html = readFileSync(
    await writePage(join(folder.path, 'c.html'), { kind: 'run', title: 'c', runs: [run] }),
    'utf8',
  );
  assert.equal(html.match(/id="r0-picture-[0-9a-f]{16}">image\/webp;480;160;/g)?.length, 1);
  writeFileSync(join(own, 'page.jsonl'), 'no\n');
  await assert.rejects(
    writePage(join(folder.path, 'd.html'), { kind: 'run', title: 'd', runs: [run] }),
    (error) => error instanceof UserError && /page\.jsonl:1: not a JSON line/.test(error.message),
  );
  rmSync(join(own, 'page.jsonl'));
});
