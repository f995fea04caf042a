/**
 * The parts of the bench of answers, each in a process of its own, so that each has the machine and its peak of memory to
 * itself. Started by `inProcess`; the program of another checkout may be timed the same way (`build`).
 */
import { fork } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { DTYPE_SUFFIX, type Dtype } from '../../nanoeval/config/keys.ts';
import type { Engine, TokenPrompt } from '../../nanoeval/model/engine/engine.ts';
import type { Executor } from '../../nanoeval/model/engine/executor.ts';
import type { GraphFiles } from '../../nanoeval/model/graph/session.ts';
import { inBlocks } from '../../nanoeval/model/graph/slots.ts';
import { peakOf, workerPids } from './measure.ts';
import { readJson } from './random_model.ts';
import { sizesOf } from './work.ts';

interface Job {
  /** A checkout of this project, of today or of a day before. */
  build: string;
  /** A checkpoint's folder in the hub's layout. */
  folder: string;
  dtype: Dtype;
  /** Of each worker. */
  threads: number;
}

/** Greedy answers of one length to prompts of token ids; no token ends one early. */
export interface AnswersJob extends Job {
  kind: 'answers';
  prompts: readonly (readonly number[])[];
  newTokens: number;
  /** Answers side by side at most; as many as the engine likes without it. */
  most?: number;
  /** Processes that each hold the weights; one without it. */
  workers?: number;
}

export interface AnswersResult {
  /** Seconds of the answers, prompts counted in; the checkpoint is loaded before. */
  seconds: number;
  open_s: number;
  answers: number[][];
  /** Milliseconds from the first token of the first answer to each of its tokens. */
  times: number[];
  /** Most memory of the worker from the loading on, in MB; null where the system does not say. */
  peak_mb: number | null;
}

/** Single steps of answers side by side, each behind `past` tokens. */
export interface StepsJob extends Job {
  kind: 'steps';
  batches: readonly number[];
  past: number;
  rounds: number;
  /** In the form for many answers. */
  many: boolean;
}

export interface StepsResult {
  bytes_per_token: number;
  /** The best of the rounds, by batch. */
  steps: { batch: number; ms: number; median_ms: number }[];
}

/** How much likelier the plain path holds one token than another, behind the same tokens. */
export interface MarginsJob extends Job {
  kind: 'margins';
  places: readonly { ids: readonly number[]; tokens: readonly [number, number] }[];
}

export type AnyJob = AnswersJob | StepsJob | MarginsJob;

/** Runs a job in a process of its own. */
export function inProcess(job: AnswersJob): Promise<AnswersResult>;
export function inProcess(job: StepsJob): Promise<StepsResult>;
export function inProcess(job: MarginsJob): Promise<number[]>;
export function inProcess(job: AnyJob): Promise<unknown> {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const child = fork(fileURLToPath(import.meta.url), [], { execArgv: ['--import', tsx] });
  return new Promise((resolve, reject) => {
    child.once('message', (result) => {
      child.disconnect();
      resolve(result);
    });
    child.once('exit', (code) => reject(new Error(`a ${job.kind} job ended with exit code ${code}`)));
    child.send(job);
  });
}

