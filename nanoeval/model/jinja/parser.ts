/** A template as a tree: the tags of jinja2 with its loop controls, and transformers' `generation`. */
import { type Expression, ExpressionParser, type Target } from './expressions.ts';
import { tokenize } from './lexer.ts';
import { Unsupported } from './values.ts';

export interface Parameter {
  name: string;
  preset: Expression | null;
}

export type Statement =
  | { type: 'text'; text: string }
  | { type: 'print'; value: Expression }
  | { type: 'if'; branches: { test: Expression; body: Statement[] }[]; otherwise: Statement[] }
  | {
      type: 'for';
      target: Target;
      items: Expression;
      test: Expression | null;
      recursive: boolean;
      body: Statement[];
      otherwise: Statement[];
    }
  | { type: 'set'; target: Target; value: Expression }
  | { type: 'setblock'; target: Target; filter: Expression | null; body: Statement[] }
  | { type: 'macro'; name: string; parameters: Parameter[]; body: Statement[] }
  | { type: 'callblock'; parameters: Parameter[]; call: Expression & { type: 'call' }; body: Statement[] }
  | { type: 'filterblock'; filter: Expression; body: Statement[] }
  | { type: 'with'; targets: Target[]; values: Expression[]; body: Statement[] }
  /** `{% generation %}`: what the assistant said, printed like any text, in a scope of its own. */
  | { type: 'scope'; body: Statement[] }
  | { type: 'break' | 'continue' };

/** Tags of jinja2 that need other templates, or escape. */
const REFUSED = ['autoescape', 'block', 'extends', 'include', 'import', 'from'];

/** The tree of a template. Throws SyntaxFault for what jinja2 cannot read, Unsupported for what is not read here. */
export function parse(template: string): Statement[] {
  return new Parser(tokenize(template)).template();
}

class Parser extends ExpressionParser {
  template(): Statement[] {
    const body = this.body([]);
    if (!this.is('end')) this.fail(`Encountered unknown tag '${this.token.text}'`);
    return body;
  }

  /** Statements up to one of the tags of `ends`, which is left to be read (its name comes next). */
  private body(ends: readonly string[]): Statement[] {
    const body: Statement[] = [];
    for (;;) {
      if (this.is('data')) body.push({ type: 'text', text: this.next().text });
      else if (this.skipIf('print')) {
        body.push({ type: 'print', value: this.tuple() });
        this.expect('endprint');
      } else if (this.skipIf('tag')) {
        if (this.is('name') && ends.includes(this.token.text)) return body;
        body.push(...this.statement());
        this.expect('endtag');
      } else {
        if (ends.length > 0) this.fail(`Unexpected end of template, looking for: ${ends.join(', ')}`);
        return body;
      }
    }
  }

  /** The body of a tag, from the end of the tag to one of `ends`, whose name is read. */
  private block(...ends: string[]): { body: Statement[]; end: string } {
    this.skipIf('operator', ':');
    this.expect('endtag');
    const body = this.body(ends);
    return { body, end: this.next().text };
  }

  private statement(): Statement[] {
    const { text: tag } = this.expect('name');
    if (REFUSED.includes(tag)) throw new Unsupported(`the tag "${tag}"`);
    switch (tag) {
      case 'set':
        return [this.set()];
      case 'for':
        return [this.loop()];
      case 'if':
        return [this.condition()];
      case 'macro': {
        const name = this.expect('name').text;
        return [{ type: 'macro', name, parameters: this.parameters(), body: this.block('endmacro').body }];
      }
      case 'call':
        return [this.callBlock()];
      case 'filter': {
        const filter = this.filter(null, true) as Expression;
        return [{ type: 'filterblock', filter, body: this.block('endfilter').body }];
      }
      case 'with':
        return [this.withBlock()];
      case 'print':
        return this.prints();
      case 'generation':
        return [{ type: 'scope', body: this.block('endgeneration').body }];
      case 'break':
      case 'continue':
        return [{ type: tag }];
      default:
        return this.fail(`Encountered unknown tag '${tag}'`);
    }
  }

  private set(): Statement {
    const target = this.target({ fields: true });
    if (this.skipIf('operator', '=')) return { type: 'set', target, value: this.tuple() };
    const filter = this.filter(null);
    return { type: 'setblock', target, filter, body: this.block('endset').body };
  }

  private loop(): Statement {
    const target = this.target({ until: 'in' });
    this.expect('name', 'in');
    const items = this.tuple({ plain: true, until: 'recursive' });
    const test = this.skipIf('name', 'if') ? this.expression() : null;
    const recursive = this.skipIf('name', 'recursive');
    const { body, end } = this.block('endfor', 'else');
    const otherwise = end === 'else' ? this.block('endfor').body : [];
    return { type: 'for', target, items, test, recursive, body, otherwise };
  }

  private condition(): Statement {
    const branches: { test: Expression; body: Statement[] }[] = [];
    for (;;) {
      const test = this.tuple({ plain: true });
      const { body, end } = this.block('elif', 'else', 'endif');
      branches.push({ test, body });
      if (end === 'elif') continue;
      return { type: 'if', branches, otherwise: end === 'else' ? this.block('endif').body : [] };
    }
  }

  private parameters(): Parameter[] {
    const parameters: Parameter[] = [];
    this.expect('operator', '(');
    while (!this.is('operator', ')')) {
      if (parameters.length > 0) this.expect('operator', ',');
      const name = this.expect('name').text;
      const preset = this.skipIf('operator', '=') ? this.expression() : null;
      if (preset === null && parameters.some((one) => one.preset !== null))
        this.fail('non-default argument follows default argument');
      parameters.push({ name, preset });
    }
    this.expect('operator', ')');
    return parameters;
  }

  private callBlock(): Statement {
    const parameters = this.is('operator', '(') ? this.parameters() : [];
    const call = this.expression();
    if (call.type !== 'call') this.fail('expected call');
    return { type: 'callblock', parameters, call, body: this.block('endcall').body };
  }

  private withBlock(): Statement {
    const targets: Target[] = [];
    const values: Expression[] = [];
    while (!this.is('endtag')) {
      if (targets.length > 0) this.expect('operator', ',');
      // A comma after a name begins the next one here, so a tuple stands in brackets.
      targets.push(this.target({ until: '=' }));
      this.expect('operator', '=');
      values.push(this.expression());
    }
    return { type: 'with', targets, values, body: this.block('endwith').body };
  }

  private prints(): Statement[] {
    const values: Statement[] = [];
    while (!this.is('endtag')) {
      if (values.length > 0) this.expect('operator', ',');
      values.push({ type: 'print', value: this.expression() });
    }
    return values;
  }
}
