import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { noBrowser } from './browser.ts';
import { plantedPages, show } from './shown.ts';

test('a run of another page on this machine is set beside; a file that is none is refused', {
  skip: noBrowser,
}, async () => {
  const { run, pair, hostile, folder } = await plantedPages();
  const { page, requests, faults, context } = await show(run);
  await page.waitForSelector('.line');
  const take = (path: string) => page.setInputFiles('.file input', path);
  const none = join(folder, 'none.html');
  writeFileSync(none, '<script>window.hacked=1</script><img src="http://127.0.0.1:9/a.png" onerror="window.hacked=1">');
  await take(none);
  await page.waitForSelector('text=none.html: not a report.html of NanoEval');
  await take(hostile);
  await page.waitForSelector('text=hostile.html: not comparable');
  await take(pair);
  await page.waitForSelector('.worth');
  assert.match(page.url(), /beside=/);
  assert.ok((await page.locator('.chip-flipped').count()) === 1);
  assert.equal(await page.evaluate(() => (window as { hacked?: number }).hacked ?? null), null);
  assert.deepEqual([requests, faults], [[], []]);
  await context.close();
});
