/** An executor over edited graphs: one session at a time, for scores or for answers. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openExecutor } from '../../../nanoeval/model/engine/open_executor.ts';
import { chain } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { type DecoderOptions, decoderFiles, openPlain } from '../attention_decoder.ts';
import { settings } from '../fixtures.ts';

async function open(t: TestContext, options: DecoderOptions = {}, decodeBytes?: number) {
  const files = decoderFiles(t, options);
  const executor = await openExecutor(files, settings(), { mode: 'auto', threads: 1, decodeBytes });
  t.after(() => executor.close());
  return { executor, plain: await openPlain(t, files) };
}

const PROMPT = [3, 17, 42, 8];
const answer = (ids: readonly number[]) => ({
  past: null,
  ids,
  keep: null,
  room: { tokens: 20, slots: 4 },
  watched: [],
});
const score = { past: null, sequences: [chain(PROMPT)], select: [0, 3], pairs: [0, 5], keep: null };

test('it turns to answers and back, and gives the same numbers as before', async (t) => {
  const { executor, plain } = await open(t);
  const before = await executor.pass(score);
  assert.deepEqual(await executor.turnTo('answers'), { bytesPerToken: 512 });
  await assert.rejects(executor.next(PROMPT, null, null), /ready for answers, not for scores/);
  const first = await executor.begin(answer(PROMPT));
  assert.equal(first.token, (await plain.after(PROMPT, 0)).best);
  const [second] = await executor.step([{ token: first.token }]);
  assert.equal(second!.token, (await plain.after([...PROMPT, first.token], 0)).best);
  await executor.leave([0]);
  await executor.turnTo('scores');
  assert.deepEqual(await executor.pass(score), before);
  await assert.rejects(executor.begin(answer(PROMPT)), /ready for scores, not for answers/);
});

test('what is ready for few answers is opened anew for many where there is room for them, and not the other way', async (t) => {
  for (const [decodeBytes, opensAnew] of [
    [8192 * 512, true],
    [8191 * 512, false],
  ] as const) {
    const { executor, plain } = await open(t, {}, decodeBytes);
    const keep = () => executor.begin({ ...answer(PROMPT), keep: 4 });
    const goesOn = () => executor.begin({ ...answer([9]), past: 4 });
    await executor.turnTo('few answers');
    await keep();
    assert.equal((await goesOn()).token, (await plain.after([...PROMPT, 9], 0)).best);
    assert.deepEqual(await executor.turnTo('answers'), { bytesPerToken: 512 });
    if (opensAnew) await assert.rejects(goesOn(), /no cache 4/, 'another session has no cache of the one before');
    await keep();
    await executor.turnTo('few answers');
    assert.equal((await goesOn()).token, (await plain.after([...PROMPT, 9], 0)).best);
  }
});

test('a drawn token is the one that steps without others draw', async (t) => {
  const { executor } = await open(t);
  const draw = { temperature: 1, top_p: 0.9, uniform: 0.7 };
  const expected = (await executor.next(PROMPT, null, null, { draw, watched: [7] })).token;
  await executor.turnTo('answers');
  await executor.begin(answer([60]));
  const { token, logprobs } = await executor.begin({ ...answer(PROMPT), draw, watched: [7] });
  assert.equal(token, expected);
  assert.equal(logprobs.length, 1);
  const said = await executor.step([{ token: 1 }, { token, draw }]);
  assert.ok(said.every((one) => one !== null));
});

test('an answer that cannot begin leaves no slot', async (t) => {
  const { executor } = await open(t);
  await executor.turnTo('answers');
  await assert.rejects(
    executor.begin({ ...answer(PROMPT), draw: { temperature: Number.NaN, top_p: 1, uniform: 0.5 } }),
    {
      name: 'RowError',
    },
  );
  await executor.begin(answer([60]));
  assert.equal((await executor.step([{ token: 1 }])).length, 1);
});

test('passes that lead to prompts keep their cache in either way', async (t) => {
  const { executor, plain } = await open(t);
  await executor.turnTo('answers');
  const lead = { ...score, select: [], pairs: [], keep: 4 };
  assert.deepEqual(await executor.pass(lead), { logprobs: [], best: [] });
  const { token } = await executor.begin({ ...answer([9]), past: 4 });
  assert.equal(token, (await plain.after([...PROMPT, 9], 0)).best);
  await executor.free([4]);
  await assert.rejects(executor.begin({ ...answer([9]), past: 4 }), /no cache 4/);
});

test('a graph that cannot be decoded side by side says why, and answers one by one', async (t) => {
  const { executor, plain } = await open(t, { positions: 'counted' });
  const turned = await executor.turnTo('answers');
  assert.match((turned as { remark: string }).remark, /position_ids is not an input/);
  assert.deepEqual(await executor.turnTo('answers'), turned);
  assert.equal((await executor.next(PROMPT, null, null)).token, (await plain.after(PROMPT, 0)).best);
});

test('the margin of a token is how much likelier it is than the next likely one, in every way of decoding', async (t) => {
  const { executor, plain } = await open(t);
  const lead = async (ids: readonly number[]) => {
    const [first, second] = [...(await plain.last(ids))].sort((a, b) => b - a);
    return first! - second!;
  };
  const near = (found: number | undefined, expected: number) =>
    assert.ok(Math.abs(found! - expected) < 1e-4, `${found} ${expected}`);
  const alone = await executor.next(PROMPT, null, null, { margin: true });
  near(alone.margin, await lead(PROMPT));
  assert.equal((await executor.next(PROMPT, null, null)).margin, undefined);
  await executor.turnTo('answers');
  const first = await executor.begin({ ...answer(PROMPT), margin: true });
  assert.equal(first.token, alone.token);
  near(first.margin, await lead(PROMPT));
  const [second] = await executor.step([{ token: first.token, margin: true }]);
  near(second!.margin, await lead([...PROMPT, first.token]));
  const [third] = await executor.step([{ token: second!.token }]);
  assert.equal(third!.margin, undefined);
});
