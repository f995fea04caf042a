/**
 * The nouns on the way from a row to a verdict: what is asked, what a model says, what is stored of it. Prose about each is
 * in CONTRIBUTING.md.
 */
import type { Json, Question, RowError, Sampling } from './types.ts';

// ---------------------------------------------------------------- what is asked

/** A piece of a message: a text, or a picture as the bytes of its file. */
export type ContentPart = { type: 'text'; text: string } | { type: 'image'; bytes: Uint8Array };

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string | readonly ContentPart[];
}

/**
 * What a model is asked: a text as it is, the parts of one (texts and pictures in a row), or a conversation, which the
 * model puts through its chat template with the generation prompt behind it.
 */
export type Prompt = string | readonly ContentPart[] | readonly ChatMessage[];

/**
 * How context and continuation become tokens. `joint` (the default): lm-eval's `_encode_pair`, both tokenised together and
 * cut at the length of the context's tokens. `separate`: each on its own (the original nanoeval, build-nanogpt).
 * `diverging`: together, and cut at the first token in which the choices differ (llama.cpp's `perplexity --hellaswag`).
 */
export type Tokenization = 'joint' | 'separate' | 'diverging';

/** A choice: what is scored, and the text whose length normalises it. */
export interface Choice {
  continuation: string;
  text: string;
  /** A context of its own, in place of the question's (WinoGrande, log-likelihoods without a context). */
  prompt?: Prompt;
}

/** lm-eval's `loglikelihood` of every choice after the prompt. The prompt ends without a blank, the continuation brings it. */
export interface LoglikelihoodAsk {
  verb: 'loglikelihood';
  prompt: Prompt;
  choices: readonly Choice[];
  tokenization?: Tokenization;
  /** Say of each choice how many of its tokens are the arg-max at their place. */
  count_greedy?: boolean;
  /** Give the token ids too. The runner sets it, as below. */
  keep_tokens?: boolean;
  /** What a chat template that asks for today's date is given (`2026-03-05`). The runner sets it, as below. */
  template_date?: string;
}

/** lm-eval's `generate_until`. */
export interface GenerateAsk {
  verb: 'generate_until';
  prompt: Prompt;
  /** Texts that end the answer; they are cut off. The checkpoint's end-of-sequence tokens always end it. */
  until: readonly string[];
  max_new_tokens: number;
  /** Texts of one token each, whose log-probability as the answer's first token is wanted. */
  first_tokens?: readonly string[];
  /** Greedy without it. The runner sets it. */
  sampling?: Sampling;
  /** An answer that was had before: say where this one leaves it. The runner sets it. */
  compare_with?: string;
  keep_tokens?: boolean;
  template_date?: string;
}

/** lm-eval's `loglikelihood_rolling`: every token of the text, in windows; the first one after the prefix token. */
export interface RollingAsk {
  verb: 'loglikelihood_rolling';
  text: string;
  /** Tokens of a window; the model's context limit by default, which it may not pass. */
  window?: number;
  /**
   * New tokens of each window after the first. By default as many as the window has, so that each window begins with one
   * token of context (lm-eval); fewer make a sliding window, in which every token but the first ones has
   * `window - stride` tokens of context at least.
   */
  stride?: number;
  keep_tokens?: boolean;
}

/**
 * The classes of a sequence-classification head, given a text or a pair of them (NLI: premise and hypothesis), with the special
 * tokens of the tokenizer's post-processor. Longer than the window, they lose tokens as transformers' `truncation=True` has it.
 */
export interface ClassifyAsk {
  verb: 'classify';
  text: string;
  pair?: string;
  keep_tokens?: boolean;
}

export type Ask = LoglikelihoodAsk | GenerateAsk | RollingAsk | ClassifyAsk;
export type Verb = Ask['verb'];

// ---------------------------------------------------------------- what a model says

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
  /** With `count_greedy`: tokens of the continuation that are the arg-max at their place. */
  num_greedy?: number;
  tokens?: TokenIds;
}

/** What every reply says of its question. */
interface ReplyHead {
  /**
   * The contexts as text, chat template applied: one, or one for each choice where these bring their own. null where nobody
   * here knows (a server renders messages itself). Under `classify`: the text, or both.
   */
  prompts: readonly string[] | null;
  /** Tokens of the (first) context before any truncation; null where nobody says. */
  num_context_tokens: number | null;
  /** The input was longer than the window and lost tokens: on the left, under `classify` on the tokenizer's side (the right). */
  truncated: boolean;
}

