/** A stream of questions over an engine that knows tokens alone: prepared as they are read, answered as they are known. */
import type { Ask, Model, Reply, Verb } from '../questions.ts';
import { type Question, RowError } from '../types.ts';
import type { Ended, Engine } from './engine/engine.ts';
import type { Answer } from './engine/sheets.ts';
import {
  type DecodeQuestion,
  type Desk,
  leave,
  prepareAnswer,
  prepareChoices,
  prepareRolling,
  type ScoreQuestion,
} from './prepare.ts';
import type { Shown } from './vision/album.ts';

/** Which of the engine's two ways answers a verb. */
const WAY: Record<Verb, 'score' | 'generate'> = {
  loglikelihood: 'score',
  loglikelihood_rolling: 'score',
  generate_until: 'generate',
  // Refused when it is prepared: these checkpoints have no head.
  classify: 'score',
};

type Settled = Question<Reply | RowError>;

/** The verbs over an engine. Questions of one way that follow each other are one stream of the engine's. */
export function openVerbs(engine: Engine, desk: Desk): Model['answer'] {
  return async function* answer(questions, signal) {
    const source = questions[Symbol.asyncIterator]();
    let ahead = await source.next();
    const sameWay = async function* (way: 'score' | 'generate'): AsyncGenerator<Question<Ask>> {
      while (!ahead.done && WAY[ahead.value.content.verb] === way) {
        yield ahead.value;
        ahead = await source.next();
      }
    };
    try {
      while (!ahead.done) {
        const way = WAY[ahead.value.content.verb];
        yield* new AnswerStream(engine, desk).answers(sameWay(way), way, signal);
      }
    } finally {
      // The source may be waiting for its next row, which nobody waits for any more.
      Promise.resolve(source.return?.(undefined)).catch(() => undefined);
    }
  };
}

/** Questions under way, with what has to be kept until their answers come. */
class AnswerStream {
  private readonly open = new Map<number, { one: ScoreQuestion | DecodeQuestion; window: number | undefined }>();
  /** Pictures of questions whose answers are known: others run with them, until a later window's answers come. */
  private readonly known: { question: Pick<Question<unknown>, 'place' | 'window'>; shown: readonly Shown[] }[] = [];
  /** Answered without the engine: refused, or nothing to compute. */
  private readonly settled: Settled[] = [];
  private ended = false;
  private readonly engine: Engine;
  private readonly desk: Desk;

  constructor(engine: Engine, desk: Desk) {
    this.engine = engine;
    this.desk = desk;
  }

  async *answers(
    questions: AsyncIterable<Question<Ask>>,
    way: 'score' | 'generate',
    signal: AbortSignal,
  ): AsyncGenerator<Settled> {
    const { engine } = this;
    const prepared = this.prepared(questions);
    // The way says which kind of prepared question the stream holds.
    const found: AsyncGenerator<Answer | Ended> =
      way === 'score' ? engine.score(prepared as never, signal) : engine.generate(prepared as never, signal);
    try {
      for await (const result of found) {
        yield* this.settled.splice(0);
        yield this.settle(result);
      }
      yield* this.settled;
    } finally {
      // A stream that ends early lets go of its pictures; a question that is being read meanwhile does so when it is.
      this.ended = true;
      this.forget();
    }
  }

  private async *prepared(questions: AsyncIterable<Question<Ask>>) {
    for await (const { content, ...question } of questions) {
      const { place, window, done } = question;
      const one = await this.prepare(content).catch(asRowError);
      if (one instanceof RowError) {
        if (!done) this.settled.push({ place, content: one });
        continue;
      }
      if ('requests' in one.asked && one.asked.requests.length === 0) {
        if (!done) this.settled.push({ place, content: (one as ScoreQuestion).reply([]) });
        continue;
      }
      if (done) {
        if (one.shown.length > 0) this.known.push({ question, shown: one.shown });
      } else this.open.set(place, { one, window });
      if (this.ended) return this.forget();
      yield { ...question, ...one.asked };
    }
  }

  private async prepare(ask: Ask): Promise<ScoreQuestion | DecodeQuestion> {
    if (ask.verb === 'classify') throw new RowError('verb', 'the checkpoint has no classification head.');
    if (ask.verb === 'loglikelihood') return prepareChoices(this.desk, ask);
    return ask.verb === 'generate_until' ? prepareAnswer(this.desk, ask) : prepareRolling(this.desk, ask);
  }

  private settle(result: Answer | Ended): Settled {
    const { place } = result;
    const { one, window } = this.open.get(place)!;
    this.open.delete(place);
    this.pass(place, window);
    leave(this.desk.album, one.shown);
    if ('error' in result) return { place, content: result.error ?? (one as DecodeQuestion).reply() };
    const { scores } = result;
    return { place, content: scores instanceof RowError ? scores : (one as ScoreQuestion).reply(scores) };
  }

  /** A question was answered: the known ones of windows before it are not needed any more. */
  private pass(place: number, window: number | undefined): void {
    const isOver = ({ question }: (typeof this.known)[number]) => question.place < place && question.window !== window;
    while (this.known.length > 0 && isOver(this.known[0]!)) leave(this.desk.album, this.known.shift()!.shown);
  }

  private forget(): void {
    for (const { one } of this.open.values()) leave(this.desk.album, one.shown);
    this.open.clear();
    for (const { shown } of this.known.splice(0)) leave(this.desk.album, shown);
  }
}

function asRowError(error: unknown): RowError {
  if (error instanceof RowError) return error;
  throw error;
}
