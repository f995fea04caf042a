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
    const why = (cause as Error).message.split('\n').join(' ');
    throw new UserError(`chat template: cannot be read: ${why}`, { key: 'model.model_id', cause });
  }
  // As transformers: what is not given is none, not undefined (`{% if tools is not none %}`).
  const given = { add_generation_prompt: true, tools: null, documents: null, ...special };
  const asParts = wantsParts((message) => template.render({ messages: [message], ...given }));
  return {
    text,
    render(messages) {
      const filled = asParts ? messages.map((m) => ({ ...m, content: [{ type: 'text', text: m.content }] })) : messages;
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

/**
 * Whether the template reads a content as a list of typed parts and prints nothing of a plain text, as those of
 * vision-language checkpoints do (SmolVLM): the text would be lost without an error.
 */
function wantsParts(render: (message: object) => string): boolean {
  const probe = 'probe';
  const shows = (content: unknown) => {
    try {
      return render({ role: 'user', content }).includes(probe);
    } catch {
      return false;
    }
  };
  return !shows(probe) && shows([{ type: 'text', text: probe }]);
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
