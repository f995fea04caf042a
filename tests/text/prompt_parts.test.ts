import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatMessage, ContentPart, Prompt } from '../../nanoeval/questions.ts';
import { imagesOf, isConversation, partsOf } from '../../nanoeval/text/prompt_parts.ts';

const [one, two] = [Uint8Array.of(1), Uint8Array.of(2)];
const text = (words: string): ContentPart => ({ type: 'text', text: words });
const image = (bytes: Uint8Array): ContentPart => ({ type: 'image', bytes });
const parts = [text('a'), image(one), text('b'), image(two)];
const messages: ChatMessage[] = [
  { role: 'system', content: 'About.' },
  { role: 'user', content: parts },
  { role: 'assistant', content: '' },
];

test('a conversation is a list of messages; a text, its parts and an empty list are none', () => {
  const table: [Prompt, boolean][] = [
    ['', false],
    ['role', false],
    [[], false],
    [parts, false],
    [messages, true],
  ];
  for (const [prompt, wanted] of table) assert.equal(isConversation(prompt), wanted, JSON.stringify(prompt));
});

test('parts in the order in which they are shown, whatever the prompt is made of', () => {
  assert.deepEqual(partsOf('words'), [text('words')]);
  assert.deepEqual(partsOf(''), [text('')]);
  assert.deepEqual(partsOf(parts), parts);
  assert.deepEqual(partsOf(messages), [text('About.'), ...parts, text('')]);
});

test('pictures in the order of their places, one that is shown twice twice', () => {
  assert.deepEqual(imagesOf('words'), []);
  assert.deepEqual(imagesOf(parts), [one, two]);
  assert.deepEqual(imagesOf([...messages, { role: 'user', content: [image(one)] }]), [one, two, one]);
});
