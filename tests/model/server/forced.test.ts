/** Tokens forced on llama-server: the schedule, what is read from its answers, and its traps as they were recorded. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Passing } from '../../../nanoeval/model/server/faults.ts';
import { scoreByForcing } from '../../../nanoeval/model/server/forced.ts';
import { OutsideError, RowError } from '../../../nanoeval/types.ts';
import { stub } from './asking.ts';

interface Pair {
  request: { body: Record<string, unknown> };
  response: { status: number; body: Record<string, unknown> };
}
const recorded = (name: string): Pair[] => {
  const file = new URL(`../../fixtures/servers/llama_server/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')).pairs;
};
const OPTIONS = { byGrammar: true, vocabulary: 49152, clean: 28 };
type Body = {
  prompt: number[];
  n_predict: number;
  cache_prompt: boolean;
  id_slot: number;
  grammar?: string;
  logit_bias?: [number, number][];
  n_probs: number;
};

/** Says of a forced token minus its id, in tenths; evens are the likeliest. */
function server(change: (answer: Record<string, unknown>, body: Body) => object = (answer) => answer) {
  return stub((_, body) => {
    const { prompt, grammar = '', logit_bias = [] } = body as Body;
    const tokens = [...grammar.matchAll(/<\[(\d+)\]>/g)].map(([, id]) => Number(id));
    if (tokens.length === 0) tokens.push(logit_bias[0]?.[0] ?? 3);
    const entries = tokens.map((id) => ({ id, logprob: -id / 10, top_logprobs: [{ id: id % 2 === 0 ? id : 3 }] }));
    const answer = { tokens, completion_probabilities: entries, tokens_evaluated: prompt.length, id_slot: 0 };
    return change(answer, body as Body);
  });
}

test('the schedule: a context of several choices once and afresh, all but its last token; then each choice from there', async () => {
  const { send, sent } = server();
  const context = [11, 12, 13];
  const scores = await scoreByForcing(OPTIONS)(send, [
    { context, continuation: [20, 21] },
    { context: [14, 15], continuation: [30] },
    { context, continuation: [22] },
  ]);
  assert.deepEqual(scores, [
    { logprob: -4.1, numGreedy: 1 },
    { logprob: -3, numGreedy: 1 },
    { logprob: -2.2, numGreedy: 1 },
  ]);
  const shown = sent.map(({ body }) => {
    const { prompt, n_predict, cache_prompt, id_slot, grammar } = body as Body;
    return [prompt, n_predict, cache_prompt, id_slot, grammar];
  });
  assert.deepEqual(shown, [
    [[11, 12], 0, false, 0, undefined],
    [context, 2, true, 0, 'root ::= <[20]> <[21]>'],
    [context, 1, true, 0, 'root ::= <[22]>'],
    // One choice alone shares nothing: no cache at all.
    [[14, 15], 1, false, 0, 'root ::= <[30]>'],
  ]);
});

test('by bias: one request a token, each from where the last one left', async () => {
  const { send, sent } = server();
  const scores = await scoreByForcing({ ...OPTIONS, byGrammar: false })(send, [
    { context: [11], continuation: [20, 21] },
  ]);
  assert.deepEqual(scores, [{ logprob: -4.1, numGreedy: 1 }]);
  assert.deepEqual(
    sent.map(({ body }) => [(body as Body).prompt, (body as Body).logit_bias, (body as Body).cache_prompt]),
    [
      [[11], [[20, 1e6]], false],
      [[11, 20], [[21, 1e6]], true],
    ],
  );
});

test('a real server’s forced tokens are summed as it gave them', async () => {
  const [byGrammar] = recorded('probes') as [Pair];
  const { send } = stub(() => ({ ...byGrammar.response.body, id_slot: 0 }));
  const [score] = await scoreByForcing(OPTIONS)(send, [
    { context: byGrammar.request.body.prompt as number[], continuation: [17032, 33794] },
  ]);
  assert.ok(Math.abs(score!.logprob - (-14.0006103515625 - 16.4340877532959)) < 1e-12);
  assert.equal(score!.numGreedy, 0);
  // The end of an answer can be forced by a bias alone, and its entry is there.
  const [eog] = recorded('native_eog_force') as [Pair];
  const { tokens_evaluated } = eog.response.body as { tokens_evaluated: number };
  const ending = stub((_, body) => ((body as Body).grammar ? { error: { message: 'grammar' } } : eog.response.body));
  const context = Array.from({ length: tokens_evaluated }, () => 5);
  const [ended] = await scoreByForcing(OPTIONS)(ending.send, [{ context, continuation: [2] }]);
  assert.equal(ended?.logprob, -25.46834945678711);
});

