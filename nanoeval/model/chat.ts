/** The checkpoint's chat template, rendered as transformers' `apply_chat_template` does. */
import type { ChatMessage, ContentPart } from '../questions.ts';
import { type Moment, parseMoment, strftime } from '../text/strftime.ts';
import { UserError } from '../types.ts';
import { Template } from './jinja/template.ts';
import { TemplateError } from './jinja/values.ts';
import type { SpecialTokens, TokenizerConfig } from './tokenizer.ts';

export interface ChatTemplate {
  text: string;
  /**
   * Messages with the generation prompt (the assistant's opening) at the end. `date`: what `strftime_now` is given, as
   * `parseMoment` reads it. Throws UserError as the template does, and where it asks for a date and has none.
   */
  render(messages: readonly ChatMessage[], date?: string): string;
}

export interface DatedTemplate extends ChatTemplate {
  /** Whether it asks for today's date (`strftime_now`): its prompts are known only with a date. */
  dated: boolean;
  /** Whether it prints something else for `enable_thinking: true` than for `false`. */
  switched: boolean;
}

/** What a template is told of the run besides messages and date. */
export interface TemplateOptions {
  /** Left undefined unless the config says it, as in Python: the template then decides. */
  enable_thinking?: boolean | undefined;
}

/** Where a template may stand. */
export interface TemplateFiles {
  jinja: string | null;
  json: unknown;
}

/**
 * The text of a checkpoint's template, or null when it has none. Order as in Python: `chat_template.jinja`, then
 * `chat_template.json`, then `tokenizer_config.json`, whose value may be a list of named templates (`default` is taken).
 * Line ends of a file are read as Python reads them, so that a copy made on Windows is the same template.
 */
export function chatTemplateText(files: TemplateFiles, config: TokenizerConfig): string | null {
  return files.jinja?.replace(/\r\n?/g, '\n') ?? templateText(files.json) ?? templateText(config);
}

/**
 * The template of a checkpoint, or null when it has none. Throws UserError for one that cannot be read, and for one that
 * needs what `model/jinja` does not have: it would be printed in another way than Python prints it.
 */
export function openChatTemplate(
  files: TemplateFiles,
  config: TokenizerConfig,
  special: SpecialTokens,
  { enable_thinking }: TemplateOptions = {},
): DatedTemplate | null {
  const text = chatTemplateText(files, config);
  if (text === null) return null;
  /** The date of the rendering under way, and whether that asked for it. */
  const clock: { date: Moment | null; asked: boolean } = { date: null, asked: false };
  const template = readTemplate(text, (format) => {
    clock.asked = true;
    if (clock.date === null)
      throw new TemplateError('it asks for the date here, and there is none: set model.template_date');
    return written(format, clock.date);
  });
  // As transformers: what is not given is none, not undefined (`{% if tools is not none %}`).
  const given = { add_generation_prompt: true, tools: null, documents: null, ...special };
  const draw = (messages: readonly object[], date: Moment | null, thinking = enable_thinking) => {
    Object.assign(clock, { date, asked: false });
    return template.render({ messages, ...given, ...(thinking === undefined ? {} : { enable_thinking: thinking }) });
  };
  const tried = tryOut(
    (messages) => ({ text: draw(messages, TRIED), asked: clock.asked }),
    () => clock.asked,
  );
  return {
    text,
    dated: tried.dated,
    switched: text.includes('enable_thinking') && switches((messages, on) => draw(messages, TRIED, on), tried.reads),
    render(messages, date) {
      const filled = messages.map((message) => ({
        ...message,
        content: contentFor(message, tried.reads(message.role)),
      }));
      try {
        return draw(filled, date === undefined ? null : parseMoment(date));
      } catch (cause) {
        if (!(cause instanceof TemplateError)) throw cause;
        throw new UserError(
          `chat template: it refused these messages (${messages.map((m) => m.role).join(', ')}): ${oneLine(cause)}. ` +
            'Set model.chat_template: false, or another recipe.',
          { key: 'model.chat_template', cause },
        );
      }
    },
  };
}

/**
 * As `openChatTemplate`, read with the first conversation: one that cannot be used does not stand in the way of plain texts.
 */
