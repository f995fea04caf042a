/**
 * How likely given texts are as the first token of an answer, from what a server says of that token's likeliest: one more
 * request of one token, which the cache of the prompt makes cheap.
 */
import type { GenerateAsk } from '../../questions.ts';
import { isConversation } from '../../text/prompt_parts.ts';
import { Passing, Refusal } from './faults.ts';
import { fieldsOf, isFields, listOf, numberOf, textOf } from './fields.ts';
import type { Send } from './pool.ts';

/** The likeliest tokens that are asked for: the most that vLLM and OpenAI's chat give by default. */
const LIKELIEST = 20;

/** The fields of a request that ask for them; those of a chat are others than those of a text. */
export const likeliest = (isChat: boolean): object =>
  isChat ? { logprobs: true, top_logprobs: LIKELIEST } : { logprobs: LIKELIEST };

/**
 * The natural log of each text's probability as the first token; null where it is not among the likeliest ones. null in place of all
 * of them where the server gives none.
 */
export async function firstLogprobs(
  send: Send,
  path: string,
  body: object,
  { first_tokens = [], prompt }: Pick<GenerateAsk, 'first_tokens' | 'prompt'>,
): Promise<Record<string, number | null> | null> {
  let answer: unknown;
  try {
    answer = await send('POST', path, { ...body, max_tokens: 1, ...likeliest(isConversation(prompt)) });
  } catch (error) {
    if (error instanceof Refusal || (error instanceof Passing && error.kind === 'error')) return null;
    throw error;
  }
  const found = topOf(fieldsOf(listOf(fieldsOf(answer).choices)[0]).logprobs);
  if (found.size === 0) return null;
  return Object.fromEntries(first_tokens.map((text) => [text, found.get(text) ?? null]));
}

/** The first token's likeliest ones by their text, in either of the two shapes that servers give. */
function topOf(logprobs: unknown): Map<string, number> {
  const { content, top_logprobs } = fieldsOf(logprobs);
  const entries: [unknown, unknown][] = isFields(listOf(top_logprobs)[0])
    ? Object.entries(fieldsOf(listOf(top_logprobs)[0]))
    : listOf(fieldsOf(listOf(content)[0]).top_logprobs).map((one) => [fieldsOf(one).token, fieldsOf(one).logprob]);
  const found = new Map<string, number>();
  for (const [token, logprob] of entries) {
    const [text, value] = [textOf(token), numberOf(logprob)];
    // Two tokens of one text: the likelier one is what is meant.
    if (text !== null && value !== null && value > (found.get(text) ?? Number.NEGATIVE_INFINITY))
      found.set(text, value);
  }
  return found;
}
