/** Expressions of a template, with jinja2's precedences. */
import { SyntaxFault, type Token } from './lexer.ts';
import { Float, Unsupported, type Value } from './values.ts';

export interface CallArguments {
  positional: Expression[];
  named: [string, Expression][];
  /** `*rest` and `**named`. */
  rest: Expression | null;
  restNamed: Expression | null;
}

export type Expression =
  | { type: 'constant'; value: Value }
  | { type: 'name'; name: string }
  | { type: 'list'; items: Expression[] }
  | { type: 'tuple'; items: Expression[] }
  | { type: 'dict'; pairs: [Expression, Expression][] }
  | { type: 'conditional'; test: Expression; value: Expression; otherwise: Expression | null }
  | { type: 'and' | 'or'; left: Expression; right: Expression }
  | { type: 'not' | 'negative' | 'positive'; of: Expression }
  | { type: 'arithmetic'; operator: string; left: Expression; right: Expression }
  | { type: 'concat'; parts: Expression[] }
  | { type: 'compare'; first: Expression; rest: { operator: string; value: Expression }[] }
  | { type: 'attribute'; of: Expression; name: string }
  | { type: 'item'; of: Expression; key: Expression }
  | { type: 'slice'; of: Expression; start: Expression | null; stop: Expression | null; step: Expression | null }
  | { type: 'call'; of: Expression; given: CallArguments }
  /** `of` is null at the bottom of a `{% filter %}` or a `{% set x | filter %}`: the text of the block. */
  | { type: 'filter'; of: Expression | null; name: string; given: CallArguments }
  | { type: 'test'; of: Expression; name: string; given: CallArguments };

export type Target =
  | { type: 'name'; name: string }
  | { type: 'tuple'; items: Target[] }
  | { type: 'field'; of: string; name: string };

const COMPARISONS = ['==', '!=', '<', '<=', '>', '>='];
const CONSTANTS: Record<string, boolean | null> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
};

/** Reads expressions off a list of tokens. */
export class ExpressionParser {
  protected readonly tokens: readonly Token[];
  protected at = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  protected get token(): Token {
    return this.tokens[this.at]!;
  }

  protected fail(message: string, token = this.token): never {
    throw new SyntaxFault(message, token.line);
  }

  protected next(): Token {
    const token = this.token;
    if (token.kind !== 'end') this.at += 1;
    return token;
  }

  protected is(kind: Token['kind'], text?: string, ahead = 0): boolean {
    const token = this.tokens[this.at + ahead];
    return token?.kind === kind && (text === undefined || token.text === text);
  }

  protected skipIf(kind: Token['kind'], text?: string): boolean {
    const found = this.is(kind, text);
    if (found) this.next();
    return found;
  }

  protected expect(kind: Token['kind'], text?: string): Token {
    if (this.is(kind, text)) return this.next();
    const { kind: found, text: seen } = this.token;
    this.fail(`expected '${text ?? kind}', got '${seen || found}'`);
  }

  private operator(...texts: string[]): string | null {
    if (!this.is('operator') || !texts.includes(this.token.text)) return null;
    return this.next().text;
  }

  expression(): Expression {
    let value = this.or();
    while (this.skipIf('name', 'if')) {
      const test = this.or();
      const otherwise = this.skipIf('name', 'else') ? this.expression() : null;
      value = { type: 'conditional', test, value, otherwise };
    }
    return value;
  }

  private or(): Expression {
    let left = this.and();
    while (this.skipIf('name', 'or')) left = { type: 'or', left, right: this.and() };
    return left;
  }

  private and(): Expression {
    let left = this.not();
    while (this.skipIf('name', 'and')) left = { type: 'and', left, right: this.not() };
    return left;
  }

  private not(): Expression {
    return this.skipIf('name', 'not') ? { type: 'not', of: this.not() } : this.comparison();
  }

  private comparison(): Expression {
    const first = this.sum();
    const rest: { operator: string; value: Expression }[] = [];
    for (;;) {
      const sign = this.operator(...COMPARISONS);
      if (sign !== null) rest.push({ operator: sign, value: this.sum() });
      else if (this.skipIf('name', 'in')) rest.push({ operator: 'in', value: this.sum() });
      else if (this.is('name', 'not') && this.is('name', 'in', 1)) {
        this.next();
        this.next();
        rest.push({ operator: 'not in', value: this.sum() });
      } else break;
    }
    return rest.length === 0 ? first : { type: 'compare', first, rest };
  }

