/** The token ids of a prompt and its answer (`report.save_tokens`), of servers that tell them. */
import type { TokenIds } from '../../questions.ts';
import { RowError } from '../../types.ts';
import { type Fields, fieldsOf, idsOf } from './fields.ts';
import type { ServerKind } from './identity.ts';

/** The fields of a request that ask for them; null where nobody knows any. */
export function tokenWish(kind: ServerKind): object | null {
  if (kind === 'vllm') return { return_token_ids: true };
  // The routes of OpenAI's interface have them among what is meant for finding faults.
  if (kind === 'llama.cpp') return { return_tokens: true, verbose: true };
  return null;
}

/** Whether they are told of an answer that is streamed: llama-server leaves out tokens that end inside a character there. */
export const streamsTokens = (kind: ServerKind): boolean => kind !== 'llama.cpp';

/**
 * The ids of an answer that was asked for with `tokenWish`. vLLM tells those of the prompt too; llama-server does not: they are
 * `encoded`, those that its tokenizer gives for the prompt as it was shown (null where that is not known). Throws Passing where
 * there are none, RowError where they are not as many as the server counted.
 */
export function tokensOf(
  answer: Fields,
  choice: Fields,
  kind: ServerKind,
  encoded: readonly number[] | null,
): TokenIds {
  if (kind !== 'llama.cpp')
    return {
      prompt: idsOf(choice.prompt_token_ids ?? answer.prompt_token_ids, 'prompt_token_ids'),
      output: idsOf(choice.token_ids, 'token_ids'),
    };
  if (encoded === null)
    throw new RowError('tokens', 'llama-server does not tell the tokens of a prompt with pictures.');
  const output = idsOf(fieldsOf(answer.__verbose).tokens, '__verbose.tokens');
  const { prompt_tokens, completion_tokens } = fieldsOf(answer.usage);
  checkCount('the prompt', encoded.length, prompt_tokens);
  checkCount('the answer', output.length, completion_tokens);
  return { prompt: [...encoded], output };
}

function checkCount(what: string, found: number, counted: unknown): void {
  if (found === counted) return;
  throw new RowError('tokens', `${what} has ${found} token ids, and the server counted ${String(counted)}.`);
}

/** Whether an answer of some tokens that was asked for with `tokenWish` has their ids. */
export function hasTokens(answer: Fields, choice: Fields, kind: ServerKind): boolean {
  const found = kind === 'llama.cpp' ? fieldsOf(answer.__verbose).tokens : choice.token_ids;
  return Array.isArray(found) && found.length > 0;
}
