/** Which files of a repository make the checkpoint that the config names, fetched and identified. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { DTYPE_SUFFIX, type Dtype, type GraphName, type ModelSettings } from '../config/keys.ts';
import type { Abilities, ModelIdentity } from '../questions.ts';
import { rememberedSha256, sha256 } from '../text/hash.ts';
import { parsePythonJson } from '../text/python_json.ts';
import { type Repo, UserError } from '../types.ts';
import { chatTemplateText, templateAbilities } from './chat.ts';
import { checkCheckpointJson } from './checkpoint_shape.ts';
import { externalLocations } from './graph/external.ts';
import { headClasses, headWindow } from './head_config.ts';
import type { TokenizerConfig } from './tokenizer.ts';

/** config.json, as far as it is read here; sizes of a VLM's text part lie under `text_config`. */
export interface CheckpointConfig {
  model_type?: string;
  text_config?: CheckpointConfig;
  vision_config?: unknown;
  eos_token_id?: number | number[];
  [key: string]: unknown;
}

export interface Checkpoint {
  /**
   * Paths on this machine. `embed` turns token ids into embeddings where the decoder wants those (VLM exports), `vision`
   * pictures into features.
   */
  graphs: { decoder: string; embed: string | null; vision: string | null };
  files: { path: string; size: number; sha256: string }[];
  config: CheckpointConfig;
  /** The text part of `config`. */
  textConfig: CheckpointConfig;
  isVlm: boolean;
  /** What the classes of a sequence-classification head are called, by their ids; null for a language model. */
  labels: readonly string[] | null;
  /** preprocessor_config.json and processor_config.json; null where there is none. */
  preprocessor: Record<string, unknown> | null;
  processor: Record<string, unknown> | null;
  maxLength: number;
  /** Every token that ends an answer: generation_config.json and config.json, number or list. */
  eosTokens: number[];
  /** Over every JSON file that was read, names included: they decide the end of an answer, BOS, positions. */
  configSha256: string;
  tokenizerJson: object;
  tokenizerSha256: string;
  tokenizerConfig: TokenizerConfig;
  specialTokens: Record<string, unknown>;
  chat: { jinja: string | null; json: unknown };
}

/** The last as transformers' own exporter names it (5.24), which writes `prefill.onnx` beside it. */
const DECODERS = ['onnx/model', 'onnx/decoder_model_merged', 'model', 'decoder_model_merged', 'decode'];

/**
 * Fetches config, tokenizer and weights (with every external-data file) of the dtype of each graph.
 * Throws UserError: no ONNX file of that dtype (lists what there is), `is_vlm` or `max_length` against the checkpoint, a JSON
 * file of another shape.
 */
