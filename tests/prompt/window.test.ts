/** The windows in which a text is scored. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rollingWindow } from '../../nanoeval/prompt/window.ts';
import { UserError } from '../../nanoeval/types.ts';

test("the model's limit and all of the window by default", () => {
  assert.deepEqual(rollingWindow({}, 100), { window: 100, stride: 100 });
  assert.deepEqual(rollingWindow({ window: 40 }, 100), { window: 40, stride: 40 });
  assert.deepEqual(rollingWindow({ window: 40, stride: 10 }, null), { window: 40, stride: 10 });
  assert.deepEqual(rollingWindow({ stride: 100 }, 100), { window: 100, stride: 100 });
});

test('more than there is, and a limit that nobody knows, are refused', () => {
  const refused = (asked: Parameters<typeof rollingWindow>[0], limit: number | null, key: string) =>
    assert.throws(
      () => rollingWindow(asked, limit),
      (error) => error instanceof UserError && error.key === key,
    );
  refused({ window: 101 }, 100, 'scoring.window');
  refused({}, null, 'scoring.window');
  refused({ window: 40, stride: 41 }, 100, 'scoring.stride');
});
