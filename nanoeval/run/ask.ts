/** What a task's `predict` has at hand: rows, shots and the model's answers. */
import { statSync } from 'node:fs';
import type { TaskConfig } from '../config/keys.ts';
import type { ResolvedRecipe } from '../config/recipe.ts';
import { PythonRandom } from '../data/python_random.ts';
import { openSplit, sampleIndices } from '../data/rows.ts';
import { letters } from '../score/letters.ts';
import { sha256 } from '../text/hash.ts';
import { codePoints, utf8Bytes } from '../text/python_text.ts';
import {
  type ContentPart,
  type FailedRow,
  type Generation,
  type GenerationRequest,
  type IndexedRow,
  type Log,
  type Loglikelihood,
  type LoglikelihoodRequest,
  type Model,
  type Prediction,
  type Question,
  RowError,
  type Split,
  type Tokenization,
  UserError,
} from '../types.ts';
import { type Earlier, failedRow, rowKey } from './journal.ts';

/** One choice of an example: what is scored, and the text whose length normalises it. */
export interface Choice {
  continuation: string;
  text: string;
}

/** One row made into a question for the model. */
export interface Example extends Pick<Prediction, 'id' | 'index' | 'group' | 'subject' | 'gold' | 'tags'> {
  /** The whole context as text. */
  context: string;
  /** Files of the pictures, in the order of their places in the context; with a null among them the row fails. */
  images?: readonly (Uint8Array | null)[];
  choices: Choice[];
  /** Under `gen_letter`: keep the choices' texts, and how likely each one's letter is as the first token. */
  byLetter?: boolean;
  /** How context and continuation become tokens; joint by default. */
  tokenization?: Tokenization;
}

/** What `predict` has at hand. */
export interface Run<C extends TaskConfig = TaskConfig> {
  config: C;
  recipe: ResolvedRecipe;
  model: Model;
  /** The prompt goes through the checkpoint's chat template. */
  chat: boolean;
  /** One user's message as the context: through the chat template, or its parts in a row. Throws UserError as `renderChat`. */
  render(parts: readonly ContentPart[]): string;
  /** The rows of the split under test, after `dataset.sample`. The first n are the task's to count. */
  rows(columns: readonly string[]): AsyncGenerator<IndexedRow>;
  /**
   * Few-shot examples: the first rows of each key in the shots' split, in file order, as many as the run has shots. The
   * returned function gives those of one key and throws UserError when the split has too few.
   */
  firstShots<T>(
    columns: readonly string[],
    read: (row: IndexedRow) => T,
    keyOf: (shot: T) => string,
  ): Promise<(key: string) => T[]>;
  /**
   * Few-shot examples of lm-eval's default sampler: one Python generator seeded 1234 for the whole split under test,
   * which draws one row more of the shots' split than there are shots for each row in turn; the last one is spare.
   * The returned function wants row indices in rising order; rows left out draw too, so a subset keeps its shots.
   */
  drawnShots<T>(columns: readonly string[], read: (row: IndexedRow) => T): Promise<(index: number) => T[]>;
  /**
   * The model's answers, as they are known: the log-likelihood of every choice (`rank_ll`), or a greedy answer ended as
   * the recipe's rule says (`gen_letter`). A row that cannot be scored comes back as failed.
   */
  answer(examples: AsyncIterable<Example>): AsyncGenerator<Prediction | FailedRow>;
}

/** The split under test and the one that shots come from (null: the run has none). */
export interface Splits {
  split: Split;
  shots: Split | null;
}

/** Opens the split that shots come from, when there are any. Throws UserError that says what the shots are wanted for. */
export async function openShots(
  name: string | null,
  { dataset }: TaskConfig,
  { numFewshot }: ResolvedRecipe,
  options: { log: Log; signal: AbortSignal },
): Promise<Split | null> {
  if (numFewshot === 0 || name === null) return null;
  if (dataset.path !== undefined && statSync(dataset.path).isFile()) {
    throw new UserError(
      `${dataset.path} is one file, and ${numFewshot} shots come from a split "${name}". ` +
        'Give a folder with a file for each split, or set scoring.num_fewshot: 0.',
      { key: 'dataset.path' },
    );
  }
  try {
    return await openSplit({ ...dataset, split: name, path: dataset.path ?? null }, options);
  } catch (cause) {
    // The config names the split under test, not this one.
    if (!(cause instanceof UserError) || cause.key !== 'dataset.split') throw cause;
    const message = `${numFewshot} shots come from a split "${name}", but ${cause.message}`;
    throw new UserError(message, { key: 'scoring.num_fewshot', cause });
  }
}

