/**
 * The parts of the vision bench, each in a process of its own, so that each has its own peak of memory: a picture's way
 * through the stages, the vision tower by itself, and the memory over many pictures. Started by `inProcess`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { DTYPE_SUFFIX, type Dtype, engineSection, modelSection } from '../../nanoeval/config/keys.ts';
import { openFolder } from '../../nanoeval/data/hub.ts';
import { openEngine } from '../../nanoeval/model/engine/engine.ts';
import type { Executor, Seen } from '../../nanoeval/model/engine/executor.ts';
import { openExecutor } from '../../nanoeval/model/engine/open_executor.ts';
import type { GraphFiles } from '../../nanoeval/model/graph/session.ts';
import { openModel } from '../../nanoeval/model/model.ts';
import { openTokenizer, type Tokenizer } from '../../nanoeval/model/tokenizer.ts';
import { openVerbs } from '../../nanoeval/model/verbs.ts';
import { openVisionEncoder } from '../../nanoeval/model/vision/encoder.ts';
import { familyOf } from '../../nanoeval/model/vision/family.ts';
import { imageSize } from '../../nanoeval/model/vision/image.ts';
import type { Ask, ContentPart, GenerationReply, Prompt } from '../../nanoeval/questions.ts';
import { type Question, RowError } from '../../nanoeval/types.ts';
import { workersOf } from '../model/processes.ts';
import { readJson } from './random_model.ts';

// ---------------------------------------------------------------- stages

export interface StagesJob {
  kind: 'stages';
  folder: string;
  pictures: readonly string[];
  threads: number;
  newTokens: number;
  textTokens: number;
}

/** A picture's stages in seconds of wall time, named as transformers.py names them. */
export interface Stages {
  file: string;
  size: readonly [width: number, height: number];
  tiles: number;
  prompt_tokens: number;
  decode: number;
  /** Resize, cut into tiles; ours does not normalise here but when a pass's input is filled. */
  processor: number;
  encoder: number;
  encoder_tile: number;
  /** The decoder over the whole prompt, to the first token. */
  prefill: number;
  /** One further token with the cache; null where none was asked for. */
  decode_token: number | null;
  total: number;
  /** The part of the threads' time that this process used; well below 1 with one thread: the machine was busy. */
  cpu_share: number;
}

export interface StagesResult {
  form: string;
  remarks: string[];
  open_s: number;
  each: Stages[];
  peak_rss_mb: number | null;
}

/** Every picture once, after a first one that is not counted; the engine, and what it holds, is new for each. */
async function runStages({ folder, pictures, threads, newTokens, textTokens }: StagesJob): Promise<StagesResult> {
  const files = filesOf(folder, 'fp32');
  const tokenizer = tokenizerOf(folder);
  const opening = performance.now();
  const executor = await openExecutor(files, settingsOf('fp32'), { mode: 'auto', threads });
  const open_s = since(opening);
  const text = textOf(tokenizer, textTokens);
  const each: Stages[] = [];
  for (const [i, path] of [pictures[0]!, ...pictures].entries()) {
    const one = await stagesOf(executor, { path, files, tokenizer, text, newTokens, threads });
    if (i > 0) each.push(one);
  }
  const { form, remarks } = executor.info;
  await executor.close();
  return { form, remarks, open_s, each, peak_rss_mb: peakMb() };
}

interface StagesOptions {
  path: string;
  files: GraphFiles;
  tokenizer: Tokenizer;
  text: string;
  newTokens: number;
  threads: number;
}

async function stagesOf(
  executor: Executor,
  { path, files, tokenizer, text, newTokens, threads }: StagesOptions,
): Promise<Stages> {
  const { watched, laps } = watch(executor);
  const log = { info: () => undefined, progress: () => undefined };
  const { batch_tokens: batchTokens } = engineSection.parse({});
  const engine = openEngine([watched], () => Promise.reject(new Error('no second one')), {
    batchTokens,
    cacheBytes: 0,
    log,
  });
  const vision = familyOf(files);
  // No token ends an answer, as in transformers.py.
  const answer = openVerbs(engine, {
    tokenizer,
    album: engine.album,
    eosTokens: [],
    maxLength: 8192,
    vision: () => vision,
    render: (prompt) => withPlaceholders(prompt, vision.placeholder),
  });
  const used = process.cpuUsage();
  const start = performance.now();
  const bytes = await readFile(path);
  const content = askAbout(bytes, text, newTokens);
  let reply: GenerationReply | null = null;
  for await (const one of answer(each([{ place: 0, content }]), new AbortController().signal)) {
    if (one.content instanceof RowError) throw one.content;
    reply = one.content as GenerationReply;
  }
  const total = since(start);
  const { user, system } = process.cpuUsage(used);
  await watched.unsee(laps.firsts);

  const { seen, next } = laps;
  const rest = next.slice(1).reduce((sum, ms) => sum + ms, 0) / 1000;
  const encoder = seen!.encode_ms / 1000;
  const { width, height } = await imageSize(bytes);
  return {
    file: basename(path),
    size: [width, height],
    tiles: seen!.tiles,
    prompt_tokens: reply!.num_context_tokens!,
    decode: seen!.decode_ms / 1000,
    processor: seen!.tiles_ms / 1000,
    encoder,
    encoder_tile: encoder / seen!.tiles,
    prefill: (laps.pass + next[0]!) / 1000,
    decode_token: next.length > 1 ? rest / (next.length - 1) : null,
    total,
    cpu_share: (user + system) / 1e6 / total / threads,
  };
}

