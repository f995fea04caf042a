/** A model behind one or several servers: found, probed, asked. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelSettings } from '../../config/keys.ts';
import type { Abilities, Ask, EngineIdentity, Model, ModelIdentity, Prompt, Reply, Verb } from '../../questions.ts';
import { sha256 } from '../../text/hash.ts';
import { type Json, type Log, OutsideError, RowError, UserError } from '../../types.ts';
import { apiKey, serverAddresses } from './address.ts';
import { openAnswers } from './answers.ts';
import { type Exchange, openExchange } from './exchange.ts';
import { Passing, Refusal, Unusable } from './faults.ts';
import { generateBy } from './generate.ts';
import { changeOf, checkSame, identifyServer, markOf, type ServerIdentity, type ServerKind } from './identity.ts';
import { Pace } from './pace.ts';
import { Pool, type PoolLimits, type Send } from './pool.ts';
import { type Probed, probeServer } from './probe.ts';
import { Coder, contextOf } from './tokens.ts';

/** A model whose servers were asked who they are and what they can do. */
export interface FoundServer {
  identity: ModelIdentity;
  can: Abilities;
  engine: EngineIdentity;
  /** For run.json. */
  findings: Json;
  load(): Promise<Model>;
}

export interface ServerOptions {
  log: Log;
  signal: AbortSignal;
  env?: NodeJS.ProcessEnv;
  limits?: Partial<PoolLimits>;
  /** Milliseconds for which a server may load its model. */
  loadMs?: number;
  /** Milliseconds from one piece of a streamed answer to the next. */
  idleMs?: number;
  /** Of a server that was started for this: aborted, with the error that ends the run, when it ends too early. */
  gone?: AbortSignal;
}

/** Which server a backend is the name of; `openai` is any. */
const KIND: Partial<Record<ModelSettings['backend'], ServerKind>> = { vllm: 'vllm', llama_cpp: 'llama.cpp' };

/** Milliseconds that a server may take to load its model, and from one look to the next. */
const LOAD_MS = 600_000;
const LOOK_MS = 500;

/** Seconds until the last byte of an answer, where the config does not say. */
const USUAL_TIMEOUT_S = 600;
/** Another row's long prompt may hold an answer up; two minutes of it are a stall. */
const IDLE_MS = 120_000;

/** Requests to begin with, and never more, where neither the server nor the config says a number. */
const START = 8;
const MOST = 256;

interface Found {
  settings: ModelSettings;
  exchanges: Exchange[];
  server: ServerIdentity;
  probed: Probed;
  pool: Pool;
  gone: AbortSignal | null;
  idleMs: number;
}

/**
 * Asks the servers of `settings.base_url` who they are and what they can do. Throws UserError for what a user can mend,
 * OutsideError where none answers.
 */
