import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noBrowser } from './browser.ts';
import { plantedPages, show } from './shown.ts';

test('the score with its interval, metrics, groups that filter the rows, and what ran', {
  skip: noBrowser,
}, async () => {
  const { run } = await plantedPages();
  const { page, context } = await show(run);
  assert.equal(await page.textContent('.score-value'), '75.0 %acc');
  assert.match((await page.textContent('.score-note'))!, /95 % interval 69\.8 to 79\.6 %/);
  await page.click('text=acc by group');
  await page.click('.numbers .link:has-text("anatomy")');
  await page.waitForFunction(() => document.querySelector('.tools h2 small')?.textContent === '100 of 300');
  await page.click('text=what ran');
  assert.match((await page.textContent('.facts'))!, /made\/first/);
  await context.close();
});
