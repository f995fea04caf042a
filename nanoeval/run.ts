/** What a task's `predict` has at hand: rows, shots and the model's answers. */
import { statSync } from 'node:fs';
import type { TaskConfig } from './config.ts';
import { PythonRandom } from './data/python_random.ts';
import { openSplit, sampleIndices } from './data/rows.ts';
import { sha256 } from './hash.ts';
import { codePoints, utf8Bytes } from './python_text.ts';
import type { ResolvedRecipe } from './recipe.ts';
import {
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
} from './types.ts';

/** One choice of an example: what is scored, and the text whose length normalises it. */
export interface Choice {
  continuation: string;
  text: string;
}

/** One row made into a question for the model. */
export interface Example extends Pick<Prediction, 'id' | 'index' | 'group' | 'subject' | 'gold'> {
  /** The whole context as text. */
  context: string;
  choices: Choice[];
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
  name: string,
  { dataset }: TaskConfig,
  { numFewshot }: ResolvedRecipe,
  options: { log: Log; signal: AbortSignal },
): Promise<Split | null> {
  if (numFewshot === 0) return null;
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

/** Binds a config, a loaded model and the opened splits together for `predict`. */
export function makeRun<C extends TaskConfig>(
  config: C,
  recipe: ResolvedRecipe,
  model: Model,
  { split, shots }: Splits,
  signal: AbortSignal,
): Run<C> {
  const { dataset, scoring } = config;
  const count = recipe.numFewshot;
  const tooFew = (found: number, what: string) =>
    new UserError(`${count}, but the split "${shots?.split}" has ${found} rows${what}.`, {
      key: 'scoring.num_fewshot',
    });

  return {
    config,
    recipe,
    model,
    chat: config.model.chat_template ?? model.identity.is_vlm,
    async *rows(columns) {
      const { sample } = dataset;
      const wanted = sample === undefined ? undefined : sampleIndices(await split.numRows(), sample, scoring.seed);
      for await (const indexed of split.rows(columns, wanted)) {
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
      const asked = new Map<number, Example>();
      const places = async function* <Q>(ask: (example: Example) => Q): AsyncGenerator<Question<Q>> {
        let place = 0;
        for await (const example of examples) {
          checkGold(example, config);
          asked.set(place, example);
          yield { place, content: ask(example) };
          place += 1;
        }
      };
      const answers =
        recipe.strategy === 'rank_ll'
          ? model.loglikelihoods(places(requestsOf), signal)
          : model.generations(
              places((example) => generationOf(example, config, recipe)),
              signal,
            );
      for await (const { place, content } of answers) {
        const example = asked.get(place)!;
        asked.delete(place);
        yield predictionOf(example, config, content);
      }
    },
  };
}

function checkGold({ id, index, gold, choices }: Example, { task }: TaskConfig): void {
  if (gold in choices) return;
  throw new UserError(`${task} row ${index} (id ${id}): gold ${gold} is outside its ${choices.length} choices.`);
}

function requestsOf({ context, choices, tokenization }: Example): LoglikelihoodRequest[] {
  const siblings = choices.map(({ continuation }) => continuation);
  return siblings.map((continuation) => ({ context, continuation, tokenization, siblings }));
}

function generationOf({ context }: Example, { scoring }: TaskConfig, { rule }: ResolvedRecipe): GenerationRequest {
  return { context, until: rule.until ?? [], max_new_tokens: scoring.max_new_tokens ?? rule.max_new_tokens ?? 256 };
}

function predictionOf(
  { id, index, group, subject, gold, context, choices }: Example,
  config: TaskConfig,
  answer: Loglikelihood[] | Generation | RowError,
): Prediction | FailedRow {
  if (answer instanceof RowError)
    return { task: config.task, id, index, error: { kind: answer.kind, message: answer.message } };
  const head = { task: config.task, id, index, group, ...(subject === undefined ? {} : { subject }), gold };
  const tail = { prompt_sha256: sha256(context), ...(config.report.save_prompts ? { prompt: context } : {}) };
  if (!Array.isArray(answer)) return { ...head, ...answer, ...tail };
  const scores = answer.map(({ logprob, num_tokens, is_greedy }, i) => {
    const { text } = choices[i]!;
    return { logprob, num_tokens, num_chars: codePoints(text), num_bytes: utf8Bytes(text), is_greedy };
  });
  return {
    ...head,
    choices: scores,
    num_context_tokens: answer[0]?.num_context_tokens ?? 0,
    truncated: answer.some((one) => one.truncated),
    ...tail,
  };
}
