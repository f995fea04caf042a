/** From a task's examples to predictions: questions in windows, samples, what is known already, replies made into rows. */
import type { TaskConfig } from '../config/keys.ts';
import { groupOfSubject } from '../config/subjects.ts';
import type { Ask, ChoiceScore, Example, FailedRow, Model, Prediction, Prompt, Reply } from '../questions.ts';
import type { Run } from '../task.ts';
import { sha256 } from '../text/hash.ts';
import { imagesOf } from '../text/prompt_parts.ts';
import { codePoints, utf8Bytes } from '../text/python_text.ts';
import { opensThoughts } from '../text/reasoning.ts';
import { type IndexedRow, type Question, RowError, UserError } from '../types.ts';
import { type Earlier, failedRow, rowKey } from './journal.ts';
import type { Plan } from './plan.ts';
import { openWindows, type Selection, type Windows } from './selection.ts';
import { openShotPools } from './shots.ts';

/** Which part of a run is asked. */
export interface Part {
  /** Its seed draws the tokens of sampled answers, and has drawn the rows. */
  selection: Selection;
  /** What an earlier run left, by `rowKey`. */
  earlier: Pick<Earlier, 'scored' | 'failed'>;
  /** These rows alone, each planned by itself: nothing is shared between them. */
  only?: readonly number[];
  /** Answers that these rows were given before, by `rowKey`: each is said to be the same or where it is not. */
  before?: ReadonlyMap<string, string>;
  /** Is shown each answered row, by `rowKey`, with its token ids where `tokens` says that they can be had. */
  shown?: { hold(key: string, ask: Ask, reply: Reply): void; tokens: boolean };
}

/** An example, and which of its answers. */
interface Drawn {
  example: Example;
  seed?: number;
  sample?: number;
}

/**
 * The predictions of one part of a run, as they are known: every selected row that has no verdict yet is asked once for
 * each sample. A row that cannot be asked or answered comes back as failed. Throws what `Model.answer` throws.
 */
export async function* askModel<C extends TaskConfig, G>(
  plan: Plan<C, G>,
  model: Model,
  part: Part,
  signal: AbortSignal,
): AsyncGenerator<Prediction<G> | FailedRow> {
  const { task } = plan;
  const { selection: all, only } = part;
  const selection = only === undefined ? all : { ...all, indices: only, count: only.length };
  const windows = await openWindows(selection, part.earlier, {
    pictured: task.images === true,
    manySeeds: plan.manySeeds,
    samples: plan.config.scoring.samples_per_prompt,
  });
  const asking = new Asking(plan, part, windows);
  const refuse = (index: number, error: UserError) => asking.refuse({ id: String(index), index }, error);
  const examples = task.examples(runOf(plan, model, windows, refuse, signal));
  for await (const { place, content } of model.answer(asking.questions(examples), signal)) {
    yield* asking.takeFailed() as FailedRow[];
    yield asking.row(place, content) as Prediction<G> | FailedRow;
  }
  yield* asking.takeFailed() as FailedRow[];
}

/** What the task's `examples` has at hand. */
function runOf<C extends TaskConfig, G>(
  { config, recipe, chat, split, shots, record }: Plan<C, G>,
  model: Model,
  { wanted }: Windows,
  refuse: (index: number, error: UserError) => void,
  signal: AbortSignal,
): Run<C> {
  const rows = async function* <T>(
    columns: readonly string[] | null,
    read?: (row: IndexedRow) => T,
    optional: readonly string[] = [],
  ) {
    for await (const indexed of split.rows(columns, wanted ?? undefined, optional)) {
      signal.throwIfAborted();
      let row = indexed.row as T;
      try {
        if (read !== undefined) row = read(indexed);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        refuse(indexed.index, error);
        continue;
      }
      yield { index: indexed.index, row };
    }
  };
  return {
    config,
    recipe,
    chat,
    maxLength: model.identity.max_length,
    labels: model.can.labels ?? null,
    rows,
    ...openShotPools(shots, recipe.numFewshot),
    countTokens: (prompt) => model.countTokens(prompt, record.template_date),
  };
}

/** The questions under way and what they belong to. */
class Asking<C extends TaskConfig, G> {
  private readonly asked = new Map<number, Drawn>();
  private failed: FailedRow[] = [];
  private places = 0;
  /** Nothing is known of the data yet, and no row may fail: the first row of all says whether the layout is right. */
  private isFirst: boolean;
  /** Subject -> group, where the task's rows have subjects. */
  private readonly groupOf: Map<string, string> | null;
  private readonly plan: Plan<C, G>;
  private readonly part: Part;
  private readonly windows: Windows;

