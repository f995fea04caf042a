/** What servers say of errors, and what follows from it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTooLong, Passing, Refusal, retryAfterMs, saidIn, Unusable } from '../../../nanoeval/model/server/faults.ts';

test('Retry-After is seconds or a date, and nothing where it is neither', () => {
  assert.equal(retryAfterMs('2'), 2000);
  assert.equal(retryAfterMs('0.5'), 500);
  assert.equal(retryAfterMs('-3'), 0);
  const now = Date.parse('Wed, 21 Oct 2026 07:28:00 GMT');
  assert.equal(retryAfterMs('Wed, 21 Oct 2026 07:28:30 GMT', now), 30_000);
  assert.equal(retryAfterMs('Wed, 21 Oct 2026 07:27:30 GMT', now), 0);
  for (const wrong of [undefined, '', ' ', 'soon']) assert.equal(retryAfterMs(wrong), null, String(wrong));
});

test('the words of an error are found in the shapes that servers have', () => {
  const llama = '{"error":{"code":400,"message":"too long","type":"exceed_context_size_error","n_ctx":2048}}';
  assert.deepEqual(saidIn(llama), { type: 'exceed_context_size_error', message: 'too long' });
  assert.deepEqual(saidIn('{"error":"Unauthorized"}'), { type: '', message: 'Unauthorized' });
  assert.deepEqual(saidIn('{"detail":"Not Found"}'), { type: '', message: 'Not Found' });
  assert.deepEqual(saidIn('{"message":"no"}'), { type: '', message: 'no' });
  assert.deepEqual(saidIn('[1]'), { type: '', message: '[1]' });
  assert.deepEqual(saidIn('<html><title>502 Bad Gateway</title><body>nginx</body></html>'), {
    type: '',
    message: '502 Bad Gateway',
  });
  assert.deepEqual(saidIn('<p>broken</p>\n\nhere'), { type: '', message: 'broken here' });
  assert.deepEqual(saidIn(''), { type: '', message: '' });
  assert.equal(saidIn('x'.repeat(5000)).message.length, 300);
});

test('a prompt that does not fit is told from other refusals', () => {
  assert.ok(isTooLong(new Refusal(400, 'exceed_context_size_error', 'x')));
  assert.ok(isTooLong(new Refusal(400, 'BadRequestError', "This model's maximum context length is 2048 tokens.")));
  // A prompt that fills vLLM's context to the last token.
  const full = 'max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)';
  assert.ok(isTooLong(new Refusal(400, 'BadRequestError', full)));
  assert.equal(isTooLong(new Refusal(400, 'BadRequestError', full.replace('got 0', 'got 1'))), false);
  assert.equal(isTooLong(new Refusal(400, 'BadRequestError', 'temperature has to be a number')), false);
  assert.equal(isTooLong(new Refusal(404, '', 'context length')), false);
});

test('each kind of fault carries what is done about it', () => {
  const cause = new Error('x');
  const busy = new Passing('busy', 'm', { retryAfterMs: 5, cause });
  assert.deepEqual([busy.kind, busy.retryAfterMs, busy.cause, busy.message], ['busy', 5, cause, 'm']);
  assert.equal(new Passing('cut', 'm').retryAfterMs, null);
  assert.equal(new Unusable('m', 'model.base_url').key, 'model.base_url');
});
