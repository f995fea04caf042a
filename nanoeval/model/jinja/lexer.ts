/** The source of a template as tokens: jinja2's lexer with `trim_blocks` and `lstrip_blocks`, as transformers sets it. */
import { isBlank, rstrip } from '../../text/python_text.ts';
import { TemplateError, Unsupported } from './values.ts';

/** A template that cannot be read. */
export class SyntaxFault extends TemplateError {
  constructor(message: string, line: number) {
    super(`${message} (line ${line})`);
  }
}

export interface Token {
  kind: 'data' | 'print' | 'endprint' | 'tag' | 'endtag' | 'name' | 'string' | 'integer' | 'float' | 'operator' | 'end';
  /** Text of data, name, string (unescaped) or operator; digits of a number. */
  text: string;
  line: number;
}

const FLOAT = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}\p{N}_]+/uy;
const STRING = /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"/y;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[+\-/*%~[\](){}><=.:|,;]/y;
const CLOSING: Record<string, string> = { '{': '}', '(': ')', '[': ']' };

/** The tokens of a template. Throws SyntaxFault. */
export function tokenize(template: string): Token[] {
  return new Lexer(template).run();
}

class Lexer {
  private readonly source: string;
  private at = 0;
  private line = 1;
  /** The text before ended a line, so that blanks before a tag begin one. */
  private atLineStart = true;
  private readonly tokens: Token[] = [];

  constructor(template: string) {
    // Every kind of line end is read as \n, and the last one is dropped.
    this.source = template.replace(/\r\n?/g, '\n').replace(/\n$/, '');
  }

  run(): Token[] {
    while (this.at < this.source.length) this.text();
    this.add('end', '');
    return this.tokens;
  }

  private add(kind: Token['kind'], text: string): void {
    this.tokens.push({ kind, text, line: this.line });
  }

  /** Moves on over `length` characters. */
  private skip(length: number): void {
    const passed = this.source.slice(this.at, this.at + length);
    this.line += passed.split('\n').length - 1;
    this.at += length;
    if (length > 0) this.atLineStart = passed.endsWith('\n');
  }

  private skipBlanks(): void {
    let end = this.at;
    while (end < this.source.length && isBlank(this.source.charAt(end))) end += 1;
    this.skip(end - this.at);
  }

