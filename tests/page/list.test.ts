import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noBrowser } from './browser.ts';
import { plantedPages, show } from './shown.ts';

test('wherever one scrolls to, rows fill what is in sight, and only those near are drawn', {
  skip: noBrowser,
}, async () => {
  const { run } = await plantedPages();
  const { page, context } = await show(run);
  await page.waitForSelector('.line');
  for (const share of [0, 0.31, 0.5, 0.77, 1]) {
    const holes = await page.evaluate(async (at) => {
      const box = document.querySelector('.lines')!;
      box.scrollTop = at * (box.scrollHeight - box.clientHeight);
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      const { top, bottom, left } = box.getBoundingClientRect();
      const found: number[] = [];
      for (let y = Math.max(0, top) + 3; y < Math.min(bottom, innerHeight) - 3; y += 17)
        if (document.elementFromPoint(left + 60, y)?.closest('.line') == null) found.push(y);
      return found;
    }, share);
    assert.deepEqual(holes, [], `at ${share}`);
  }
  assert.ok((await page.locator('.line').count()) < 120, 'not all 300 are drawn');
  assert.equal(await page.locator('.line').last().getAttribute('aria-posinset'), '300');
  await context.close();
});

test('columns sort up, down and back, and a subject is chosen', { skip: noBrowser }, async () => {
  const { hostile, run } = await plantedPages();
  const { page, context } = await show(hostile);
  const ids = async () => (await page.locator('.line .c-id').allTextContents()).map((text) => text.slice(0, 5));
  await page.waitForSelector('.line');
  const before = await ids();
  await page.click('button[aria-label="sort by row"]');
  assert.deepEqual((await ids()).at(-1), 'row 6');
  await page.click('button[aria-label="sort by row"]');
  assert.deepEqual((await ids())[0], 'row 6');
  await page.click('button[aria-label="sort by row"]');
  assert.deepEqual(await ids(), before);
  await context.close();
  const other = await show(run);
  await other.page.selectOption('.subjects', 'anatomy');
  await other.page.waitForFunction(() => document.querySelector('.tools h2 small')?.textContent === '100 of 300');
  await other.context.close();
});
