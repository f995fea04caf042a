/** The checkpoint's chat template, rendered as transformers' `apply_chat_template` does. */
import { Template } from '@huggingface/jinja';
import { type ChatMessage, UserError } from '../types.ts';
import type { SpecialTokens, TokenizerConfig } from './tokenizer.ts';

export interface ChatTemplate {
  text: string;
  /** Messages with the generation prompt (the assistant's opening) at the end. Throws UserError as the template does. */
  render(messages: readonly ChatMessage[]): string;
}

/**
 * The template of a checkpoint, or null when it has none. Order as in Python: `chat_template.jinja`, then
 * `chat_template.json`, then `tokenizer_config.json`, whose value may be a list of named templates (`default` is taken).
 */
export function openChatTemplate(
  files: { jinja: string | null; json: unknown },
  config: TokenizerConfig,
  special: SpecialTokens,
): ChatTemplate | null {
  const text = files.jinja ?? templateText(files.json) ?? templateText(config);
  if (text === null) return null;
  let template: Template;
  try {
    template = new Template(text);
  } catch (cause) {
    throw new UserError(`chat template: cannot be read: ${(cause as Error).message}`, { cause });
  }
  return {
    text,
    render(messages) {
      try {
        return template.render({ messages, add_generation_prompt: true, ...special });
      } catch (cause) {
        throw new UserError(
          `chat template: it refused these messages (${messages.map((m) => m.role).join(', ')}): ${(cause as Error).message}. ` +
            'Set model.chat_template: false, or another recipe.',
          { key: 'model.chat_template', cause },
        );
      }
    },
  };
}

function templateText(source: unknown): string | null {
  if (typeof source !== 'object' || source === null || !('chat_template' in source)) return null;
  const value = source.chat_template;
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return null;
  const named: { name?: unknown; template?: unknown }[] = value;
  const chosen = named.find((entry) => entry.name === 'default') ?? named[0];
  return typeof chosen?.template === 'string' ? chosen.template : null;
}
