/** Answers of models that think first. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutReasoning } from '../../nanoeval/text/reasoning.ts';

test('the answer is what stands behind the last thought, without the blanks between', () => {
  assert.equal(withoutReasoning('<think>\nhm </think>\n\n\u00a0So.\n'), 'So.\n');
  assert.equal(withoutReasoning('<think>a</think> b <think>c</think> d'), 'd');
  // The template may have opened the thoughts.
  assert.equal(withoutReasoning('hm</think>\nSo.'), 'So.');
  assert.equal(withoutReasoning('<think></think>'), '');
});

test('nothing thought, nothing changed; thoughts that never end hold no answer', () => {
  for (const plain of ['', ' So.\n', 'the tag <think> is a word here']) assert.equal(withoutReasoning(plain), plain);
  assert.equal(withoutReasoning('\n<think>hm, what'), '');
});
