import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResolvedRecipe } from '../../nanoeval/config/recipe.ts';
import { askForTexts, askOf } from '../../nanoeval/prompt/ask.ts';
import type { ChatMessage, Verb } from '../../nanoeval/questions.ts';

const rule = (verb: Verb) => ({ verb, until: ['\n', '</s>'], maxNewTokens: 7 }) as unknown as ResolvedRecipe;
const choices = [
  { text: 'x', continuation: ' x' },
  { text: 'y', continuation: ' y' },
];
const messages: ChatMessage[] = [{ role: 'user', content: 'Q' }];

test('ranked: the choices after the prompt, tokenised as the recipe says where it says so', () => {
  assert.deepEqual(askOf(rule('loglikelihood'), 'Q', choices), { verb: 'loglikelihood', prompt: 'Q', choices });
  assert.deepEqual(askOf(rule('loglikelihood'), messages, choices, 'separate'), {
    verb: 'loglikelihood',
    prompt: messages,
    choices,
    tokenization: 'separate',
  });
});

test("generated: the recipe's stops and limit; the choices stay away", () => {
  assert.deepEqual(askOf(rule('generate_until'), 'Q', choices, 'separate'), {
    verb: 'generate_until',
    prompt: 'Q',
    until: ['\n', '</s>'],
    max_new_tokens: 7,
  });
});

test('a rule that asks for whole texts has no choices to ask about', () => {
  assert.throws(() => askOf(rule('loglikelihood_rolling'), 'Q', choices), /loglikelihood_rolling has no choices/);
});

test('texts after a question: a blank stands before each in plain text, and in a conversation where it is asked for', () => {
  const parts = { shots: [{ question: 'P', answer: 'z' }], question: 'Q' };
  const recipe = rule('loglikelihood');
  assert.deepEqual(askForTexts({ recipe, chat: false }, parts, ['x', ' y'], ' '), {
    verb: 'loglikelihood',
    prompt: 'P z\n\nQ',
    choices: [
      { text: 'x', continuation: ' x' },
      { text: ' y', continuation: '  y' },
    ],
  });
  const continuations = (chatDelimiter?: '' | ' ') => {
    const ask = askForTexts({ recipe, chat: true }, parts, ['x'], chatDelimiter);
    assert.deepEqual('prompt' in ask && ask.prompt, [
      { role: 'user', content: 'P' },
      { role: 'assistant', content: 'z' },
      { role: 'user', content: 'Q' },
    ]);
    return 'choices' in ask ? ask.choices.map(({ continuation }) => continuation) : [];
  };
  assert.deepEqual([continuations(), continuations(' ')], [['x'], [' x']]);
});