test('parts of a character, as recorded: the grammar fails, the lead byte has no entry, the rest has', async () => {
  const pairs = recorded('native_utf8_hole');
  const evaluated = { tokens_evaluated: 2, id_slot: 0 };
  const { send, sent } = stub((_, body) => {
    const { grammar, logit_bias, n_probs, prompt } = body as Body;
    if (grammar !== undefined) return pairs[0]!.response.body;
    const forced = logit_bias?.[0]?.[0];
    const answer = { tokens_evaluated: prompt.length, id_slot: 0 };
    if (n_probs > 1) {
      // Recorded as a number alone: the answer has 5 MB.
      const all = {
        id: 28,
        logprob: -4,
        top_logprobs: [
          { id: 253, logprob: -1.27 },
          { id: 17097, logprob: -14.877332 },
        ],
      };
      return { ...answer, tokens: [28], completion_probabilities: [all] };
    }
    const found = pairs.slice(1, 4).find(({ request }) => (request.body.logit_bias as number[][])[0]![0] === forced);
    return { ...answer, ...found!.response.body };
  });
  const [score] = await scoreByForcing(OPTIONS)(send, [{ context: [19012, 314], continuation: [17097, 241, 115] }]);
  assert.ok(Math.abs(score!.logprob - (-14.877332 - 2.7733371257781982 - 1.5664390325546265)) < 1e-9);
  assert.equal(score!.numGreedy, 0);
  assert.equal(evaluated.tokens_evaluated, 2);
  assert.deepEqual(
    sent.map(({ body }) => (body as Body).n_probs),
    [1, 1, 49152, 1, 1],
  );
});

test('answers about something else are not taken: another prompt, another slot, other tokens, one too few', async () => {
  const one = [{ context: [11, 12], continuation: [20, 21] }];
  const with_ = (change: (answer: Record<string, unknown>) => object) =>
    scoreByForcing(OPTIONS)(server((answer, body) => (body.grammar ? change(answer) : answer)).send, one);
  await assert.rejects(
    with_((answer) => ({ ...answer, tokens_evaluated: 1 })),
    (error) => error instanceof Passing && error.kind === 'garbled',
  );
  await assert.rejects(
    with_((answer) => ({ ...answer, id_slot: 1 })),
    OutsideError,
  );
  // Where the grammar forced something else, the bias is used.
  const right = [{ logprob: -4.1, numGreedy: 1 }];
  assert.deepEqual(await with_((answer) => ({ ...answer, tokens: [20, 9] })), right);
  const entries = (answer: Record<string, unknown>) => answer.completion_probabilities as object[];
  assert.deepEqual(await with_((answer) => ({ ...answer, completion_probabilities: entries(answer).slice(1) })), right);
});

test('a probability of nothing fails the row, another error than the grammar’s is tried again', async () => {
  const one = [{ context: [11], continuation: [20] }];
  const nothing = server((answer) => ({
    ...answer,
    completion_probabilities: [{ id: 20, logprob: -3.4028234663852886e38, top_logprobs: [] }],
  }));
  await assert.rejects(
    scoreByForcing(OPTIONS)(nothing.send, one),
    (error) => error instanceof RowError && error.kind === 'nan',
  );
  const broken = stub(() => ({ error: { code: 500, message: 'out of memory' } }));
  await assert.rejects(
    scoreByForcing(OPTIONS)(broken.send, one),
    (error) => error instanceof Passing && error.kind === 'error',
  );
  const without = server((answer, body) =>
    body.n_probs > 1
      ? { ...answer, completion_probabilities: [{ id: 28, top_logprobs: [] }] }
      : body.grammar
        ? { error: { message: 'grammar' } }
        : { ...answer, completion_probabilities: [] },
  );
  await assert.rejects(
    scoreByForcing(OPTIONS)(without.send, one),
    (error) => error instanceof RowError && /no log-probability of token 20/.test(error.message),
  );
});
