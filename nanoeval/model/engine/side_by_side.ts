/**
 * Many answers side by side on one executor: a pass takes all of them a token further, and one that ends makes room for the
 * next prompt at once (continuous batching; Yu et al. 2022, "Orca").
 */
import { RowError } from '../../types.ts';
import { inBlocks } from '../graph/slots.ts';
import type { Taker } from './decode.ts';
import type { Room } from './executor.ts';
import { rowError } from './faults.ts';
import type { Lane } from './lane.ts';
import type { Group } from './prefix_tree.ts';

/** A prompt that waits for its turn. */
export interface Turn {
  place: number;
  /** The prefix that it goes on from, and its tokens behind it. */
  group: Group;
  ids: readonly number[];
  /** Begins the answer, anew when a first try fell over. */
  begin(): Taker;
  /** It fell over once for want of memory. */
  retried: boolean;
}

/** What the answers of a lane are computed with. */
export interface Board {
  /** The next prompt; null: there is none now. */
  take(lane: Lane): Turn | null;
  /** Puts a prompt back: it is next. */
  again(turn: Turn): void;
  /** The answer has ended, or will never be. */
  end(turn: Turn, error: RowError | null): void;
}

/** An answer under way, in the slot of its place in the list. */
interface Answer {
  turn: Turn;
  taker: Taker;
  /** Its last token. */
  token: number;
  /** Tokens that it has. */
  count: number;
}

/** Answers at a time where nothing bounds them: beyond it a step costs as much as its rows. */
const MOST = 64;
/** Tokens of a prompt that are computed at once while others answer: they wait no longer than that takes. */
const PART = 256;

/** Tokens that an answer may come to, its prompt included. */
const tokensOf = ({ group, ids }: Turn, { room = 0 }: Taker) => group.depth + ids.length + room;

/** The answers of one lane. */
export class SideBySide {
  readonly #lane: Lane;
  readonly #board: Board;
  /** Bytes of keys and values that answers under way may take. */
  readonly #budget: number;
  #answers: Answer[] = [];
  #most = MOST;
  /** Times that everything under way was given up, to begin anew. */
  #falls = 0;

  constructor(lane: Lane, board: Board, budget: number) {
    this.#lane = lane;
    this.#board = board;
    this.#budget = budget;
  }

  /**
   * Answers until the board has no prompt for this lane and all are ended. When `signal` is aborted, what is under way is left
   * as it is: an answer that is not whole is none. Throws what is no row's own fault.
   */
  async run(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await this.#fill(signal);
        if (this.#answers.length === 0 || signal.aborted) return;
        await this.#step();
      }
    } finally {
      this.#answers = [];
    }
  }

  /** Begins prompts while there are any and there is room. */
  async #fill(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#answers.length < this.#most) {
      const turn = this.#board.take(this.#lane);
      if (turn === null) return;
      const taker = turn.begin();
      const room = this.#roomFor(turn, taker);
      if (this.#answers.length >= room.slots) {
        this.#board.again(turn);
        return;
      }
      await this.#begin(turn, taker, room);
    }
  }

  /** The widest answer when this one runs too, and how many of that width there is room for: one at least. */
  #roomFor(turn: Turn, taker: Taker): Room {
    const all = [{ turn, taker }, ...this.#answers];
    const tokens = Math.max(...all.map((one) => tokensOf(one.turn, one.taker)));
    const most = Math.floor(this.#budget / this.#lane.bytesPerToken);
    // One more is for what leads to prompts.
    const slots = Math.floor(most / inBlocks(tokens)) - 1;
    return { tokens, slots: Math.max(1, Math.min(this.#most, slots)), most };
  }

  async #begin(turn: Turn, taker: Taker, room: Room): Promise<void> {
    const { group, ids } = turn;
    let cache: number | null = null;
    let done = 0;
    try {
      for (; ids.length - done > PART; done += PART) {
        const part: readonly number[] = ids.slice(done, done + PART);
        cache = await this.#lane.prefill({ group, cache }, part);
        const falls = this.#falls;
        if (this.#answers.length > 0) await this.#step();
        // Others fell over: there was no memory, or what was computed of this prompt is gone with the process.
        if (this.#falls > falls) {
          this.#lane.drop(cache);
          return this.#board.again(turn);
        }
      }
      const before = { group, cache };
      cache = null;
      const { token, logprobs, margin } = await this.#lane.begin(before, ids.slice(done), taker, room);
      this.#answers.push({ turn, taker, token, count: 1 });
      if (!taker.take(token, logprobs, margin)) return;
      this.#board.end(turn, null);
      await this.#drop([this.#answers.length - 1]);
    } catch (error) {
      await this.#fall(error, turn);
    }
  }

  async #step(): Promise<void> {
    let next: Awaited<ReturnType<Lane['step']>>;
    try {
      next = await this.#lane.step(this.#answers.map(({ token, taker, count }) => ({ token, taker, count })));
    } catch (error) {
      return this.#fall(error, null);
    }
    const ended: number[] = [];
    for (const [slot, said] of next.entries()) {
      const answer = this.#answers[slot]!;
      if (said === null) {
        this.#board.end(answer.turn, new RowError('nan', "the model's logits are broken here: not a number."));
        ended.push(slot);
        continue;
      }
      answer.token = said.token;
      answer.count += 1;
      if (answer.taker.take(said.token, said.logprobs, said.margin)) {
        this.#board.end(answer.turn, null);
        ended.push(slot);
      }
    }
    await this.#drop(ended);
  }

  /** Frees slots, the last one first, so that none of those to be freed has moved. */
  async #drop(slots: readonly number[]): Promise<void> {
    if (slots.length === 0) return;
    const falling = slots.toSorted((a, b) => b - a);
    for (const slot of falling) {
      const last = this.#answers.pop()!;
      if (slot < this.#answers.length) this.#answers[slot] = last;
    }
    await this.#lane.leave(falling);
  }

  /**
   * What went wrong is the prompt's own fault, or there was no memory: then half as many run side by side, from their
   * prompts on; one that does not fit even alone is given up. Throws any other error.
   */
  async #fall(error: unknown, turn: Turn | null): Promise<void> {
    if (error instanceof RowError && turn !== null) return this.#board.end(turn, error);
    const all = [...this.#answers.map((answer) => answer.turn), ...(turn === null ? [] : [turn])];
    const memory = await rowError(error, this.#lane);
    this.#falls += 1;
    this.#answers = [];
    await this.#lane.clear();
    if (all.length === 1 && all[0]!.retried) return this.#board.end(all[0]!, memory);
    this.#most = Math.max(1, Math.floor(all.length / 2));
    for (const one of all.toReversed()) this.#board.again({ ...one, retried: all.length === 1 });
  }
}
