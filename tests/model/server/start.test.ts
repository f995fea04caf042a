/** A server that is started: when it is ready, and what is said of one that never is. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { modelSection } from '../../../nanoeval/config/keys.ts';
import { openExchange } from '../../../nanoeval/model/server/exchange.ts';
import { runningAt, startServer } from '../../../nanoeval/model/server/start.ts';
import { OutsideError } from '../../../nanoeval/types.ts';
import { folderWith, userError } from '../fixtures.ts';
import { wrote } from './alive.ts';
import { keptLog } from './asking.ts';

const skip = process.platform === 'win32';

/** A server in one line of JavaScript: `answer(request, response)`. */
const serving = (answer: string) =>
  `require("http").createServer((q, r) => { ${answer} }).listen(Number(process.argv[1]), "127.0.0.1");`;
const READY = 'r.end(q.url === "/v1/models" ? "{}" : "null")';

interface Given {
  keys?: object;
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal;
}

function start(t: TestContext, code: string, server: object = {}, { keys, env, signal }: Given = {}) {
  const folder = join(folderWith(t, {}), 'run');
  const { said, log } = keptLog();
  const given = { command: [process.execPath, '-e', code], args: ['{port}'], ...server };
  const settings = modelSection.parse({ model_id: 'toy', backend: 'openai', server: given, ...keys });
  const started = startServer(settings, {
    log,
    signal: signal ?? new AbortController().signal,
    folder,
    env: env ?? {},
    graceMs: 300,
  });
  t.after(() => started.then((one) => one.stop()).catch(() => undefined));
  return { started, said, path: join(folder, 'server.log') };
}

test('it is ready when it answers, however late; its log stands beside the run, and it can be stopped', {
  skip,
}, async (t) => {
  const late = `const at = Date.now(); ${serving(`if (Date.now() - at < 400) { r.statusCode = 503; r.end("loading"); } else { ${READY} }`)} console.log("up");`;
  const { started, said, path } = start(t, late);
  const { base, gone, stop } = await started;
  assert.match(base, /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.equal(said[0], `server: node is started on port ${base.split(':')[2]}, its log is ${path}`);
  assert.match(said[1]!, /^server: ready after \d+\.\d s$/);
  assert.match(readFileSync(path, 'utf8'), /^nanoeval: .* starts .*node\nup\n$/);
  await stop();
  await stop();
  const exchange = openExchange(base, { key: null, timeoutMs: 1000 });
  await assert.rejects(exchange.send('GET', '/v1/models'), /ECONNREFUSED/);
  assert.equal(gone.aborted, false);
});

test('one that refuses the key, or has no such route, answers: what is wrong with it is found out next', {
  skip,
}, async (t) => {
  for (const status of [401, 404]) await start(t, serving(`r.statusCode = ${status}; r.end("{}")`)).started;
});

test('one that ends before it is ready: its exit code and last words, without the key', { skip }, async (t) => {
  const { started } = start(
    t,
    'console.log("one"); console.error("cannot load sk-secret"); process.exit(4)',
    {},
    { keys: { api_key_env: 'KEY' }, env: { KEY: 'sk-secret' } },
  );
  await assert.rejects(
    started,
    userError(
      'model.server',
      /^node ended before it was ready \(exit code 4\)\. Its log \(.*server\.log\) ends: /,
      'one | cannot load ***',
    ),
  );
  const killed = start(t, 'process.kill(process.pid, "SIGSEGV")').started;
  await assert.rejects(killed, userError('model.server', '(signal 11)'));
  const silent = start(t, 'process.exit(1)').started;
  await assert.rejects(silent, userError('model.server', '(exit code 1)', /It wrote nothing into .*server\.log\.$/));
});

test('a program that is not there', { skip }, async (t) => {
  const { started } = start(t, '', { command: 'no-such-server' });
  await assert.rejects(
    started,
    userError('model.server.command', 'no-such-server could not be started. Its log', 'not found'),
  );
});

test('one that is never ready: the limit, and its last words; nothing of it is left', { skip }, async (t) => {
  const { started, path } = start(
    t,
    `console.log("pid " + process.pid); ${serving('r.statusCode = 503; r.end("loading")')}`,
    {
      ready_timeout: 0.6,
    },
  );
  await assert.rejects(
    started,
    userError('model.server.ready_timeout', 'node was not ready after 0.6 s', 'ends: pid '),
  );
  const pid = Number(/pid (\d+)/.exec(readFileSync(path, 'utf8'))![1]);
  assert.throws(() => process.kill(pid, 0), /ESRCH/);
});

test('a port that is taken is told before anything is started', { skip }, async (t) => {
  const other = createServer();
  t.after(() => other.close());
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as { port: number };
  const { started, said } = start(t, serving(READY), { port });
  await assert.rejects(started, userError('model.server.port', `${port} is taken. Name another one or auto`));
  assert.deepEqual(said, []);
  assert.equal(runningAt({ args: [], port, ready_timeout: 1, autostart: false }), `http://127.0.0.1:${port}`);
});

test('a free port that somebody takes meanwhile is replaced, three times at most', { skip }, async (t) => {
  // A stranger takes the port; once it has it, the server says that it is taken.
  const thief = `const port = Number(process.argv[1]); const c = require("child_process");
    const stranger = 'require("http").createServer((q, r) => { r.statusCode = 503; r.end() }).listen(' + port + ', "127.0.0.1"); setTimeout(() => process.exit(), 6000)';
    c.spawn(process.execPath, ["-e", stranger], { detached: true, stdio: "ignore" }).unref();
    const look = () => require("net").connect(port, "127.0.0.1")
      .on("connect", () => { console.error("could not bind"); process.exit(1); })
      .on("error", () => setTimeout(look, 50));
    look()`;
  const { started, said } = start(t, thief);
  await assert.rejects(started, userError('model.server', 'exit code 1', 'could not bind'));
  assert.equal(said.filter((line) => /port \d+ was taken meanwhile, another one is tried/.test(line)).length, 2);
});

test('one that ends while the run goes on says so to whoever waits; one that is stopped does not', {
  skip,
}, async (t) => {
  const { gone } = await start(
    t,
    serving(`if (q.url === "/die") { console.error("out of memory"); process.exit(9); } ${READY}`),
  ).started.then(async (started) => {
    const exchange = openExchange(started.base, { key: null, timeoutMs: 1000 });
    await exchange.send('GET', '/die').catch(() => undefined);
    return started;
  });
  if (!gone.aborted) await new Promise((resolve) => gone.addEventListener('abort', resolve));
  assert.ok(gone.reason instanceof OutsideError, String(gone.reason));
  assert.match(
    gone.reason.message,
    /^node ended while the run went on \(exit code 9\)\. The same config goes on from here\. Its log .* ends: out of memory$/,
  );
});

test('who stops while it loads gets no server, and leaves none', { skip }, async (t) => {
  const stop = new AbortController();
  const { started, path } = start(
    t,
    'console.log("pid " + process.pid); setInterval(() => {}, 1000)',
    {},
    { signal: stop.signal },
  );
  const refused = assert.rejects(started, /^Error: stopped$/);
  const pid = Number(await wrote(path, /pid (\d+)\n/));
  stop.abort(new Error('stopped'));
  await refused;
  assert.throws(() => process.kill(pid, 0), /ESRCH/);
});
