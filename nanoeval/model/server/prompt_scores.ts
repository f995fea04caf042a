/** Log-likelihoods of given tokens from vLLM: `prompt_logprobs` of context and continuation as ids, a question's choices in one request. */
import { type Fields, fieldsOf, garbled, idsOf, listOf, numberOf } from './fields.ts';
import { finite, type ScoreTargets, type Target, type TargetScore } from './score.ts';

/** Scores choices by the log-probabilities of the prompt's tokens. */
export function scoreByPrompt(model: string): ScoreTargets {
  return async (send, targets) => {
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