  private sum(): Expression {
    let left = this.concatenation();
    for (let sign = this.operator('+', '-'); sign !== null; sign = this.operator('+', '-'))
      left = { type: 'arithmetic', operator: sign, left, right: this.concatenation() };
    return left;
  }

  private concatenation(): Expression {
    const parts = [this.product()];
    while (this.operator('~') !== null) parts.push(this.product());
    return parts.length === 1 ? parts[0]! : { type: 'concat', parts };
  }

  private product(): Expression {
    let left = this.power();
    const signs = ['*', '/', '//', '%'];
    for (let sign = this.operator(...signs); sign !== null; sign = this.operator(...signs))
      left = { type: 'arithmetic', operator: sign, left, right: this.power() };
    return left;
  }

  private power(): Expression {
    let left = this.unary(true);
    while (this.operator('**') !== null) left = { type: 'arithmetic', operator: '**', left, right: this.unary(true) };
    return left;
  }

  private unary(withFilter: boolean): Expression {
    const sign = this.operator('-', '+');
    const value: Expression =
      sign === null
        ? this.postfix(this.primary())
        : { type: sign === '-' ? 'negative' : 'positive', of: this.unary(false) };
    const chained = sign === null ? value : this.postfix(value);
    return withFilter ? this.filters(chained) : chained;
  }

  private primary(): Expression {
    const { kind, text } = this.token;
    if (kind === 'name') {
      this.next();
      return text in CONSTANTS ? { type: 'constant', value: CONSTANTS[text]! } : { type: 'name', name: text };
    }
    if (kind === 'string') {
      let value = '';
      while (this.is('string')) value += this.next().text;
      return { type: 'constant', value };
    }
    if (kind === 'integer') return { type: 'constant', value: this.integer() };
    if (kind === 'float') return { type: 'constant', value: new Float(Number(this.next().text.replaceAll('_', ''))) };
    if (this.operator('(') !== null) {
      const value = this.tuple({ explicit: true });
      this.expect('operator', ')');
      return value;
    }
    if (this.operator('[') !== null) return { type: 'list', items: this.listed(']', () => this.expression()) };
    if (this.operator('{') !== null) return { type: 'dict', pairs: this.listed('}', () => this.pair()) };
    return this.fail(`unexpected '${text || kind}'`);
  }

  private integer(): number {
    const { text } = this.token;
    const value = Number(text.replaceAll('_', ''));
    if (!Number.isSafeInteger(value)) throw new Unsupported(`the number ${text} (beyond 2^53)`);
    this.next();
    return value;
  }

  private pair(): [Expression, Expression] {
    const key = this.expression();
    this.expect('operator', ':');
    return [key, this.expression()];
  }

