import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noBrowser } from './browser.ts';
import { promptOf } from './planted.ts';
import { plantedPages, show } from './shown.ts';

test('a prompt is shown token by token, the shared header folded, or as plain text', { skip: noBrowser }, async () => {
  const { run } = await plantedPages();
  const { page, context } = await show(run, '#row=9');
  await page.waitForSelector('.switch');
  const text = async () => (await page.locator('.prompt .said').allTextContents()).join('').replaceAll('⏎', '');
  assert.equal(await text(), promptOf(9));
  const umlaut = page.locator('.token', { hasText: 'ü' });
  assert.equal(await umlaut.getAttribute('title'), 'token 1000, 1001');
  assert.match((await page.textContent('.prompts details summary'))!, /beginning that other rows share \(\d+ tokens\)/);
  await page.click('.switch input');
  assert.equal(await page.locator('.token').count(), 0);
  assert.equal(await text(), promptOf(9));
  await context.close();
});

test('a picture is shown small; what was not kept is said, with how to have it', { skip: noBrowser }, async () => {
  const { hostile, bare } = await plantedPages();
  const { page, context } = await show(hostile, '#row=0');
  await page.waitForSelector('.pictures img');
  assert.deepEqual(
    await page
      .locator('.pictures img')
      .evaluate((picture: HTMLImageElement) => [picture.complete, picture.naturalWidth]),
    [true, 480],
  );
  await context.close();
  const other = await show(bare, '#row=0');
  await other.page.waitForSelector('.missing');
  assert.match((await other.page.textContent('.missing'))!, /report\.page: true/);
  await other.context.close();
});
