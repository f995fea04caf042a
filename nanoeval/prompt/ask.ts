/** The question about choices under a recipe's rule: each choice ranked, or an answer generated. */
import type { ResolvedRecipe } from '../config/recipe.ts';
import type { Ask, Choice, Prompt, Tokenization } from '../questions.ts';
import { type PromptParts, promptFor } from './fewshot.ts';

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

/**
 * `askOf` for texts that follow one question: a blank stands before each of them in plain text, and `chatDelimiter` behind a
 * conversation, where lm-eval leaves the blank out and lighteval keeps it.
 */
export function askForTexts(
  { recipe, chat }: { recipe: ResolvedRecipe; chat: boolean },
  parts: Omit<PromptParts, 'description'>,
  texts: readonly string[],
  chatDelimiter: '' | ' ' = '',
): Ask {
  const delimiter = chat ? chatDelimiter : ' ';
  const choices = texts.map((text) => ({ text, continuation: delimiter + text }));
  return askOf(recipe, promptFor({ description: '', ...parts }, chat), choices);
}
