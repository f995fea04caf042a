/** Answers of models that think first. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { opensThoughts, readSaid } from '../../nanoeval/text/reasoning.ts';

test('the answer is what stands behind the last thought, without the blanks between', () => {
  const ended = (output: string, answer: string) => assert.deepEqual(readSaid(output), { answer, thoughts: 'ended' });
  ended('<think>\nhm </think>\n\n\u00a0So.\n', 'So.\n');
  ended('<think>a</think> b <think>c</think> d', 'd');
  // The template may have opened the thoughts.
  ended('hm</think>\nSo.', 'So.');
  assert.deepEqual(readSaid('hm</think>\nSo.', true), { answer: 'So.', thoughts: 'ended' });
});

test('nothing thought, nothing changed; tags around nothing are no thought, and no part of the answer', () => {
  for (const plain of ['', ' So.\n', 'the tag <think> is a word here'])
    assert.deepEqual(readSaid(plain), { answer: plain, thoughts: 'none' });
  assert.deepEqual(readSaid('<think>\n\n</think>\n\nSo.'), { answer: 'So.', thoughts: 'none' });
  assert.deepEqual(readSaid('<think></think>'), { answer: '', thoughts: 'none' });
});

test('thoughts that never end hold no answer, whoever opened them', () => {
  assert.deepEqual(readSaid('\n<think>hm, what'), { answer: '', thoughts: 'cut' });
  assert.deepEqual(readSaid('hm, what', true), { answer: '', thoughts: 'cut' });
  assert.deepEqual(readSaid('', true), { answer: '', thoughts: 'cut' });
});

test('a prompt opens thoughts where it ends in their beginning', () => {
  for (const open of ['<|assistant|>\n<think>\n', '<think>', 'a <think>b</think> <think> '])
    assert.ok(opensThoughts(open));
  // Qwen3 with `enable_thinking: false` closes them at once.
  for (const closed of ['', 'What does <think> mean?', '<|assistant|>\n<think>\n\n</think>\n\n'])
    assert.ok(!opensThoughts(closed));
});
