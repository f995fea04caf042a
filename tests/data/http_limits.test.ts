import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Transient } from '../../nanoeval/data/http_errors.ts';
import { HTTP_LIMITS, SpeedCheck, showSeconds, watch } from '../../nanoeval/data/http_limits.ts';

test('every wait has an end', () => {
  for (const [name, limit] of Object.entries(HTTP_LIMITS)) assert.ok(limit > 0 && Number.isFinite(limit), name);
});

test('a watch aborts with its reason, counted from its last start, and not when it is stopped', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const controller = new AbortController();
  const limit = watch(controller, 60, () => 'too long');
  limit.start();
  t.mock.timers.tick(40);
  limit.start();
  t.mock.timers.tick(40);
  assert.equal(controller.signal.aborted, false);
  t.mock.timers.tick(20);
  assert.ok(controller.signal.reason instanceof Transient);
  assert.equal(controller.signal.reason.message, 'too long');
  const stopped = new AbortController();
  const other = watch(stopped, 10, () => 'never');
  other.start();
  other.stop();
  t.mock.timers.tick(30);
  assert.equal(stopped.signal.aborted, false);
});

test('speed: judged over whole windows, each anew', () => {
  const check = new SpeedCheck({ speedWindowMs: 1000, minBytesPerSecond: 100 });
  check.add(0, 999, 'x');
  check.add(200, 1, 'x');
  check.add(10, 900, 'x');
  assert.throws(() => check.add(10, 100, 'http://x/y'), {
    name: 'Transient',
    message: 'http://x/y: 20 bytes a second over 1 s is too slow',
  });
});

test('seconds in messages', () => {
  assert.deepEqual([100, 1000, 121_049].map(showSeconds), ['0.1 s', '1 s', '121 s']);
});
