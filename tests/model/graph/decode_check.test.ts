/** The check of a decode session: small distances where it is right, an error where it is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeDifference, judgeDecode } from '../../../nanoeval/model/graph/decode_check.ts';
import { type DecodeSession, openDecodeSession } from '../../../nanoeval/model/graph/decode_session.ts';
import { NoEdit } from '../../../nanoeval/model/graph/edit.ts';
import { expectedNumbers } from '../../../nanoeval/model/graph/self_check.ts';
import { decoderFiles, VOCAB } from '../attention_decoder.ts';
import { settings } from '../fixtures.ts';

test('answers of unlike length are held against the untouched graph, and none is left', async (t) => {
  const files = decoderFiles(t);
  const expected = await expectedNumbers(files, settings(), 1, { dynamic: false, embedder: null });
  const session = await openDecodeSession(files, settings(), 1, { embedder: null, vocab: VOCAB });
  t.after(() => session.close());
  const { largest } = await decodeDifference(session, expected);
  assert.ok(largest < 1e-5, String(largest));
  judgeDecode({ mean: 0, largest }, 5e-3);
  assert.deepEqual(session.lengths, []);
  // Once more: nothing of the first time is in the way.
  assert.ok((await decodeDifference(session, expected)).largest < 1e-5);
});

test('a session that mixes answers up is found', async (t) => {
  const files = decoderFiles(t);
  const expected = await expectedNumbers(files, settings(), 1, { dynamic: false, embedder: null });
  const session = await openDecodeSession(files, settings(), 1, { embedder: null, vocab: VOCAB });
  t.after(() => session.close());
  const mixed: DecodeSession = {
    bytesPerToken: session.bytesPerToken,
    lengths: session.lengths,
    begin: (order) => session.begin(order),
    step: async (tokens, wishes) => (await session.step(tokens, wishes)).toReversed(),
    leave: (slot) => session.leave(slot),
    free: (caches) => session.free(caches),
    close: () => session.close(),
  };
  const distances = await decodeDifference(mixed, expected);
  assert.throws(
    () => judgeDecode(distances, 5e-3),
    (error) => error instanceof NoEdit && / off$/.test(error.message),
  );
  assert.throws(() => judgeDecode({ mean: 0, largest: Number.NaN }, 5e-3), NoEdit);
});
