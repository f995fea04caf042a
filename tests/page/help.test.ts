import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noBrowser } from './browser.ts';
import { plantedPages, show } from './shown.ts';

test('the keys are shown and close again', { skip: noBrowser }, async () => {
  const { run } = await plantedPages();
  const { page, context } = await show(run);
  await page.keyboard.press('?');
  await page.waitForSelector('dialog[open]');
  assert.match((await page.textContent('dialog'))!, /search/);
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => document.querySelector('dialog') === null);
  await context.close();
});