export interface ChoicesReply extends ReplyHead {
  choices: Loglikelihood[];
}

export interface GenerationReply extends ReplyHead {
  /** Special tokens and stop texts removed. */
  output: string;
  finish_reason: 'stop' | 'length';
  /** null where nobody says. */
  num_output_tokens: number | null;
  /** Of each of `first_tokens`, natural log; null where the text is not one token of this tokenizer. */
  first_logprobs?: Record<string, number | null>;
  /** Where it leaves the answer of `compare_with`; absent where it does not, or where the backend cannot say. */
  apart?: Apart;
  tokens?: TokenIds;
}

/** Where an answer leaves another one. */
export interface Apart {
  /** Tokens from the first one on that is not the other answer's. */
  tokens: number;
  /** How much likelier that token is than the next likely one, in nats; null where it was drawn. */
  margin: number | null;
}

export interface RollingReply extends ReplyHead {
  /** Sum over all tokens of the text, natural log. */
  logprob: number;
  num_tokens: number;
  /** Tokens that are the arg-max at their place. */
  num_greedy: number;
  /** Windows that the text was cut into. */
  num_windows: number;
  tokens?: TokenIds;
}

export interface ClassesReply extends ReplyHead {
  /** Natural log of the softmax over the classes, by their ids. Finite. */
  label_logprobs: number[];
  tokens?: TokenIds;
}

export type Reply = ChoicesReply | GenerationReply | RollingReply | ClassesReply;

/** What identifies a model, whatever runs it. */
export interface ModelIdentity {
  /** What tables and charts call it: the hub id, the local folder, a server's name for it. */
  label: string;
  /** What tells it from others of that label (`q4`); null where nothing does. */
  variant: string | null;
  backend: string;
  /** Context limit in tokens that this run uses; null where nobody says. */
  max_length: number | null;
  /** It takes pictures; chat rendering is its default then. */
  is_vlm: boolean;
  chat_template_sha256: string | null;
  /** Hash over what decides its answers: two models of one label are told apart by it. */
  sha256: string;
  /** Where it comes from, as its backend tells it (ONNX: commit, dtype, files and hashes; a server: what it says of itself). */
  source: { readonly [key: string]: Json | undefined };
}

/** What a model can be asked. */
export interface Abilities {
  verbs: readonly Verb[];
  images: boolean;
  /** It has a chat template. */
  chat: boolean;
  /** What the classes of its classification head are called, by their ids; absent where it has none. */
  labels?: readonly string[];
  /** It knows a token that ends an answer. Absent where nobody says, or the model is not loaded yet. */
  ends?: boolean;
  /** Why that template cannot be used here. */
  chat_fault?: string;
  /** That template asks for today's date: what it prints is known only with `template_date`. */
  dated?: boolean;
  /** It can be told whether the model thinks before it answers (`enable_thinking`). */
  thinking_switch?: boolean;
  /**
   * Why it cannot be asked something, and the way out, in whole sentences: of verbs that it lacks; of texts that are no
   * conversation (`plain`); of choices behind a conversation (`chat_loglikelihood`); for the token ids of answers (`token_ids`).
   */
  cannot?: Partial<Record<Verb | 'plain' | 'chat_loglikelihood' | 'token_ids', string>>;
}

/** How rows are computed: what of it can move a digit, as the backend tells it. `form` says which form the engine took. */
export type EngineIdentity = { form?: string } & { readonly [key: string]: string | number | undefined };

/** A model ready to answer. */
export interface Model {
  readonly identity: ModelIdentity;
  readonly can: Abilities;
  readonly engine: EngineIdentity;
  /** What the way in which rows are computed means for the numbers. */
  readonly remarks: readonly string[];
  /** Counters since the model was opened; settings beside them stay as they are. */
  stats(): Record<string, number | null>;
  /**
   * The replies to a stream of questions, as they are known: late, in any order, each once. A question that cannot be
   * answered has a RowError for its reply. When `signal` is aborted, what is under way is given and the signal's reason
   * thrown. Throws OutsideError when the machine or the server gives up.
   */
  answer(questions: AsyncIterable<Question<Ask>>, signal: AbortSignal): AsyncGenerator<Question<Reply | RowError>>;
  /**
   * Messages through the chat template, with the generation prompt; `date` as an ask's `template_date`. Throws UserError where
   * there is none.
   */
  renderChat(messages: readonly ChatMessage[], date?: string): Promise<string>;
  /** Number of tokens of a prompt, special tokens included, as `answer` would count them. Throws UserError where it cannot tell. */
  countTokens(prompt: Prompt, date?: string): Promise<number>;
  /**
   * The text of each of these tokens, as it stands behind another one, special tokens by their names; a token that is a part of a
   * character has U+FFFD in it. Absent where the model cannot tell.
   */
  tokenTexts?(ids: readonly number[]): string[];
  close(): Promise<void>;
}

