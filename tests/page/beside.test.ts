import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noBrowser } from './browser.ts';
import { plantedPages, show } from './shown.ts';

test('two runs side by side: the difference, the rows that flipped, both answers of a row', {
  skip: noBrowser,
}, async () => {
  const { pair } = await plantedPages();
  const { page, faults, context } = await show(pair, '#run=second');
  await page.waitForSelector('.line');
  assert.deepEqual(
    await page.locator('.beside option').allTextContents(),
    ['no other run', 'first (made/first fp32)'],
    'a run of another task is not offered',
  );
  await page.selectOption('.beside select', 'first');
  await page.waitForSelector('.worth');
  assert.match(
    (await page.textContent('.worth'))!,
    /\+5\.0 points \(95 % interval −1\.7 to \+11\.7\) of second over first, 300 rows: 60 better, 45 worse/,
  );
  await page.click('.chip-flipped');
  assert.equal((await page.textContent('.tools h2 small'))!.trim(), '105 of 300');
  await page.locator('.line').first().click();
  await page.waitForSelector('.sides.two .choices');
  assert.deepEqual(await page.locator('.side-name').allTextContents(), ['second', 'first']);
  assert.deepEqual(await page.locator('.verdict .status').allTextContents(), ['✓right', '✗wrong']);
  assert.deepEqual(faults, []);
  await context.close();
});
