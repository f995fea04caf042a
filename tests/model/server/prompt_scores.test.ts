/** vLLM's `prompt_logprobs`: one request for a question's choices, each answer held against what was asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Passing } from '../../../nanoeval/model/server/faults.ts';
import { scoreByPrompt, scoreLetters } from '../../../nanoeval/model/server/prompt_scores.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { stub } from './asking.ts';

const score = scoreByPrompt('m');
const TARGETS = [
  { context: [5, 6], continuation: [7, 8] },
  { context: [5, 6], continuation: [9] },
];
const at = (id: number, logprob: unknown, rank = 2) => ({
  [id]: { logprob, rank, decoded_token: 'x' },
  3: { logprob: -0.1, rank: 1 },
});
const GOOD = () => [
  { index: 1, prompt_logprobs: [null, at(6, -1), at(9, -2.5, 1)], prompt_token_ids: [5, 6, 9] },
  { index: 0, prompt_logprobs: [null, at(6, -1), at(7, -0.5, 1), at(8, -4)], prompt_token_ids: [5, 6, 7, 8] },
];
const from = (choices: unknown) => score(stub(() => ({ choices })).send, TARGETS);

test('ids are sent, and each continuation’s own entries summed, whatever the order of the answers', async () => {
  const { send, sent } = stub(() => ({ choices: GOOD() }));
  assert.deepEqual(await score(send, TARGETS), [
    { logprob: -4.5, numGreedy: 1 },
    { logprob: -2.5, numGreedy: 1 },
  ]);
  assert.deepEqual(sent, [
    {
      path: '/v1/completions',
      body: {
        model: 'm',
        prompt: [
          [5, 6, 7, 8],
          [5, 6, 9],
        ],
        max_tokens: 1,
        temperature: 0,
        seed: 0,
        prompt_logprobs: 1,
        return_token_ids: true,
      },
    },
  ]);
});

test('letters behind one context are one request, where the server knows ids; other choices are not', async () => {
  const letters = [330, 389, 340].map((id) => ({ context: [5, 6], continuation: [id] }));
  const top = { 'token_id:7': -0.1, 'token_id:330': -1, 'token_id:389': -2, 'token_id:340': -3 };
  const given = (tokens: string[], top_logprobs: unknown) =>
    stub(() => ({ choices: [{ logprobs: { tokens, top_logprobs: [top_logprobs] } }] }));
  const { send, sent } = given(['token_id:389'], top);
  assert.deepEqual(await scoreByPrompt('m', true)(send, letters), [
    { logprob: -1, numGreedy: 0 },
    { logprob: -2, numGreedy: 1 },
    { logprob: -3, numGreedy: 0 },
  ]);
  assert.deepEqual(sent, [
    {
      path: '/v1/completions',
      body: {
        model: 'm',
        prompt: [5, 6],
        max_tokens: 1,
        temperature: 0,
        seed: 0,
        logprobs: 3,
        logprob_token_ids: [330, 389, 340],
        return_tokens_as_token_ids: true,
      },
    },
  ]);
  const garbled = (error: unknown) => error instanceof Passing && error.kind === 'garbled';
  await assert.rejects(scoreLetters(given(['x'], { 'token_id:330': -1 }).send, 'm', letters), garbled);
  await assert.rejects(scoreLetters(given(['x'], null).send, 'm', letters), garbled);
  const never = { ...top, 'token_id:340': -9999 };
  await assert.rejects(
    scoreLetters(given(['x'], never).send, 'm', letters),
    (error) => error instanceof RowError && /340 is -9999/.test(error.message),
  );
  for (const targets of [
    TARGETS,
    [letters[0]!],
    [letters[0]!, { context: [5, 7], continuation: [389] }],
    Array.from({ length: 21 }, (_, id) => ({ context: [5, 6], continuation: [id + 10] })),
  ]) {
    const other = stub(() => ({ choices: [] }));
    await assert.rejects(scoreByPrompt('m', true)(other.send, targets), garbled);
    assert.equal('prompt_logprobs' in (other.sent[0]!.body as object), true);
  }
});

test('answers about something else are garbled: too few, too short, other tokens, tokenised anew', async () => {
  const changed = (change: (choices: ReturnType<typeof GOOD>) => void) => {
    const choices = GOOD();
    change(choices);
    return from(choices);
  };
  const cases: [RegExp, (choices: ReturnType<typeof GOOD>) => void][] = [
    [/choices has one for each of 2 prompts/, (all) => all.pop()],
    [/prompt_logprobs has 3 places/, (all) => all[0]!.prompt_logprobs.pop()],
    [/prompt_logprobs has 3 places/, (all) => Object.assign(all[0]!, { prompt_logprobs: undefined })],
    [/token 9 at its place/, (all) => all[0]!.prompt_logprobs.splice(2, 1, at(10, -1))],
    [/prompt_token_ids/, (all) => all[0]!.prompt_token_ids.splice(0, 1, 1)],
  ];
  for (const [words, change] of cases)
    await assert.rejects(
      changed(change),
      (error) => error instanceof Passing && error.kind === 'garbled' && words.test(error.message),
    );
  await assert.rejects(from([]), Passing);
});

test('without prompt_token_ids it is taken as it is; NaN and the sign of nothing fail the row', async () => {
  const bare = GOOD().map(({ prompt_token_ids: _, ...rest }) => rest);
  assert.equal((await from(bare))[0]?.logprob, -4.5);
  for (const wrong of [null, -9999.0]) {
    const choices = GOOD();
    choices[0]!.prompt_logprobs[2] = at(9, wrong);
    await assert.rejects(from(choices), (error) => error instanceof RowError && error.kind === 'nan');
  }
});
