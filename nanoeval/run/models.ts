/** The models of a program, by backend: looked up, and loaded once for all tasks that share them. */
import { BACKENDS, type BackendName } from '../config/backends.ts';
import type { TaskConfig } from '../config/keys.ts';
import { openModelRepo } from '../data/hub.ts';
import { abilities, identify, openCheckpoint } from '../model/checkpoint.ts';
import { findServer } from '../model/server/server.ts';
import { runningAt, type Started, startServer } from '../model/server/start.ts';
import type { Abilities, EngineIdentity, Model, ModelIdentity } from '../questions.ts';
import type { Json, Log } from '../types.ts';

/** A model before it is loaded. */
export interface FoundModel {
  identity: ModelIdentity;
  can: Abilities;
  /** Of the settings of its computation those that can move a digit. */
  engine: EngineIdentity;
  /** What was found out about it besides, for run.json: it decides nothing. */
  findings?: Json;
  load(): Promise<Model>;
}

/** What a config says of a model: its section, and those that are its backend's alone. */
export type ModelConfig = Pick<TaskConfig, 'model' | 'engine'>;

/** How a backend finds a model. Throws UserError for what a user can mend, OutsideError for what is out of reach. */
type Backend = (config: ModelConfig, log: Log, signal: AbortSignal, servers: Servers) => Promise<FoundModel>;

/** The backends that there are. Their keys stand in `config/backends.ts`. */
const FIND: Record<BackendName, Backend> = {
  onnx: findOnnx,
  vllm: findServed,
  llama_cpp: findServed,
  openai: findServed,
};

/** One model for each distinct model and engine block: a suite loads its weights once. */
export interface Models {
  /** The model looked up, none of it loaded. */
  find(config: ModelConfig): Promise<FoundModel>;
  open(config: ModelConfig): Promise<Model>;
  close(): Promise<void>;
}

/**
 * No model is loaded yet; `close` releases those that were, and ends the servers that were started. `folder`: where these
 * servers' log is kept.
 */
export function openModels(log: Log, signal: AbortSignal, folder = '.'): Models {
  const servers = new Servers(log, signal, folder);
  const found = new Map<string, Promise<FoundModel>>();
  const loaded = new Map<string, Promise<Model>>();
  // The chat template is rendered or not by the task, with the run's date; the model is the same.
  const keyOf = (config: ModelConfig) => {
    const sections: readonly 'engine'[] = BACKENDS[config.model.backend].sections;
    const own = sections.map((section) => config[section]);
    return JSON.stringify([{ ...config.model, chat_template: undefined, template_date: undefined }, own]);
  };
  const find = (config: ModelConfig) => {
    const key = keyOf(config);
    const model = found.get(key) ?? FIND[config.model.backend](config, log, signal, servers);
    found.set(key, model);
    return model;
  };
  return {
    find,
    open(config) {
      const key = keyOf(config);
      const model = loaded.get(key) ?? find(config).then((one) => one.load());
      loaded.set(key, model);
      return model;
    },
    async close() {
      for (const model of await Promise.allSettled(loaded.values())) {
        if (model.status === 'fulfilled') await model.value.close();
      }
      await servers.stop();
    },
  };
}

/** The servers that were started: one for all models that say the same of it. */
class Servers {
  private readonly started = new Map<string, Promise<Started>>();
  private readonly log: Log;
  private readonly signal: AbortSignal;
  private readonly folder: string;

  constructor(log: Log, signal: AbortSignal, folder: string) {
    this.log = log;
    this.signal = signal;
    this.folder = folder;
  }

  /** It is ready when this settles. Throws what `startServer` throws. */
  of(model: TaskConfig['model']): Promise<Started> {
    const { backend, model_id, max_length, api_key_env, server } = model;
    const key = JSON.stringify([backend, model_id, max_length, api_key_env, server]);
    const { log, signal, folder } = this;
    const started = this.started.get(key) ?? startServer(model, { log, signal, folder });
    this.started.set(key, started);
    return started;
  }

  async stop(): Promise<void> {
    for (const one of await Promise.allSettled(this.started.values()))
      if (one.status === 'fulfilled') await one.value.stop();
  }
}

/** A model behind servers: they are started where the config says so, and asked who they are and what they can do. */
async function findServed(
  { model }: ModelConfig,
  log: Log,
  signal: AbortSignal,
  servers: Servers,
): Promise<FoundModel> {
  const { server } = model;
  if (server === undefined) return findServer(model, { log, signal });
  if (!server.autostart) return findServer({ ...model, base_url: runningAt(server) }, { log, signal });
  const { base, gone } = await servers.of(model);
  return findServer({ ...model, base_url: base }, { log, signal, gone });
}

/** An ONNX export on the hub or in a folder: its files are looked up and hashed. */
async function findOnnx({ model: settings, engine }: ModelConfig, log: Log, signal: AbortSignal): Promise<FoundModel> {
  const repo = await openModelRepo(settings.model_id, settings.revision, { log, signal });
  const checkpoint = await openCheckpoint(repo, settings);
  const identity = identify(repo, checkpoint, settings);
  return {
    identity,
    can: abilities(checkpoint),
    engine: { mode: engine.mode, batch_tokens: engine.batch_tokens },
    async load() {
      // onnxruntime takes a while to load; a misspelt config does not wait for it.
      const { openModel } = await import('../model/model.ts');
      const model = await openModel(repo, settings, engine, log, checkpoint);
      const megabytes = checkpoint.files.reduce((sum, file) => sum + file.size, 0) / 1e6;
      const commit = repo.commit === null ? '' : `@${repo.commit.slice(0, 7)}`;
      const { variant, max_length } = identity;
      log.info(
        `model ${repo.id}${commit}, ${variant}, ${megabytes.toFixed(0)} MB, window ${max_length}, ${model.engine.form} form`,
      );
      for (const remark of model.remarks) log.info(`engine: ${remark}`);
      return model;
    },
  };
}
