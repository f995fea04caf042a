/** A program beside this one: how it ends, and that nothing of it is left. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProcess, tailOf } from '../../../nanoeval/model/server/process.ts';
import { folderWith } from '../fixtures.ts';
import { isThere, wrote } from './alive.ts';

const skip = process.platform === 'win32';

function run(t: TestContext, code: string, { graceMs = 400, env = {}, program = process.execPath } = {}) {
  const logPath = join(folderWith(t, {}), 'server.log');
  const running = startProcess({ program, args: ['-e', code], env }, { logPath, graceMs });
  t.after(() => running.stop());
  return { running, logPath };
}

async function isGone(pid: number): Promise<boolean> {
  for (let i = 0; i < 40 && isThere(pid); i += 1) await sleep(50);
  return !isThere(pid);
}
const STAYS = 'console.log("pid " + process.pid); setInterval(() => {}, 1000);';

test('it says how it ended, and both of its streams are in the log, with the variables that were given', {
  skip,
}, async (t) => {
  const { running, logPath } = run(
    t,
    'console.log(process.env.WORD); console.error("two\\n\\nthree"); process.exit(7)',
    {
      env: { WORD: 'one' },
    },
  );
  assert.deepEqual(await running.end, { code: 7 });
  assert.deepEqual(running.ended, { code: 7 });
  assert.equal(running.tail(), 'one | two | three');
  const [first, ...rest] = readFileSync(logPath, 'utf8').trim().split('\n');
  assert.match(first!, /^nanoeval: 20\d\d-.*Z: starts .*node$/);
  assert.deepEqual(rest, ['one', 'two', '', 'three']);
  await running.stop();
});

test('a signal, a program that is not there', { skip }, async (t) => {
  const { running } = run(t, 'process.kill(process.pid, "SIGKILL")');
  assert.deepEqual(await running.end, { code: 137 });
  const { running: none } = run(t, '', { program: 'no-such-program-anywhere' });
  assert.deepEqual(await none.end, { code: 127 });
  assert.match(none.tail(), /no-such-program-anywhere/);
});

test('it is stopped by SIGTERM and may take its leave', { skip }, async (t) => {
  const { running, logPath } = run(t, `process.on("SIGTERM", () => { console.log("bye"); process.exit(3) }); ${STAYS}`);
  const pid = Number(await wrote(logPath, /pid (\d+)/));
  assert.equal(running.ended, null);
  await Promise.all([running.stop(), running.stop()]);
  assert.deepEqual([running.ended, isThere(pid)], [{ code: 3 }, false]);
  assert.match(readFileSync(logPath, 'utf8'), /bye/);
});

test('one that ignores SIGTERM is killed after its time, and whatever it started with it', { skip }, async (t) => {
  const deaf = `process.on("SIGTERM", () => {}); ${STAYS}`;
  const child = `require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(deaf.replace('pid ', 'child '))}], { stdio: "inherit" });`;
  const { running, logPath } = run(t, child + deaf);
  const pids = [Number(await wrote(logPath, /pid (\d+)/)), Number(await wrote(logPath, /child (\d+)/))];
  const begun = performance.now();
  await running.stop();
  const took = performance.now() - begun;
  assert.ok(took >= 350 && took < 5_000, `it took ${took} ms`);
  for (const pid of pids) assert.equal(await isGone(pid), true, `${pid} is there`);
});

test('what a program leaves behind when it ends is ended with it', { skip }, async (t) => {
  const child = `const c = require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(STAYS)}], { stdio: "ignore" }); console.log("child " + c.pid); c.unref();`;
  const { running, logPath } = run(t, child);
  assert.deepEqual(await running.end, { code: 0 });
  const pid = Number(await wrote(logPath, /child (\d+)/));
  assert.equal(await isGone(pid), true, `${pid} is there`);
});

test('where the shell that holds it is killed, it is killed too', { skip }, async (t) => {
  const { running, logPath } = run(t, STAYS);
  const pid = Number(await wrote(logPath, /pid (\d+)/));
  process.kill(running.pid, 'SIGKILL');
  assert.deepEqual(await running.end, { code: 137 });
  assert.equal(await isGone(pid), true, `${pid} is there`);
});

test('the end of a log in one line: no colours, no blank lines, none of before', (t) => {
  const folder = folderWith(t, { a: 'old\n\x1b[31mred\x1b[0m\n\n  b \r\nc\nd\n', long: 'x'.repeat(300) });
  assert.equal(tailOf(join(folder, 'a')), 'b | c | d');
  assert.equal(tailOf(join(folder, 'a'), 4), 'b | c | d');
  assert.equal(tailOf(join(folder, 'a'), 26), 'd');
  assert.equal(tailOf(join(folder, 'long')), `${'x'.repeat(197)}...`);
  assert.equal(tailOf(join(folder, 'none')), '');
});
