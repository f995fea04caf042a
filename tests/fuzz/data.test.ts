/** The short form of the fuzz of data files: the same few seeds each time. `npm run test:fuzz` is the long one. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { changed, randomFrom } from './changed.ts';
import { FORMATS } from './data.ts';
import { outcomeOf } from './watch.ts';

test('a seed always changes the same bytes, one to four of them', () => {
  const whole = new Uint8Array(1000);
  for (let seed = 0; seed < 50; seed++) {
    const bytes = changed(whole, seed);
    assert.deepEqual(bytes, changed(whole, seed));
    assert.ok(bytes.filter((byte) => byte !== 0).length <= 4);
    assert.equal(bytes.byteLength < 1000, seed % 10 === 9);
    assert.ok(
      changed(whole, seed, 10)
        .subarray(10)
        .every((byte) => byte === 0),
    );
  }
  const random = randomFrom(1);
  assert.ok(Array.from({ length: 100 }, random).every((number) => number >= 0 && number < 1));
});

for (const format of FORMATS) {
  test(`${format.name} with changed bytes gives rows or one line`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'nanoeval_fuzz_'));
    t.after(() => rmSync(folder, { recursive: true }));
    // A seed that changes nothing that matters is no proof: the whole file has to be read too.
    assert.ok((await format.rows(format.bytes(), folder)) >= 4);
    for (let seed = 0; seed < 25; seed++) {
      const outcome = await outcomeOf(format, seed, folder);
      assert.ok(!('fault' in outcome), JSON.stringify(outcome));
    }
  });
}
