/**
 * Questions and prompts that share nothing with others: input by input, requests of one input together (letters after one
 * context), and once more where the memory did not do.
 */
import { RowError } from '../../types.ts';
import { checkTargets, rowError } from './faults.ts';
import type { EngineStats, Lane } from './lane.ts';
import type { TokenScore } from './naive.ts';
import type { TokenQuestion, TokenRequest } from './prefix_tree.ts';
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
      const found = new Map<TokenRequest, TokenScore>();
      for (const equal of byInput(requests)) {
        if (found.size > 0) signal?.throwIfAborted();
        const lists = equal.map(({ targets }) => targets);
        for (const targets of lists) checkTargets(targets, this.#vocab);
        const scores = await lane.scoreAlone(equal[0]!.input, lists);
        for (const [i, request] of equal.entries()) found.set(request, finite(scores[i]!));
      }
      return requests.map((request) => found.get(request)!);
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

/** Requests whose inputs are equal, together; in the order of the first of each. */
function byInput(requests: readonly TokenRequest[]): TokenRequest[][] {
  const found = new Map<string, TokenRequest[]>();
  for (const request of requests) {
    const name = request.input.join();
    const known = found.get(name);
    if (known === undefined) found.set(name, [request]);
    else known.push(request);
  }
  return [...found.values()];
}