export async function openCheckpoint(repo: Repo, settings: ModelSettings): Promise<Checkpoint> {
  const where = `${repo.id}${repo.commit === null ? '' : `@${repo.commit.slice(0, 7)}`}`;
  const has = (path: string) => repo.files.some((file) => file.path === path);
  const configs = createHash('sha256');
  const json = async (path: string) => {
    if (!has(path)) return null;
    const text = await readFile(await repo.fetch(path), 'utf8');
    configs.update(`${path}\0${text}\0`);
    const parsed = parseJson(text, `${where}: ${path}`);
    checkCheckpointJson(path, parsed, where);
    return parsed;
  };

  if (has('genai_config.json') && !has('config.json')) {
    const line = `${where}: an export for onnxruntime-genai (genai_config.json), without config.json. Put config.json and tokenizer.json of the checkpoint that it was made from beside it.`;
    throw new UserError(line, { key: 'model.model_id' });
  }
  const decoder = decoderFile(repo, settings, where);
  if (!has('config.json'))
    throw new UserError(`${where}: there is no config.json. It has: ${listed(repo)}.`, { key: 'model.model_id' });
  if (!has('tokenizer.json')) {
    throw new UserError(`${where}: there is no tokenizer.json. It has: ${listed(repo)}.`, { key: 'model.model_id' });
  }
  const config = (await json('config.json')) as CheckpointConfig;
  const textConfig = config.text_config ?? config;
  const isVlm = config.vision_config !== undefined;
  if (settings.is_vlm !== undefined && settings.is_vlm !== isVlm) {
    throw new UserError(`${settings.is_vlm}, but ${where} is ${isVlm ? 'a vision-language' : 'a text'} checkpoint.`, {
      key: 'model.is_vlm',
    });
  }
  const tokenizerConfig = ((await json('tokenizer_config.json')) ?? {}) as TokenizerConfig;
  const labels = headClasses(config, where);
  const limit = labels === null ? contextLimit : headLimit;
  const maxLength = limit(textConfig, tokenizerConfig, settings.max_length, where);
  const generation = (await json('generation_config.json')) as { eos_token_id?: number | number[] } | null;
  const eosTokens = [
    ...new Set([generation?.eos_token_id ?? [], config.eos_token_id ?? [], textConfig.eos_token_id ?? []].flat()),
  ];

  const preprocessor = (await json('preprocessor_config.json')) as Record<string, unknown> | null;
  const processor = (await json('processor_config.json')) as Record<string, unknown> | null;

  // The weights come last: every cheap reason to stop has been looked at.
  const { graphs, files } = await fetchWeights(repo, decoder, isVlm, settings, where);
  const tokenizerPath = await repo.fetch('tokenizer.json');
  const tokenizerJson = (await json('tokenizer.json')) as object;
  const specialTokens = ((await json('special_tokens_map.json')) ?? {}) as Record<string, unknown>;
  const chatJson = await json('chat_template.json');
  return {
    graphs,
    files,
    configSha256: configs.digest('hex'),
    config,
    textConfig,
    isVlm,
    labels,
    preprocessor,
    processor,
    maxLength,
    eosTokens,
    tokenizerJson,
    tokenizerSha256: await rememberedSha256(tokenizerPath),
    tokenizerConfig,
    specialTokens,
    chat: {
      jinja: has('chat_template.jinja') ? await readFile(await repo.fetch('chat_template.jinja'), 'utf8') : null,
      json: chatJson,
    },
  };
}

/** Fetches the graphs with their side files, and names all of them. Throws UserError where a part is missing. */
async function fetchWeights(repo: Repo, decoder: string, isVlm: boolean, settings: ModelSettings, where: string) {
  const inParts = isVlm && decoder.includes('decoder_model');
  checkMapping(settings, inParts, where);
  const embed = inParts ? partFile(repo, 'embed_tokens', settings, where) : null;
  // Text alone can be asked of a checkpoint whose vision tower was not exported.
  const sees = repo.files.some(({ path }) => /^onnx\/vision_encoder[^/]*\.onnx$/.test(path));
  const vision = inParts && sees ? partFile(repo, 'vision_encoder', settings, where) : null;
  const files: Checkpoint['files'] = [];
  const fetched = async (path: string | null): Promise<string | null> => {
    if (path === null) return null;
    const { local, sides } = await fetchGraph(repo, path, where);
    for (const one of [path, ...sides]) {
      const entry = repo.files.find((file) => file.path === one);
      const sha256 = entry?.sha256 ?? (await rememberedSha256(await repo.fetch(one)));
      files.push({ path: one, size: entry?.size ?? 0, sha256 });
    }
    return local;
  };
  const graphs = { decoder: (await fetched(decoder))!, embed: await fetched(embed), vision: await fetched(vision) };
  return { graphs, files };
}

function parseJson(text: string, where: string): unknown {
  try {
    return parsePythonJson(text, 'number');
  } catch (cause) {
    throw new UserError(`${where}: not JSON: ${(cause as Error).message}.`, { key: 'model.model_id', cause });
  }
}

const listed = (repo: Repo) => (repo.files.length === 0 ? 'no file' : repo.files.map((file) => file.path).join(', '));

