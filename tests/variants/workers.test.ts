/** A process that measures: what it says is gathered, and whatever becomes of it is an error and no endless wait. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Interrupted, OutsideError, UserError } from '../../nanoeval/types.ts';
import { type Job, measure } from '../../nanoeval/variants/workers.ts';
import { settings } from '../model/fixtures.ts';
import { DEMO_FILES } from '../model/processes.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('measure');
after(folder.remove);
const never = new AbortController().signal;
const model = { files: DEMO_FILES, settings: settings() };
const job: Job = { variant: model, reference: null, windows: [], threads: 1, limit: 2 };
const told = () => {};

/** A worker that runs `code` when its job arrives. */
function worker(name: string, code: string): URL {
  const path = join(folder.path, `${name}.mjs`);
  writeFileSync(path, `process.once('message', (job) => { ${code} });\n`);
  return pathToFileURL(path);
}
const COST = '{ load_seconds: 1, pass: { tokens: 2, seconds: 3 }, peak_rss: 4, peak_rss_before_load: 5 }';

test('cost and divergence are gathered, and the progress is told', async () => {
  const seen: [number, number][] = [];
  const code = `for (const report of [{ kind: 'progress', done: 1, total: 2 }, { kind: 'cost', cost: ${COST} }, { kind: 'apart', apart: { tokens: job.limit } }, { kind: 'end' }]) process.send(report);`;
  const found = await measure(job, (...args) => seen.push(args), never, worker('whole', code));
  assert.deepEqual(found.cost, {
    load_seconds: 1,
    pass: { tokens: 2, seconds: 3 },
    peak_rss: 4,
    peak_rss_before_load: 5,
  });
  assert.deepEqual([found.apart!.tokens, seen], [2, [[1, 2]]]);
});

test('an error crosses as what it is', async () => {
  const error = `{ name: 'UserError', message: 'no graph', detail: 'model.dtype' }`;
  await assert.rejects(
    measure(job, told, never, worker('error', `process.send({ kind: 'error', error: ${error} });`)),
    (found) => found instanceof UserError && found.key === 'model.dtype',
  );
});

test('a process that is killed or ends early is an error', async () => {
  const killed = worker('killed', `process.kill(process.pid, 'SIGKILL');`);
  await assert.rejects(
    measure(job, told, never, killed),
    (error) => error instanceof OutsideError && /process of a variant ended: SIGKILL/.test(error.message),
  );
  await assert.rejects(measure(job, told, never, worker('left', 'process.exit(3);')), /ended: exit code 3/);
});

test('a process that says nothing is not waited for', async () => {
  await assert.rejects(
    measure(job, told, never, worker('silent', ''), 1),
    (error) => error instanceof OutsideError && /no word of a variant's process/.test(error.message),
  );
});

test('the signal ends it, before it starts and under way', async () => {
  await assert.rejects(measure(job, told, AbortSignal.abort(new Interrupted())), Interrupted);
  const stop = new AbortController();
  const code = `process.send({ kind: 'progress', done: 1, total: 2 });`;
  const under = measure(job, () => stop.abort(new Interrupted()), stop.signal, worker('stopped', code));
  await assert.rejects(under, Interrupted);
});
