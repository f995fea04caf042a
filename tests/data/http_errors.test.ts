import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pauseOf, Refused, retryAfterMs, Transient, translate, withoutQuery } from '../../nanoeval/data/http_errors.ts';
import { Interrupted, OutsideError } from '../../nanoeval/types.ts';

test('Retry-After: seconds, a date, neither', () => {
  assert.equal(retryAfterMs('3'), 3000);
  assert.equal(retryAfterMs('Wed, 21 Oct 2015 07:28:10 GMT', Date.parse('2015-10-21T07:28:00Z')), 10_000);
  assert.equal(retryAfterMs('Wed, 21 Oct 2015 07:28:10 GMT'), 0);
  assert.deepEqual([retryAfterMs(null), retryAfterMs(''), retryAfterMs('soon')], [null, null, null]);
});

test('the pause of a busy server: Retry-After before RateLimit', () => {
  assert.equal(pauseOf(new Headers({ 'retry-after': '2', ratelimit: '"api";r=0;t=55' })), 2000);
  assert.equal(pauseOf(new Headers({ ratelimit: '"api";r=0;t=55' })), 55_000);
  assert.equal(pauseOf(new Headers({ ratelimit: 'odd' })), null);
  assert.equal(pauseOf(new Headers()), null);
});

test('no query in a message', () => {
  assert.equal(withoutQuery('http://x/y?z#a'), 'http://x/y');
  const refused = new Refused(403, 'GatedRepo', 'http://x/y?Signature=1');
  assert.deepEqual([refused.message, refused.status, refused.code], ['http://x/y: 403 GatedRepo', 403, 'GatedRepo']);
  assert.equal(new Refused(404, null, 'http://x/y').message, 'http://x/y: 404');
});

test('what fetch threw: the code inside, a certificate, an abort', () => {
  const at = 'http://x/y?Signature=1';
  const failed = new TypeError('fetch failed', { cause: Object.assign(new Error('boo'), { code: 'ECONNRESET' }) });
  const reset = translate(failed, at);
  assert.ok(reset instanceof Transient && reset.retryAfterMs === null);
  assert.equal(reset.message, 'http://x/y: ECONNRESET');
  const undici = Object.assign(new Error('other side closed'), { code: 'UND_ERR_SOCKET' });
  assert.equal(translate(undici, at).message, 'http://x/y: other side closed (UND_ERR_SOCKET)');
  assert.equal(translate(new TypeError('terminated', { cause: new Error('deep') }), at).message, 'http://x/y: deep');
  const expired = new TypeError('fetch failed', { cause: Object.assign(new Error(), { code: 'CERT_HAS_EXPIRED' }) });
  const refused = translate(expired, at);
  assert.ok(refused instanceof OutsideError);
  assert.equal(refused.message, 'http://x/y: the certificate was refused (CERT_HAS_EXPIRED).');
  const known = new Transient('known');
  assert.equal(translate(known, at), known);
  assert.ok(translate(known, at, AbortSignal.abort()) instanceof Interrupted);
});
