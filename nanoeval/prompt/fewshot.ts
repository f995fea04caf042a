/** From description, shots and question to one context, plain or as a conversation (lm-eval's `fewshot_context`). */
import type { ChatMessage, Prompt } from '../questions.ts';

export interface Shot {
  question: string;
  /** Without the delimiter in front. */
  answer: string;
}

export interface PromptParts {
  /** Placed as it is: it brings its own blank line. */
  description: string;
  shots: readonly Shot[];
  question: string;
}

export interface Delimiters {
  /** Between a question and its answer. */
  target: string;
  /** Behind each shot. */
  fewshot: string;
}

/** lm-eval's `target_delimiter` and `fewshot_delimiter`. */
export const LM_EVAL_DELIMITERS: Delimiters = { target: ' ', fewshot: '\n\n' };

/** lm-eval without a chat template: description, shots and question in a row. */
export function plainPrompt(parts: PromptParts, delimiters: Delimiters = LM_EVAL_DELIMITERS): string {
  const shots = parts.shots.map((shot) => shot.question + delimiters.target + shot.answer + delimiters.fewshot);
  return parts.description + shots.join('') + parts.question;
}

/**
 * lm-eval with `apply_chat_template`: the description is the system message, each shot a user and an assistant turn
 * (`fewshot_as_multiturn`). The continuation is then scored without the target delimiter.
 */
export function chatPrompt(parts: PromptParts): ChatMessage[] {
  const messages: ChatMessage[] = [];
  if (parts.description !== '') messages.push({ role: 'system', content: parts.description });
  for (const shot of parts.shots) {
    messages.push({ role: 'user', content: shot.question }, { role: 'assistant', content: shot.answer });
  }
  messages.push({ role: 'user', content: parts.question });
  return messages;
}

/** The conversation where the run uses the chat template, the plain text otherwise. */
export function promptFor(parts: PromptParts, chat: boolean): Prompt {
  return chat ? chatPrompt(parts) : plainPrompt(parts);
}

/** The parts with as few of the last shots dropped as makes the plain prompt at most `limit` tokens (null: no limit). */
export async function fitShots(
  parts: PromptParts,
  limit: number | null,
  countTokens: (prompt: Prompt) => Promise<number>,
): Promise<PromptParts> {
  let kept = parts;
  while (limit !== null && kept.shots.length > 0 && (await countTokens(plainPrompt(kept))) > limit) {
    kept = { ...kept, shots: kept.shots.slice(0, -1) };
  }
  return kept;
}
