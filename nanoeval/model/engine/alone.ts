/** Questions and prompts of which nothing is shared: request by request, and once more where the memory did not do. */
import { RowError } from '../../types.ts';
import { checkTargets, rowError } from './faults.ts';
import type { EngineStats, Lane } from './lane.ts';
import type { TokenScore } from './naive.ts';
import type { TokenQuestion } from './prefix_tree.ts';
import type { Ended, TokenPrompt } from './prompts.ts';
import { type Answer, finite } from './sheets.ts';

export class Alone {
  readonly #stats: EngineStats;
  readonly #vocab: number | null;
  /** The last second try on each lane. */
  readonly #again = new Map<Lane, Promise<unknown>>();

  /** `vocab`: width of the logits, null where it is not known. */
  constructor(stats: EngineStats, vocab: number | null) {
    this.#stats = stats;
    this.#vocab = vocab;
  }

  /** The answer to a question that was not counted before; see `answer`. */
  score(question: TokenQuestion, lane: Lane, signal: AbortSignal): Promise<Answer> {
    this.#stats.tokens_asked += question.requests.reduce((sum, { input }) => sum + input.length, 0);
    return this.answer(question, lane, signal);
  }

  /**
   * A score for each request of the question, or the RowError for which there is none. A long text has hundreds of
   * requests, so that `signal` is looked at between them: the question is then not answered, and its reason is thrown.
   */
  async answer({ place, requests }: TokenQuestion, lane: Lane, signal?: AbortSignal): Promise<Answer> {
    const scores = await this.#twice(lane, async () => {
      const found: TokenScore[] = [];
      for (const { input, targets } of requests) {
        if (found.length > 0) signal?.throwIfAborted();
        checkTargets(targets, this.#vocab);
        found.push(finite(await lane.scoreAlone(input, targets)));
      }
      return found;
    });
    return { place, scores };
  }

  /** Goes on from a prompt until its taker has enough. */
  async decode({ place, ids, begin }: TokenPrompt, lane: Lane): Promise<Ended> {
    this.#stats.tokens_asked += ids.length;
    const error = await this.#twice(lane, async () => {
      await lane.decode(null, ids, begin());
      return null;
    });
    return { place, error };
  }

  /**
   * What does not fit, or whose process went, is tried again: one item of a lane at a time, so that none fails for
   * another.
   */
  async #twice<A>(lane: Lane, work: () => Promise<A>): Promise<A | RowError> {
    const once = () => work().catch((error: unknown) => rowError(error, lane));
    const first = await once();
    if (!(first instanceof RowError) || first.kind !== 'memory') return first;
    const second = (this.#again.get(lane) ?? Promise.resolve()).then(once);
    this.#again.set(
      lane,
      second.catch(() => undefined),
    );
    return second;
  }
}
