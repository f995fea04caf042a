/** The nouns that cross a file boundary, and the errors that end a run. Imports nothing of the project. */

// ---------------------------------------------------------------- errors

/**
 * Input that a user can mend: a config, a name, a file. The program prints the message alone and exits with 2.
 * The message reads `where: what, with the value. What would be right.`
 */
export class UserError extends Error {
  /** Dotted config key at fault (`dataset.split`): whoever knows the YAML puts `file:line:column: key: ` in front. */
  readonly key: string | undefined;
  constructor(message: string, options: { key?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = 'UserError';
    this.key = options.key;
  }
}

/** Something outside failed after all retries (network, disk, server). The message alone is printed; exit code 3. */
export class OutsideError extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'OutsideError';
  }
}

/** One row cannot be scored (a NaN, an empty continuation). The row is stored as failed; the run goes on. */
export class RowError extends Error {
  readonly kind: string;
  constructor(kind: string, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'RowError';
    this.kind = kind;
  }
}

/** The user asked to stop (SIGINT, SIGTERM). Exit code 130, everything written so far kept. */
export class Interrupted extends Error {
  constructor() {
    super('interrupted');
    this.name = 'Interrupted';
  }
}

// ---------------------------------------------------------------- log

/** Work under way, for one progress line. `total` is null when nobody knows it yet. */
export interface Progress {
  /** What is counted: `model.onnx`, `hellaswag`. */
  label: string;
  done: number;
  total: number | null;
  /** `MB` for downloads (done and total are then bytes), `rows` for a run. */
  unit: 'MB' | 'rows';
  /** Shown behind the counts, for example `acc_norm 0.431`. */
  note?: string;
}

/** Where the layers below the programs say what they are doing. Everything goes to stderr. */
export interface Log {
  /** One line. */
  info(line: string): void;
  /** A moving line: called as often as the work likes; the log decides how often it is drawn. */
  progress(progress: Progress): void;
}

// ---------------------------------------------------------------- repositories and rows

/** One file of a repository, as the listing gives it. */
export interface RepoFile {
  /** Path inside the repository, with `/`. */
  path: string;
  /** Bytes. */
  size: number;
  /** Known from the listing for LFS files only; null otherwise. */
  sha256: string | null;
}

/** Random access to one file; the input type of hyparquet. */
export interface RandomAccess {
  byteLength: number;
  slice(start: number, end?: number): Promise<ArrayBuffer>;
}

/** A model or data-set repository on the hub at one commit, or a local folder in the same layout. */
export interface Repo {
  kind: 'model' | 'dataset';
  /** Hub id, or the path of a local folder. */
  id: string;
  /** What was asked for: a branch, a tag, a commit; null for a local folder. */
  revision: string | null;
  /** The 40 hex digits that `revision` stood for; null for a local folder. */
  commit: string | null;
  files: RepoFile[];
  /**
   * Path on this machine of one file, downloaded into the cache and verified first when need be.
   * Throws UserError when the repository has no such file.
   */
  fetch(path: string): Promise<string>;
}

/** A published row: column name -> value. int64 arrive as numbers, absent values as null. */
export type Row = Record<string, unknown>;

/** A row and its place in the split as published, from 0. */
export interface IndexedRow {
  index: number;
  row: Row;
}

/** One file that rows were read from, for run.json. */
export interface DatasetFile {
  path: string;
  size: number;
  /** null when the file was read by ranges and so never seen whole. */
  sha256: string | null;
  verified: boolean;
}

/** One split of a data set, opened but not read. */
export interface Split {
  /** Hub id, or the local path. */
  dataset_id: string;
  revision: string | null;
  commit: string | null;
  /** Config (subset) name; null for local files. */
  subset_name: string | null;
  split: string;
  files: DatasetFile[];
  /** Rows in the split; counted without decoding them (Parquet footers, lines). */
  numRows(): Promise<number>;
  /**
   * The rows in published order, one row group in memory at a time. Can be called again for another pass.
   * `columns` are read and no others; a missing one is a UserError that lists what there is. With `wanted`, rising
   * indices, only those rows come, and row groups without any are not read.
   */
  rows(columns: readonly string[], wanted?: readonly number[]): AsyncGenerator<IndexedRow>;
}

// ---------------------------------------------------------------- model

export type Tokenization = 'joint' | 'separate' | 'diverging';

/** One continuation to score after a context. The context ends without a blank, the continuation brings it. */
export interface LoglikelihoodRequest {
  context: string;
  continuation: string;
  /**
   * `joint` (default): lm-eval's `_encode_pair`, context and continuation tokenised together and cut at the length of
   * the context's tokens. `separate`: each tokenised on its own (the original nanoeval, build-nanogpt). `diverging`:
   * together, and cut at the first token in which the `siblings` differ (llama.cpp's `perplexity --hellaswag`).
   */
  tokenization?: Tokenization;
  /** All continuations of the example, this one among them. */
  siblings?: readonly string[];
  /** Picture files, in the order of their placeholders in the context. */
  images?: readonly Uint8Array[] | undefined;
  /** Give the token ids too. */
  keep_tokens?: boolean;
}

