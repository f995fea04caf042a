/** The end of a text that grows: a stop is seen with the token that completes it, as in the whole text. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasStop } from '../../nanoeval/model/engine/decode.ts';
import { longestOf, TextTail } from '../../nanoeval/model/text_tail.ts';
import { byteLevelTokenizer } from './fixtures.ts';

const tokenizer = byteLevelTokenizer();
const TEXTS = [
  'The answer is 42.\n\nQuestion: and now?',
  'def f(x):\n    return x\n\nclass A:\n    pass',
  'naïve café 你好, 世界 🙂👍🏽 done. STOP here',
  '   leading blanks and\ttabs\n\n\n',
];
const STOPS = [['\n\n'], ['Question:', '\nclass'], ['STOP'], ['世界'], ['🙂'], ['t'], ['nothing of it']];

test('a stop is seen with the same token as in the whole text', () => {
  for (const text of TEXTS) {
    const ids = tokenizer.encodePlain(text);
    for (const stops of STOPS) {
      const tail = new TextTail(tokenizer, longestOf(stops));
      let seen = -1;
      for (const [i, id] of ids.entries()) {
        if (!hasStop(tail.add(id), stops)) continue;
        seen = i;
        break;
      }
      const whole = ids.findIndex((_, i) => hasStop(tokenizer.decode(ids.slice(0, i + 1), true), stops));
      assert.equal(seen, whole, `${JSON.stringify(text)} ${stops}`);
    }
  }
});

test('the tail does not grow with the text', () => {
  const tail = new TextTail(tokenizer, 4);
  const ids = tokenizer.encodePlain('one two three four five '.repeat(50));
  let longest = 0;
  for (const id of ids) longest = Math.max(longest, tail.add(id).length);
  assert.ok(longest < 30, String(longest));
  assert.equal(longestOf([]), 0);
});
