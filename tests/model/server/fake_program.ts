/**
 * The fake server as a program, with llama-server's and vLLM's arguments: `--port`, `--alias` or `--served-model-name`. What a
 * test wants of it besides stands behind them:
 *
 *   --kind K      whose routes it has (llama.cpp by default)
 *   --late MS     it listens at once, and answers 503 for so long
 *   --die CODE    it writes two lines and ends with this exit code, after --late
 *   --deaf        it ignores SIGTERM
 *   --child       a process of its own sleeps beside it, which ignores SIGTERM; its id is written into the log
 *   --die-after N it ends itself with SIGKILL at the Nth completion
 *   --latency MS  of each completion
 */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { answer, type FakeOptions, fakeServer } from './fake_server.ts';

const { argv } = process;
const after = (...names: string[]) => {
  const at = argv.findIndex((arg) => names.includes(arg));
  return at < 0 ? null : argv[at + 1]!;
};
const late = Number(after('--late') ?? 0);
const die = after('--die');
const dieAfter = Number(after('--die-after') ?? Number.POSITIVE_INFINITY);

if (argv.includes('--deaf')) process.on('SIGTERM', () => console.error('SIGTERM is ignored'));
if (argv.includes('--child')) {
  const code = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)";
  const child = spawn(process.execPath, ['-e', code], { stdio: 'ignore' });
  console.error(`child ${child.pid}`);
}
console.error(`server ${process.pid}`);
if (die !== null) {
  await sleep(late);
  console.error('loading the model');
  console.error('error: the model file is broken');
  process.exit(Number(die));
}
const begun = performance.now();
let completions = 0;
await fakeServer(
  null,
  {
    kind: (after('--kind') ?? 'llama.cpp') as NonNullable<FakeOptions['kind']>,
    model: after('--alias', '--served-model-name') ?? 'toy',
    latencyMs: Number(after('--latency') ?? 0),
    ...(process.env.LLAMA_API_KEY === undefined ? {} : { key: process.env.LLAMA_API_KEY }),
    fault: ({ path }, response) => {
      if (performance.now() - begun < late) {
        answer(response, 503, { error: { message: 'Loading model', type: 'unavailable_error', code: 503 } });
        return true;
      }
      if (path === '/v1/completions') completions += 1;
      if (completions > dieAfter) process.kill(process.pid, 'SIGKILL');
      if (path !== '/health') return false;
      answer(response, 200, { status: 'ok' });
      return true;
    },
  },
  Number(after('--port')),
);
