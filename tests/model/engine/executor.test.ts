/** The plain executor: one forward pass at a time, and no answers side by side. How executors are opened: open_executor.test.ts. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { plainExecutor } from '../../../nanoeval/model/engine/executor.ts';
import { openDecoder } from '../../../nanoeval/model/graph/onnx.ts';
import { decoderFiles, openPlain } from '../attention_decoder.ts';
import { settings } from '../fixtures.ts';

async function open(t: TestContext) {
  const files = decoderFiles(t);
  const executor = plainExecutor(await openDecoder(files, settings(), 1));
  t.after(() => executor.close());
  return { executor, plain: await openPlain(t, files) };
}

test('the next token, from the start and after a kept cache', async (t) => {
  const { executor, plain } = await open(t);
  const first = await executor.next([3, 17, 42], null, 1);
  assert.equal(first.token, (await plain.after([3, 17, 42], 0)).best);
  const second = await executor.next([first.token], 1, null, { watched: [5] });
  const expected = await plain.after([3, 17, 42, first.token], 5);
  assert.equal(second.token, expected.best);
  assert.ok(Math.abs(second.logprobs[0]! - expected.logprob) < 1e-5);
});

test('it answers one prompt at a time and says so', async (t) => {
  const { executor } = await open(t);
  assert.deepEqual(await executor.turnTo('answers'), { remark: 'the plain path answers one prompt at a time' });
  const order = { past: null, ids: [1], keep: null, room: { tokens: 2, slots: 1 }, watched: [] };
  for (const call of [() => executor.begin(order), () => executor.step([]), () => executor.leave([0])])
    await assert.rejects(call, /no answers side by side/);
  await assert.rejects(executor.pass({ past: null, sequences: [], select: [], pairs: [], keep: null }), /no passes/);
});
