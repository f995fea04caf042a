/**
 * Throughput over a server of a fixed latency, and what a request costs this process.
 *
 *     npm run bench:servers
 *
 * The server is a process of its own with 64 slots, which the client is not told; what does not fit into them waits. The ideal
 * is slots / latency. NANOEVAL_BENCH_LATENCY: milliseconds (500), NANOEVAL_BENCH_ROWS: rows (2000).
 */
import { fork } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { modelSection } from '../../nanoeval/config/keys.ts';
import { findServer } from '../../nanoeval/model/server/server.ts';
import type { Ask } from '../../nanoeval/questions.ts';
import type { Question } from '../../nanoeval/types.ts';

const SLOTS = 64;
const LATENCY = Number(process.env.NANOEVAL_BENCH_LATENCY ?? 500);
const ROWS = Number(process.env.NANOEVAL_BENCH_ROWS ?? 2000);

const ANSWER = JSON.stringify({
  model: 'bench',
  choices: [{ index: 0, text: ` ${'word '.repeat(100)}`, finish_reason: 'stop' }],
  usage: { prompt_tokens: 100, completion_tokens: 100 },
});
const ROUTES: Record<string, string> = {
  '/v1/models': '{"data":[{"id":"bench","max_model_len":4096}]}',
  '/version': '{"version":"bench"}',
};

/** The server; says its port to the parent, and when asked, at which times (ms) it had answered. */
function serve(): void {
  let busy = 0;
  const times: number[] = [];
  const queue: (() => void)[] = [];
  const free = () => {
    const next = queue.shift();
    if (next === undefined) busy -= 1;
    else next();
  };
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      const known = ROUTES[request.url ?? ''];
      const isAnswer = request.url === '/v1/completions';
      const say = (text: string, status = 200) => {
        response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
        response.end(text);
      };
      if (!isAnswer) return say(known ?? '{}', known === undefined ? 404 : 200);
      const run = () =>
        setTimeout(() => {
          say(ANSWER);
          times.push(Date.now());
          free();
        }, LATENCY);
      if (busy >= SLOTS) queue.push(run);
      else {
        busy += 1;
        run();
      }
    });
  });
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  process.on('message', () => process.send?.(times));
  process.on('disconnect', () => process.exit(0));
}

async function measure(): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), {
    execArgv: ['--import', 'tsx'],
    env: { ...process.env, BENCH_SERVER: '1' },
  });
  const port = await new Promise<number>((resolve) => child.once('message', (said) => resolve(Number(said))));
  const settings = modelSection.parse({ model_id: 'bench', backend: 'openai', base_url: `http://127.0.0.1:${port}` });
  const log = { info: (line: string) => console.log(line), progress: () => {} };
  const found = await findServer(settings, { log, signal: new AbortController().signal, env: {} });
  const model = await found.load();
  const prompt = 'word '.repeat(100);
  const questions = async function* (): AsyncGenerator<Question<Ask>> {
    for (let place = 0; place < ROWS; place += 1)
      yield {
        place,
        content: { verb: 'generate_until', prompt: `${place} ${prompt}`, until: [], max_new_tokens: 100 },
      };
  };
  let rows = 0;
  const began = performance.now();
  const before = process.cpuUsage();
  for await (const _ of model.answer(questions(), new AbortController().signal)) rows += 1;
  if (rows !== ROWS) throw new Error(`${rows} of ${ROWS} rows were answered`);
  const { user, system } = process.cpuUsage(before);
  const whole = performance.now() - began;
  const ideal = (ROWS / SLOTS) * LATENCY;
  console.log(`rows ${ROWS}, latency ${LATENCY} ms, slots ${SLOTS}; ideal ${(ideal / 1000).toFixed(2)} s`);
  console.log(`whole run ${(whole / 1000).toFixed(2)} s: ${((ideal / whole) * 100).toFixed(1)} % of the ideal`);
  // Replies come in bunches, behind a look at the server: what it was given is seen at the server. Of its slots' bursts whole ones
  // count.
  child.send('times');
  const times = await new Promise<number[]>((resolve) => child.once('message', (said) => resolve(said as number[])));
  const half = times.slice(Math.floor(ROWS * 0.4), Math.floor(ROWS * 0.95));
  const settled = (half.length - 1) / ((half.at(-1)! - half[0]!) / 1000);
  console.log(
    `once settled ${settled.toFixed(1)} rows/s: ${((settled / ((SLOTS / LATENCY) * 1000)) * 100).toFixed(1)} % of the ideal`,
  );
  console.log(`CPU ${((user + system) / 1000 / ROWS).toFixed(3)} ms a row`);
  console.log(JSON.stringify(model.stats()));
  await model.close();
  child.disconnect();
}

if (process.env.BENCH_SERVER === '1') serve();
else await measure();
