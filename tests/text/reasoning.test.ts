import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutReasoning } from '../../nanoeval/text/reasoning.ts';

test('what stands before the last end of reasoning is left out, and nothing else', () => {
  assert.equal(withoutReasoning('<think>\n#### 1\n</think>\n\n#### 2'), '\n\n#### 2');
  assert.equal(withoutReasoning('a</think>b</think>c'), 'c');
  assert.equal(withoutReasoning('a</think>'), '');
  for (const text of ['', '#### 2', '<think> #### 2', 'a < /think> b', '<think/>'])
    assert.equal(withoutReasoning(text), text);
});