/** Which part of a run is computed: by default all of it, from the start. */
export interface Part {
  /** Draws `dataset.sample` and the tokens of sampled answers. */
  seed: number;
  /** Rows carry their seed: there are several. */
  manySeeds: boolean;
  /** What an earlier run left, by `rowKey`. */
  earlier: Pick<Earlier, 'scored' | 'failed'>;
  /** These rows alone, each computed by itself. */
  only?: readonly number[];
}

/** Rows that are planned together; the first ones are fewer, so that the workers begin soon. */
const WINDOW = 1024;
const FIRST_WINDOW = 128;

/** The number of the window in which a row at this position is planned. Cuts follow from positions alone. */
function windowAt(position: number, rowsTogether: number | undefined): number {
  if (rowsTogether !== undefined) return Math.floor(position / rowsTogether);
  return position < FIRST_WINDOW ? 0 : 1 + Math.floor(position / WINDOW);
}

/**
 * Binds a config, a loaded model and the opened splits together for `predict`. `rowsTogether`: rows that are planned
 * together, where a task's rows are heavy (pictures).
 */
export function makeRun<C extends TaskConfig>(
  config: C,
  recipe: ResolvedRecipe,
  model: Model,
  { split, shots }: Splits,
  signal: AbortSignal,
  { rowsTogether, ...given }: Partial<Part> & { rowsTogether?: number | undefined } = {},
): Run<C> {
  const { dataset, scoring } = config;
  const part: Part = {
    seed: scoring.seed,
    manySeeds: false,
    earlier: { scored: new Set(), failed: new Set() },
    ...given,
  };
  const count = recipe.numFewshot;
  const samples = scoring.samples_per_prompt;
  const chat = config.model.chat_template ?? model.identity.is_vlm;
  const tooFew = (found: number, what: string) =>
    new UserError(`${count}, but the split "${shots?.split}" has ${found} rows${what}.`, {
      key: 'scoring.num_fewshot',
    });
  const keyOf = (index: number, sample: number) =>
    rowKey({
      index,
      ...(part.manySeeds ? { seed: part.seed } : {}),
      ...(samples > 1 ? { sample } : {}),
    });

  /** Positions of rows, and which windows an earlier run left something to do in. */
  async function openProgress() {
    const chosen = part.only ?? (await selectedRows(config, split, part.seed));
    const ranks = chosen === null ? null : new Map(chosen.map((index, rank) => [index, rank]));
    const windowOf = (index: number) => windowAt(ranks === null ? index : ranks.get(index)!, rowsTogether);
    // Windows run one after the other, so those below the last one with a verdict are complete, but for what failed.
    let last = -1;
    const torn = new Set<number>();
    for (const keys of [part.earlier.scored, part.earlier.failed]) {
      for (const key of keys) {
        const [index = 0, seed] = key.split('|').map(Number);
        if (part.manySeeds && seed !== part.seed) continue;
        if (ranks !== null && !ranks.has(index)) continue;
        if (keys === part.earlier.failed) torn.add(windowOf(index));
        else last = Math.max(last, windowOf(index));
      }
    }
    const isOpen = (index: number) => windowOf(index) >= last || torn.has(windowOf(index));
    return { chosen, windowOf, isOpen, isFresh: last < 0 };
  }
  let opened: ReturnType<typeof openProgress> | null = null;
  const progress = () => {
    opened ??= openProgress();
    return opened;
  };

  return {
    config,
    recipe,
    model,
    chat,
    render(parts) {
      if (chat) return model.renderChat([{ role: 'user', content: parts }]);
      return parts.map((part) => (part.type === 'text' ? part.text : model.imagePlaceholder())).join('');
    },
    async *rows(columns) {
      const { chosen, isOpen, isFresh } = await progress();
      let wanted = chosen;
      // Rows before the first open window are not even read, unless the task has to count them.
      if (!isFresh && dataset.subset_size === undefined)
        wanted = (chosen ?? Array.from({ length: await split.numRows() }, (_, i) => i)).filter(isOpen);
      for await (const indexed of split.rows(columns, wanted ?? undefined)) {
        signal.throwIfAborted();
        yield indexed;
      }
    },
    async firstShots(columns, read, keyOf) {
      if (shots === null) return () => [];
      const kept = new Map<string, ReturnType<typeof read>[]>();
      for await (const indexed of shots.rows(columns)) {
        const shot = read(indexed);
        const own = kept.get(keyOf(shot)) ?? [];
        if (own.length < count) kept.set(keyOf(shot), [...own, shot]);
      }
      return (key) => {
        const own = kept.get(key) ?? [];
        if (own.length < count) throw tooFew(own.length, ` of ${key}`);
        return own;
      };
    },
    async drawnShots(columns, read) {
      if (shots === null) return () => [];
      const pool: ReturnType<typeof read>[] = [];
      for await (const indexed of shots.rows(columns)) pool.push(read(indexed));
      if (pool.length <= count) throw tooFew(pool.length, '');
      const random = new PythonRandom(1234);
      let drawn = 0;
      return (index) => {
        let chosen: number[] = [];
        for (; drawn <= index; drawn += 1) chosen = random.sample(pool.length, count + 1);
        return chosen.slice(0, count).map((i) => pool[i]!);
      };
    },
    async *answer(examples) {
      const { windowOf, isOpen } = await progress();
      const asked = new Map<number, Drawn>();
      const failed: FailedRow[] = [];
      const places = async function* <Q>(ask: (example: Example, drawn: Drawn) => Q): AsyncGenerator<Question<Q>> {
        let place = 0;
        for await (const example of examples) {
          if (!isOpen(example.index)) continue;
          checkGold(example, config);
          const missing = (example.images ?? []).indexOf(null);
          for (let sample = 0; sample < samples; sample += 1) {
            const drawn: Drawn = {
              example,
              ...(part.manySeeds ? { seed: part.seed } : {}),
              ...(samples > 1 ? { sample } : {}),
            };
            const done = part.earlier.scored.has(keyOf(example.index, sample));
            if (missing >= 0) {
              const message = `the question shows ${example.images?.length} pictures, and the row lacks the one at place ${missing + 1}.`;
              if (!done) failed.push(failedPart(drawn, config, { kind: 'image', message }));
              continue;
            }
            if (!done) asked.set(place, drawn);
            const window = part.only === undefined ? windowOf(example.index) : place;
            yield { place, content: ask(example, drawn), window, ...(done ? { done } : {}) };
            place += 1;
          }
        }
      };
      const answers =
        recipe.strategy === 'rank_ll'
          ? model.loglikelihoods(
              places((example) => requestsOf(example, config)),
              signal,
            )
          : model.generations(
              places((example, drawn) => generationOf(example, drawn, config, recipe, part.seed)),
              signal,
            );
      for await (const { place, content } of answers) {
        const drawn = asked.get(place)!;
        asked.delete(place);
        yield* failed.splice(0);
        yield predictionOf(drawn, config, content);
      }
      yield* failed;
    },
  };
}

