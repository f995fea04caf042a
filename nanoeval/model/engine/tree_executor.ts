/** An executor over edited graphs: one for scores, one for answers, never both at once, for each holds the weights. */
import { RowError } from '../../types.ts';
import { decodeDifference, judgeDecode } from '../graph/decode_check.ts';
import type { DecodeForm, DecodeSession, Said, Wish } from '../graph/decode_session.ts';
import { NoEdit } from '../graph/edit.ts';
import { leadOf } from '../graph/logits.ts';
import type { Opened, TreeSession } from '../graph/tree_session.ts';
import { drawLikeliest, drawToken } from './decode.ts';
import type {
  BeginOrder,
  Executor,
  ExecutorInfo,
  Eyes,
  Next,
  NextOptions,
  StepOrder,
  Turned,
  Way,
} from './executor.ts';
import { chain, type PassAnswer, type PassOrder } from './prefix_tree.ts';

export interface Openers {
  /** Opens the session for scores anew. */
  reopen(): Promise<Opened>;
  /** Forms of the session for answers, many or few, the one that is wanted most first. */
  formsFor(many: boolean): readonly DecodeForm[];
  /** Opens it in one of these. Throws NoEdit where the graph does not take the edit. */
  openDecoding(form: DecodeForm): Promise<DecodeSession>;
}

/** The executor over a session for scores; `openers` open others in its place. */
export function treeExecutor(session: TreeSession, opened: Opened, eyes: Eyes, openers: Openers): Executor {
  const tree = new TreeExecutor(session, opened, eyes, openers);
  return {
    info: tree.info,
    pass: (order) => tree.pass(order),
    score: () => tree.score(),
    next: (ids, past, keep, options) => tree.next(ids, past, keep, options),
    free: (caches) => tree.free(caches),
    turnTo: (way) => tree.turnTo(way),
    begin: (order) => tree.begin(order),
    step: (rows) => tree.step(rows),
    leave: (slots) => tree.leave(slots),
    see: eyes.see,
    unsee: eyes.unsee,
    close: () => tree.close(),
  };
}

class TreeExecutor {
  readonly info: ExecutorInfo;
  #scores: TreeSession | null;
  #answers: DecodeSession | null = null;
  /** What it was opened for. */
  #many = false;
  /** Why answers do not run side by side; null: not tried yet, or they do. */
  #remark: string | null = null;
  readonly #check: Opened['check'];
  readonly #eyes: Eyes;
  readonly #openers: Openers;
  readonly #everyToken: readonly number[];

  constructor(session: TreeSession, { remarks, dynamic, half, check }: Opened, eyes: Eyes, openers: Openers) {
    const { form, bytesPerToken, vocab } = session;
    this.info = { form, bytesPerToken, remarks, dynamic, half, hasCache: bytesPerToken > 0, vocab };
    this.#scores = session;
    this.#check = check;
    this.#eyes = eyes;
    this.#openers = openers;
    this.#everyToken = Array.from({ length: vocab }, (_, token) => token);
  }

