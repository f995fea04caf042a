/** Starts a config's server on this machine, waits until it answers, and ends it. */
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelSettings } from '../../config/keys.ts';
import type { StartedServer } from '../../config/server.ts';
import { type Log, OutsideError, UserError } from '../../types.ts';
import { apiKey } from './address.ts';
import { commandFor, graceMs, HOST } from './command.ts';
import { type Exchange, openExchange } from './exchange.ts';
import { Passing, Refusal, Unusable } from './faults.ts';
import { type Running, startProcess } from './process.ts';

/** A server that runs because of us. */
export interface Started {
  /** Its address. */
  base: string;
  /** Aborted, with an OutsideError, when it ends while it is still wanted. */
  gone: AbortSignal;
  /** Ends it. Never throws; may be called again. */
  stop(): Promise<void>;
}

export interface StartOptions {
  log: Log;
  signal: AbortSignal;
  /** Where `server.log` is kept. */
  folder: string;
  env?: NodeJS.ProcessEnv;
  /** Milliseconds from SIGTERM to SIGKILL; what the backend needs by default. */
  graceMs?: number;
}

/** Ports that are tried where one was free a moment ago and is taken when the server wants it. */
const PORTS_TRIED = 3;
/** Milliseconds from one look to the next, and for an answer to one. */
const LOOK_MS = 100;
const ANSWER_MS = 5_000;

/** The address of a server that `model.server` says is running. */
export const runningAt = ({ port }: StartedServer): string => `http://${HOST}:${port}`;

/**
 * Starts what `settings.server` says and waits until it answers. Throws UserError where it cannot be started, ends before it is
 * ready or is not ready in time, with the last lines of its log; the signal's reason when that is aborted.
 */
export async function startServer(settings: ModelSettings, options: StartOptions): Promise<Started> {
  const server = settings.server!;
  const key = apiKey(settings.api_key_env, options.env ?? process.env);
  const logPath = join(options.folder, 'server.log');
  mkdirSync(options.folder, { recursive: true });
  for (let tried = 1; ; tried += 1) {
    options.signal.throwIfAborted();
    const port = await portFor(server);
    const command = commandFor(settings, server, port, key);
    const running = startProcess(command, { logPath, graceMs: options.graceMs ?? graceMs(settings.backend) });
    const name = basename(command.program);
    options.log.info(`server: ${name} is started on port ${port}, its log is ${logPath}`);
    const begun = performance.now();
    const base = `http://${HOST}:${port}`;
    try {
      await untilReady({ base, key, running, name, logPath }, settings, options.signal);
    } catch (error) {
      const hasEnded = running.ended !== null;
      await running.stop();
      const wasTaken = hasEnded && server.port === 'auto' && tried < PORTS_TRIED && !(await isFree(port));
      if (!wasTaken) throw error;
      options.log.info(`server: port ${port} was taken meanwhile, another one is tried`);
      continue;
    }
    options.log.info(`server: ready after ${((performance.now() - begun) / 1000).toFixed(1)} s`);
    return watched({ base, running, name, logPath, key });
  }
}

interface Starting {
  base: string;
  key: string | null;
  running: Running;
  name: string;
  logPath: string;
}

/** What it wrote last, and nothing secret of ours in it. */
function lastWords({ running, logPath, key }: Pick<Starting, 'running' | 'logPath' | 'key'>): string {
  const tail = running.tail();
  const clean = key === null ? tail : tail.replaceAll(key, '***');
  return clean === '' ? `It wrote nothing into ${logPath}.` : `Its log (${logPath}) ends: ${clean}`;
}

const howEnded = (code: number) => (code > 128 ? `signal ${code - 128}` : `exit code ${code}`);

async function untilReady(starting: Starting, { backend, server }: ModelSettings, signal: AbortSignal): Promise<void> {
  const { base, key, running, name } = starting;
  const { ready_timeout } = server!;
  const exchange = openExchange(base, { key, timeoutMs: ANSWER_MS });
  const deadline = performance.now() + ready_timeout * 1000;
  try {
    for (;;) {
      signal.throwIfAborted();
      const { ended } = running;
      if (ended?.code === 126 || ended?.code === 127)
        throw new UserError(`${name} could not be started. ${lastWords(starting)}`, { key: 'model.server.command' });
      if (ended !== null)
        throw new UserError(`${name} ended before it was ready (${howEnded(ended.code)}). ${lastWords(starting)}`, {
          key: 'model.server',
        });
      if (await isReady(exchange, backend, signal)) return;
      if (performance.now() > deadline)
        throw new UserError(
          `${name} was not ready after ${ready_timeout} s. Raise it if it loads for longer. ${lastWords(starting)}`,
          { key: 'model.server.ready_timeout' },
        );
      await Promise.race([sleep(LOOK_MS, undefined, { signal }).catch(() => undefined), running.end]);
    }
  } finally {
    exchange.close();
  }
}

/** llama-server and vLLM have a route for it; of any other server the list of its models is wanted. */
async function isReady(exchange: Exchange, backend: ModelSettings['backend'], signal: AbortSignal): Promise<boolean> {
  try {
    await exchange.send('GET', backend === 'openai' ? '/v1/models' : '/health', undefined, { signal });
    return true;
  } catch (error) {
    // It answers; whether it can be used is found out next, and told in those words.
    if (error instanceof Refusal || error instanceof Unusable) return true;
    if (error instanceof Passing) return false;
    throw error;
  }
}

function watched({ base, running, name, logPath, key }: Starting): Started {
  const gone = new AbortController();
  let isWanted = true;
  running.end.then(({ code }) => {
    if (!isWanted) return;
    gone.abort(
      new OutsideError(
        `${name} ended while the run went on (${howEnded(code)}). The same config goes on from here. ${lastWords({ running, logPath, key })}`,
      ),
    );
  });
  return {
    base,
    gone: gone.signal,
    stop() {
      isWanted = false;
      return running.stop();
    },
  };
}

/** The port that the config names, which has to be free, or a free one. */
async function portFor({ port }: StartedServer): Promise<number> {
  if (port === 'auto') return freePort();
  if (await isFree(port)) return port;
  throw new UserError(
    `${port} is taken. Name another one or auto; a server that runs there is asked with autostart: false.`,
    { key: 'model.server.port' },
  );
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on('error', reject);
    probe.listen(0, HOST, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.on('error', () => resolve(false));
    probe.listen(port, HOST, () => probe.close(() => resolve(true)));
  });
}