/** Modules of a build, by where they lie today and where they lay before. */
function partOf(build: string, ...places: readonly string[]): Promise<unknown> {
  const found = places.map((place) => join(build, 'nanoeval', place)).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${build} has none of ${places.join(', ')}`);
  return import(pathToFileURL(found).href);
}

function filesOf({ folder, dtype }: Job): GraphFiles {
  const config = readJson(join(folder, 'config.json'));
  const decoder = join(folder, 'onnx', `model${DTYPE_SUFFIX[dtype]}.onnx`);
  const textConfig = (config.text_config ?? config) as GraphFiles['textConfig'];
  return { graphs: { decoder, embed: null, vision: null }, config, textConfig, preprocessor: null, processor: null };
}

const settingsOf = async ({ build, dtype }: Job) => {
  const part = (await partOf(build, 'config/keys.ts', 'config.ts')) as typeof import('../../nanoeval/config/keys.ts');
  return part.modelSection.parse({ model_id: 'bench', dtype });
};

/** An engine of the build over its workers. */
async function openBuild(job: Job & { most?: number; room?: number; workers?: number }): Promise<Engine> {
  const { openWorker } = (await partOf(job.build, 'model/engine/workers.ts', 'model/workers.ts')) as {
    openWorker(...args: unknown[]): Promise<Executor>;
  };
  const { openEngine } = (await partOf(job.build, 'model/engine/engine.ts', 'model/engine.ts')) as {
    openEngine(...args: unknown[]): Engine;
  };
  const settings = await settingsOf(job);
  const { layers, groups, headSize } = sizesOf(readJson(join(job.folder, 'config.json')));
  const bytesPerToken = layers * 2 * groups * headSize * (job.dtype === 'fp16' ? 2 : 4);
  const decodeBytes = job.most === undefined ? 1024e6 : (job.most + 1) * inBlocks(job.room!) * bytesPerToken;
  const open = () => openWorker(filesOf(job), settings, { mode: 'auto', threads: job.threads, decodeBytes });
  const executors = await Promise.all(Array.from({ length: job.workers ?? 1 }, open));
  const log = { info: () => undefined, progress: () => undefined };
  const bytes = { decodeBytes };
  return openEngine(executors, open, { batchTokens: 768, cacheBytes: 512e6, ...bytes, log });
}

/** Answers of `newTokens` tokens, by place; `heard` is told of every token. */
async function answer(
  engine: Engine,
  prompts: readonly (readonly number[])[],
  newTokens: number,
  heard: (place: number) => void = () => undefined,
): Promise<number[][]> {
  const answers: number[][] = prompts.map(() => []);
  const asked = async function* (): AsyncGenerator<TokenPrompt> {
    for (const [place, ids] of prompts.entries()) {
      const begin = () => {
        const own: number[] = [];
        answers[place] = own;
        const take = (token: number) => {
          heard(place);
          return own.push(token) >= newTokens;
        };
        return { take, watched: [], room: newTokens };
      };
      yield { place, ids, begin };
    }
  };
  for await (const { place, error } of engine.generate(asked(), new AbortController().signal))
    if (error !== null) throw new Error(`answer ${place}: ${error.message}`);
  return answers;
}

async function runAnswers(job: AnswersJob): Promise<AnswersResult> {
  const opening = performance.now();
  const room = Math.max(...job.prompts.map((ids) => ids.length)) + job.newTokens;
  const engine = await openBuild({ ...job, room });
  // The graph for answers is opened with the first prompts, for few or for many as the job has: that is loading.
  await answer(
    engine,
    job.prompts.map((ids) => ids.slice(0, 2)),
    2,
  );
  const open_s = (performance.now() - opening) / 1000;
  const times: number[] = [];
  const start = performance.now();
  const answers = await answer(engine, job.prompts, job.newTokens, (place) => {
    if (place === 0) times.push(performance.now());
  });
  const seconds = (performance.now() - start) / 1000;
  const peak_mb = peakOf(workerPids());
  await engine.close();
  return { seconds, open_s, answers, times: times.map((at) => at - times[0]!), peak_mb };
}

async function runSteps(job: StepsJob): Promise<StepsResult> {
  const { openDecodeSession } = (await partOf(job.build, 'model/graph/decode_session.ts')) as {
    openDecodeSession: typeof import('../../nanoeval/model/graph/decode_session.ts').openDecodeSession;
  };
  const { vocab_size: vocab } = filesOf(job).textConfig as { vocab_size: number };
  const form = { embedder: null, vocab, flat: true, turned: job.many };
  const session = await openDecodeSession(filesOf(job), await settingsOf(job), job.threads, form);
  const room = { tokens: job.past + job.rounds + 2, slots: Math.max(...job.batches) };
  const ids = Array.from({ length: job.past }, (_, i) => 1000 + ((i * 37) % 5000));
  await session.begin({ past: null, ids, keep: 0, room, wish: { watched: [] } });
  const steps: StepsResult['steps'] = [];
  for (const batch of job.batches) {
    for (let slot = 0; slot < batch; slot += 1)
      await session.begin({ past: 0, ids: [2000 + slot], keep: null, room, wish: { watched: [] } });
    const times: number[] = [];
    for (let round = 0; round < job.rounds; round += 1) {
      const tokens = Array.from({ length: batch }, (_, slot) => 3000 + slot + round);
      const start = performance.now();
      await session.step(
        tokens,
        tokens.map(() => ({ watched: [0] })),
      );
      times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    steps.push({ batch, ms: times[0]!, median_ms: times[Math.floor(times.length / 2)]! });
    for (let slot = batch - 1; slot >= 0; slot -= 1) session.leave(slot);
  }
  const { bytesPerToken } = session;
  await session.close();
  return { bytes_per_token: bytesPerToken, steps };
}

async function runMargins(job: MarginsJob): Promise<number[]> {
  const { openDecoder } = await import('../../nanoeval/model/graph/onnx.ts');
  const decoder = await openDecoder(filesOf(job), await settingsOf(job), job.threads, { embedder: null });
  const margins: number[] = [];
  for (const { ids, tokens } of job.places) {
    const { logits, rows, vocab } = await decoder.forward([...ids], null, false);
    const [a, b] = tokens.map((token) => logits[(rows - 1) * vocab + token]!) as [number, number];
    margins.push(Math.abs(a - b));
  }
  await decoder.close();
  return margins;
}

if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  process.once('message', async (job: AnyJob) => {
    const run = { answers: runAnswers, steps: runSteps, margins: runMargins }[job.kind] as (job: AnyJob) => unknown;
    process.send!(await run(job));
  });
}

/** The questions of a file of GSM8K, as the checkpoint's chat template asks them. */
export function questionsOf(path: string, count: number): string[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .slice(0, count)
    .map((line) => (JSON.parse(line) as { question: string }).question);
}
