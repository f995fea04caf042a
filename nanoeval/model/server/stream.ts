/** An answer that comes in pieces (server-sent events), put together as the whole answer would have been. */
import { type Fields, fieldsOf, isFields, listOf, textOf } from './fields.ts';

/** Lines of an event that hold JSON; llama-server once wrote its errors without an event around them. */
const FIELDS = ['data', 'error'];

/** Reads the events of one answer. */
export class EventReader {
  private rest = '';
  private data: string[] = [];
  /** `[DONE]` came: nothing is missing. */
  isWhole = false;
  readonly answer = new PiecedAnswer();

  /**
   * Takes what came, wherever it was cut. Returns whether a piece of the answer was in it, which a comment (a server's sign of
   * life) is not. Throws SyntaxError for what is no JSON, StreamedError where the server says that it failed.
   */
  push(text: string): boolean {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop()!;
    let hasData = false;
    for (const line of lines) hasData = this.line(line.endsWith('\r') ? line.slice(0, -1) : line) || hasData;
    return hasData;
  }

  /** A text may hold line ends of other kinds (U+2028), which end no line here. */
  private line(line: string): boolean {
    if (line === '') return this.event();
    const colon = line.indexOf(':');
    const value = line.slice(colon + 1);
    if (FIELDS.includes(line.slice(0, Math.max(0, colon))))
      this.data.push(value.startsWith(' ') ? value.slice(1) : value);
    return false;
  }

  /** An empty line ends an event. */
  private event(): boolean {
    if (this.data.length === 0) return false;
    const text = this.data.join('\n');
    this.data = [];
    if (text.trim() === '[DONE]') {
      this.isWhole = true;
      return false;
    }
    this.answer.add(JSON.parse(text));
    return true;
  }
}

/** The server failed after the answer had begun; `said` is what stands in an error's body. */
export class StreamedError extends Error {
  readonly said: Fields;
  constructor(said: Fields) {
    super('the server failed while it answered');
    this.name = 'StreamedError';
    this.said = said;
  }
}

/** Texts of a message that grow from piece to piece. */
const TEXTS = ['content', 'reasoning_content', 'reasoning'] as const;

class PiecedAnswer {
  private readonly head: Record<string, unknown> = {};
  private readonly choice: Record<string, unknown> = {};
  private readonly message: Record<string, unknown> = {};
  private hasChoice = false;

  /** Takes one piece. Throws StreamedError where it is an error. */
  add(piece: unknown): void {
    const fields = fieldsOf(piece);
    if (fields.error != null || (fields.choices === undefined && 'message' in fields && 'code' in fields))
      throw new StreamedError(isFields(fields.error) ? fields : { error: fields.error ?? fields });
    if (typeof fields.model === 'string') this.head.model = fields.model;
    if (isFields(fields.usage)) this.head.usage = fields.usage;
    if (Array.isArray(fields.prompt_token_ids)) this.head.prompt_token_ids = fields.prompt_token_ids;
    for (const one of listOf(fields.choices)) this.addChoice(fieldsOf(one));
  }

  private addChoice({ text, delta, finish_reason, prompt_token_ids, token_ids }: Fields): void {
    this.hasChoice = true;
    if (textOf(text) !== null) this.choice.text = `${this.choice.text ?? ''}${text}`;
    if (isFields(delta)) {
      this.choice.message = this.message;
      for (const name of TEXTS)
        if (textOf(delta[name]) !== null) this.message[name] = `${this.message[name] ?? ''}${delta[name]}`;
    }
    if (finish_reason != null) this.choice.finish_reason = finish_reason;
    if (Array.isArray(prompt_token_ids)) this.choice.prompt_token_ids = prompt_token_ids;
    if (Array.isArray(token_ids)) this.choice.token_ids = [...listOf(this.choice.token_ids), ...token_ids];
  }

  /** As a server answers that is not asked for a stream. */
  whole(): Fields {
    if ('message' in this.choice) this.message.content ??= null;
    return { ...this.head, choices: this.hasChoice ? [this.choice] : [] };
  }
}