/** An example, and which of its answers. */
interface Drawn {
  example: Example;
  seed?: number;
  sample?: number;
}

/** The rows that a run asks about, rising; null for all. The share of a shard is a block: neighbours share prefixes. */
async function selectedRows(
  { dataset, run }: TaskConfig,
  split: Split,
  seed: number,
): Promise<readonly number[] | null> {
  const { sample } = dataset;
  if (sample === undefined && run.shard === undefined) return null;
  const rows = await split.numRows();
  const all = sample === undefined ? Array.from({ length: rows }, (_, i) => i) : sampleIndices(rows, sample, seed);
  if (run.shard === undefined) return all;
  const { number, count } = shardOf(run.shard);
  return all.slice(Math.floor((all.length * (number - 1)) / count), Math.floor((all.length * number) / count));
}

/** `2/8` -> number 2 of 8. The schema has seen that it is one. */
export function shardOf(text: string): { number: number; count: number } {
  const [number = 1, count = 1] = text.split('/').map(Number);
  return { number, count };
}

function checkGold({ id, index, gold, choices }: Example, { task }: TaskConfig): void {
  if (gold in choices) return;
  throw new UserError(`${task} row ${index} (id ${id}): gold ${gold} is outside its ${choices.length} choices.`);
}

function requestsOf(
  { context, images, choices, tokenization }: Example,
  { report }: TaskConfig,
): LoglikelihoodRequest[] {
  const siblings = choices.map(({ continuation }) => continuation);
  return siblings.map((continuation) => ({
    context,
    continuation,
    tokenization,
    siblings,
    images: picturesOf({ images }),
    keep_tokens: report.save_tokens,
  }));
}

