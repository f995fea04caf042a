import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noBrowser } from './browser.ts';
import { HOSTILE } from './planted.ts';
import { plantedPages, show } from './shown.ts';

test('every choice has its log-likelihood, its lengths and what was right and read', { skip: noBrowser }, async () => {
  const { run } = await plantedPages();
  const { page, context } = await show(run, '#row=4');
  await page.waitForSelector('.choices');
  const cells = await page
    .locator('.choices tbody tr')
    .evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent!.trim())));
  assert.deepEqual(cells[0]!.slice(0, 7), ['Agold', 'A', '−12.00', '−2.4000', '−0.6000', '5', '20']);
  assert.deepEqual(cells[1]!.slice(0, 3), ['Bread', 'B', '−10.00']);
  await context.close();
});

test('an answer is shown with what was read from it; thoughts stand apart', { skip: noBrowser }, async () => {
  const { hostile } = await plantedPages();
  const { page, context } = await show(hostile, '#row=4');
  await page.waitForSelector('mark');
  assert.equal(await page.textContent('mark'), '42');
  assert.equal(await page.locator('.row details', { hasText: 'thoughts (not scored)' }).count(), 1);
  for (const [index, text] of HOSTILE.entries()) {
    if (index === 4) continue;
    await page.evaluate((row) => {
      location.hash = `#row=${row}`;
    }, index);
    const wanted = text.replace('\ud800', '\ufffd');
    await page.waitForFunction(
      (all) =>
        [...document.querySelectorAll('.side .said')].some(
          (one) => one.textContent!.replace('\ud800', '\ufffd') === all,
        ),
      wanted,
    );
  }
  await page.evaluate(() => {
    location.hash = '#row=6';
  });
  await page.waitForSelector('text=nothing could be read');
  await page.evaluate(() => {
    location.hash = '#row=7';
  });
  await page.waitForSelector('text=image: <b>no</b> picture');
  await context.close();
});
