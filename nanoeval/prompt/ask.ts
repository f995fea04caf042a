/** The question about choices under a recipe's rule: each choice ranked, or an answer generated. */
import type { ResolvedRecipe } from '../config/recipe.ts';
import type { Ask, Choice, Prompt, Tokenization } from '../questions.ts';

/**
 * `loglikelihood` of the choices, or `generate_until` with the recipe's stops and limit. Throws Error under a rule that
 * asks neither, and for no choices under one that ranks them. An answer that is generated needs none.
 */
export function askOf(
  { verb, until, maxNewTokens }: ResolvedRecipe,
  prompt: Prompt,
  choices: readonly Choice[],
  tokenization?: Tokenization,
): Ask {
  if (verb === 'loglikelihood' && choices.length === 0) throw new Error('a rule that ranks, and no choices.');
  if (verb === 'loglikelihood')
    return { verb, prompt, choices, ...(tokenization === undefined ? {} : { tokenization }) };
  if (verb === 'generate_until') return { verb, prompt, until, max_new_tokens: maxNewTokens };
  throw new Error(`a rule that asks for ${verb} has no choices.`);
}