function decoderFile(repo: Repo, settings: ModelSettings, where: string): string {
  const paths = new Set(repo.files.map((file) => file.path));
  if (settings.onnx_file !== undefined) {
    if (paths.has(settings.onnx_file)) return settings.onnx_file;
    const graphs = [...paths].filter((path) => path.endsWith('.onnx'));
    throw new UserError(`${settings.onnx_file} is not in ${where}. It has: ${graphs.join(', ') || 'no .onnx file'}.`, {
      key: 'model.onnx_file',
    });
  }
  const dtype = dtypeOf(settings, 'decoder_model_merged', 'model');
  const wanted = DECODERS.map((base) => `${base}${DTYPE_SUFFIX[dtype]}.onnx`);
  const found = wanted.find((path) => paths.has(path));
  if (found !== undefined) return found;
  const available = dtypesOf(paths, DECODERS);
  if (available.length === 0 && paths.has('prefill.onnx')) {
    throw new UserError(
      `${where} has prefill.onnx without decode.onnx, which goes on from a cache. Add decode.onnx, or set model.onnx_file: prefill.onnx, which computes each row from its start.`,
      { key: 'model.model_id' },
    );
  }
  if (available.length === 0) {
    throw new UserError(
      `${where} has no ONNX export (none of ${DECODERS.map((base) => `${base}*.onnx`).join(', ')}). It has: ${listed(repo)}.`,
      { key: 'model.model_id' },
    );
  }
  throw new UserError(`${dtype} (${wanted[0]}) is not in ${where}. It has: ${available.join(', ')}.`, {
    key: 'model.dtype',
  });
}

/** The dtype of a graph: the one for all, or its own in the mapping, under the first of its names that is there. */
function dtypeOf({ dtype }: ModelSettings, ...names: GraphName[]): Dtype {
  if (typeof dtype === 'string') return dtype;
  return names.map((name) => dtype[name]).find((one) => one !== undefined) ?? 'fp32';
}

const dtypesOf = (paths: ReadonlySet<string>, bases: readonly string[]) =>
  (Object.keys(DTYPE_SUFFIX) as Dtype[]).filter((dtype) =>
    bases.some((base) => paths.has(`${base}${DTYPE_SUFFIX[dtype]}.onnx`)),
  );

/** A mapping that speaks of a graph which the checkpoint does not have would be without effect. */
function checkMapping({ dtype }: ModelSettings, inParts: boolean, where: string): void {
  if (typeof dtype === 'string') return;
  const known: GraphName[] = inParts ? ['decoder_model_merged', 'embed_tokens', 'vision_encoder'] : ['model'];
  const stray = (Object.keys(dtype) as GraphName[]).find((name) => dtype[name] !== undefined && !known.includes(name));
  if (stray === undefined) return;
  throw new UserError(`${stray}, but the graphs of ${where} are: ${known.join(', ')}.`, { key: 'model.dtype' });
}

/** What stands for the dtype in a run's records: the name for all graphs, or each graph's. */
export function dtypeText({ dtype, onnx_file }: ModelSettings): string {
  if (onnx_file !== undefined) return onnx_file;
  if (typeof dtype === 'string') return dtype;
  const named = Object.entries(dtype).filter(([, one]) => one !== undefined);
  return named.map(([graph, one]) => `${graph} ${one}`).join(', ') || 'fp32';
}

/** A graph of an export in parts. Throws UserError that lists the dtypes that it comes in. */
function partFile(repo: Repo, name: GraphName, settings: ModelSettings, where: string): string {
  const paths = new Set(repo.files.map((file) => file.path));
  const dtype = dtypeOf(settings, name);
  const wanted = `onnx/${name}${DTYPE_SUFFIX[dtype]}.onnx`;
  if (paths.has(wanted)) return wanted;
  const available = dtypesOf(paths, [`onnx/${name}`]);
  if (available.length === 0) throw new UserError(`${where}: there is no ${wanted}.`, { key: 'model.model_id' });
  throw new UserError(
    `${dtype} (${wanted}) is not in ${where}. ${name} comes as: ${available.join(', ')}. ` +
      `A mapping gives each graph its own, for example { decoder_model_merged: ${dtypeOf(settings, 'decoder_model_merged')}, ${name}: ${available[0]} }.`,
    { key: 'model.dtype' },
  );
}

/** External data lies beside the graph: `<file>_data`, `<file>_data_1`, ... (optimum), `<file>.data` (onnxruntime-genai). */
function sideFiles(repo: Repo, graph: string): string[] {
  return repo.files
    .map((file) => file.path)
    .filter((path) => path.startsWith(`${graph}_data`) || path === `${graph}.data`);
}

/** Fetches a graph and the files that hold its weights; `sides` are those, also under names of another kind. */
async function fetchGraph(repo: Repo, path: string, where: string): Promise<{ local: string; sides: string[] }> {
  const named = sideFiles(repo, path);
  for (const side of named) await repo.fetch(side);
  const local = await repo.fetch(path);
  const others = externalLocations(local).map((location) => sideFileAt(location, path, where));
  // One that is not there is said by onnxruntime.
  const sides = [...new Set([...named, ...others])].filter((side) => repo.files.some((file) => file.path === side));
  for (const side of sides) await repo.fetch(side);
  return { local, sides };
}

