/** The checkpoint's chat template, rendered as transformers' `apply_chat_template` does. */
import { Template } from '@huggingface/jinja';
import type { ChatMessage } from '../questions.ts';
import { UserError } from '../types.ts';
import type { SpecialTokens, TokenizerConfig } from './tokenizer.ts';

export interface ChatTemplate {
  text: string;
  /** Messages with the generation prompt (the assistant's opening) at the end. Throws UserError as the template does. */
  render(messages: readonly ChatMessage[]): string;
}

/**
 * The text of a checkpoint's template, or null when it has none. Order as in Python: `chat_template.jinja`, then
 * `chat_template.json`, then `tokenizer_config.json`, whose value may be a list of named templates (`default` is taken).
 */
export function chatTemplateText(
  files: { jinja: string | null; json: unknown },
  config: TokenizerConfig,
): string | null {
  return files.jinja ?? templateText(files.json) ?? templateText(config);
}

/** The template of a checkpoint, or null when it has none. Throws UserError for one that cannot be read. */
export function openChatTemplate(
  files: { jinja: string | null; json: unknown },
  config: TokenizerConfig,
  special: SpecialTokens,
): ChatTemplate | null {
  const text = chatTemplateText(files, config);
  if (text === null) return null;
  let template: Template;
  try {
    template = new Template(text);
  } catch (cause) {
    const why = (cause as Error).message.split('\n').join(' ');
    throw new UserError(`chat template: cannot be read: ${why}`, { key: 'model.model_id', cause });
  }
  // As transformers: what is not given is none, not undefined (`{% if tools is not none %}`).
  const given = { add_generation_prompt: true, tools: null, documents: null, ...special };
  const reads = contentsOf((message) => template.render({ messages: [message], ...given }));
  return {
    text,
    render(messages) {
      const filled = messages.map((message) => ({ ...message, content: contentFor(message, reads) }));
      try {
        return template.render({ messages: filled, ...given });
      } catch (cause) {
        const why = (cause as Error).message.split('\n').join(' ');
        throw new UserError(
          `chat template: it refused these messages (${messages.map((m) => m.role).join(', ')}): ${why}. ` +
            'Set model.chat_template: false, or another recipe.',
          { key: 'model.chat_template', cause },
        );
      }
    },
  };
}

/** Kinds of content that a template prints. */
interface Reads {
  text: boolean;
  parts: boolean;
}

/**
 * Whether the template prints a plain text, and whether it prints a list of typed parts. Those of vision-language
 * checkpoints (SmolVLM) print nothing of a plain text: it would be lost without an error.
 */
function contentsOf(render: (message: object) => string): Reads {
  const probe = 'probe';
  // What a template prints whole it does not read.
  const unread = 'unread';
  const shows = (content: unknown) => {
    try {
      const text = render({ role: 'user', content });
      return text.includes(probe) && !text.includes(unread);
    } catch {
      return false;
    }
  };
  return { text: shows(probe), parts: shows([{ type: 'text', text: probe, unread }]) };
}

/** The content as the template reads it. Throws UserError for a picture where it has no place for one. */
function contentFor({ content }: ChatMessage, reads: Reads): ChatMessage['content'] {
  if (typeof content === 'string') return reads.text || !reads.parts ? content : [{ type: 'text', text: content }];
  if (reads.parts) return content;
  if (content.some(({ type }) => type === 'image')) {
    throw new UserError('the chat template takes plain texts alone: it has no place for a picture.', {
      key: 'model.model_id',
    });
  }
  return content.map((part) => (part.type === 'text' ? part.text : '')).join('');
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
