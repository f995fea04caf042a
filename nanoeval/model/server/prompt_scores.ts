/**
 * Log-likelihoods of given tokens from vLLM: `prompt_logprobs` of context and continuation as ids, a question's choices in one
 * request; choices of one token each behind one context by the log-probabilities of these tokens as the next one.
 */
import { type Fields, fieldsOf, garbled, idsOf, listOf, numberOf } from './fields.ts';
import type { Send } from './pool.ts';
import { finite, type ScoreTargets, type Target, type TargetScore } from './score.ts';

/** Tokens whose log-probabilities are asked for at a time: what a server gives unless it was started with more. */
const MOST_IDS = 20;

/**
 * Scores choices by the log-probabilities of the prompt's tokens. `byIds`: the server knows `logprob_token_ids`, and the
 * context of letters is computed once for all.
 */
export function scoreByPrompt(model: string, byIds = false): ScoreTargets {
  return async (send, targets) => {
    if (byIds && areLetters(targets)) return scoreLetters(send, model, targets);
    const prompts = targets.map(({ context, continuation }) => [...context, ...continuation]);
    const answer = fieldsOf(
      await send('POST', '/v1/completions', {
        model,
        prompt: prompts,
        // Nothing is generated that anybody wants, but 0 is refused.
        max_tokens: 1,
        temperature: 0,
        seed: 0,
        prompt_logprobs: 1,
        return_token_ids: true,
      }),
    );
    const choices = listOf(answer.choices).map(fieldsOf);
    return targets.map((target, i) => {
      const own = choices.find(({ index }) => numberOf(index) === i);
      if (own === undefined) throw garbled(`choices has one for each of ${targets.length} prompts`, choices.length);
      return scoreOf(own, target, prompts[i]!);
    });
  };
}

function areLetters(targets: readonly Target[]): boolean {
  const [{ context }] = targets as [Target, ...Target[]];
  const isSame = (other: readonly number[]) =>
    other === context || (other.length === context.length && other.every((id, i) => id === context[i]));
  return (
    targets.length > 1 &&
    targets.length <= MOST_IDS &&
    targets.every((target) => target.continuation.length === 1 && isSame(target.context))
  );
}

/** The next token's log-probabilities. Throws Passing where the answer lacks one of them. */
export async function scoreLetters(send: Send, model: string, targets: readonly Target[]): Promise<TargetScore[]> {
  const ids = targets.map(({ continuation }) => continuation[0]!);
  const answer = fieldsOf(
    await send('POST', '/v1/completions', {
      model,
      prompt: targets[0]!.context,
      max_tokens: 1,
      temperature: 0,
      seed: 0,
      // As many as there are ids, or some would be left out.
      logprobs: ids.length,
      logprob_token_ids: ids,
      return_tokens_as_token_ids: true,
    }),
  );
  const { tokens, top_logprobs } = fieldsOf(fieldsOf(listOf(answer.choices)[0]).logprobs);
  const given = fieldsOf(listOf(top_logprobs)[0]);
  return ids.map((id) => {
    const name = `token_id:${id}`;
    if (!(name in given)) throw garbled(`top_logprobs has ${name}`, Object.keys(given));
    return { logprob: finite(given[name], id), numGreedy: listOf(tokens)[0] === name ? 1 : 0 };
  });
}

function scoreOf(choice: Fields, { context, continuation }: Target, ids: readonly number[]): TargetScore {
  const { prompt_logprobs, prompt_token_ids } = choice;
  // A server that tokenised anew would have scored something else.
  if (prompt_token_ids != null) {
    const read = idsOf(prompt_token_ids, 'prompt_token_ids');
    if (read.length !== ids.length || read.some((id, i) => id !== ids[i]))
      throw garbled(`prompt_token_ids are the ${ids.length} that were sent`, read.length);
  }
  const places = listOf(prompt_logprobs);
  if (places.length !== ids.length) throw garbled(`prompt_logprobs has ${ids.length} places`, places.length);
  let logprob = 0;
  let numGreedy = 0;
  for (const [i, id] of continuation.entries()) {
    const entry = fieldsOf(fieldsOf(places[context.length + i])[String(id)]);
    if (!('logprob' in entry))
      throw garbled(`prompt_logprobs has token ${id} at its place`, places[context.length + i]);
    logprob += finite(entry.logprob, id);
    if (numberOf(entry.rank) === 1) numGreedy += 1;
  }
  return { logprob, numGreedy };
}
