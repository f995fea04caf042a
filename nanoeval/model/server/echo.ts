/**
 * Log-likelihoods from any server whose `/v1/completions` honours `echo` with `logprobs`: it tokenises texts itself, so the
 * continuation's tokens are those behind as many as the context alone has (lm-eval's split).
 */
import type { ChoicesReply, LoglikelihoodAsk } from '../../questions.ts';
import { isConversation } from '../../text/prompt_parts.ts';
import { rstrip } from '../../text/python_text.ts';
import { RowError } from '../../types.ts';
import { type Fields, fieldsOf, garbled, listOf, numberOf } from './fields.ts';
import type { Send } from './pool.ts';
import { finite, type ScoreChoices } from './score.ts';
import { plainText } from './tokens.ts';

/** A text's tokens as the server sees them. */
export interface Echoed {
  tokens: readonly unknown[];
  /** The first one is null. */
  logprobs: readonly unknown[];
  /** Of each place the likeliest tokens by their text; empty where the server gives none. */
  top: readonly unknown[];
}

/** The text echoed with the log-probabilities of its tokens. Throws Passing where the answer is not that. */
export async function echo(send: Send, model: string, prompt: string): Promise<Echoed> {
  const body = { model, prompt, max_tokens: 1, temperature: 0, seed: 0, logprobs: 1, echo: true };
  const answer = fieldsOf(await send('POST', '/v1/completions', body));
  const made = numberOf(fieldsOf(answer.usage).completion_tokens);
  if (made === null) throw garbled('usage.completion_tokens is a number', answer.usage);
  const { tokens, token_logprobs, top_logprobs } = fieldsOf(fieldsOf(listOf(answer.choices)[0]).logprobs);
  const all = listOf(tokens);
  const length = all.length - made;
  if (length < 1 || listOf(token_logprobs).length !== all.length)
    throw garbled('logprobs has a token and a log-probability for each place of the prompt', tokens);
  return {
    tokens: all.slice(0, length),
    logprobs: listOf(token_logprobs).slice(0, length),
    top: listOf(top_logprobs).slice(0, length),
  };
}

/** Scores choices by echoing each of them. */
export function scoreByEcho(model: string): ScoreChoices {
  return async (send, ask) => {
    const shared = textFor(ask.prompt);
    const counts = new Map<string, number>();
    const contexts: string[] = [];
    const scores: Scored[] = [];
    for (const { continuation, prompt } of ask.choices) {
      const context = prompt === undefined ? shared : textFor(prompt);
      if (context === '') throw new RowError('tokens', 'the context is empty, and the server is given texts alone.');
      const kept = ask.tokenization === 'separate' ? context : rstrip(context);
      const start = counts.get(kept) ?? (await echo(send, model, kept)).tokens.length;
      counts.set(kept, start);
      contexts.push(context);
      scores.push(scoreOf(await echo(send, model, context + continuation), start, continuation));
    }
    return replyOf(ask, scores, contexts, counts);
  };
}

function textFor(prompt: LoglikelihoodAsk['prompt']): string {
  if (isConversation(prompt)) throw new RowError('chat', 'the server gives no chat template to score behind.');
  return plainText(prompt);
}

interface Scored {
  logprob: number;
  length: number;
  numGreedy: number;
}

function scoreOf({ logprobs, top }: Echoed, start: number, continuation: string): Scored {
  const length = logprobs.length - start;
  if (length < 1)
    throw new RowError('tokens', `the continuation ${JSON.stringify(continuation)} has no tokens of its own.`);
  let logprob = 0;
  let numGreedy = 0;
  for (let i = start; i < logprobs.length; i += 1) {
    const own = finite(logprobs[i], i);
    logprob += own;
    const others = Object.values(fieldsOf(top[i]) as Fields).filter((value) => typeof value === 'number');
    if (others.every((value) => value <= own)) numGreedy += 1;
  }
  return { logprob, length, numGreedy };
}

function replyOf(
  { choices, count_greedy }: LoglikelihoodAsk,
  scores: readonly Scored[],
  contexts: readonly string[],
  counts: ReadonlyMap<string, number>,
): ChoicesReply {
  return {
    choices: scores.map(({ logprob, length, numGreedy }) => ({
      logprob,
      num_tokens: length,
      is_greedy: numGreedy === length,
      ...(count_greedy ? { num_greedy: numGreedy } : {}),
    })),
    prompts: choices.some(({ prompt }) => prompt !== undefined) ? contexts : [contexts[0]!],
    num_context_tokens: [...counts.values()][0] ?? null,
    truncated: false,
  };
}