function generationOf(
  { id, context, images, choices, byLetter }: Example,
  { sample = 0 }: Drawn,
  { scoring, report }: TaskConfig,
  { rule }: ResolvedRecipe,
  seed: number,
): GenerationRequest {
  const most = scoring.max_new_tokens ?? rule.max_new_tokens ?? 256;
  const asked: GenerationRequest = {
    context,
    until: rule.until ?? [],
    max_new_tokens: most,
    keep_tokens: report.save_tokens,
  };
  if (images !== undefined) asked.images = picturesOf({ images });
  if (byLetter) asked.first_tokens = letters(choices.length).flatMap((letter) => [letter, ` ${letter}`]);
  const { temperature, top_p } = scoring;
  if (temperature > 0) asked.sampling = { temperature, top_p, stream: `${seed}:${id}:${sample}` };
  return asked;
}

const failedPart = (
  { example: { id, index }, seed, sample }: Drawn,
  { task }: TaskConfig,
  { kind, message }: FailedRow['error'],
): FailedRow =>
  failedRow(
    { task, id, index, ...(seed === undefined ? {} : { seed }), ...(sample === undefined ? {} : { sample }) },
    kind,
    message,
  );

/** The pictures of an example that has all of them. */
const picturesOf = ({ images = [] }: Pick<Example, 'images'>) => images.filter((bytes) => bytes !== null);

function predictionOf(
  drawn: Drawn,
  config: TaskConfig,
  answer: Loglikelihood[] | Generation | RowError,
): Prediction | FailedRow {
  if (answer instanceof RowError) return failedPart(drawn, config, answer);
  const { example, ...which } = drawn;
  const { id, index, group, subject, gold, context, choices, images, tags, byLetter } = example;
  const own = { ...(subject === undefined ? {} : { subject }), ...(tags === undefined ? {} : { tags }) };
  const head = { task: config.task, id, index, ...which, group, ...own, gold };
  const tail = {
    prompt_sha256: sha256(context),
    ...(images === undefined ? {} : { image_sha256: picturesOf({ images }).map(sha256) }),
    ...(config.report.save_prompts ? { prompt: context } : {}),
  };
  if (!Array.isArray(answer)) {
    const { first_logprobs = [], ...rest } = answer;
    const read = choices.map((_, i) => first_logprobs.slice(2 * i, 2 * i + 2));
    const options = choices.map(({ text }) => text);
    return { ...head, ...rest, ...(byLetter ? { options, letter_logprobs: read } : {}), ...tail };
  }
  const scores = answer.map(({ logprob, num_tokens, is_greedy, tokens }, i) => {
    const { text } = choices[i]!;
    const lengths = { num_tokens, num_chars: codePoints(text), num_bytes: utf8Bytes(text) };
    return { logprob, ...lengths, is_greedy, ...(tokens === undefined ? {} : { tokens: tokens.output }) };
  });
  const prompt = answer[0]?.tokens?.prompt;
  return {
    ...head,
    choices: scores,
    num_context_tokens: answer[0]?.num_context_tokens ?? 0,
    truncated: answer.some((one) => one.truncated),
    ...(prompt === undefined ? {} : { prompt_tokens: prompt }),
    ...tail,
  };
}