// ---------------------------------------------------------------- rows

/** One row made into a question. `gold` is any plain JSON that the task's `score` reads; it is saved with the row. */
export interface Example<G = unknown> {
  /** The data set's own id where it has one, else the index as text. */
  id: string;
  /** Place of the row in the split as published. */
  index: number;
  /** Where the task's rows have subjects, the runner fills in the group of the row's. */
  group?: string;
  subject?: string;
  /** Kinds that the row belongs to, any number of them (MMMU-Pro: image types). */
  tags?: readonly string[];
  /** Texts of the options that the prompt letters, where a rule reads a letter in the answer. */
  options?: readonly string[];
  gold: G;
  /** The question, or why the row cannot be asked: it is stored as failed. */
  ask: Ask | RowError;
}

export interface ChoiceScore extends Omit<Loglikelihood, 'tokens'> {
  /** Code points of the choice text, as the recipe counts them. */
  num_chars: number;
  /** UTF-8 bytes of the same text. */
  num_bytes: number;
  /** With `report.save_tokens`: the continuation's token ids, and those of the choice's own context where it has one. */
  tokens?: number[];
  prompt_tokens?: number[];
}

/** What the model said about one row, raw: a line of predictions.jsonl without its verdict. */
export interface Prediction<G = unknown> extends Omit<Example<G>, 'ask'> {
  task: string;
  /** Where `scoring.seeds` is given: the seed that the row was drawn or its answer sampled with. */
  seed?: number;
  /** Where answers are sampled: which of the row's samples, from 0. */
  sample?: number;
  /** `loglikelihood`. */
  choices?: ChoiceScore[];
  /** `generate_until`. */
  output?: string;
  finish_reason?: 'stop' | 'length';
  num_output_tokens?: number | null;
  /** The prompt ended in an open `<think>`: the answer begins within thoughts. */
  think_opened?: true;
  first_logprobs?: Record<string, number | null>;
  /** Of a row that was computed again; never written. */
  apart?: Apart;
  /** `loglikelihood_rolling`. */
  logprob?: number;
  num_tokens?: number;
  num_greedy?: number;
  num_windows?: number;
  /** `classify`. */
  label_logprobs?: number[];
  num_context_tokens: number | null;
  truncated: boolean;
  /**
   * Of the context as UTF-8; of the JSON of all contexts where choices bring several; of the JSON of the prompts as they were
   * given (pictures as their hashes) where a server renders them.
   */
  prompt_sha256: string;
  /** With `report.save_tokens`: the token ids of a ranked row's context (a choice's are its own). */
  prompt_tokens?: number[];
  /** With `report.save_tokens`: the token ids of a generated or classified row or of a text. */
  tokens?: TokenIds;
  /** Of each picture's file, in the order of their places. */
  image_sha256?: string[];
  prompt?: string | readonly string[];
}

/** One of several verdicts on a row (IFEval: one for each instruction). */
export interface NamedVerdict {
  /** What was judged; rows share names, and each name gets its own means. */
  name: string;
  metrics: Record<string, number>;
  /** Why it is wrong, and where, in one line. */
  failure?: string;
}

/** The verdict on one prediction. */
export interface Verdict {
  /** What was read: an index into the choices, a text; null when nothing could be read; absent when there is nothing to read. */
  prediction?: number | string | null;
  /** Of the primary metric, where a row is right or wrong. */
  correct?: 0 | 1;
  /** Metric name -> value; the primary one first. */
  metrics: Record<string, number>;
  /** Verdicts on parts of the row; their metrics are averaged over all parts of all rows. */
  parts?: readonly NamedVerdict[];
  /**
   * Why the row is wrong, and where, in one line, for whoever reads about it; where parts have failures of their own they
   * say it. The run prints those of wrong rows as a table.
   */
  failure?: string;
}

export type ScoredRow<G = unknown> = Prediction<G> &
  Verdict & {
    /** How many choices there were: what `summarize` is given in place of them and of the texts. */
    num_choices?: number;
  };

/** A row that could not be scored. */
export interface FailedRow {
  task: string;
  id: string;
  index: number;
  seed?: number;
  sample?: number;
  error: { kind: string; message: string };
}
