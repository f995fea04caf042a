/** Which Python is there, and what it needs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findPython, shownFor } from '../../../nanoeval/score/sandbox/python.ts';

test('a Python that is not there, or is none, is told', () => {
  assert.equal(findPython('no-such-python'), 'no-such-python does not run (it is not there)');
  assert.equal(findPython('false'), 'false does not run (exit code 1)');
});

test('the system and the installation are shown, each folder once, and nothing beside them', () => {
  const folders = ['/home/me/.venv', '/home/me/.venv/bin', '/opt/python', '/usr', '/usr/bin', '/nix/store/abc'];
  const paths = shownFor({ executable: '/home/me/.venv/bin/python', version: '3.11.2', folders }).map(
    ({ path }) => path,
  );
  assert.deepEqual(
    paths.filter((path) => !/^\/(usr|lib|lib64|bin|sbin|etc\/ld\.so\.cache)$/.test(path)),
    ['/home/me/.venv', '/nix', '/opt/python'],
  );
  assert.equal(paths.filter((path) => path.startsWith('/usr')).length, paths.includes('/usr') ? 1 : 0);
});