  constructor(plan: Plan<C, G>, part: Part, windows: Windows) {
    this.plan = plan;
    this.part = part;
    this.windows = windows;
    const { scoring, run } = plan.config;
    const { scored, failed } = part.earlier;
    const isBegun = scored.size + failed.size > 0 || part.selection.seed !== (scoring.seeds ?? [scoring.seed])[0];
    this.isFirst = run.max_failed === 0 && !isBegun && part.only === undefined;
    const { subjects } = plan.task;
    this.groupOf = subjects === undefined ? null : groupOfSubject(subjects.groups);
  }

  async *questions(examples: AsyncIterable<Example<G>>): AsyncGenerator<Question<Ask>> {
    const { config } = this.plan;
    for await (const given of examples) {
      if (!this.windows.isOpen(given.index)) continue;
      const example = this.grouped(given);
      const wrong = goldFault(example, config);
      if (wrong !== null) {
        this.refuse(example, wrong);
        continue;
      }
      this.isFirst = false;
      for (let sample = 0; sample < config.scoring.samples_per_prompt; sample += 1)
        yield* this.ask(example, this.drawn(example, sample));
    }
  }

  /** With the group of its subject, unless the task says another. */
  private grouped(example: Example<G>): Example<G> {
    if (this.groupOf === null || example.subject === undefined || example.group !== undefined) return example;
    return { ...example, group: this.groupOf.get(example.subject) ?? 'unknown' };
  }

  /** One sample of an example; nothing where it cannot be asked. A known answer is asked too, as `done`. */
  private *ask(example: Example<G>, drawn: Drawn): Generator<Question<Ask>> {
    const { ask, index } = example;
    const done = this.part.earlier.scored.has(rowKey({ ...drawn, index }));
    if (ask instanceof RowError) {
      if (!done) this.failed.push(this.failedPart(drawn, ask));
      return;
    }
    const place = this.places++;
    if (!done) this.asked.set(place, drawn);
    const window = this.part.only === undefined ? this.windows.of(index) : place;
    yield { place, content: this.complete(ask, drawn), window, ...(done ? { done } : {}) };
  }

  /**
   * Stores a row that no question can be made of as failed, all samples of it: one bad row in the middle does not stop a
   * run of hours. Where the first row of a new run is one, the layout of the data is another than the task's: then `error` is
   * thrown.
   */
  refuse({ id, index }: Pick<Example, 'id' | 'index'>, error: UserError): void {
    if (this.isFirst) throw error;
    if (!this.windows.isOpen(index)) return;
    const message = error.key === undefined ? error.message : `${error.key}: ${error.message}`;
    const reason = new RowError('row', message, { cause: error });
    const example: Example<null> = { id, index, gold: null, ask: reason };
    for (let sample = 0; sample < this.plan.config.scoring.samples_per_prompt; sample += 1)
      this.failed.push(this.failedPart(this.drawn(example, sample), reason));
  }

  private drawn(example: Example, sample: number): Drawn {
    const { manySeeds, config } = this.plan;
    return {
      example,
      ...(manySeeds ? { seed: this.part.selection.seed } : {}),
      ...(config.scoring.samples_per_prompt > 1 ? { sample } : {}),
    };
  }

  /** What the runner adds to a question: the date for its template, how its answer is drawn, whether tokens are kept. */
  private complete(ask: Ask, drawn: Drawn): Ask {
    const { example, sample = 0 } = drawn;
    const { scoring, report } = this.plan.config;
    const kept = report.save_tokens || this.part.shown?.tokens ? { keep_tokens: true } : {};
    const { template_date } = this.plan.record;
    if (ask.verb === 'loglikelihood_rolling' || ask.verb === 'classify') return { ...ask, ...kept };
    const dated = template_date === undefined ? {} : { template_date };
    if (ask.verb === 'loglikelihood') return { ...ask, ...kept, ...dated };
    const before = this.part.before?.get(rowKey({ ...drawn, index: example.index }));
    const compared = before === undefined ? {} : { compare_with: before };
    const { temperature, top_p } = scoring;
    if (temperature === 0) return { ...ask, ...kept, ...dated, ...compared };
    const stream = `${this.part.selection.seed}:${example.id}:${sample}`;
    return { ...ask, ...kept, ...dated, ...compared, sampling: { temperature, top_p, stream } };
  }

  takeFailed(): FailedRow[] {
    const { failed } = this;
    this.failed = [];
    return failed;
  }

