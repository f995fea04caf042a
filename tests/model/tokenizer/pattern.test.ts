/** Patterns and the ways to cut at them, as PyPI tokenizers does it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Behavior, split, toBehavior, toRegExp } from '../../../nanoeval/model/tokenizer/pattern.ts';
import { testMatrix } from './matrix.ts';

testMatrix('pre_split');
testMatrix('pre_split_patterns');

test('what becomes of matches in a row', () => {
  const at = (behavior: Behavior) => split('a--b-c', /-/g, behavior);
  assert.deepEqual(at('Removed'), ['a', 'b', 'c']);
  assert.deepEqual(at('Isolated'), ['a', '-', '-', 'b', '-', 'c']);
  assert.deepEqual(at('Contiguous'), ['a', '--', 'b', '-', 'c']);
  assert.deepEqual(at('MergedWithPrevious'), ['a-', '-', 'b-', 'c']);
  assert.deepEqual(at('MergedWithNext'), ['a', '-', '-b', '-c']);
});

test('empty matches cut, one character further each, and are no part', () => {
  assert.deepEqual(split('ab😀b', /(?=b)/gu, 'Isolated'), ['a', 'b😀', 'b']);
  assert.deepEqual(split('a😀', /(?:)/gu, 'Isolated'), ['a', '😀']);
  assert.deepEqual(split('a😀', /(?:)/gu, 'Removed'), ['a', '😀']);
  assert.deepEqual(split('a b', /\b|x/gu, 'Removed', true), []);
  assert.deepEqual(split('', /a?/gu, 'Isolated'), []);
});

test('no character is lost unless matches are removed', () => {
  const text = 'x, y.\n z½ — ü 12';
  for (const behavior of ['Isolated', 'Contiguous', 'MergedWithPrevious', 'MergedWithNext'] as const)
    for (const invert of [false, true]) assert.equal(split(text, /\p{P}|\s+/gu, behavior, invert).join(''), text);
});

test('a pattern or behaviour that is none is refused', () => {
  assert.throws(() => toRegExp({ Regex: '(a' }, 'x'), {
    name: 'UserError',
    message: /^x: the pattern "\(a" cannot be read/,
  });
  assert.throws(() => toRegExp(undefined, 'x'), { name: 'UserError', message: /^x: pattern is undefined/ });
  assert.throws(() => toBehavior('Merged', 'x'), {
    name: 'UserError',
    message: /^x: behavior is "Merged". Known: Removed/,
  });
});
