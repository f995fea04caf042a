import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { buildPage } from '../../nanoeval/page/build.ts';

test('what is committed is what the sources give: npm run page', async () => {
  for (const [name, text] of Object.entries(await buildPage())) {
    const committed = readFileSync(new URL(`../../nanoeval/page/built/${name}`, import.meta.url), 'utf8');
    assert.equal(committed === text, true, `nanoeval/page/built/${name} is not what its sources give: npm run page`);
  }
});
