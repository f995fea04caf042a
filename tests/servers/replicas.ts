/**
 * Two real llama-servers as replicas: the rows of one server, with both, with one that is killed in the middle, and in two shards.
 * Not part of `npm test`.
 *
 *     NANOEVAL_LLAMA_SERVER=build/bin/llama-server NANOEVAL_GGUF=model_f32.gguf \
 *       npx tsx tests/servers/replicas.ts [hellaswag|gsm8k]
 *
 * `beside_onnx.ts` says how to get a llama-server and a GGUF file. Files are written into NANOEVAL_SERVERS_OUT.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { begin, given, OUT, rowsIn, run, type Saved, type Served, serveLlama } from './shared.ts';

const gguf = given('NANOEVAL_GGUF').split(',')[0]!;
/** One slot, one thread, and no more than one request at a time: an answer then does not depend on what is beside it. */
const ARGS = ['-c', 2048, '--parallel', 1, '-t', 1];
const TASKS: Record<string, object> = {
  hellaswag: { dataset: { subset_size: 40 } },
  gsm8k: { dataset: { subset_size: 20 }, scoring: { num_fewshot: 0, max_new_tokens: 160 } },
};

const configOf = (task: string, name: string, servers: readonly Served[], more: object = {}) => ({
  task,
  ...TASKS[task],
  model: { model_id: 'model', backend: 'llama_cpp', base_url: servers.map(({ url }) => url) },
  run: { check_rows: 0, ...more },
  report: { save_plot: false, output_dir: folder(task, name) },
});
const folder = (task: string, name: string) => join(OUT, 'replicas', task, name);
/** What a row says: its answer, or its log-probabilities as they were given. */
const contentOf = ({ id, output, choices }: Saved) => ({ id, output, choices });
const contents = (task: string, name: string) => rowsIn(folder(task, name)).map(contentOf);

/** Rows that are not those of the whole run over one server. */
function apart(task: string, name: string): number {
  const [whole, found] = [contents(task, 'one'), contents(task, name)];
  assert.deepEqual(
    found.map(({ id }) => id),
    whole.map(({ id }) => id),
    `${task}, ${name}: the rows are not those of the whole run, each once`,
  );
  return found.filter((row, i) => JSON.stringify(row) !== JSON.stringify(whole[i])).length;
}

/** Rows that were answered so far; 0 before there is a file. */
function written(path: string): number {
  try {
    return rowsIn(path).length;
  } catch {
    return 0;
  }
}

async function runKilled(task: string, servers: readonly [Served, Served]): Promise<string> {
  const program = begin(`run_${task}`, `${task}_killed`, configOf(task, 'killed', servers));
  while (written(folder(task, 'killed')) < 5) await sleep(50);
  const before = written(folder(task, 'killed'));
  servers[1].kill('SIGKILL');
  const { code, stderr } = await program.finished;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /is out of reach .*: the others go on/);
  return `one of two killed after ${before} rows: ${apart(task, 'killed')} rows differ`;
}

rmSync(join(OUT, 'replicas'), { recursive: true, force: true });
const lines: string[] = [];
const asked = process.argv.slice(2);
for (const task of asked.length > 0 ? asked : Object.keys(TASKS)) {
  const servers = [await serveLlama('first', gguf, ARGS), await serveLlama('second', gguf, ARGS)] as const;
  const say = (line: string) => {
    lines.push(`${task}: ${line}`);
    console.log(lines.at(-1));
  };
  await run(`run_${task}`, `${task}_one`, configOf(task, 'one', [servers[0]]));
  await run(`run_${task}`, `${task}_two`, configOf(task, 'two', servers));
  say(`two servers: ${apart(task, 'two')} of ${contents(task, 'one').length} rows differ`);
  for (const [i, server] of servers.entries()) {
    const name = `part-${i + 1}`;
    await run(`run_${task}`, `${task}_${name}`, configOf(task, name, [server], { shard: `${i + 1}/2` }));
  }
  const merged = { runs: join(OUT, 'replicas', task, 'part-*'), report: { output_dir: folder(task, 'merged') } };
  await run('rescore', `${task}_merged`, merged);
  say(`two shards put together: ${apart(task, join('merged', 'part'))} rows differ`);
  say(await runKilled(task, servers));
  servers[0].kill('SIGTERM');
  await Promise.all(servers.map(({ ended }) => ended));
}
console.log(lines.join('\n'));
