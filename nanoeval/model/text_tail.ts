/** The end of a text that grows token by token, so that nothing has to look at the whole of it for each. */
import type { Tokenizer } from './tokenizer.ts';

/** The most UTF-16 units of a text of the list; 0 for none. */
export const longestOf = (texts: readonly string[]): number => Math.max(0, ...texts.map(({ length }) => length));

/**
 * Tokens before the new one that are decoded with it: what a token adds to a text may depend on the one before it (a blank in
 * front of a word, the first bytes of a character).
 */
const CONTEXT = 4;
/** More tokens than a character has bytes that are still without their end. */
const MOST_OPEN = 8;

export class TextTail {
  readonly #tokenizer: Pick<Tokenizer, 'decode'>;
  readonly #kept: number;
  /** Tokens that may still change the text, after those that lend it its context. */
  #tokens: number[] = [];
  /** How many of them stand in the text already. */
  #read = 0;
  #text = '';

  /** `longest`: units of the longest text that is looked for. */
  constructor(tokenizer: Pick<Tokenizer, 'decode'>, longest: number) {
    this.#tokenizer = tokenizer;
    this.#kept = longest;
  }

  /** Adds a token. Returns the text's end: all that is new, and before it what a text that is looked for may begin in. */
  add(token: number): string {
    this.#tokens.push(token);
    const known = this.#tokenizer.decode(this.#tokens.slice(0, this.#read), true);
    const all = this.#tokenizer.decode(this.#tokens, true);
    const open = all.endsWith('\uFFFD') && this.#tokens.length - this.#read < MOST_OPEN;
    const fresh = all.startsWith(known) ? all.slice(known.length) : all;
    const shown = this.#text + fresh;
    if (open) return shown;
    this.#text = this.#kept === 0 ? '' : shown.slice(-this.#kept);
    this.#tokens = this.#tokens.slice(-CONTEXT);
    this.#read = this.#tokens.length;
    return shown;
  }
}
