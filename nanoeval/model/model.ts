/** A checkpoint ready to answer: files -> tokenizer, chat template, workers with the graph, engine. */
import { availableParallelism, totalmem } from 'node:os';
import type { EngineSettings, ModelSettings } from '../config/keys.ts';
import type { Model } from '../questions.ts';
import { imagesOf } from '../text/prompt_parts.ts';
import { type Log, type Repo, UserError } from '../types.ts';
import { chatTemplateInUse } from './chat.ts';
import { abilities, type Checkpoint, identify, openCheckpoint } from './checkpoint.ts';
import { openClassifier } from './classifier.ts';
import { openEngine } from './engine/engine.ts';
import type { Executor, ExecutorInfo } from './engine/executor.ts';
import { openWorker } from './engine/workers.ts';
import type { GraphFiles } from './graph/session.ts';
import { expandPictures } from './pictures.ts';
import { openRenderer } from './render.ts';
import { otherReading, tokenizerOf } from './tokenizer.ts';
import { openVerbs } from './verbs.ts';
import type { VisionFamily } from './vision/family.ts';
import { familyOf, TILES } from './vision/family.ts';

/**
 * Loads the checkpoint of `settings` from `repo` (`known`: its files, looked up before). Throws UserError for anything about
 * the checkpoint or the settings that a user can mend, OutsideError when onnxruntime or the disk gives up. `open` loads the
 * graph: in a process of its own, unless `openExecutor` is given.
 */
export async function openModel(
  repo: Repo,
  settings: ModelSettings,
  engineSettings: EngineSettings,
  log: Log,
  known?: Checkpoint,
  open: typeof openWorker = openWorker,
): Promise<Model> {
  const checkpoint = known ?? (await openCheckpoint(repo, settings));
  const tokenizer = tokenizerOf(checkpoint, `${repo.id}: tokenizer.json`);
  const chat = chatTemplateInUse(checkpoint.chat, checkpoint.tokenizerConfig, tokenizer.special, settings);
  if (checkpoint.labels !== null) return openClassifier(repo, checkpoint, tokenizer, settings, engineSettings);
  const { workers, threads } = share(engineSettings, checkpoint);
  const { graphs, config, textConfig, preprocessor, processor } = checkpoint;
  const files = { graphs, config, textConfig, preprocessor, processor };
  const decodeBytes = engineSettings.decode_cache_mb * 1e6;
  const options = { mode: engineSettings.mode, threads, decodeBytes };
  const executors = await openWorkers(() => open(files, settings, options), workers);
  const engine = openEngine(executors.opened, executors.reopen, {
    batchTokens: engineSettings.batch_tokens,
    cacheBytes: engineSettings.kv_cache_mb * 1e6,
    decodeBytes,
    log,
  });
  const ends = tokenizer.eosToken === undefined ? checkpoint.eosTokens : [...checkpoint.eosTokens, tokenizer.eosToken];
  const identity = identify(repo, checkpoint, settings);
  const renderer = openRenderer(identity.label, chat, () => visionOf(files, checkpoint, repo.id));
  const { render, vision } = renderer;
  const { album } = engine;
  const { form, tableRows = null } = engine.info;
  return {
    identity,
    can: { ...abilities(checkpoint), ends: ends.length > 0 },
    engine: {
      mode: engineSettings.mode,
      form,
      ...(form === 'naive' || form === 'alone' || form === 'whole'
        ? {}
        : { batch_tokens: engineSettings.batch_tokens }),
      ...(graphs.vision === null ? {} : { vision_tiles: TILES }),
    },
    remarks: [
      ...remarksOn(engine.info, engineSettings.mode),
      ...remarksOnIds(checkpoint.tokenizerJson, tableRows),
      otherReading(checkpoint.tokenizerJson, checkpoint.tokenizerConfig, textConfig.model_type),
    ].filter((remark) => remark !== null),
    stats: () => ({ workers, threads_per_worker: threads ?? null, ...engine.stats }),
    answer: openVerbs(engine, {
      tokenizer,
      album,
      eosTokens: ends,
      maxLength: checkpoint.maxLength,
      tableRows,
      vision,
      render,
    }),
    renderChat: async (messages, date) => render(messages, date),
    async countTokens(prompt, date) {
      const images = imagesOf(prompt);
      const text = render(prompt, date);
      return tokenizer.encode(images.length === 0 ? text : (await expandPictures(text, images, vision())).text).length;
    },
    tokenTexts: (ids) => tokenizer.texts(ids),
    close: () => engine.close(),
  };
}