  /** Text up to the next tag, and what that tag is. */
  private text(): void {
    const begin = /\{[{%#]/g;
    begin.lastIndex = this.at;
    const found = begin.exec(this.source);
    if (found === null) {
      this.add('data', this.source.slice(this.at));
      this.skip(this.source.length - this.at);
      return;
    }
    const sign = this.source.charAt(found.index + 2);
    const text = this.source.slice(this.at, found.index);
    const kept = this.stripped(text, sign, found[0] === '{{');
    if (kept !== '') this.add('data', kept);
    const opening = found[0].length + (sign === '-' || sign === '+' ? 1 : 0);
    this.skip(text.length);
    if (found[0] === '{%' && this.raw()) return;
    this.skip(opening);
    if (found[0] === '{#') this.comment();
    else if (found[0] === '{{') this.inside('print', 'endprint');
    else this.inside('tag', 'endtag');
  }

  /** A text as it stands before a tag with that sign. */
  private stripped(text: string, sign: string, isPrint: boolean): string {
    if (sign === '-') return rstrip(text);
    if (sign === '+' || isPrint) return text;
    const start = text.lastIndexOf('\n') + 1;
    const blanks = text.slice(start);
    const isLine = start > 0 || this.atLineStart;
    return isLine && blanks !== '' && rstrip(blanks) === '' ? text.slice(0, start) : text;
  }

  /** The end of a tag or comment: what trims behind it. */
  private close(sign: string, trims: boolean): void {
    if (sign === '-') this.skipBlanks();
    else if (sign === '' && trims && this.source[this.at] === '\n') this.skip(1);
  }

  private comment(): void {
    const end = this.source.indexOf('#}', this.at);
    if (end < 0) throw new SyntaxFault('Missing end of comment tag', this.line);
    const before = this.source.charAt(end - 1);
    const sign = end > this.at && (before === '-' || before === '+') ? before : '';
    this.skip(end + 2 - this.at);
    this.close(sign, true);
  }

  /** `{% raw %}` with all that stands in it; false where the tag is another one. */
  private raw(): boolean {
    const opening = /\{%[-+]?\s*raw\s*(-?)%\}/y;
    opening.lastIndex = this.at;
    const found = opening.exec(this.source);
    if (found === null) return false;
    this.skip(found[0].length);
    if (found[1] === '-') this.skipBlanks();
    const ending = /\{%([-+]?)\s*endraw\s*([-+]?)%\}/g;
    ending.lastIndex = this.at;
    const end = ending.exec(this.source);
    if (end === null) throw new SyntaxFault('Missing end of raw directive', this.line);
    const kept = this.stripped(this.source.slice(this.at, end.index), end[1]!, false);
    if (kept !== '') this.add('data', kept);
    this.skip(end.index + end[0].length - this.at);
    this.close(end[2]!, true);
    return true;
  }

  /** What stands between the marks of a tag. */
  private inside(begin: 'print' | 'tag', end: 'endprint' | 'endtag'): void {
    this.add(begin, '');
    const mark = begin === 'print' ? '}}' : '%}';
    const open: string[] = [];
    for (;;) {
      this.skipBlanks();
      if (this.at >= this.source.length) throw new SyntaxFault('unexpected end of template', this.line);
      const sign = this.source.charAt(this.at);
      const signed = sign === '-' || (sign === '+' && begin === 'tag') ? sign : '';
      if (open.length === 0 && this.source.startsWith(mark, this.at + signed.length)) {
        this.add(end, '');
        this.skip(signed.length + mark.length);
        this.close(signed, begin === 'tag');
        return;
      }
      this.expression(open);
    }
  }

  private match(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    return pattern.exec(this.source)?.[0] ?? null;
  }

  /** One token of an expression. `open`: the brackets that are to be closed. */
  private expression(open: string[]): void {
    const float = this.source.charAt(this.at - 1) === '.' ? null : this.match(FLOAT);
    const kinds = [
      ['float', float],
      ['integer', this.match(INTEGER)],
      ['name', this.match(NAME)],
      ['string', this.match(STRING)],
      ['operator', this.match(OPERATOR)],
    ] as const;
    const found = kinds.find(([, text]) => text !== null);
    if (found === undefined)
      throw new SyntaxFault(`unexpected char ${JSON.stringify(this.source[this.at])}`, this.line);
    const [kind, text] = found as ['name', string];
    if ((kind as string) === 'operator') this.balance(text, open);
    if (kind === 'name' && /^\p{N}/u.test(text)) throw new SyntaxFault('Invalid character in identifier', this.line);
    this.add(kind, (kind as string) === 'string' ? unescaped(text.slice(1, -1)) : text);
    this.skip(text.length);
  }

  private balance(text: string, open: string[]): void {
    const closing = CLOSING[text];
    if (closing !== undefined) open.push(closing);
    if (!['}', ')', ']'].includes(text)) return;
    const expected = open.pop();
    if (expected !== text)
      throw new SyntaxFault(
        `unexpected '${text}'${expected === undefined ? '' : `, expected '${expected}'`}`,
        this.line,
      );
  }
}

const NAMED: Record<string, string> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '\n': '',
};

/** The escapes of Python's string literals; those that Python does not know stay as they are. */
function unescaped(text: string): string {
  const pattern = /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g;
  return text.replace(pattern, (whole, x?: string, u?: string, U?: string, octal?: string, char?: string) => {
    const hex = x ?? u ?? U;
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
    if (char !== undefined && ('xuUN'.includes(char) || char > '\x7f'))
      throw new Unsupported(`the escape ${JSON.stringify(whole)} in a text`);
    return NAMED[char!] ?? whole;
  });
}
