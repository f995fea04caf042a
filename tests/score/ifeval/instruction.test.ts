/** What instructions are made of. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compared, count, equal, instruction, pattern } from '../../../nanoeval/score/ifeval/instruction.ts';

test('counts: at least, less than, equal', () => {
  assert.equal(compared(3, 'at least', 3, 'words'), null);
  assert.equal(compared(2, 'at least', 3, 'words'), '2 words, not at least 3');
  assert.equal(compared(2, 'less than', 3, 'words'), null);
  assert.equal(compared(3, 'less than', 3, 'words'), '3 words, not less than 3');
  assert.equal(equal(3, 3, 'words'), null);
  assert.equal(equal(2, 3, 'words'), '2 words, not 3');
});

test('arguments of other instructions are left out, others than whole numbers from 0 refused', () => {
  const one = instruction({ n: count }, (_text, { n }) => `${n}`);
  assert.deepEqual(one.args.parse({ n: 0, other: null }), { n: 0 });
  for (const n of [-1, 1.5, null, '1']) assert.equal(one.args.safeParse({ n }).success, false);
  assert.equal(one.failure('', { n: 2 }), '2');
});

test('a pattern is a text of which a regular expression can be made', () => {
  const schema = pattern((source) => new RegExp(source, 'u'));
  assert.equal(schema.parse('a+'), 'a+');
  for (const bad of ['', '(', 1]) assert.equal(schema.safeParse(bad).success, false);
});
