/** The checkpoints of a program: looked up, and loaded once for all tasks that share them. */
import type { EngineSettings, ModelSettings } from '../config/keys.ts';
import { openModelRepo } from '../data/hub.ts';
import { type Checkpoint, identify, openCheckpoint } from '../model/checkpoint.ts';
import type { Log, Model, ModelIdentity, Repo } from '../types.ts';

/** One model for each distinct model and engine block: a suite loads its weights once. */
export interface Models {
  /** The checkpoint's files, looked up and hashed, none of them loaded. */
  find(settings: ModelSettings): Promise<FoundModel>;
  open(settings: ModelSettings, engine: EngineSettings): Promise<Model>;
  close(): Promise<void>;
}

/** A checkpoint before it is loaded. */
export interface FoundModel {
  repo: Repo;
  checkpoint: Checkpoint;
  identity: ModelIdentity;
}

/** No checkpoint is loaded yet; `close` releases those that were. */
export function openModels(log: Log, signal: AbortSignal): Models {
  const found = new Map<string, Promise<FoundModel>>();
  const loaded = new Map<string, Promise<Model>>();
  // The chat template is rendered or not by the task; the checkpoint is the same.
  const keyOf = (settings: ModelSettings, engine?: EngineSettings) =>
    JSON.stringify([{ ...settings, chat_template: undefined }, engine]);
  const find = (settings: ModelSettings) => {
    const key = keyOf(settings);
    const model = found.get(key) ?? findModel(settings, log, signal);
    found.set(key, model);
    return model;
  };
  return {
    find,
    open(settings, engine) {
      const key = keyOf(settings, engine);
      const model = loaded.get(key) ?? find(settings).then((one) => loadModel(one, settings, engine, log));
      loaded.set(key, model);
      return model;
    },
    async close() {
      for (const model of await Promise.allSettled(loaded.values())) {
        if (model.status === 'fulfilled') await model.value.close();
      }
    },
  };
}

async function findModel(settings: ModelSettings, log: Log, signal: AbortSignal): Promise<FoundModel> {
  const repo = await openModelRepo(settings.model_id, settings.revision, { log, signal });
  const checkpoint = await openCheckpoint(repo, settings);
  return { repo, checkpoint, identity: identify(repo, checkpoint, settings) };
}

async function loadModel(
  { repo, checkpoint, identity }: FoundModel,
  settings: ModelSettings,
  engine: EngineSettings,
  log: Log,
): Promise<Model> {
  // onnxruntime takes a while to load; a misspelt config does not wait for it.
  const { openModel } = await import('../model/model.ts');
  const model = await openModel(repo, settings, engine, log, checkpoint);
  const megabytes = identity.files.reduce((sum, file) => sum + file.size, 0) / 1e6;
  const commit = repo.commit === null ? '' : `@${repo.commit.slice(0, 7)}`;
  log.info(
    `model ${repo.id}${commit}, ${identity.dtype}, ${megabytes.toFixed(0)} MB, window ${identity.max_length}, ${model.engine.form} runs`,
  );
  for (const remark of model.engineRemarks) log.info(`engine: ${remark}`);
  return model;
}
