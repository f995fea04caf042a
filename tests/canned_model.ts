/**
 * A second backend, for tests: a table of replies. It answers late and out of order, in parallel as a server would, takes a
 * while to render and to count, and fails where it is told to. No tokenizer, no graph: tokens are words.
 */
import type {
  Ask,
  ChatMessage,
  ChoicesReply,
  ClassesReply,
  GenerationReply,
  Model,
  ModelIdentity,
  Prompt,
  Reply,
  RollingReply,
} from '../nanoeval/questions.ts';
import type { FoundModel, Models } from '../nanoeval/run/models.ts';
import { isConversation, partsOf } from '../nanoeval/text/prompt_parts.ts';
import { type Question, RowError } from '../nanoeval/types.ts';

export interface Canned {
  /** What it is called; two of one name and other `sha256` are two. */
  label?: string;
  sha256?: string;
  is_vlm?: boolean;
  max_length?: number;
  can?: Partial<Model['can']>;
  /** The reply to a question; a RowError, returned or thrown, fails the row, any other error ends the run. */
  reply?(ask: Ask, context: string): Reply | RowError | Promise<Reply | RowError>;
  /** Milliseconds until a question is answered; 0 by default, and then questions are answered in order. */
  delay?(ask: Ask, place: number): number;
  /** Questions under way at a time; 1 by default. */
  concurrency?: number;
}

/** Words of a text: what `countTokens` counts. */
export const words = (text: string): number => text.split(/\s+/).filter((word) => word !== '').length;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export const identityOf = ({ label = 'canned', sha256 = 'c'.repeat(64), ...given }: Canned): ModelIdentity => ({
  label,
  variant: null,
  backend: 'canned',
  max_length: given.max_length ?? 1000,
  is_vlm: given.is_vlm ?? false,
  chat_template_sha256: 'd'.repeat(64),
  sha256,
  source: { table: label, version: 1 },
});

/** Minus the characters of each continuation as its log-likelihood. */
export function ranked(ask: Ask, context: string): ChoicesReply {
  if (ask.verb !== 'loglikelihood') throw new Error(`no choices in ${ask.verb}`);
  return {
    choices: ask.choices.map(({ continuation }) => ({
      logprob: -continuation.length,
      num_tokens: words(continuation),
      is_greedy: false,
      ...(ask.keep_tokens ? { tokens: { prompt: [1, 2], output: [3] } } : {}),
    })),
    prompts: [context],
    num_context_tokens: words(context),
    truncated: false,
  };
}

/** An answer as it was said. */
export const said = (output: string, context: string): GenerationReply => ({
  output,
  finish_reason: 'stop',
  num_output_tokens: words(output),
  prompts: [context],
  num_context_tokens: words(context),
  truncated: false,
});

/** A nat a word. */
export const rolled = (text: string): RollingReply => ({
  logprob: -words(text),
  num_tokens: words(text),
  num_greedy: 0,
  num_windows: 1,
  prompts: [text],
  num_context_tokens: 0,
  truncated: false,
});

/** Two classes, the first one as likely as the text is long. */
export function classified({ text, pair }: Extract<Ask, { verb: 'classify' }>): ClassesReply {
  const share = 1 - 1 / (2 + words(text));
  return {
    label_logprobs: [Math.log(share), Math.log(1 - share)],
    prompts: pair === undefined ? [text] : [text, pair],
    num_context_tokens: words(text),
    truncated: false,
  };
}

function byDefault(ask: Ask, context: string): Reply {
  if (ask.verb === 'loglikelihood') return ranked(ask, context);
  if (ask.verb === 'classify') return classified(ask);
  return ask.verb === 'generate_until' ? said('A', context) : rolled(ask.text);
}

/** The messages as tags, texts as they are, pictures by their bytes. */
export function renderMessages(messages: readonly ChatMessage[]): string {
  const shown = messages.map(({ role, content }) => `<${role}>${plain(content as Prompt)}</${role}>`);
  return `${shown.join('')}<assistant>`;
}

const plain = (prompt: Prompt): string =>
  partsOf(prompt)
    .map((part) => (part.type === 'text' ? part.text : `<picture ${part.bytes.length}>`))
    .join('');

const render = (prompt: Prompt): string => (isConversation(prompt) ? renderMessages(prompt) : plain(prompt));

/** Every question that it was asked, in the order in which they were read. */
export interface CannedModel extends Model {
  asked: Question<Ask>[];
  closed: boolean;
}

/** A model that answers from a table. */
export function cannedModel(given: Canned = {}): CannedModel {
  const { reply = byDefault, delay = () => 0, concurrency = 1 } = given;
  const asked: Question<Ask>[] = [];
  const contextOf = (ask: Ask) => ('text' in ask ? ask.text : render(ask.prompt));
  const answerTo = async ({ place, content }: Question<Ask>): Promise<Question<Reply | RowError>> => {
    await sleep(delay(content, place));
    try {
      return { place, content: await reply(content, contextOf(content)) };
    } catch (error) {
      if (error instanceof RowError) return { place, content: error };
      throw error;
    }
  };
  const model: CannedModel = {
    asked,
    closed: false,
    identity: identityOf(given),
    can: {
      verbs: ['loglikelihood', 'generate_until', 'loglikelihood_rolling'],
      images: true,
      chat: true,
      ...given.can,
    },
    engine: {},
    remarks: [],
    stats: () => ({ requests: asked.length }),
    async *answer(questions, signal) {
      const underWay = new Map<number, Promise<Question<Reply | RowError>>>();
      const next = async () => {
        const answer = await Promise.race(underWay.values());
        underWay.delete(answer.place);
        return answer;
      };
      try {
        for await (const question of questions) {
          if (signal.aborted) break;
          asked.push(question);
          if (question.done) continue;
          underWay.set(question.place, answerTo(question));
          if (underWay.size >= concurrency) yield await next();
        }
      } catch (error) {
        // When it is stopped, what is under way is given still.
        if (!signal.aborted) throw error;
      }
      while (underWay.size > 0) yield await next();
      signal.throwIfAborted();
    },
    async renderChat(messages) {
      await sleep(1);
      return renderMessages(messages);
    },
    async countTokens(prompt) {
      await sleep(1);
      return words(render(prompt));
    },
    async close() {
      model.closed = true;
    },
  };
  return model;
}

/** What the runner looks models up in, for one canned model. */
export function cannedModels(model: CannedModel): Models {
  const found: FoundModel = { identity: model.identity, can: model.can, engine: {}, load: async () => model };
  return { find: async () => found, open: async () => model, close: () => model.close() };
}