/** Token ids, as the checkpoint's own vocabulary has them, without padding. */
export interface TokenIds {
  prompt: number[];
  /** Of the continuation or the answer, the token that ended it included. */
  output: number[];
}

export interface Loglikelihood {
  /** Sum over the continuation's tokens, natural log. Finite. */
  logprob: number;
  num_tokens: number;
  /** Every token of the continuation is the arg-max at its place. */
  is_greedy: boolean;
  /** Tokens of the context before any truncation. */
  num_context_tokens: number;
  /** The input was longer than the window and lost tokens on the left. */
  truncated: boolean;
  tokens?: TokenIds;
}

export interface RollingLoglikelihood {
  /** Sum over all tokens of the text, natural log. */
  logprob: number;
  num_tokens: number;
}

export interface GenerationRequest {
  context: string;
  /** Texts that end the answer; they are cut off. The checkpoint's end-of-sequence tokens always end it. */
  until: readonly string[];
  max_new_tokens: number;
  /** Picture files, in the order of their placeholders in the context. */
  images?: readonly Uint8Array[];
  /** Texts of one token each, whose log-probability as the answer's first token is wanted. */
  first_tokens?: readonly string[];
  /** Greedy without it. */
  sampling?: Sampling;
  /** Give the token ids too. */
  keep_tokens?: boolean;
}

/** How the tokens of an answer are drawn. */
export interface Sampling {
  /** Above 0: log-probabilities are divided by it. */
  temperature: number;
  /** Of the most likely tokens those that together reach this share may be drawn; 1: all. */
  top_p: number;
  /** Names the random numbers: the same name draws the same answer, whatever runs before or beside it. */
  stream: string;
}

export interface Generation {
  /** Special tokens and stop texts removed. */
  output: string;
  finish_reason: 'stop' | 'length';
  num_output_tokens: number;
  num_context_tokens: number;
  truncated: boolean;
  /** Of each of `first_tokens`, natural log; null where the text is not one token of this tokenizer. */
  first_logprobs?: (number | null)[];
  tokens?: TokenIds;
}

/** A piece of a message: a text, or the place of a picture, which comes beside the rendered context. */
export type ContentPart = { type: 'text'; text: string } | { type: 'image' };

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string | readonly ContentPart[];
}

/** What identifies a checkpoint in run.json. */
export interface ModelIdentity {
  model_id: string;
  revision: string | null;
  commit: string | null;
  backend: string;
  dtype: string;
  device: string;
  /** Context limit in tokens that this run uses. */
  max_length: number;
  /** From config.json: it has a vision tower. */
  is_vlm: boolean;
  files: { path: string; size: number; sha256: string }[];
  /** Over config.json, generation_config.json, the tokenizer's files and the template's. */
  config_sha256: string;
  tokenizer_sha256: string;
  chat_template_sha256: string | null;
}

/** One of a stream of questions, or the answer to it; answers come as they are known, window by window. */
export interface Question<T> {
  /** Counted by whoever asks. */
  place: number;
  content: T;
  /**
   * Questions with one number are planned together, and apart from others; they follow each other. So what runs with what
   * is the asker's to say, and the same in every run. Without it the engine cuts where it likes.
   */
  window?: number;
  /** The answer is known from an earlier run: it is planned with its window and not answered. */
  done?: boolean;
}

/** How rows are computed: what of it can move a digit. */
export interface EngineIdentity {
  /** As the config has it. */
  mode: string;
  /** `tree`, `batched`, `single`: prefixes shared; `alone`: rows by themselves; `naive`: the plain path. */
  form: string;
  batch_tokens?: number;
  /** Tiles of a picture that go through the vision encoder together. */
  vision_tiles?: number;
}

