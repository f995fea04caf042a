import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noBrowser } from './browser.ts';
import { plantedPages, show } from './shown.ts';

test('a leaderboard has a line a checkpoint, marks the best, says why one failed, and leads to runs', {
  skip: noBrowser,
}, async () => {
  const { pair } = await plantedPages();
  const { page, requests, context } = await show(pair);
  const cells = await page.locator('.board tbody tr').evaluateAll((rows) => rows.map((row) => row.textContent));
  assert.equal(cells.length, 4);
  assert.match(cells.join('\n'), /made\/second fp3280\.0 %/);
  assert.match(cells.join('\n'), /weights <b>lost<\/b>/);
  assert.match((await page.textContent('.board td.best'))!, /80\.0 %/);
  await page.click('.board .link:has-text("first")');
  await page.waitForSelector('.line');
  assert.match(page.url(), /run=first/);
  assert.deepEqual(requests, []);
  await context.close();
});
