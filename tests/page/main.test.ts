import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { noBrowser } from './browser.ts';
import { plantedPages, show } from './shown.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

test('opened from the disk: nothing is asked for, nothing goes wrong', { skip: noBrowser }, async () => {
  const { run } = await plantedPages();
  const { page, requests, faults, context } = await show(run);
  await page.waitForSelector('.line');
  await page.waitForSelector('.drawing svg');
  await page.locator('.line').nth(2).click();
  await page.waitForSelector('.prompts .token >> visible=true');
  assert.deepEqual([requests, faults], [[], []]);
  await context.close();
});

test('what a model, a data set or a config says is text, whatever it looks like', { skip: noBrowser }, async () => {
  const { hostile } = await plantedPages();
  for (let index = 0; index < 8; index += 1) {
    const { page, requests, faults, context } = await show(hostile, `#row=${index}`);
    await page.waitForSelector('.row');
    await page.waitForTimeout(100);
    const found = await page.evaluate(() => ({
      hacked: (window as { hacked?: number }).hacked ?? null,
      foreign: document.querySelectorAll('#app b i, #app u, #app img[onerror], #app script, #app .said b, #app .said i')
        .length,
      wide: document.documentElement.scrollWidth - innerWidth,
    }));
    assert.deepEqual(found, { hacked: null, foreign: 0, wide: 0 }, `row ${index}`);
    assert.deepEqual([requests, faults], [[], []], `row ${index}`);
    await context.close();
  }
});

for (const [name, options] of Object.entries({
  light: {},
  dark: { colorScheme: 'dark' as const },
  narrow: { viewport: { width: 390, height: 800 } },
}))
  test(`an accessibility checker finds nothing serious: ${name}`, { skip: noBrowser }, async () => {
    const { pair, hostile } = await plantedPages();
    for (const [path, hash] of [
      [pair, ''],
      [pair, '#run=second&beside=first&filter=flipped&row=4'],
      [hostile, '#row=4'],
    ] as const) {
      const { page, context } = await show(path, hash, { ...options, bypassCSP: true });
      await page.waitForTimeout(700);
      await page.addScriptTag({ content: axe });
      const found = await page.evaluate(async () => {
        const { axe } = window as unknown as {
          axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> };
        };
        const { violations } = await axe.run();
        return violations.map(({ id, impact, nodes }) => `${impact}: ${id}: ${nodes[0]!.html.slice(0, 200)}`);
      });
      assert.deepEqual(
        found.filter((line) => /^(serious|critical)/.test(line)),
        [],
        `${path}${hash}`,
      );
      assert.equal(
        await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
        true,
        `${path}${hash} is wider than the window`,
      );
      await context.close();
    }
  });
