import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatPrompt, fitShots, type PromptParts, plainPrompt, promptFor } from '../../nanoeval/prompt/fewshot.ts';
import type { Prompt } from '../../nanoeval/questions.ts';

const parts: PromptParts = {
  description: 'About physics.\n\n',
  shots: [
    { question: 'Q1\nAnswer:', answer: 'C' },
    { question: 'Q2\nAnswer:', answer: 'B' },
  ],
  question: 'Q\nAnswer:',
};

test("plain: lm-eval's assembly (benchmarks.md 1.2): description, shot + blank + answer + empty line, question", () => {
  assert.equal(plainPrompt(parts), 'About physics.\n\nQ1\nAnswer: C\n\nQ2\nAnswer: B\n\nQ\nAnswer:');
  assert.equal(plainPrompt({ ...parts, shots: [] }), 'About physics.\n\nQ\nAnswer:');
  assert.equal(plainPrompt({ description: '', shots: [], question: 'Q ' }), 'Q ');
});

test('plain with other delimiters', () => {
  assert.equal(
    plainPrompt({ ...parts, description: '' }, { target: '=', fewshot: ';' }),
    'Q1\nAnswer:=C;Q2\nAnswer:=B;Q\nAnswer:',
  );
});

test('chat: system message, a user and an assistant turn for each shot, the question', () => {
  assert.deepEqual(chatPrompt(parts), [
    { role: 'system', content: 'About physics.\n\n' },
    { role: 'user', content: 'Q1\nAnswer:' },
    { role: 'assistant', content: 'C' },
    { role: 'user', content: 'Q2\nAnswer:' },
    { role: 'assistant', content: 'B' },
    { role: 'user', content: 'Q\nAnswer:' },
  ]);
  assert.deepEqual(chatPrompt({ description: '', shots: [], question: 'Q' }), [{ role: 'user', content: 'Q' }]);
});

test('promptFor: the conversation where the run uses the chat template, the plain text otherwise', () => {
  assert.deepEqual(promptFor(parts, true), chatPrompt(parts));
  assert.equal(promptFor(parts, false), plainPrompt(parts));
});

test('fitShots drops the last shots until the prompt fits, and no more', async () => {
  const asked: Prompt[] = [];
  // Counts late, as a server would.
  const length = async (prompt: Prompt) => {
    asked.push(prompt);
    await new Promise((resolve) => setTimeout(resolve, 1));
    return (prompt as string).length;
  };
  const of = (shots: number) => plainPrompt({ ...parts, shots: parts.shots.slice(0, shots) }).length;
  const kept = async (limit: number | null) =>
    (await fitShots(parts, limit, length)).shots.map(({ question }) => question[1]);
  assert.deepEqual(await kept(null), ['1', '2']);
  assert.deepEqual(asked, [], 'without a limit nothing is counted');
  assert.deepEqual(await kept(of(2)), ['1', '2']);
  assert.deepEqual(await kept(of(2) - 1), ['1']);
  assert.deepEqual(await kept(of(1)), ['1']);
  assert.deepEqual(await kept(of(1) - 1), []);
  // Nothing more can be dropped.
  assert.deepEqual(await kept(0), []);
  assert.equal((await fitShots(parts, 0, length)).question, parts.question);
  assert.equal(parts.shots.length, 2, 'the parts given stay as they are');
});