/** The path in the repository of a file that a graph names. Throws UserError for one that lies elsewhere. */
function sideFileAt(location: string, graph: string, where: string): string {
  const path = posix.join(posix.dirname(graph), location);
  if (!/^(\/|[A-Za-z]:)|\\|\0/.test(location) && !/^\.\.(\/|$)/.test(path)) return path;
  throw new UserError(
    `${where}: ${graph}: weights lie in ${JSON.stringify(location)}, outside of the checkpoint. Save the model anew with its external data beside the graph.`,
    { key: 'model.model_id' },
  );
}

/** transformers writes this for "no limit" (`int(1e30)`); lm-eval's HF backend skips it too. */
const NO_LIMIT = 1e15;

/** lm-eval's order (`HFLM.max_length`): the text config's window, else the tokenizer's, else 2048. */
function contextLimit(
  config: CheckpointConfig,
  tokenizer: TokenizerConfig,
  asked: number | undefined,
  where: string,
): number {
  const fromConfig = [config.n_positions, config.max_position_embeddings, config.n_ctx].find(
    (n) => typeof n === 'number' && Number.isFinite(n),
  );
  const fromTokenizer = tokenizer.model_max_length;
  const limit =
    (fromConfig as number | undefined) ?? (fromTokenizer != null && fromTokenizer < NO_LIMIT ? fromTokenizer : 2048);
  if (!Number.isSafeInteger(limit) || limit < 1) {
    const file = fromConfig === undefined ? 'tokenizer_config.json' : 'config.json';
    throw new UserError(`${where}: ${file}: a window of ${limit} tokens. It has to be a whole number from 1.`, {
      key: 'model.model_id',
    });
  }
  if (asked !== undefined && asked > limit) {
    throw new UserError(`${asked} is more than the ${limit} tokens of ${where}.`, { key: 'model.max_length' });
  }
  return asked ?? limit;
}

/** As `contextLimit`, and what a head's tokenizer and position embeddings hold at most. */
function headLimit(...[config, tokenizer, asked, where]: Parameters<typeof contextLimit>): number {
  const whole = contextLimit(config, tokenizer, undefined, where);
  return contextLimit({ n_positions: headWindow(config, tokenizer, whole) }, {}, asked, where);
}

/** What identifies a checkpoint in run.json. */
export function identify(repo: Repo, checkpoint: Checkpoint, settings: ModelSettings): ModelIdentity {
  const template = chatTemplateText(checkpoint.chat, checkpoint.tokenizerConfig);
  const chat_template_sha256 = template === null ? null : sha256(template);
  const dtype = dtypeText(settings);
  const { files, configSha256: config_sha256, tokenizerSha256: tokenizer_sha256, maxLength } = checkpoint;
  const hashes = files.map((file) => file.sha256);
  const { enable_thinking } = settings;
  const told = enable_thinking === undefined ? {} : { enable_thinking };
  const files_sha256 = [config_sha256, tokenizer_sha256, chat_template_sha256];
  const decisive = [hashes, dtype, maxLength, ...files_sha256, ...Object.values(told)];
  return {
    label: repo.id,
    variant: dtype,
    backend: settings.backend,
    max_length: maxLength,
    is_vlm: checkpoint.isVlm,
    chat_template_sha256,
    sha256: sha256(JSON.stringify(decisive)),
    source: {
      model_id: repo.id,
      revision: repo.revision,
      commit: repo.commit,
      dtype,
      device: settings.device,
      files: files.map((file) => ({ ...file })),
      config_sha256,
      tokenizer_sha256,
      ...told,
    },
  };
}

/** What a checkpoint can be asked. */
export function abilities({ chat, tokenizerConfig, isVlm, graphs, labels }: Checkpoint): Abilities {
  // A head has no logits over the vocabulary.
  if (labels !== null) return { verbs: ['classify'], images: false, chat: false, labels };
  return {
    verbs: ['loglikelihood', 'generate_until', 'loglikelihood_rolling'],
    images: isVlm && graphs.vision !== null,
    ...templateAbilities(chat, tokenizerConfig),
  };
}
