import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noBrowser } from './browser.ts';
import { plantedPages, show } from './shown.ts';

test('filters, search and keys lead to rows, and the address names what is shown', { skip: noBrowser }, async () => {
  const { run } = await plantedPages();
  const { page, faults, context } = await show(run);
  await page.waitForSelector('.line');
  const shown = async () => (await page.textContent('.tools h2 small'))!.trim();
  assert.equal(await shown(), '300 of 300');
  await page.click('.chip-wrong');
  assert.equal(await shown(), '75 of 300');
  await page.keyboard.press('/');
  await page.keyboard.type('question 28');
  await page.waitForFunction(() => document.querySelector('.tools h2 small')?.textContent?.startsWith('4 of'));
  await page.keyboard.press('Escape');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.row');
  assert.match(page.url(), /row=280/);
  await page.keyboard.press('j');
  await page.waitForFunction(() => location.hash.includes('row=284'));
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => document.querySelector('.row') === null);
  assert.ok(!page.url().includes('row='), page.url());
  await page.goBack();
  assert.deepEqual(faults, []);
  await context.close();
});

test('a link to a row opens it; one to none says so', { skip: noBrowser }, async () => {
  const { run } = await plantedPages();
  const { page, context } = await show(run, '#row=277&filter=right');
  await page.waitForSelector('.row');
  assert.equal(await page.getAttribute('.row', 'aria-label'), 'row 277');
  assert.equal(await page.locator('.line[aria-selected="true"]').isVisible(), true);
  await page.evaluate(() => {
    location.hash = '#row=99999';
  });
  await page.waitForSelector('text=There is no row 99999.');
  await context.close();
});

test('colours can be chosen against the system, and what is printed is light and has the rows', {
  skip: noBrowser,
}, async () => {
  const { run } = await plantedPages();
  const { page, context } = await show(run, '#filter=wrong', { colorScheme: 'dark' });
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await paper();
  await page.click('button[aria-label^="colours"]');
  const light = await paper();
  assert.notEqual(light, dark);
  await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
  assert.equal(await page.locator('.line').count(), 75);
  await page.emulateMedia({ media: 'print' });
  assert.equal(await paper(), 'rgb(255, 255, 255)');
  assert.equal(await page.locator('.top button').first().isVisible(), false);
  await page.evaluate(() => dispatchEvent(new Event('afterprint')));
  assert.ok((await page.pdf()).length > 10_000, 'a PDF');
  await context.close();
});
