/** A process of lines: what it says, how it ends, that it ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Child } from '../../../nanoeval/score/sandbox/child.ts';

const skip = process.platform === 'win32' ? 'needs sh' : false;

function run(script: string): { child: Child; lines: string[] } {
  const lines: string[] = [];
  return { child: new Child({ file: '/bin/sh', args: ['-c', script] }, '/', (line) => lines.push(line)), lines };
}

test('lines go to and fro, and nothing of the environment but three variables', { skip }, async () => {
  const { child, lines } = run('read a; echo "got $a"; read b || echo end; printf "half"; echo "$HOME"; exit 3');
  child.say('one');
  child.hush();
  const { code, signal, tooMuch, stderr } = await child.ended;
  assert.deepEqual([code, signal, tooMuch, stderr], [3, null, false, '']);
  assert.deepEqual(lines, ['got one', 'end', 'half']);
  child.say('nobody hears');
});

test('a signal is told, of the process and as its keeper reports it; why it did not start, too', { skip }, async () => {
  assert.equal((await run('kill -9 $$').child.ended).signal, 'SIGKILL');
  assert.equal((await run('exit 152').child.ended).signal, 'SIGXCPU');
  assert.equal((await run('echo why >&2; exit 1').child.ended).stderr, 'why');
  const absent = new Child({ file: '/no/such/file', args: [] }, '/', () => {});
  assert.match((await absent.ended).stderr, /ENOENT/);
});

test('kill ends the group, whoever holds the wire; more than 32 MB ends it too', { skip }, async () => {
  const { child } = run('sleep 1000 & sleep 1000');
  child.kill();
  assert.equal((await child.ended).signal, 'SIGKILL');
  // The first process ends, and another one keeps its stdout open.
  assert.equal((await run('sleep 1000 & exit 4').child.ended).code, 4);
  assert.equal((await run('yes').child.ended).tooMuch, true);
});
