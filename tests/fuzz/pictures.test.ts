/** The short form of the fuzz of pictures: the same few seeds each time. `npm run test:fuzz` is the long one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PICTURES } from './pictures.ts';
import { outcomeOf } from './watch.ts';

for (const subject of PICTURES) {
  test(`${subject.name} with changed bytes gives pixels or an error of its row`, async () => {
    assert.deepEqual(await outcomeOf(subject, -1, ''), { kind: 'pixels' });
    for (let seed = 0; seed < 16; seed += 1) {
      const outcome = await outcomeOf(subject, seed, '');
      assert.ok('kind' in outcome, JSON.stringify(outcome));
    }
  });
}