  async pass(order: PassOrder): Promise<PassAnswer> {
    if (this.#answers === null) return this.#scoring.pass(order);
    // What leads to prompts: nobody asks for numbers of its tokens.
    const { past, sequences, keep } = order;
    const ids = sequences[0]!.ids;
    await this.#answers.begin({ past, ids, keep, room: { tokens: 0, slots: 0 }, wish: { watched: [] } });
    return { logprobs: [], best: [] };
  }

  score(): Promise<never> {
    return Promise.reject(new Error(`a ${this.info.form} executor scores by passes of a plan`));
  }

  async next(
    ids: readonly number[],
    past: number | null,
    keep: number | null,
    { watched = [], draw, margin }: NextOptions = {},
  ): Promise<Next> {
    const select = [0, ids.length - 1];
    // The graph gives log-probabilities by name: to draw, all of them are asked for (some ms for 49,152).
    const tokens = draw === undefined && !margin ? [0, ...watched] : this.#everyToken;
    const pairs = tokens.flatMap((token) => [0, token]);
    const { best, logprobs } = await this.#scoring.pass({ past, sequences: [chain(ids)], select, pairs, keep });
    assertNumbers(logprobs);
    if (tokens !== this.#everyToken) return { token: best[0]!, logprobs: logprobs.slice(1) };
    return {
      token: draw === undefined ? best[0]! : drawToken(logprobs, draw),
      logprobs: watched.map((token) => logprobs[token]!),
      ...(margin ? { margin: leadOf(logprobs) } : {}),
    };
  }

  async free(ids: readonly number[]): Promise<void> {
    this.#scores?.free(ids);
    this.#answers?.free(ids);
  }

  async turnTo(way: Way): Promise<Turned> {
    const many = way === 'answers';
    if (
      many &&
      !this.#many &&
      this.#answers !== null &&
      this.#openers.formsFor(true) !== this.#openers.formsFor(false)
    ) {
      await this.#answers.close();
      this.#answers = null;
    }
    if (way !== 'scores' && this.#answers === null && this.#remark === null) await this.#openAnswers(many);
    if (way === 'scores' || this.#remark !== null) await this.#openScores();
    if (this.#answers !== null) return { bytesPerToken: this.#answers.bytesPerToken };
    return { remark: this.#remark ?? 'it is ready for scores' };
  }

  async begin({ past, ids, keep, room, watched, draw, margin }: BeginOrder): Promise<Next> {
    const session = this.#answering;
    // What is watched has no temperature: the first token is drawn from all, as `next` draws it.
    const wish: Wish = { watched: [0, ...watched], all: draw !== undefined, count: margin ? 2 : 1 };
    const said = await session.begin({ past, ids, keep, room, wish });
    try {
      assertNumbers(said.logprobs);
      const next = nextOf(said, margin);
      return draw === undefined ? next : { ...next, token: drawToken(said.all!, draw) };
    } catch (error) {
      // An answer that cannot begin has no slot.
      if (keep === null) session.leave(session.lengths.length - 1);
      throw error;
    }
  }

  async step(rows: readonly StepOrder[]): Promise<(Next | null)[]> {
    const said = await this.#answering.step(
      rows.map(({ token }) => token),
      rows.map(({ draw, margin }): Wish => {
        if (draw === undefined) return { watched: [0], count: margin ? 2 : 1 };
        return {
          watched: [0],
          temperature: draw.temperature,
          count: Math.min(LIKELIEST, this.#everyToken.length),
          all: true,
        };
      }),
    );
    return said.map((one, slot) => {
      if (one.logprobs.some(Number.isNaN)) return null;
      const { draw, margin } = rows[slot]!;
      if (draw === undefined) return nextOf(one, margin);
      const drawn = drawLikeliest(one.likeliest!, draw) ?? drawToken(one.all!, { ...draw, temperature: 1 });
      return { ...nextOf(one, margin), token: drawn };
    });
  }

  async leave(slots: readonly number[]): Promise<void> {
    for (const slot of slots) this.#answering.leave(slot);
  }

  async close(): Promise<void> {
    await this.#scores?.close();
    await this.#answers?.close();
    await this.#eyes.close();
  }

  get #scoring(): TreeSession {
    if (this.#scores === null) throw new Error('the executor is ready for answers, not for scores');
    return this.#scores;
  }

  get #answering(): DecodeSession {
    if (this.#answers === null) throw new Error('the executor is ready for scores, not for answers');
    return this.#answers;
  }

  async #openAnswers(many: boolean): Promise<void> {
    if (this.#check === undefined || !this.info.hasCache) {
      this.#remark = 'the graph has no cache to go on from';
      return;
    }
    await this.#scores?.close();
    this.#scores = null;
    this.#many = many;
    for (const form of this.#openers.formsFor(many)) {
      const opened = await this.#tryAnswers(form, this.#check);
      if (opened === null) continue;
      this.#answers = opened;
      this.#remark = null;
      return;
    }
  }

  /** A session for answers that gives the numbers of the untouched graph; null, with a remark, where it does not. */
  async #tryAnswers(form: DecodeForm, { numbers, limit }: NonNullable<Opened['check']>): Promise<DecodeSession | null> {
    let opened: DecodeSession | null = null;
    try {
      opened = await this.#openers.openDecoding(form);
      judgeDecode(await decodeDifference(opened, { numbers }), limit);
      return opened;
    } catch (error) {
      await opened?.close();
      this.#remark = (error as Error).message;
      if (!(error instanceof NoEdit)) this.#remark = `onnxruntime does not take the edited graph: ${this.#remark}`;
      return null;
    }
  }

  async #openScores(): Promise<void> {
    await this.#answers?.close();
    this.#answers = null;
    if (this.#scores !== null) return;
    const { session, remarks } = await this.#openers.reopen();
    if (session === null) throw new Error(`the graph took an edit before and takes none now: ${remarks.join('; ')}`);
    this.#scores = session;
  }
}

/** Of so many tokens a draw is made, in all but one case of some dozens; a vocabulary takes JavaScript milliseconds. */
const LIKELIEST = 256;

/** Throws RowError where the logits of a place are not numbers. */
function assertNumbers(logprobs: readonly number[]): void {
  // One logit that is not a number makes every log-probability one; the arg-max would not show it.
  if (logprobs.some(Number.isNaN)) throw new RowError('nan', "the model's logits are broken here: not a number.");
}

/** The most likely token of a place; the first watched one was asked for to see whether there are numbers. */
function nextOf({ token, logprobs, likeliest }: Said, margin = false): Next {
  const lead = margin && likeliest !== null ? { margin: likeliest.logprobs[0]! - likeliest.logprobs[1]! } : {};
  return { token, logprobs: logprobs.slice(1), ...lead };
}