export async function findServer(settings: ModelSettings, given: ServerOptions): Promise<FoundServer> {
  const { log, env = process.env, gone } = given;
  const signal = gone === undefined ? given.signal : AbortSignal.any([given.signal, gone]);
  const options = { ...given, signal };
  const key = apiKey(settings.api_key_env, env);
  const timeoutMs = (settings.request_timeout ?? USUAL_TIMEOUT_S) * 1000;
  const bases = serverAddresses(settings.base_url ?? []);
  const exchanges = bases.map((base) => openExchange(base, { key, timeoutMs }));
  const found = await identifyAll(exchanges, settings, options);
  const [server] = [...found.values()] as [ServerIdentity, ...ServerIdentity[]];
  checkSettings(settings, server, bases[0]!);
  const most = Math.min(settings.max_concurrency ?? MOST, server.slots ?? MOST);
  const pool = new Pool(exchanges, {
    // Side by side a small model on a few cores may be slower: without a word of the config llama-server has to show that more is
    // faster. On two cores two at a time were slower than one, and four faster.
    concurrency:
      server.kind === 'llama.cpp' ? { start: settings.max_concurrency ?? 1, most, factor: 4 } : { start: START, most },
    log,
    recheck: (exchange, send) => checkSame(send, server, settings.model_id, exchange.base),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  const exchange = exchanges.find((one) => found.has(one))!;
  const send = patient((method, path, body, more) => exchange.send(method, path, body, { signal, ...more }), signal);
  const maxLength = settings.max_length ?? null;
  const probed = await plainly(() => probeServer(send, { backend: settings.backend, identity: server, maxLength }));
  const all: Found = { settings, exchanges, server, probed, pool, gone: gone ?? null, idleMs: given.idleMs ?? IDLE_MS };
  const identity = identityOf(all);
  const can = abilitiesOf(all, identity.label);
  const engine = engineOf(all);
  return {
    identity,
    can,
    engine,
    findings: findingsOf(all, found),
    async load() {
      const { kind, version } = server;
      const shown = version === null ? kind : `${kind} ${version}`;
      const window = identity.max_length ?? 'unknown';
      log.info(
        `model ${identity.label} at ${bases.join(', ')}: ${shown}, window ${window}, up to ${most} at a time each`,
      );
      if (probed.findings.doubled_bos)
        log.info('server: its chat template prints BOS itself; scored contexts get no second one');
      return openServerModel(all, { identity, can, engine });
    },
  };
}

/** Tries of a request of the probe that fails by what passes, and the pause between them in ms unless the server names one. */
const PROBE_TRIES = 5;
const PROBE_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

/** For the probe, which no pool stands behind: what a busy or lost server did not answer is asked again. */
function patient(send: Send, signal: AbortSignal): Send {
  return async (...request) => {
    for (let tried = 1; ; tried += 1) {
      try {
        return await send(...request);
      } catch (error) {
        const passes = error instanceof Passing && ['busy', 'gateway', 'cut'].includes(error.kind);
        if (!passes || tried === PROBE_TRIES) throw error;
        const pause = Math.min(error.retryAfterMs ?? PROBE_PAUSE_MS * tried, LONGEST_PAUSE_MS);
        await sleep(pause, undefined, { signal }).catch(() => signal.throwIfAborted());
      }
    }
  };
}

/** Who answers at each address; those that do not are left out, one at least has to. All have to be the same. */
async function identifyAll(
  exchanges: readonly Exchange[],
  settings: ModelSettings,
  options: ServerOptions,
): Promise<Map<Exchange, ServerIdentity>> {
  const tried = await Promise.allSettled(
    exchanges.map((exchange) => awaitServer(exchange, settings.model_id, options)),
  );
  const found = new Map<Exchange, ServerIdentity>();
  const failed: unknown[] = [];
  for (const [i, one] of tried.entries()) {
    if (one.status === 'fulfilled') found.set(exchanges[i]!, one.value);
    else failed.push(one.reason);
  }
  // What is wrong with the config is told whoever else answers; a server that is down is left out for now.
  const grave = failed.find((error) => !(error instanceof OutsideError));
  if (grave !== undefined) throw grave;
  const [first, ...others] = found;
  if (first === undefined) throw failed[0];
  for (const error of failed) options.log.info(`${(error as Error).message} It is left out until it answers.`);
  for (const [exchange, identity] of others) {
    if (markOf(identity) === markOf(first[1])) continue;
    throw new UserError(
      `${exchange.base} is not the same server as ${first[0].base}: ${changeOf(first[1], identity)}. All of model.base_url have to run one model in one way.`,
      { key: 'model.base_url' },
    );
  }
  return found;
}

/** Who answers, once it has loaded its model. Throws UserError, OutsideError where nothing answers, and the signal's reason. */
async function awaitServer(
  { base, send: sendTo }: Exchange,
  wanted: string,
  { log, signal, loadMs = LOAD_MS }: ServerOptions,
): Promise<ServerIdentity> {
  const send: Send = (method, path, body, given) => sendTo(method, path, body, { signal, ...given });
  const end = performance.now() + loadMs;
  for (let looked = 0; ; looked += 1) {
    try {
      return await identifyServer(send, wanted, base);
    } catch (error) {
      const isLoading = error instanceof Passing && error.kind === 'busy';
      if (!isLoading || performance.now() > end) throw asPlain(error);
      if (looked === 0) log.info(`${base} is not ready yet (${error.message})`);
      await sleep(LOOK_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}

/** What goes wrong before the first row, as the errors that end a program. */
async function plainly<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asPlain(error);
  }
}

function asPlain(error: unknown): unknown {
  if (error instanceof Unusable) return new UserError(`${error.message}.`, { key: error.key, cause: error });
  if (error instanceof Refusal) return new UserError(`${error.message}.`, { key: 'model.base_url', cause: error });
  if (error instanceof RowError) return new OutsideError(error.message, { cause: error });
  if (error instanceof Passing) return new OutsideError(`${error.message}.`, { cause: error });
  return error;
}

/** What the config says against what the server is. */
function checkSettings({ backend, max_length }: ModelSettings, { kind, context }: ServerIdentity, base: string): void {
  const wanted = KIND[backend];
  if (wanted !== undefined && kind !== wanted) {
    const own = Object.entries(KIND).find(([, one]) => one === kind)?.[0] ?? 'openai';
    throw new UserError(`"${backend}", but the server at ${base} is ${kind}. Set it to ${own}.`, {
      key: 'model.backend',
    });
  }
  if (max_length !== undefined && context !== null && max_length > context)
    throw new UserError(`${max_length}, but the server's context has ${context} tokens.`, { key: 'model.max_length' });
}

function identityOf({ settings, server }: Found): ModelIdentity {
  const { kind, model, about, context, template } = server;
  const max_length = settings.max_length ?? context;
  const template_sha256 = template === null ? null : sha256(template);
  return {
    label: settings.model_id,
    variant: typeof about.ftype === 'string' ? about.ftype : null,
    backend: settings.backend,
    max_length,
    is_vlm: settings.is_vlm ?? false,
    chat_template_sha256: template_sha256,
    sha256: sha256(JSON.stringify([kind, model, about, max_length, template_sha256])),
    source: { server: kind, model_id: model, ...about },
  };
}

const WAY_OUT = {
  loglikelihood:
    'Use llama-server (llama_cpp), vLLM (vllm) or an ONNX export (onnx), or a strategy that generates where the task has one',
  loglikelihood_rolling: 'Use vLLM (vllm) or an ONNX export (onnx)',
  classify: 'Use an ONNX export (onnx)',
};

function abilitiesOf({ settings, server, probed }: Found, label: string): Abilities {
  const { findings, score, scoreText, routes } = probed;
  const verbs: Verb[] = ['generate_until'];
  if (score !== null) verbs.push('loglikelihood');
  if (scoreText !== null) verbs.push('loglikelihood_rolling');
  const why = `${label} (${server.kind}) cannot return the log-likelihood of a given text`;
  const cannot: Abilities['cannot'] = {
    loglikelihood_rolling:
      findings.scoring === 'prompt_logprobs'
        ? `the server does not say which token stands before a text. Start vLLM with --enable-tokenizer-info-endpoint, or use an ONNX export (onnx).`
        : `whole texts are scored by vLLM alone (prompt_logprobs). ${WAY_OUT.loglikelihood_rolling}.`,
    classify: `servers have no classification head. ${WAY_OUT.classify}.`,
    ...(score === null ? { loglikelihood: `${why} (${findings.cannot_score}). ${WAY_OUT.loglikelihood}.` } : {}),
    ...(findings.plain ? {} : { plain: 'it answers conversations alone. Set model.chat_template: true.' }),
    ...(findings.token_ids === false ? { token_ids: `this ${server.kind} gives no token ids of answers.` } : {}),
    ...(routes === null ? { chat_loglikelihood: 'it renders no chat template to score behind.' } : {}),
  };
  return { verbs, images: settings.is_vlm ?? false, chat: findings.chat, cannot };
}

function engineOf({ probed }: Found): EngineIdentity {
  const { scoring, letters_at_once } = probed.findings;
  return {
    api: 'http',
    ...(scoring === null
      ? {}
      : { scoring: probed.alone ? `${scoring}, primed` : letters_at_once ? `${scoring}, letters at once` : scoring }),
  };
}

function findingsOf({ settings, server, probed, exchanges, gone }: Found, found: Map<Exchange, ServerIdentity>): Json {
  const { template, ...facts } = server;
  return {
    started: gone !== null,
    base_urls: exchanges.map(({ base }) => base),
    answering: [...found.keys()].map(({ base }) => base),
    ...facts,
    template_sha256: template === null ? null : sha256(template),
    backend: settings.backend,
    ...(probed.findings as unknown as { [key: string]: Json }),
  };
}

function openServerModel(
  { settings, exchanges, server, probed, pool, gone, idleMs }: Found,
  { identity, can, engine }: Pick<Model, 'identity' | 'can' | 'engine'>,
): Model {
  const { routes, bos, score, scoreText, alone, findings } = probed;
  const { request_timeout } = settings;
  const timeoutMs = (request_timeout ?? USUAL_TIMEOUT_S) * 1000;
  const generate = generateBy(server, settings.max_length ?? null, {
    idleMs: findings.streams ? Math.min(timeoutMs, idleMs) : null,
    ...(routes === null
      ? {}
      : {
          render: routes.render.bind(routes),
          encode: (send, text) => new Coder(routes, send, bos).encode(text, true),
        }),
    pace: new Pace(timeoutMs, request_timeout !== undefined),
  });
  const answerOne = async (ask: Ask, signal: AbortSignal): Promise<Reply> => {
    if (ask.verb === 'generate_until')
      return pool.run((send) => generate(send, ask), signal, { amount: (reply) => reply.num_output_tokens || 1 });
    if (ask.verb === 'loglikelihood' && score !== null) return pool.run((send) => score(send, ask), signal, { alone });
    if (ask.verb === 'loglikelihood_rolling' && scoreText !== null)
      return pool.run((send) => scoreText(send, ask), signal);
    throw new RowError('verb', `a server is not asked for ${ask.verb}.`);
  };
  const verify = async (signal: AbortSignal) => {
    const looks = exchanges.map(async ({ base, send: sendTo }) => {
      const send: Send = (method, path, body, given) => sendTo(method, path, body, { signal, ...given });
      try {
        await checkSame(send, server, settings.model_id, base);
      } catch (error) {
        // Out of reach it can have answered nothing since; the pool looks at it before it is used again.
        if (!(error instanceof Passing || error instanceof Unusable || error instanceof Refusal)) throw error;
      }
    });
    await Promise.all(looks);
  };
  const whileThere = gone ?? new AbortController().signal;
  const ask = <T>(work: (send: Send) => Promise<T>) => plainly(() => pool.run(work, whileThere));
  const tokenRoutes = () => {
    if (routes !== null) return routes;
    throw new UserError('the server has no tokenizer route, which this setting needs.', { key: 'model.backend' });
  };
  const atOnce = exchanges.length * Math.min(settings.max_concurrency ?? MOST, MOST);
  const answers = openAnswers(answerOne, { atOnce, verify });
  return {
    identity,
    can,
    engine,
    remarks: remarksOn(server, findings.repeatable, alone),
    stats: () => pool.stats(),
    answer(questions, signal) {
      return answers(questions, gone === null ? signal : AbortSignal.any([signal, gone]));
    },
    renderChat: (messages) => ask((send) => tokenRoutes().render(send, messages)),
    countTokens: (prompt: Prompt) =>
      ask(async (send) => {
        const { text, special } = await contextOf(tokenRoutes(), send, prompt);
        return (await new Coder(tokenRoutes(), send, bos).encode(text, special)).length;
      }),
    async close() {
      pool.close();
    },
  };
}

function remarksOn({ kind }: ServerIdentity, repeatable: boolean, alone: boolean): string[] {
  return [
    `answers are computed by ${kind === 'unknown' ? 'a server' : kind} beside others: order and concurrency may move a digit, and with it a token`,
    ...(kind === 'ollama'
      ? [
          'penalties of the model or of ollama (repeat_penalty 1.1 until August 2026) cannot be turned off over its routes',
        ]
      : []),
    ...(repeatable ? [] : ['the server gave two answers to the same greedy request']),
    ...(alone
      ? [
          'log-likelihoods: one question at a time on each server, its context evaluated afresh before its choices: they do not depend on order, and differ from those of one pass by what the batch split moves',
        ]
      : []),
  ];
}
