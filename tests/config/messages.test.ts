import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ancestors, dotted, nearest, show } from '../../nanoeval/config/messages.ts';

test('nearest: slips of the pen, and no other word', () => {
  const words = ['split', 'sample', 'strategy', 'mode', 'cpu', 'cuda', 'q4', 'q8', 'dtype'];
  const table: [string, string | null][] = [
    ['SPLIT', 'split'],
    ['slpit', 'split'],
    ['dtpye', 'dtype'],
    ['mod', 'mode'],
    ['cp', 'cpu'],
    ['stratagey', 'strategy'],
    ['gpu', null],
    ['q5', null],
    ['temperature', null],
    ['', null],
  ];
  for (const [word, wanted] of table) assert.equal(nearest(word, words), wanted, word);
  assert.equal(nearest('a', []), null);
});

test('dotted paths and shown values', () => {
  assert.equal(dotted(['tasks', 0, 'model', 'dtype']), 'tasks[0].model.dtype');
  assert.equal(dotted([]), '');
  assert.equal(dotted(['model', 'a\nb', 0]), 'model."a\\nb"[0]');
  assert.equal(dotted(['x'.repeat(100)]), `"${'x'.repeat(56)}...`);
  assert.equal(show('a\u2028\u009bb'), '"a\\u2028\\u009bb"');
  assert.equal(show('a"b'), '"a\\"b"');
  assert.equal(show(Number.NaN), 'NaN');
  assert.equal(show('x'.repeat(100)), `"${'x'.repeat(56)}...`);
  assert.equal(show(undefined), 'undefined');
});

test('a path and all that it lies in, the innermost first', () => {
  assert.deepEqual(ancestors(['tasks', 0, 'model']), [['tasks', 0, 'model'], ['tasks', 0], ['tasks']]);
  assert.deepEqual(ancestors(['task']), [['task']]);
  assert.deepEqual(ancestors([]), []);
});

test('a value of up to 60 characters is shown whole, a longer one cut to 60', () => {
  assert.equal(show('x'.repeat(58)), `"${'x'.repeat(58)}"`);
  assert.equal(show('x'.repeat(59)).length, 60);
  assert.equal(show(Number.POSITIVE_INFINITY), 'Infinity');
  assert.equal(show({ a: [1, null] }), '{"a":[1,null]}');
});