/** A greedy answer to a question about a picture, which stands before it. */
function askAbout(picture: Uint8Array, text: string, newTokens: number): Ask {
  const prompt: Prompt = [
    { type: 'image', bytes: picture },
    { type: 'text', text },
  ];
  return { verb: 'generate_until', prompt, until: [], max_new_tokens: newTokens };
}

/** The text of a prompt of `askAbout`, without a chat template. */
function withPlaceholders(prompt: Prompt, placeholder: string): string {
  const parts = prompt as readonly ContentPart[];
  return parts.map((part) => (part.type === 'text' ? part.text : placeholder)).join('');
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** An executor that takes its calls in turn, as a worker does, and what they took in milliseconds. */
function watch(executor: Executor) {
  const laps = { seen: null as Seen | null, firsts: [] as number[], pass: 0, next: [] as number[] };
  let last: Promise<unknown> = Promise.resolve();
  const inTurn =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>, note: (ms: number, value: R) => void) =>
    (...args: A): Promise<R> => {
      const done = last.then(async () => {
        const start = performance.now();
        const value = await call(...args);
        note(performance.now() - start, value);
        return value;
      });
      last = done.catch(() => undefined);
      return done;
    };
  const see = inTurn(executor.see, (_ms, seen) => {
    laps.seen = seen;
  });
  const watched: Executor = {
    ...executor,
    pass: inTurn(executor.pass, (ms) => {
      laps.pass += ms;
    }),
    next: inTurn(executor.next, (ms) => {
      laps.next.push(ms);
    }),
    see(picture) {
      laps.firsts.push(picture.first);
      return see(picture);
    },
    unsee: inTurn(executor.unsee, () => undefined),
    free: inTurn(executor.free, () => undefined),
  };
  return { watched, laps };
}

/** A question of so many tokens. */
function textOf(tokenizer: Tokenizer, tokens: number): string {
  const words = 'which of these is shown by the lines in the picture and what comes of it'.split(' ');
  let text = '';
  for (let i = 0; tokenizer.encodePlain(text).length < tokens; i += 1) text += ` ${words[i % words.length]}`;
  return text;
}

// ---------------------------------------------------------------- tower

export interface TowerJob {
  kind: 'tower';
  folder: string;
  dtype: Dtype;
  /** Tiles of one pass of the graph. */
  batch: number;
  picture: string;
  threads: number;
  rounds: number;
}

export interface TowerResult {
  tiles: number;
  /** Best of the rounds. */
  encoder: number;
  peak_rss_mb: number | null;
  features: Float32Array;
}

async function runTower({ folder, dtype, batch, picture, threads, rounds }: TowerJob): Promise<TowerResult> {
  const encoder = await openVisionEncoder(filesOf(folder, dtype), settingsOf(dtype), threads, batch);
  const bytes = await readFile(picture);
  let found = await encoder.look(bytes);
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < rounds; i += 1) {
    found = await encoder.look(bytes);
    best = Math.min(best, found.encode_ms / 1000);
  }
  await encoder.close();
  return { tiles: found.tiles, encoder: best, peak_rss_mb: peakMb(), features: found.features };
}

// ---------------------------------------------------------------- memory

export interface MemoryJob {
  kind: 'memory';
  folder: string;
  pictures: readonly string[];
  /** Pictures to show; every second one is new. */
  count: number;
  /** Pictures between two samples. */
  every: number;
  threads: number;
}

/** Resident memory in MB; null where the system does not say. */
export interface Sample {
  shown: number;
  seconds: number;
  parent_mb: number;
  worker_mb: number | null;
}

export interface MemoryResult {
  samples: Sample[];
  /** Pictures that went through the vision tower; the others were still known. */
  encoded: number;
}

