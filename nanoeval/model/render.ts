/** From a prompt to the text that is tokenised: conversations through the chat template, pictures as placeholders. */
import type { ChatMessage, ContentPart, Prompt } from '../questions.ts';
import { isConversation } from '../text/prompt_parts.ts';
import { UserError } from '../types.ts';
import type { ChatTemplate } from './chat.ts';
import type { VisionFamily } from './vision/family.ts';

export interface Renderer {
  /**
   * The prompt as text, a placeholder for each picture; `date` is what the chat template is given for today. Throws UserError:
   * no chat template, one that cannot be used, pictures that are not taken.
   */
  render(prompt: Prompt, date?: string): string;
  /** How the checkpoint takes pictures, found once. Throws UserError when it takes none. */
  vision(): VisionFamily;
}

/** `label`: what messages call the model. `open` finds how it takes pictures. */
export function openRenderer(label: string, chat: ChatTemplate | null, open: () => VisionFamily): Renderer {
  let family: VisionFamily | null = null;
  const vision = () => {
    family ??= open();
    return family;
  };
  return {
    vision,
    render(prompt, date) {
      if (typeof prompt === 'string') return prompt;
      if (isConversation(prompt)) {
        if (chat === null)
          throw new UserError(`true, but ${label} has no chat template.`, { key: 'model.chat_template' });
        return chat.render(prompt.map(withoutFiles), date);
      }
      const parts = prompt as readonly ContentPart[];
      return parts.map((part) => (part.type === 'text' ? part.text : vision().placeholder)).join('');
    },
  };
}

/** A template looks at the kind of a part alone, and would be given the megabytes of a picture otherwise. */
function withoutFiles({ role, content }: ChatMessage): ChatMessage {
  if (typeof content === 'string') return { role, content };
  return { role, content: content.map((part) => (part.type === 'text' ? part : ({ type: 'image' } as ContentPart))) };
}