/** The workers, all alike, and how another one is opened. Those that were opened are closed where one of them fails. */
async function openWorkers(reopen: () => Promise<Executor>, count: number) {
  // The first one says whether the graph can be had at all; the others follow at once.
  const first = await reopen();
  const others = await Promise.allSettled(Array.from({ length: count - 1 }, reopen));
  const opened = [first, ...others.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))];
  const failed = others.find((one) => one.status === 'rejected');
  if (failed !== undefined) {
    for (const executor of opened) await executor.close();
    throw failed.reason;
  }
  return { opened, reopen };
}

/** How the checkpoint takes pictures. Throws UserError where it takes none. */
function visionOf(files: GraphFiles, { isVlm, graphs }: Checkpoint, id: string): VisionFamily {
  if (isVlm && graphs.vision !== null) return familyOf(files);
  throw new UserError(`${id} takes no pictures: it is no vision-language checkpoint with a vision_encoder.`, {
    key: 'model.model_id',
  });
}

/** A forward pass of a small model gains little beyond this many threads; more workers do. */
const THREADS = 4;

/** Workers and the threads of each: as asked, else from the cores and the memory (each worker holds the weights). */
function share(settings: EngineSettings, { files }: Checkpoint): { workers: number; threads: number | undefined } {
  const cores = availableParallelism();
  const weights = files.reduce((sum, file) => sum + file.size, 0);
  const room = Math.floor((0.5 * totalmem()) / (1.3 * weights + 400e6));
  const byDefault = settings.mode === 'naive' ? 1 : Math.max(1, Math.min(Math.floor(cores / THREADS), room));
  const workers = settings.workers ?? byDefault;
  const threads = settings.threads_per_worker ?? (workers === 1 ? undefined : Math.max(1, Math.floor(cores / workers)));
  return { workers, threads };
}

/** What a reader of the summary should know about how the rows were computed. */
function remarksOn({ form, remarks, dynamic, half }: ExecutorInfo, mode: EngineSettings['mode']): string[] {
  const notes = [...remarks];
  if (dynamic && form === 'alone')
    notes.push('activations are quantised at run time: each input ran alone, so that no neighbour moves its numbers');
  if (dynamic && form !== 'alone' && form !== 'naive' && mode === 'prefix_tree')
    notes.push('activations are quantised at run time and rows were shared: numbers depend on what ran together');
  if (half && form !== 'naive')
    notes.push(
      'float16 weights: sums of log-likelihoods move by up to some hundredths of a nat with what runs together',
    );
  return notes;
}

/** Ids of tokenizer.json that the model's table has no row for: often an unused rest, so that only a row with one fails. */
function remarksOnIds(tokenizerJson: object, tableRows: number | null): string[] {
  type Entries = { model?: { vocab?: Record<string, number> | unknown[] }; added_tokens?: { id: number }[] };
  const { model, added_tokens = [] } = tokenizerJson as Entries;
  const vocab = Array.isArray(model?.vocab) ? model.vocab.keys() : Object.values(model?.vocab ?? {});
  const ids = new Set([...vocab, ...added_tokens.map(({ id }) => id)]);
  const more = tableRows === null ? 0 : [...ids].filter((id) => id >= tableRows).length;
  if (more === 0) return [];
  return [
    `the tokenizer has ${more} ${more === 1 ? 'id' : 'ids'} beyond the ${tableRows} rows of the model's table: a row that holds one of them fails`,
  ];
}