export function chatTemplateInUse(
  files: TemplateFiles,
  config: TokenizerConfig,
  special: SpecialTokens,
  options: TemplateOptions = {},
): ChatTemplate | null {
  const text = chatTemplateText(files, config);
  if (text === null) return null;
  let opened: ChatTemplate | null = null;
  return {
    text,
    render(messages, date) {
      opened ??= openChatTemplate(files, config, special, options)!;
      return opened.render(messages, date);
    },
  };
}

/** What a model can be asked of its template: whether there is one that can be used, and whether it asks for the date. */
export function templateAbilities(
  files: TemplateFiles,
  config: TokenizerConfig,
): { chat: boolean; dated?: boolean; thinking_switch?: boolean; chat_fault?: string } {
  try {
    // Which texts the special tokens have makes no difference to what is asked for.
    const special = Object.fromEntries(['bos_token', 'eos_token', 'unk_token', 'pad_token'].map((name) => [name, '']));
    const template = openChatTemplate(files, config, special);
    const { dated = false, switched = false } = template ?? {};
    return {
      chat: template !== null,
      ...(dated ? { dated } : {}),
      ...(switched ? { thinking_switch: true } : {}),
    };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { chat: true, chat_fault: error.message };
  }
}

const oneLine = (error: Error) => error.message.split('\n').join(' ');

function readTemplate(text: string, now: (format: string) => string): Template {
  try {
    return new Template(text, { now });
  } catch (cause) {
    if (!(cause instanceof TemplateError)) throw cause;
    throw new UserError(`chat template: cannot be read: ${oneLine(cause)}`, { key: 'model.model_id', cause });
  }
}

function written(format: string, date: Moment): string {
  try {
    return strftime(format, date);
  } catch (cause) {
    throw new TemplateError((cause as Error).message, { cause });
  }
}

/** Kinds of content that a template prints. */
interface Reads {
  text: boolean;
  parts: boolean;
}

type Role = ChatMessage['role'];

/** The date while a template is tried out: none of its numbers is like another. */
const TRIED: Moment = { year: 2024, month: 7, day: 26, hour: 13, minute: 45, second: 59 };

/**
 * What a template makes of a short conversation of each role: whether it prints a plain text, and whether it prints a list of
 * typed parts. Those of vision-language checkpoints (SmolVLM) print nothing of a plain text: it would be lost without an
 * error. Others (Llama-3.2-Vision) take parts from the user alone and print those of the system as a Python list. And
 * whether it asked for the date in any of them.
 */
function tryOut(
  draw: (messages: readonly object[]) => { text: string; asked: boolean },
  asked: () => boolean,
): { dated: boolean; reads(role: Role): Reads } {
  const probe = 'probe';
  // What a template prints whole it does not read.
  const unread = 'unread';
  let dated = false;
  const shows = (role: Role, content: unknown) => {
    const user = { role: 'user', content: role === 'user' ? content : Array.isArray(content) ? [plainPart('x')] : 'x' };
    const message = { role, content };
    const messages = role === 'user' ? [user] : role === 'system' ? [message, user] : [user, message, user];
    try {
      const { text } = draw(messages);
      return text.includes(probe) && !text.includes(unread);
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      return false;
    } finally {
      dated ||= asked();
    }
  };
  const tried = new Map<Role, Reads>();
  for (const role of ['user', 'system', 'assistant'] as const) {
    tried.set(role, { text: shows(role, probe), parts: shows(role, [{ ...plainPart(probe), unread }]) });
  }
  return { dated, reads: (role) => tried.get(role)! };
}

/** Whether a template prints a question otherwise where the model is to think first. */
function switches(draw: (messages: readonly object[], on: boolean) => string, reads: (role: Role) => Reads): boolean {
  const content = reads('user').text ? 'probe' : [plainPart('probe')];
  const messages = [{ role: 'user', content }];
  try {
    return draw(messages, true) !== draw(messages, false);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    // It refuses one of the two, so it looks at it; what it says is told where it is used.
    return true;
  }
}

const plainPart = (text: string): ContentPart => ({ type: 'text', text });

/**
 * The content as the template reads it: as it was given wherever that is printed. Throws UserError for a picture where it has
 * no place for one.
 */
function contentFor({ content }: ChatMessage, reads: Reads): ChatMessage['content'] {
  if (typeof content === 'string') return reads.text || !reads.parts ? content : [plainPart(content)];
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
