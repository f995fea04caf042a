/** Which sandbox is used, and why none is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSandbox } from '../../../nanoeval/score/sandbox/sandbox.ts';
import { NO_SANDBOX, strongest } from './rooms.ts';

const settings = { enabled: true, unsafe: false, python: 'python3' };

test('nothing runs unless it is allowed, and the refusal says what to do', async () => {
  await assert.rejects(openSandbox({ ...settings, enabled: false }), {
    key: 'sandbox.enabled',
    message: /^false, and scores come from running what the model wrote\. Set it to true .* run\.score: false .*\.$/,
  });
});

test('a Python that is not there is named', async () => {
  await assert.rejects(openSandbox({ ...settings, python: 'no-such-python' }), {
    key: 'sandbox.python',
    message: 'no-such-python does not run (it is not there). Name a Python 3 interpreter.',
  });
});

test('a level that does not work is told with its reason, and what helps', async (t) => {
  if (process.platform === 'linux') return t.skip('Linux has levels');
  await assert.rejects(openSandbox(settings), {
    message: /no sandbox works here \(bubblewrap: .*sandbox\.unsafe: true\.$/,
  });
});

test('the strongest level that works is used, without `unsafe` never none', async (t) => {
  const sandbox = await strongest();
  if (sandbox === null) return t.skip(NO_SANDBOX);
  assert.notEqual(sandbox.level, 'none');
  assert.match(sandbox.about, /^programs run under (bubblewrap|namespaces by unshare), Python 3\.\d+\.\d+/);
  assert.ok(sandbox.atOnce >= 1);
  assert.equal(await strongest(), sandbox);
});