/** A loaded checkpoint: lm-evaluation-harness's three verbs and the chat template. */
export interface Model {
  readonly identity: ModelIdentity;
  readonly engine: EngineIdentity;
  /** Why a better form of the engine was not taken, and what the form at hand means for the numbers. */
  readonly engineRemarks: readonly string[];
  /** Counters since the checkpoint was opened: tokens asked and run, runs. */
  engineStats(): Record<string, number | null>;
  /**
   * The log-likelihoods of each question's requests, as they are known. When `signal` is aborted, what is under way is
   * given and the signal's reason thrown.
   */
  loglikelihoods(
    questions: AsyncIterable<Question<readonly LoglikelihoodRequest[]>>,
    signal: AbortSignal,
  ): AsyncGenerator<Question<Loglikelihood[] | RowError>>;
  /** lm-eval's `generate_until`, greedy, for a stream of questions. */
  generations(
    questions: AsyncIterable<Question<GenerationRequest>>,
    signal: AbortSignal,
  ): AsyncGenerator<Question<Generation | RowError>>;
  loglikelihood(requests: readonly LoglikelihoodRequest[]): Promise<Loglikelihood[]>;
  /** lm-eval's `loglikelihood_rolling`: the whole text, conditioned on the prefix token. */
  loglikelihoodRolling(texts: readonly string[]): Promise<RollingLoglikelihood[]>;
  generateUntil(requests: readonly GenerationRequest[]): Promise<Generation[]>;
  /** Messages through the checkpoint's chat template, with the generation prompt. Throws UserError when it has none. */
  renderChat(messages: readonly ChatMessage[]): string;
  /** What stands for a picture in a plain context. Throws UserError when the checkpoint takes none. */
  imagePlaceholder(): string;
  /** Number of tokens of a context, special tokens included, as `loglikelihood` would count them. */
  countTokens(text: string): number;
  close(): Promise<void>;
}

// ---------------------------------------------------------------- rows of predictions.jsonl

export interface ChoiceScore {
  logprob: number;
  num_tokens: number;
  /** Code points of the choice text, as the recipe counts them. */
  num_chars: number;
  /** UTF-8 bytes of the same text. */
  num_bytes: number;
  is_greedy: boolean;
  /** With `report.save_tokens`: the continuation's token ids. */
  tokens?: number[];
}

/** What the model said about one row, raw: the only thing that needs the model. */
export interface Prediction {
  task: string;
  id: string;
  /** Place of the row in the split as published. */
  index: number;
  /** Where `scoring.seeds` is given: the seed that the row was drawn or its answer sampled with. */
  seed?: number;
  /** Where answers are sampled: which of the row's samples, from 0. */
  sample?: number;
  group: string;
  subject?: string;
  /** Index into the choices. */
  gold: number;
  /** Ranked choices (`rank_ll`). */
  choices?: ChoiceScore[];
  /** Generated answer (`gen_letter`). */
  output?: string;
  finish_reason?: 'stop' | 'length';
  num_output_tokens?: number;
  /** Texts of the choices, where a rule reads them in the answer. */
  options?: readonly string[];
  /** For each option, log-probabilities of its letter as the first token: bare, and behind a blank. */
  letter_logprobs?: (readonly (number | null)[])[];
  /** Kinds that the row belongs to, any number of them (MMMU-Pro: image types). */
  tags?: readonly string[];
  num_context_tokens: number;
  truncated: boolean;
  prompt_sha256: string;
  /** With `report.save_tokens`: the token ids of a ranked row's context (a choice's are its own). */
  prompt_tokens?: number[];
  /** With `report.save_tokens`: the token ids of a generated row. */
  tokens?: TokenIds;
  /** Of each picture's file, in the order of their places. */
  image_sha256?: string[];
  prompt?: string;
}

/** The verdict on one prediction: a pure function of it. */
export interface Verdict {
  /** Index into the choices; null when nothing could be read from the answer. Of the primary metric. */
  prediction: number | null;
  /** 0 or 1; of the primary metric. */
  correct: number;
  /** Metric name -> value; the primary one first. */
  metrics: Record<string, number>;
}

export type ScoredRow = Prediction & Verdict;

/** A row that could not be scored. */
export interface FailedRow {
  task: string;
  id: string;
  index: number;
  seed?: number;
  sample?: number;
  error: { kind: string; message: string };
}

// ---------------------------------------------------------------- summary

/** A metric with its uncertainty. */
export interface Estimate {
  value: number;
  /** Standard error; null when one row is too few for it. */
  stderr: number | null;
  /** 95 % interval; null where there is no standard error. */
  ci95: [number, number] | null;
  n: number;
}

/** One line of metrics.csv and one bar of the chart. */
export interface TableRow {
  /** `all`, a group, a subject. */
  label: string;
  /** What kind of label it is; bars are coloured by `group`, tags have none. */
  level: 'all' | 'group' | 'subject' | 'tag';
  /** The group that the label belongs to; the label itself for `all` and groups. */
  group: string;
  metric: string;
  estimate: Estimate;
}

/** What a task makes of its scored rows. */
export interface Scores {
  primary_metric: string;
  /** Expected value of the primary metric under random answers; null where there is none. */
  chance: number | null;
  /** Name -> estimate over all rows; the primary one first. */
  metrics: Record<string, Estimate>;
  groups: Record<string, Record<string, Estimate>>;
  subjects: Record<string, Record<string, Estimate>>;
  /** Subject -> group, where there are subjects. */
  subject_groups: Record<string, string>;
  /** By tag, where rows have any; a row counts in each of its tags. */
  tags?: Record<string, Record<string, Estimate>>;
}
