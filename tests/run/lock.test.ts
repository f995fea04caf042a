import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LOCK_FILE, takeLock } from '../../nanoeval/run/lock.ts';
import { UserError } from '../../nanoeval/types.ts';
import { temporaryFolder } from '../spawn.ts';

const base = temporaryFolder('lock');
after(base.remove);
let count = 0;
const folder = () => {
  count += 1;
  return join(base.path, `f${count}`);
};
const lockOf = (path: string) => join(path, LOCK_FILE);

/** A process that takes the lock, says what came of it, and holds it until it is killed. */
function holder(path: string): { child: ChildProcess; said: Promise<string> } {
  const program = `import { takeLock } from ${JSON.stringify(fileURLToPath(new URL('../../nanoeval/run/lock.ts', import.meta.url)))};
    try { const { takenFrom } = takeLock(${JSON.stringify(path)}); console.log('has ' + takenFrom); setInterval(() => {}, 1000); }
    catch (error) { console.log('refused ' + error.message); }`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = new Promise<string>((resolve) => child.stdout!.setEncoding('utf8').once('data', resolve));
  return { child, said };
}

test('a lock is there while it is held, and leaves nothing behind', () => {
  const path = folder();
  const lock = takeLock(path);
  assert.deepEqual(readdirSync(path), [LOCK_FILE]);
  assert.equal(JSON.parse(readFileSync(lockOf(path), 'utf8')).pid, process.pid);
  assert.equal(lock.takenFrom, null);
  lock.release();
  lock.release();
  assert.deepEqual(readdirSync(path), []);
});

test('a second run is refused with the process that has the folder, and a killed one is taken over', async () => {
  const path = folder();
  const { child, said } = holder(path);
  assert.match(await said, /^has null/);
  assert.throws(
    () => takeLock(path),
    (error: Error) => error instanceof UserError && error.message.includes(`process ${child.pid} on ${hostname()}`),
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  assert.ok(existsSync(lockOf(path)), 'a killed process leaves its lock');
  const lock = takeLock(path);
  assert.equal(lock.takenFrom, `process ${child.pid} on ${hostname()}`);
  lock.release();
  assert.deepEqual(readdirSync(path), []);
});

test('of many that find a dead lock exactly one gets it', async () => {
  const path = folder();
  mkdirSync(path);
  writeFileSync(lockOf(path), JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), began: '1' }));
  const all = Array.from({ length: 6 }, () => holder(path));
  const said = await Promise.all(all.map((one) => one.said));
  for (const { child } of all) child.kill('SIGKILL');
  assert.equal(said.filter((line) => line.startsWith('has process')).length, 1, said.join(''));
  assert.equal(said.filter((line) => line.startsWith('refused')).length, 5, said.join(''));
});

test('a number that the system gave to another process is dead', () => {
  const path = folder();
  mkdirSync(path);
  writeFileSync(lockOf(path), JSON.stringify({ pid: process.pid, host: hostname(), began: '1' }));
  if (!existsSync('/proc/self/stat')) return;
  takeLock(path).release();
});

test('a process that died between writing its lock and tidying up blocks nobody, a later one of its number least', () => {
  const path = folder();
  mkdirSync(path);
  const draft = `${lockOf(path)}.${process.pid}`;
  writeFileSync(draft, JSON.stringify({ pid: process.pid, host: hostname(), began: '1' }));
  linkSync(draft, lockOf(path));
  if (!existsSync('/proc/self/stat')) return;
  takeLock(path).release();
  assert.deepEqual(readdirSync(path), []);
});

test("another machine's lock lives by its beat", () => {
  const path = folder();
  mkdirSync(path);
  writeFileSync(lockOf(path), JSON.stringify({ pid: 1, host: 'elsewhere', began: null }));
  assert.throws(() => takeLock(path), /process 1 on elsewhere/);
  const old = new Date(Date.now() - 11 * 60_000);
  utimesSync(lockOf(path), old, old);
  assert.equal(takeLock(path).takenFrom, 'process 1 on elsewhere');
});

test('a folder that cannot be written is a user error', (t) => {
  if (process.getuid?.() === 0) return t.skip('root may write everywhere');
  const path = folder();
  mkdirSync(path);
  chmodSync(path, 0o500);
  assert.throws(() => takeLock(join(path, 'run')), UserError);
});

test('a file where the folder should be is a user error', () => {
  const path = folder();
  writeFileSync(path, '');
  assert.throws(() => takeLock(path), UserError);
});
