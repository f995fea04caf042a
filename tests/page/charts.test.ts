import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noBrowser } from './browser.ts';
import { plantedPages, show } from './shown.ts';

test('the chart is drawn by Vega without eval, in the colours of the page, and a bar filters the rows', {
  skip: noBrowser,
}, async () => {
  const { run } = await plantedPages();
  for (const colorScheme of ['light', 'dark'] as const) {
    const { page, faults, context } = await show(run, '', { colorScheme });
    await page.waitForSelector('.drawing svg');
    const svg = (await page.innerHTML('.drawing')).toLowerCase();
    assert.equal(svg.includes('#1f2933'), colorScheme === 'light', colorScheme);
    assert.match(svg, /philosophy/);
    await page.waitForSelector('.line');
    const bars = page.locator('.drawing .bar_marks path, .drawing g[class*="bar_marks"] path');
    assert.ok((await bars.count()) >= 5, 'all, two groups, two subjects');
    await bars.nth(2).click();
    await page.waitForFunction(() => document.querySelector('.tools h2 small')?.textContent !== '300 of 300');
    assert.deepEqual(faults, []);
    await context.close();
  }
});
