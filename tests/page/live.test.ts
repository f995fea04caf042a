/** A run under way in a browser, and how its rows are put together. */
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { joined, soFar } from '../../nanoeval/page/live.ts';
import type { PageList } from '../../nanoeval/report/page_shape.ts';
import { openLive } from '../../nanoeval/run/live.ts';
import { rankedRow } from '../planted_run.ts';
import { temporaryFolder } from '../spawn.ts';
import { noBrowser, openBrowser, watch } from './browser.ts';

const folder = temporaryFolder('page-live');
after(folder.remove);

test('rows that come stand behind those that are there; a column that only they have is filled', () => {
  const first: PageList = { index: [0], status: 'r', score: [1], prompts: 'aaaaaaaa' };
  const more: PageList = { index: [7], id: ['x'], status: 'f', subject: [0], subjects: ['s'], prompts: '        ' };
  assert.deepEqual(JSON.parse(JSON.stringify(joined(first, more))), {
    index: [0, 7],
    id: ['0', 'x'],
    status: 'rf',
    score: [1, null],
    subject: [-1, 0],
    subjects: ['s'],
    prompts: 'aaaaaaaa        ',
  });
  assert.equal(joined({ index: [], status: '', prompts: '' }, more), more);
});

test('the mean so far', () => {
  const list = (score: (number | null)[]): PageList => ({ index: [], status: '', prompts: '', score });
  assert.equal(soFar(list([null])), null);
  assert.deepEqual(soFar(list([1, null])), { value: 1, stderr: null, ci95: null, n: 1 });
  const { value, stderr, ci95, n } = soFar(list([1, 0, 1, 1]))!;
  assert.deepEqual([value, stderr, n, ci95![1]], [0.75, 0.25, 4, 1]);
});

test('the page shows what is there, and rows as they come; it asks this server alone', {
  skip: noBrowser,
}, async () => {
  const path = join(folder.path, 'rows.jsonl');
  const add = (from: number, to: number) => {
    for (let i = from; i < to; i += 1)
      appendFileSync(path, `${JSON.stringify(rankedRow(i, 1, i % 2, { subject: 's' }))}\n`);
  };
  add(0, 4);
  const primary = { name: 'acc_norm', unit: 'share', better: 'higher', chance: null } as const;
  const live = await openLive({
    task: 'hellaswag',
    model: 'm <b>',
    facts: [['recipe', 'r']],
    primary,
    folder: folder.path,
    predictions: 'rows.jsonl',
    total: 6,
  });
  const browser = await openBrowser();
  try {
    const { page, requests, faults } = await watch(browser, live.address);
    await page.waitForSelector('.line');
    assert.equal(await page.textContent('.score-value'), '50.0 %acc_norm');
    assert.match((await page.textContent('.badge-live'))!, /4 of 6 rows/);
    add(4, 6);
    await page.waitForFunction(() => document.querySelectorAll('.line').length === 6);
    await page.locator('.line').nth(5).click();
    await page.waitForSelector('.choices');
    assert.match((await page.textContent('.missing'))!, /report\.page: true/);
    await page.waitForFunction(() => document.querySelector('.badge-live')?.textContent?.includes('done'));
    assert.deepEqual(
      requests.filter((address) => !address.startsWith(live.address)),
      [],
    );
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
    live.close();
  }
});
