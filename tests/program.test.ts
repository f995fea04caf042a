import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describeError, EXIT } from '../nanoeval/program.ts';
import { Interrupted, OutsideError, UserError } from '../nanoeval/types.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-program-'));
after(() => rmSync(folder, { recursive: true }));
const url = (path: string) => pathToFileURL(fileURLToPath(new URL(`../nanoeval/${path}`, import.meta.url))).href;

/** A program of three lines whose body is `body`; `onOut` sees what it prints. */
function runBody(
  body: string,
  onOut: (text: string, kill: (signal: NodeJS.Signals) => void) => void = () => {},
  link = false,
) {
  const path = join(folder, `${Math.random().toString(36).slice(2)}.mts`);
  writeFileSync(
    path,
    `import { runProgram, isProgram } from '${url('program.ts')}';
import { UserError, OutsideError, Interrupted } from '${url('types.ts')}';
if (isProgram(import.meta.url)) await runProgram(async (log, signal) => { ${body} });`,
  );
  const started = link ? `${path}.link.mts` : path;
  if (link) symlinkSync(path, started);
  const child = spawn(process.execPath, ['--import', 'tsx', started], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => {
    stdout += data;
    onOut(stdout, (signal) => child.kill(signal));
  });
  child.stderr.on('data', (data: Buffer) => {
    stderr += data;
  });
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

test('errors become their exit code and one line, bugs a stack', () => {
  assert.deepEqual(describeError(new UserError('a.yaml:1:1: x')), { code: 2, text: 'a.yaml:1:1: x' });
  assert.deepEqual(describeError(new OutsideError('hub: gone')), { code: 3, text: 'hub: gone' });
  assert.equal(describeError(new Interrupted()).code, 130);
  const bug = describeError(new TypeError('oh'));
  assert.equal(bug.code, 70);
  assert.match(bug.text, /please report it:\nTypeError: oh\n\s+at /);
  assert.deepEqual(EXIT, { done: 0, invalid: 1, user: 2, outside: 3, bug: 70, interrupted: 130 });
});

test('the program ends with the code of its body or of its error, and prints the line on stderr alone', async () => {
  const cases = [
    { body: 'return 0;', code: 0, stderr: '' },
    { body: 'return 1;', code: 1, stderr: '' },
    { body: "throw new UserError('c.yaml:2:3: task: no');", code: 2, stderr: 'c.yaml:2:3: task: no\n' },
    { body: "throw new OutsideError('disk full');", code: 3, stderr: 'disk full\n' },
  ];
  const results = await Promise.all(cases.map(({ body }) => runBody(body)));
  assert.deepEqual(
    results.map(({ code, stderr, stdout }) => ({ code, stderr, stdout })),
    cases.map(({ code, stderr }) => ({ code, stderr, stdout: '' })),
  );
});

test('a bug ends with 70 wherever it happens, never as 1', async () => {
  const bodies = [
    "throw new TypeError('in the body');",
    "setImmediate(() => { throw new TypeError('in a callback'); }); await new Promise(() => setInterval(() => {}, 50));",
    "void Promise.reject(new TypeError('in a promise')); await new Promise(() => setInterval(() => {}, 50));",
  ];
  for (const { code, stderr } of await Promise.all(bodies.map((body) => runBody(body)))) {
    assert.equal(code, 70);
    assert.match(stderr, /a bug in NanoEval.*\nTypeError: in (the body|a callback|a promise)\n\s+at /);
  }
});

test('the first SIGINT lets the row at hand end, the second ends at once; both with 130', async () => {
  const graceful = await runBody(
    "process.stdout.write('ready'); const t = setInterval(() => {}, 50); await new Promise((r) => signal.addEventListener('abort', r)); clearInterval(t); process.stdout.write(' row done'); signal.throwIfAborted(); return 0;",
    (out, kill) => out === 'ready' && kill('SIGINT'),
  );
  assert.deepEqual([graceful.code, graceful.stdout], [130, 'ready row done']);
  assert.match(graceful.stderr, /stopping after the row at hand.*\ninterrupted; every finished row is kept\.\n$/);
  const hard = await runBody(
    "process.stdout.write('ready'); setInterval(() => {}, 50); signal.addEventListener('abort', () => process.stdout.write(' again')); await new Promise(() => {}); return 0;",
    (out, kill) => (out === 'ready' || out === 'ready again') && kill('SIGINT'),
  );
  assert.equal(hard.code, 130);
});

test('a program started through a link is started; one that is imported is not', async () => {
  assert.equal((await runBody('return 1;', undefined, true)).code, 1);
});
