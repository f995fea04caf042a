import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutAtStops, hasStop } from '../../nanoeval/model/decode.ts';
import { fixture } from './fixtures.ts';

const { rows } = fixture<{ rows: { text: string; until: string[]; kept: string }[] }>('stops.json');

test('stops are cut off in turn, as lm-eval does', () => {
  for (const { text, until, kept } of rows) assert.equal(cutAtStops(text, until), kept, `${text} ${until}`);
});

test('a stop is there exactly when something is cut', () => {
  for (const { text, until, kept } of rows) assert.equal(hasStop(text, until), kept !== text, `${text} ${until}`);
});

test('an empty stop never ends an answer', () => {
  assert.equal(hasStop('text', ['']), false);
  assert.equal(hasStop('', ['']), false);
});
