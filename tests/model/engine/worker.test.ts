/** The worker's program: what crosses the process boundary, and when it ends. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openWorker } from '../../../nanoeval/model/engine/workers.ts';
import { OutsideError, RowError, UserError } from '../../../nanoeval/types.ts';
import { ROOT } from '../../spawn.ts';
import { filesAt } from '../attention_decoder.ts';
import { folderWith, settings } from '../fixtures.ts';
import { comes, DEMO_FILES, lives, workersOf } from '../processes.ts';
import { TOY_CONFIG, type ToyOptions, toyDecoder } from '../toy_decoder.ts';

const linux = process.platform === 'linux' ? false : 'reads /proc';

function toyFiles(t: TestContext, options: ToyOptions) {
  const folder = folderWith(t, { 'model.onnx': toyDecoder(options) });
  return filesAt(join(folder, 'model.onnx'), TOY_CONFIG);
}

test('errors for a user cross with their class, key and kind; others with their stack', async (t) => {
  const extra = toyFiles(t, { extraInput: { name: 'strange', type: 'float32', dims: [1] } });
  await assert.rejects(
    openWorker(extra, settings(), { mode: 'naive', threads: 1 }),
    (error) => error instanceof UserError && error.key === 'model.model_id' && /"strange"/.test(error.message),
  );

  const naive = await openWorker(toyFiles(t, { nanToken: 9 }), settings(), { mode: 'naive', threads: 1 });
  t.after(() => naive.close());
  await assert.rejects(
    naive.score(Int32Array.of(3, 9), [4]),
    (error) => error instanceof RowError && error.kind === 'nan' && /not a number/.test(error.message),
  );
  const order = { past: null, sequences: [{ ids: [1], parents: [-1] }], select: [], pairs: [], keep: null };
  await assert.rejects(naive.pass(order), (error) => {
    assert.ok(error instanceof Error && !(error instanceof OutsideError));
    assert.equal(error.message, 'a naive executor has no passes of a plan');
    assert.match(error.stack ?? '', /executor\.ts/);
    return true;
  });
  const { logprob } = await naive.score(Int32Array.of(3, 8), [4]);
  assert.ok(logprob < 0, 'and it goes on after them');

  const demo = await openWorker(DEMO_FILES, settings(), { mode: 'auto', threads: 1 });
  t.after(() => demo.close());
  const beyond = { ...order, sequences: [{ ids: [10_000], parents: [-1] }], select: [0, 0], pairs: [0, 1] };
  await assert.rejects(demo.pass(beyond), OutsideError);
});

/** A program that opens a worker, says so, asks and closes it when it gets SIGINT, and keeps it busy after SIGUSR2. */
const PROGRAM = `
import { openWorker } from './nanoeval/model/engine/workers.ts';
const files = ${JSON.stringify(DEMO_FILES)};
const settings = ${JSON.stringify(settings())};
const worker = await openWorker(files, settings, { mode: 'auto', threads: 1 });
process.on('SIGINT', async () => {
  // Nothing tells that a process has not died: it gets time to.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const sequences = [{ ids: [1, 2], parents: [-1, 0] }];
  const order = { past: null, sequences, select: [0, 1], pairs: [0, 3], keep: null };
  const { logprobs } = await worker.pass(order);
  await worker.close();
  console.log('answered ' + logprobs.length);
});
process.on('SIGUSR2', () => {
  const ids = Array.from({ length: 300 }, (_, i) => i);
  const sequences = Array.from({ length: 32 }, () => ({ ids, parents: ids.map((_, i) => i - 1) }));
  const order = { past: null, sequences, select: [0, 1], pairs: [0, 3], keep: null };
  const passes = Array.from({ length: 5 }, () => worker.pass(order));
  // The first has answered: the others are under way or wait.
  passes[0].then(() => console.log('busy'));
});
console.log('open');
`;

/** The program in a process group of its own, once its worker is there. */
async function startProgram(t: TestContext) {
  const parent = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', PROGRAM], {
    cwd: ROOT,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => parent.kill('SIGKILL'));
  let text = '';
  parent.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const ended = new Promise<number | null>((resolve) => parent.on('close', resolve));
  assert.ok(await comes(() => text.includes('open')));
  const [worker, ...others] = workersOf(parent.pid!);
  assert.ok(worker !== undefined && others.length === 0 && lives(worker));
  return { parent, worker, ended, text: () => text };
}

test('a worker whose parent is killed ends by itself, with passes waiting', { skip: linux }, async (t) => {
  const { parent, worker, text } = await startProgram(t);
  parent.kill('SIGUSR2');
  assert.ok(await comes(() => text().includes('busy')));
  parent.kill('SIGKILL');
  assert.ok(await comes(() => !lives(worker)));
});

test('Ctrl-C reaches the whole group, and the worker goes on until its parent closes it', {
  skip: linux,
}, async (t) => {
  const { parent, worker, ended, text } = await startProgram(t);
  process.kill(-parent.pid!, 'SIGINT');
  assert.equal(await ended, 0);
  assert.match(text(), /answered 1/);
  assert.ok(!lives(worker));
});
