/** A checkpoint ready to answer: files -> tokenizer, chat template, workers with the graph, engine. */
import { availableParallelism, totalmem } from 'node:os';
import type { EngineSettings, ModelSettings } from '../config/keys.ts';
import { type Log, type Model, type Repo, UserError } from '../types.ts';
import { openChatTemplate } from './chat.ts';
import { type Checkpoint, identify, openCheckpoint } from './checkpoint.ts';
import { openEngine } from './engine/engine.ts';
import type { ExecutorInfo } from './engine/executor.ts';
import { openWorker } from './engine/workers.ts';
import { openTokenizer, type SpecialTokens } from './tokenizer.ts';
import { openVerbs } from './verbs.ts';
import type { VisionFamily } from './vision/family.ts';
import { familyOf, TILES } from './vision/family.ts';

/**
 * Loads the checkpoint of `settings` from `repo` (`known`: its files, looked up before). Throws UserError for anything about the checkpoint or the settings
 * that a user can mend, OutsideError when onnxruntime or the disk gives up.
 */
export async function openModel(
  repo: Repo,
  settings: ModelSettings,
  engineSettings: EngineSettings,
  log: Log,
  known?: Checkpoint,
): Promise<Model> {
  const checkpoint = known ?? (await openCheckpoint(repo, settings));
  const tokenizer = openTokenizer(
    checkpoint.tokenizerJson,
    checkpoint.tokenizerConfig,
    specialTexts(checkpoint.specialTokens),
  );
  const chat = openChatTemplate(checkpoint.chat, checkpoint.tokenizerConfig, tokenizer.special);
  const { workers, threads } = share(engineSettings, checkpoint);
  const { graphs, config, textConfig, preprocessor, processor } = checkpoint;
  const files = { graphs, config, textConfig, preprocessor, processor };
  const open = () => openWorker(files, settings, { mode: engineSettings.mode, threads });
  // The first one says whether the graph can be had at all; the others follow at once.
  const first = await open();
  const others = await Promise.allSettled(Array.from({ length: workers - 1 }, open));
  const executors = [first, ...others.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))];
  const failed = others.find((one) => one.status === 'rejected');
  if (failed !== undefined) {
    for (const executor of executors) await executor.close();
    throw failed.reason;
  }
  const engine = openEngine(executors, open, {
    batchTokens: engineSettings.batch_tokens,
    cacheBytes: engineSettings.kv_cache_mb * 1e6,
    log,
  });
  const ends = tokenizer.eosToken === undefined ? checkpoint.eosTokens : [...checkpoint.eosTokens, tokenizer.eosToken];
  let family: VisionFamily | null = null;
  const vision = () => {
    family ??= familyOf(files);
    return family;
  };
  const verbs = openVerbs(engine, tokenizer, { eosTokens: ends, maxLength: checkpoint.maxLength, vision });
  const { form } = engine.info;

  return {
    identity: identify(repo, checkpoint, settings),
    engine: {
      mode: engineSettings.mode,
      form,
      ...(form === 'naive' || form === 'alone' ? {} : { batch_tokens: engineSettings.batch_tokens }),
      ...(graphs.vision === null ? {} : { vision_tiles: TILES }),
    },
    engineRemarks: remarksOn(engine.info, engineSettings.mode),
    engineStats: () => ({ workers, threads_per_worker: threads ?? null, ...engine.stats }),
    ...verbs,
    imagePlaceholder() {
      if (!checkpoint.isVlm || graphs.vision === null) {
        throw new UserError(
          `${repo.id} takes no pictures: it is no vision-language checkpoint with a vision_encoder.`,
          {
            key: 'model.model_id',
          },
        );
      }
      return vision().placeholder;
    },
    countTokens: (text) => tokenizer.encode(text).length,
    renderChat(messages) {
      if (chat === null) {
        throw new UserError(`true, but ${repo.id} has no chat template.`, { key: 'model.chat_template' });
      }
      return chat.render(messages);
    },
    close: () => engine.close(),
  };
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
    notes.push('activations are quantised at run time: each choice ran alone, so that no neighbour moves its numbers');
  if (dynamic && form !== 'alone' && form !== 'naive' && mode === 'prefix_tree')
    notes.push('activations are quantised at run time and rows were shared: numbers depend on what ran together');
  if (half && form !== 'naive')
    notes.push(
      'float16 weights: sums of log-likelihoods move by up to some hundredths of a nat with what runs together',
    );
  return notes;
}

function specialTexts(map: Record<string, unknown>): SpecialTokens {
  const texts = Object.entries(map).map(([name, value]) => [
    name,
    typeof value === 'object' && value !== null && 'content' in value ? value.content : value,
  ]);
  return Object.fromEntries(texts.filter(([, text]) => typeof text === 'string')) as SpecialTokens;
}
