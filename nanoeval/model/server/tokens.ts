/** Texts and conversations as a server's own tokenizer has them, over HTTP: the same ids for context and continuation as lm-eval's split. */
import type { ChatMessage, Prompt, Tokenization } from '../../questions.ts';
import { imagesOf, isConversation, partsOf } from '../../text/prompt_parts.ts';
import { rstrip } from '../../text/python_text.ts';
import { RowError } from '../../types.ts';
import { fieldsOf, garbled, idsOf, textOf } from './fields.ts';
import type { Send } from './pool.ts';

/** A server's tokenizer routes. */
export interface TokenRoutes {
  /**
   * The ids of a text, nothing added. `special`: names of special tokens in it (`<|im_end|>`) become those tokens, as in the
   * output of a chat template.
   */
  encode(send: Send, text: string, special: boolean): Promise<number[]>;
  /** With whatever the tokenizer puts around a text. */
  encodeFramed(send: Send, text: string): Promise<number[]>;
  /** The conversation through the model's chat template, generation prompt behind it. */
  render(send: Send, messages: readonly ChatMessage[]): Promise<string>;
}

/** llama-server's `/tokenize` and `/apply-template`. */
export const LLAMA_ROUTES: TokenRoutes = {
  encode: (send, content, parse_special) => llamaTokens(send, { content, add_special: false, parse_special }),
  encodeFramed: (send, content) => llamaTokens(send, { content, add_special: true, parse_special: false }),
  async render(send, messages) {
    const answer = fieldsOf(await send('POST', '/apply-template', { messages: messages.map(plainMessage) }));
    return textOf(answer.prompt) ?? missing('/apply-template gives `prompt`', answer.prompt);
  },
};

async function llamaTokens(send: Send, body: { content: string; add_special: boolean; parse_special: boolean }) {
  const answer = fieldsOf(await send('POST', '/tokenize', body));
  return nonEmpty(body.content, idsOf(answer.tokens, '/tokenize gives `tokens`'));
}

/** vLLM's `/tokenize` and `/detokenize`, for one of its models. */
export function vllmRoutes(model: string): TokenRoutes {
  const tokens = async (send: Send, body: object) => {
    const answer = fieldsOf(await send('POST', '/tokenize', { model, ...body }));
    return idsOf(answer.tokens, '/tokenize gives `tokens`');
  };
  return {
    encode: async (send, prompt) => nonEmpty(prompt, await tokens(send, { prompt, add_special_tokens: false })),
    encodeFramed: async (send, prompt) => nonEmpty(prompt, await tokens(send, { prompt, add_special_tokens: true })),
    async render(send, messages) {
      const ids = await tokens(send, { messages: messages.map(plainMessage), add_generation_prompt: true });
      const answer = fieldsOf(await send('POST', '/detokenize', { model, tokens: ids }));
      return textOf(answer.prompt) ?? missing('/detokenize gives `prompt`', answer.prompt);
    },
  };
}

/** A body that the server did not understand may be answered with no tokens at all. */
function nonEmpty(text: string, ids: number[]): number[] {
  if (ids.length === 0 && text !== '') throw garbled('/tokenize gives tokens', ids);
  return ids;
}

function missing(what: string, found: unknown): never {
  throw garbled(what, found);
}

/** A message whose content is one text. Throws RowError for pictures. */
function plainMessage({ role, content }: ChatMessage): { role: string; content: string } {
  return { role, content: plainText(typeof content === 'string' ? content : content) };
}

/** The texts of a prompt in a row. Throws RowError for pictures. */
export function plainText(prompt: Prompt): string {
  if (imagesOf(prompt).length > 0)
    throw new RowError('pictures', 'pictures are shown in a chat alone, and not scored.');
  return partsOf(prompt)
    .map((part) => (part.type === 'text' ? part.text : ''))
    .join('');
}

/** A context as text, and whether names of special tokens in it are meant as such. */
export interface Context {
  text: string;
  special: boolean;
}

/** A prompt as the text that the model is shown. */
export async function contextOf(routes: TokenRoutes, send: Send, prompt: Prompt): Promise<Context> {
  if (!isConversation(prompt)) return { text: plainText(prompt), special: false };
  return { text: await routes.render(send, prompt), special: true };
}

/**
 * The token that the tokenizer puts before a text (BOS); null where it puts none. The ids of a text with and without what is
 * put around it tell; what a server's settings say of it is not to be trusted.
 */
export async function bosOf(routes: TokenRoutes, send: Send): Promise<number | null> {
  const bare = await routes.encode(send, 'a', false);
  const framed = await routes.encodeFramed(send, 'a');
  const isLed = framed.length === bare.length + 1 && bare.every((id, i) => framed[i + 1] === id);
  return isLed ? framed[0]! : null;
}

/** Texts to ids for one question; what several choices share is asked for once. */
export class Coder {
  private readonly known = new Map<string, Promise<number[]>>();
  private readonly routes: TokenRoutes;
  private readonly send: Send;
  private readonly bos: number | null;

  constructor(routes: TokenRoutes, send: Send, bos: number | null) {
    this.routes = routes;
    this.send = send;
    this.bos = bos;
  }

  /** With BOS before it where the model wants one and the text does not bring it. */
  async encode(text: string, special: boolean): Promise<number[]> {
    const ids = await this.plain(text, special);
    return this.bos === null || ids[0] === this.bos ? ids : [this.bos, ...ids];
  }

  plain(text: string, special: boolean): Promise<number[]> {
    const key = `${special ? 1 : 0}${text}`;
    const ids = this.known.get(key) ?? this.routes.encode(this.send, text, special);
    this.known.set(key, ids);
    return ids;
  }

  /** lm-eval's split, as `Tokenizer.encodePair` has it. Throws RowError where a part has no tokens. */
  async pair(
    { text: context, special }: Context,
    continuation: string,
    tokenization: Tokenization = 'joint',
    siblings: readonly string[] = [],
  ): Promise<{ context: number[]; continuation: number[] }> {
    if (context === '') {
      if (this.bos === null)
        throw new RowError('tokens', 'the context is empty, and the server puts no token before it.');
      const ids = await this.plain(continuation, special);
      return split([this.bos, ...(ids[0] === this.bos ? ids.slice(1) : ids)], 1, continuation);
    }
    if (tokenization === 'separate') {
      const head = await this.encode(context, special);
      return split([...head, ...(await this.plain(continuation, special))], head.length, continuation);
    }
    if (tokenization === 'diverging') {
      const ids = await this.encode(context + continuation, special);
      let shared = ids.length;
      for (const sibling of siblings) {
        const other = await this.encode(context + sibling, special);
        const at = ids.findIndex((id, i) => other[i] !== id);
        if (at >= 0) shared = Math.min(shared, at);
      }
      return split(ids, shared, continuation);
    }
    const kept = rstrip(context);
    const head = await this.encode(kept, special);
    return split(await this.encode(context + continuation, special), head.length, continuation);
  }
}

function split(ids: number[], at: number, continuation: string): { context: number[]; continuation: number[] } {
  const pair = { context: ids.slice(0, at), continuation: ids.slice(at) };
  if (pair.context.length === 0) throw new RowError('tokens', 'the context has no tokens.');
  if (pair.continuation.length === 0)
    throw new RowError('tokens', `the continuation ${JSON.stringify(continuation)} has no tokens of its own.`);
  return pair;
}
