/** The short form of the fuzz of tokenizers: the same seeds each time. `npm run test:fuzz` is the long one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TOKENIZER, TOKENIZER_CONFIG, tokenizers } from './tokenizer.ts';
import { outcomeOf } from './watch.ts';

for (const [subject, seeds] of [
  [TOKENIZER, 8 * tokenizers().length],
  [TOKENIZER_CONFIG, 240],
] as const) {
  test(`${subject.name} with changed bytes or parts: ids or one line`, async () => {
    assert.deepEqual(await outcomeOf(subject, -1, ''), { kind: 'ids' });
    const kinds = new Set<string>();
    for (let seed = 0; seed < seeds; seed += 1) {
      const outcome = await outcomeOf(subject, seed, '');
      assert.ok('kind' in outcome, JSON.stringify(outcome));
      kinds.add(outcome.kind);
    }
    assert.ok(kinds.has('ids') && kinds.has('no JSON'), [...kinds].join(', '));
  });
}
