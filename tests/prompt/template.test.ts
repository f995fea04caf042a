import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fill, slotsOf } from '../../nanoeval/prompt/template.ts';

test('slots take their values, each as often as it stands there', () => {
  assert.equal(fill('{a}-{b}-{a}', { a: '1', b: '2' }), '1-2-1');
  assert.equal(fill('no slot', {}), 'no slot');
  assert.equal(fill('', { a: '1' }), '');
  assert.equal(fill('{a}', { a: '' }), '');
});

test('a value is placed as it is: braces, dollars and backslashes in it mean nothing', () => {
  assert.equal(fill('<{a}>', { a: '{b} $& $1 $$ \\n', b: 'x' }), '<{b} $& $1 $$ \\n>');
  assert.equal(fill('{a}{b}', { a: '{b}', b: '{a}' }), '{b}{a}');
});

test('braces that hold no word stay', () => {
  assert.equal(fill('{ a } {} {a-b} {{a}}', { a: '1' }), '{ a } {} {a-b} {1}');
});

test('a slot without a value is an error of the recipe', () => {
  assert.throws(() => fill('{question}\n{D}', { question: 'x' }), /no value for \{D\}/);
});

test('the slots of a template that a config gives: the first one once, others once at most', () => {
  assert.deepEqual([...slotsOf('a {text}', ['text', 'more'])], ['text']);
  assert.deepEqual([...slotsOf('{more} {text} { x }', ['text', 'more'])], ['more', 'text']);
  for (const [template, has] of [
    ['', 'no slot'],
    ['{more}', '{more}'],
    ['{text} {text}', '{text} and {text}'],
    ['{text} {txt}', '{text} and {txt}'],
  ] as const)
    assert.throws(() => slotsOf(template, ['text', 'more']), {
      name: 'UserError',
      key: 'dataset.template',
      message: `it has ${has}. It has to have {text} once, {more} once at most.`,
    });
});