  /** The row that a reply makes. */
  row(place: number, reply: Reply | RowError): Prediction | FailedRow {
    const drawn = this.asked.get(place)!;
    this.asked.delete(place);
    if (reply instanceof RowError) return this.failedPart(drawn, reply);
    const { config } = this.plan;
    const ask = drawn.example.ask as Ask;
    this.part.shown?.hold(rowKey({ ...drawn, index: drawn.example.index }), ask, reply);
    return predictionOf(drawn, ask, config.report.save_tokens ? reply : withoutTokens(reply), config);
  }

  private failedPart({ example: { id, index }, ...which }: Drawn, { kind, message }: RowError): FailedRow {
    return failedRow({ task: this.plan.task.name, id, index, ...which }, kind, message);
  }
}

/** An index that is gold has to be one of the choices; null where it is. A wrong answer it is not. */
function goldFault({ id, index, gold, ask, options }: Example, { task }: TaskConfig): UserError | null {
  if (typeof gold !== 'number' || ask instanceof RowError) return null;
  const count = options?.length ?? (ask.verb === 'loglikelihood' ? ask.choices.length : null);
  if (count === null || (Number.isInteger(gold) && gold >= 0 && gold < count)) return null;
  return new UserError(`${task} row ${index} (id ${id}): gold ${gold} is outside its ${count} choices.`);
}

/** A reply as it is stored where nobody asked for token ids. */
function withoutTokens(reply: Reply): Reply {
  if (!('choices' in reply)) {
    const { tokens: _ids, ...rest } = reply;
    return rest;
  }
  return { ...reply, choices: reply.choices.map(({ tokens: _ids, ...choice }) => choice) };
}

/** Every prompt of a question: its own, and those that choices bring. */
export function promptsOf(ask: Ask): Prompt[] {
  if (ask.verb === 'loglikelihood_rolling') return [ask.text];
  if (ask.verb === 'classify') return ask.pair === undefined ? [ask.text] : [ask.text, ask.pair];
  if (ask.verb === 'generate_until') return [ask.prompt];
  const own = ask.choices.map(({ prompt }) => prompt).filter((prompt) => prompt !== undefined);
  return [ask.prompt, ...own];
}

/** A line of predictions.jsonl without its verdict. */
function predictionOf({ example, ...which }: Drawn, ask: Ask, reply: Reply, { task, report }: TaskConfig): Prediction {
  const { id, index, group, subject, tags, options, gold } = example;
  const { prompts, num_context_tokens, truncated, ...answer } = reply;
  const images = promptsOf(ask).flatMap(imagesOf);
  const whole = prompts === null ? null : prompts.length === 1 ? prompts[0]! : prompts;
  return {
    task,
    id,
    index,
    ...which,
    ...(group === undefined ? {} : { group }),
    ...(subject === undefined ? {} : { subject }),
    ...(tags === undefined ? {} : { tags }),
    gold,
    ...('choices' in answer ? { choices: scoresOf(ask, answer.choices) } : answer),
    ...('output' in answer && typeof whole === 'string' && opensThoughts(whole) ? { think_opened: true } : {}),
    ...('choices' in answer && prompts?.length === 1 ? keptPrompt(answer.choices) : {}),
    ...(options === undefined || 'choices' in answer ? {} : { options }),
    num_context_tokens,
    truncated,
    prompt_sha256: sha256(typeof whole === 'string' ? whole : JSON.stringify(whole ?? promptsOf(ask).map(hashable))),
    ...(images.length === 0 ? {} : { image_sha256: images.map(sha256) }),
    ...(report.save_prompts && whole !== null ? { prompt: whole } : {}),
  };
}

/** A prompt as JSON can hold it. */
function hashable(prompt: Prompt): unknown {
  return JSON.parse(JSON.stringify(prompt, (_, value) => (value instanceof Uint8Array ? sha256(value) : value)));
}

type Ranked = Extract<Reply, { choices: unknown }>['choices'];

/** Each choice with the lengths of its text. */
function scoresOf(ask: Ask, choices: Ranked): ChoiceScore[] {
  if (ask.verb !== 'loglikelihood') throw new Error(`choices in reply to ${ask.verb}`);
  return choices.map(({ logprob, num_tokens, is_greedy, num_greedy, tokens }, i) => {
    const { text } = ask.choices[i]!;
    const lengths = { num_tokens, num_chars: codePoints(text), num_bytes: utf8Bytes(text) };
    const own = tokens !== undefined && ask.choices[i]!.prompt !== undefined ? { prompt_tokens: tokens.prompt } : {};
    const counted = num_greedy === undefined ? {} : { num_greedy };
    const kept = tokens === undefined ? {} : { tokens: tokens.output };
    return { logprob, ...lengths, is_greedy, ...counted, ...kept, ...own };
  });
}

const keptPrompt = ([first]: Ranked) => (first?.tokens === undefined ? {} : { prompt_tokens: first.tokens.prompt });