/** Greedy answers to questions with a picture each, through everything that the product has. */
async function runMemory(job: MemoryJob): Promise<MemoryResult> {
  const { folder, pictures, count, every, threads } = job;
  const log = { info: () => undefined, progress: () => undefined };
  const engine = engineSection.parse({ workers: 1, threads_per_worker: threads });
  const model = await openModel(await openFolder(folder, 'model'), settingsOf('fp32'), engine, log);
  const bytes = pictures.map((path) => readFileSync(path));
  const ask = async function* (): AsyncGenerator<Question<Ask>> {
    for (let place = 0; place < count; place += 1) {
      const file = bytes[place % bytes.length]!;
      // A number behind the end of the file, which no decoder looks at, makes another picture of it.
      const shown = place % 2 === 0 ? file : Buffer.concat([file, Buffer.from(String(place))]);
      yield { place, content: askAbout(shown, ` What is shown in picture ${place}?`, 3) };
    }
  };
  const samples: Sample[] = [];
  const start = performance.now();
  let shown = 0;
  let encoded = 0;
  try {
    for await (const { content } of model.answer(ask(), new AbortController().signal)) {
      if (content instanceof RowError) throw content;
      shown += 1;
      if (shown % every !== 0 && shown !== 1) continue;
      const workers = workersOf(process.pid).map(residentMb);
      const worker_mb = workers.includes(null) ? null : workers.reduce<number>((sum, mb) => sum + mb!, 0);
      samples.push({ shown, seconds: since(start), parent_mb: process.memoryUsage.rss() / 1e6, worker_mb });
    }
    encoded = model.stats().images ?? 0;
  } finally {
    await model.close();
  }
  if (shown < count) throw new Error(`${shown} of ${count} questions were answered`);
  return { samples, encoded };
}

/** Pages of a process that are in memory, in MB; pages of Linux on the machines of today are 4 KiB. */
function residentMb(pid: number): number | null {
  try {
    return (Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4096) / 1e6;
  } catch {
    return null;
  }
}

// ---------------------------------------------------------------- what they share

const since = (start: number) => (performance.now() - start) / 1000;
const settingsOf = (dtype: Dtype) => modelSection.parse({ model_id: 'bench', dtype });

/** The graphs of a folder; `dtype` is the vision tower's, the others are float32. */
function filesOf(folder: string, dtype: Dtype): GraphFiles {
  const graph = (name: string) => join(folder, 'onnx', `${name}.onnx`);
  const config = readJson(join(folder, 'config.json'));
  return {
    graphs: {
      decoder: graph('decoder_model_merged'),
      embed: graph('embed_tokens'),
      vision: graph(`vision_encoder${DTYPE_SUFFIX[dtype]}`),
    },
    config,
    textConfig: config.text_config as GraphFiles['textConfig'],
    preprocessor: readJson(join(folder, 'preprocessor_config.json')),
    processor: readJson(join(folder, 'processor_config.json')),
  };
}

const tokenizerOf = (folder: string) =>
  openTokenizer(readJson(join(folder, 'tokenizer.json')), readJson(join(folder, 'tokenizer_config.json')));

/** The most memory that this process ever took, in MB; null where the system does not say. */
function peakMb(): number | null {
  try {
    const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    return line === null ? null : (Number(line[1]) * 1024) / 1e6;
  } catch {
    return null;
  }
}

type Job = StagesJob | TowerJob | MemoryJob;
interface Results {
  stages: StagesResult;
  tower: TowerResult;
  memory: MemoryResult;
}

/** A worker's heap is set up like this (`workers.ts`). */
const HEAP = { MALLOC_MMAP_THRESHOLD_: '33554432', MALLOC_TRIM_THRESHOLD_: '2000000000' };

/** Does a job in a process of its own: in the place of a worker, or, for `memory`, of the program that has workers. */
export function inProcess<J extends Job>(job: J): Promise<Results[J['kind']]> {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), {
    execArgv: ['--import', tsx],
    env: job.kind === 'memory' ? process.env : { ...HEAP, ...process.env },
    serialization: 'advanced',
  });
  return new Promise((resolve, reject) => {
    child.on('exit', (code, signal) => reject(new Error(`the ${job.kind} process ended: ${signal ?? code}`)));
    child.on('error', reject);
    child.on('message', ({ value, error }: { value?: Results[J['kind']]; error?: string }) => {
      child.disconnect();
      if (error === undefined) resolve(value!);
      else reject(new Error(`${job.kind}: ${error}`));
    });
    child.send(job);
  });
}

if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  process.on('disconnect', () => process.exit(0));
  process.once('message', async (job: Job) => {
    try {
      const value = await (job.kind === 'stages'
        ? runStages(job)
        : job.kind === 'tower'
          ? runTower(job)
          : runMemory(job));
      process.send!({ value });
    } catch (error) {
      process.send!({ error: (error as Error).stack ?? String(error) });
    }
  });
}
