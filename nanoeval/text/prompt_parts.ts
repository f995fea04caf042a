/** What a prompt is made of: whether it is a conversation, its texts, its pictures. */
import type { ChatMessage, ContentPart, Prompt } from '../questions.ts';

/** Whether the prompt is a conversation, which goes through a chat template. */
export function isConversation(prompt: Prompt): prompt is readonly ChatMessage[] {
  return typeof prompt !== 'string' && prompt.length > 0 && 'role' in prompt[0]!;
}

/** Texts and pictures of a prompt in the order in which they are shown. */
export function partsOf(prompt: Prompt): readonly ContentPart[] {
  if (typeof prompt === 'string') return [{ type: 'text', text: prompt }];
  if (!isConversation(prompt)) return prompt as readonly ContentPart[];
  return prompt.flatMap(({ content }) =>
    typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content,
  );
}

/** Files of the pictures of a prompt, in the order of their places. */
export function imagesOf(prompt: Prompt): Uint8Array[] {
  return partsOf(prompt).flatMap((part) => (part.type === 'image' ? [part.bytes] : []));
}
