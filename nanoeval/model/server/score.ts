/** `loglikelihood` over a server that scores token ids: choices to ids, ids to scores, scores to a reply. */
import type { ChoicesReply, LoglikelihoodAsk } from '../../questions.ts';
import { RowError } from '../../types.ts';
import type { Send } from './pool.ts';
import { Coder, contextOf, type TokenRoutes } from './tokens.ts';

/** What is scored: the continuation's ids after those of the context. */
export interface Target {
  context: readonly number[];
  continuation: readonly number[];
}

export interface TargetScore {
  /** Sum over the continuation, natural log. Finite. */
  logprob: number;
  /** Tokens of the continuation that are the arg-max at their place. */
  numGreedy: number;
}

/** Scores the targets of one question, in their order. */
export type ScoreTargets = (send: Send, targets: readonly Target[]) => Promise<TargetScore[]>;

/** Answers one question about choices. */
export type ScoreChoices = (send: Send, ask: LoglikelihoodAsk) => Promise<ChoicesReply>;

export interface TokenScoring {
  routes: TokenRoutes;
  /** What the tokenizer puts before a text. */
  bos: number | null;
  /** Tokens of context and continuation together, at most. */
  window: number;
  score: ScoreTargets;
}

/** The choices through the server's tokenizer. A context that is too long loses tokens on the left, as under lm-eval. */
export function scoreByTokens({ routes, bos, window, score }: TokenScoring): ScoreChoices {
  return async (send, ask) => {
    const coder = new Coder(routes, send, bos);
    const { choices, tokenization, keep_tokens, count_greedy } = ask;
    const shared = await contextOf(routes, send, ask.prompt);
    const siblings = choices.map(({ continuation }) => continuation);
    const contexts = [];
    const pairs = [];
    for (const { continuation, prompt } of choices) {
      const context = prompt === undefined ? shared : await contextOf(routes, send, prompt);
      contexts.push(context.text);
      pairs.push(await coder.pair(context, continuation, tokenization, siblings));
    }
    const targets = pairs.map(({ context, continuation }) => {
      if (continuation.length >= window)
        throw new RowError('length', `the continuation has ${continuation.length} tokens, the window ${window}.`);
      return { context: context.slice(-(window - continuation.length)), continuation };
    });
    const scores = await score(send, targets);
    return {
      choices: pairs.map(({ context, continuation }, i) => {
        const { logprob, numGreedy } = scores[i]!;
        const { length } = continuation;
        return {
          logprob,
          num_tokens: length,
          is_greedy: numGreedy === length,
          ...(count_greedy ? { num_greedy: numGreedy } : {}),
          ...(keep_tokens ? { tokens: { prompt: context, output: continuation } } : {}),
        };
      }),
      prompts: choices.some(({ prompt }) => prompt !== undefined) ? contexts : [shared.text],
      num_context_tokens: pairs[0]?.context.length ?? 0,
      truncated: pairs.some(({ context, continuation }) => context.length + continuation.length > window),
    };
  };
}

/** One token's log-probability as a server gave it. Throws RowError for one that no sum can hold. */
export function finite(logprob: unknown, id: number): number {
  // llama-server writes the smallest float, vLLM -9999, where the probability is 0.
  if (typeof logprob !== 'number' || !Number.isFinite(logprob) || logprob <= -9999)
    throw new RowError('nan', `the server's log-probability of token ${id} is ${String(logprob)}.`);
  return logprob;
}