  /** Items with commas between them, up to the closing bracket; a comma may stand before it. */
  private listed<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.is('operator', close)) {
      if (items.length > 0) this.expect('operator', ',');
      if (this.is('operator', close)) break;
      items.push(item());
    }
    this.expect('operator', close);
    return items;
  }

  /** An expression, or a tuple where commas follow. `until`: a name that ends it; `plain`: no `if` in it. */
  tuple({ explicit = false, plain = false, until = '' } = {}): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) this.expect('operator', ',');
      if (this.is('endprint') || this.is('endtag') || this.is('operator', ')')) break;
      if (until !== '' && this.is('name', until)) break;
      items.push(plain ? this.or() : this.expression());
      if (!this.is('operator', ',')) break;
      isTuple = true;
    }
    if (!isTuple && items.length > 0) return items[0]!;
    if (!isTuple && !explicit) this.fail(`Expected an expression, got '${this.token.text || this.token.kind}'`);
    return { type: 'tuple', items };
  }

  private postfix(of: Expression): Expression {
    let value = of;
    for (;;) {
      if (this.operator('.') !== null) value = this.attribute(value);
      else if (this.operator('[') !== null) value = this.subscript(value);
      else if (this.is('operator', '(')) value = { type: 'call', of: value, given: this.given() };
      else return value;
    }
  }

  private filters(of: Expression): Expression {
    let value = of;
    for (;;) {
      if (this.is('operator', '|')) value = this.filter(value) as Expression;
      else if (this.is('name', 'is')) value = this.test(value);
      else if (this.is('operator', '(')) value = { type: 'call', of: value, given: this.given() };
      else return value;
    }
  }

  private attribute(of: Expression): Expression {
    if (this.is('name')) return { type: 'attribute', of, name: this.next().text };
    if (this.is('integer')) return { type: 'item', of, key: { type: 'constant', value: this.integer() } };
    return this.fail('expected name or number');
  }

  private subscript(of: Expression): Expression {
    const keys = this.listed(']', () => this.subscripted(of));
    if (keys.length === 1) return keys[0]!;
    if (keys.some(({ type }) => type === 'slice')) throw new Unsupported('a slice among several keys');
    return { type: 'item', of, key: { type: 'tuple', items: keys.map((one) => (one as { key: Expression }).key) } };
  }

  private subscripted(of: Expression): Expression {
    const bound = () =>
      this.is('operator', ':') || this.is('operator', ']') || this.is('operator', ',') ? null : this.expression();
    const start = bound();
    if (this.operator(':') === null) {
      if (start === null) this.fail('Expected an expression');
      return { type: 'item', of, key: start };
    }
    const stop = bound();
    const step = this.operator(':') === null ? null : bound();
    return { type: 'slice', of, start, stop, step };
  }

  protected given(): CallArguments {
    this.expect('operator', '(');
    const given: CallArguments = { positional: [], named: [], rest: null, restNamed: null };
    const ensure = (holds: boolean) => holds || this.fail('invalid syntax for function call expression');
    this.listed(')', () => {
      if (this.operator('*') !== null) {
        ensure(given.rest === null && given.restNamed === null);
        given.rest = this.expression();
      } else if (this.operator('**') !== null) {
        ensure(given.restNamed === null);
        given.restNamed = this.expression();
      } else if (this.is('name') && this.is('operator', '=', 1)) {
        ensure(given.restNamed === null);
        const name = this.next().text;
        this.next();
        given.named.push([name, this.expression()]);
      } else {
        ensure(given.rest === null && given.restNamed === null && given.named.length === 0);
        given.positional.push(this.expression());
      }
    });
    return given;
  }

  private dotted(): string {
    let name = this.expect('name').text;
    while (this.operator('.') !== null) name += `.${this.expect('name').text}`;
    return name;
  }

  /** One filter or several. `first`: no bar stands before the first one. */
  protected filter(of: Expression | null, first = false): Expression | null {
    let value = of;
    for (let bare = first; bare || this.operator('|') !== null; bare = false) {
      const name = this.dotted();
      const given = this.is('operator', '(')
        ? this.given()
        : { positional: [], named: [], rest: null, restNamed: null };
      value = { type: 'filter', of: value, name, given };
    }
    return value;
  }

  private test(of: Expression): Expression {
    this.next();
    const negated = this.skipIf('name', 'not');
    const name = this.dotted();
    let given: CallArguments = { positional: [], named: [], rest: null, restNamed: null };
    const begins =
      ['name', 'string', 'integer', 'float'].includes(this.token.kind) ||
      (this.is('operator') && ['[', '{'].includes(this.token.text));
    if (this.is('operator', '(')) given = this.given();
    else if (begins && !(this.is('name') && ['else', 'or', 'and'].includes(this.token.text))) {
      if (this.is('name', 'is')) this.fail('You cannot chain multiple tests with is');
      given = { ...given, positional: [this.postfix(this.primary())] };
    }
    const value: Expression = { type: 'test', of, name, given };
    return negated ? { type: 'not', of: value } : value;
  }

  /** What a value may be given to: a name, a tuple of names, with `fields` an attribute of a namespace too. */
  target({ fields = false, until = '' } = {}): Target {
    const items: Target[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) this.expect('operator', ',');
      if (this.is('endtag') || this.is('operator', ')') || (until !== '' && this.is('name', until))) break;
      items.push(this.oneTarget(fields));
      if (!this.is('operator', ',')) break;
      isTuple = true;
    }
    if (isTuple) return { type: 'tuple', items };
    return items[0] ?? this.fail('Expected an expression');
  }

  private oneTarget(fields: boolean): Target {
    if (this.operator('(') !== null) {
      const inner = this.target({ fields });
      this.expect('operator', ')');
      return inner;
    }
    const { text: name } = this.expect('name');
    if (name in CONSTANTS) this.fail("can't assign to 'const'");
    if (fields && this.operator('.') !== null) return { type: 'field', of: name, name: this.expect('name').text };
    return { type: 'name', name };
  }
}
