/** `loop`, what a turn of a `for` knows of itself. */
import { equal } from './operators.ts';
import { Attributes, type Given, iterate, lengthOf, TemplateError, Tuple, Undefined, type Value } from './values.ts';

/** The turns of a loop over a value; reads no further ahead than it is asked to. */
export class Loop {
  index0 = -1;
  private readonly source: globalThis.Iterator<Value>;
  private known: number | null;
  /** Items read ahead. */
  private readonly ahead: Value[] = [];
  private before: Value | undefined;
  private current: Value | undefined;
  private changing: Tuple | null = null;
  private readonly depth0: number;
  /** `loop` itself. */
  readonly handle: Attributes;

  /** `recurse` renders the loop once more over other items, one level deeper; null where it is not `recursive`. */
  constructor(
    items: Value | Iterable<Value>,
    depth0: number,
    recurse: ((items: Value, depth0: number) => string) | null,
  ) {
    const isValue =
      typeof items === 'string' || items === null || !(Symbol.iterator in Object(items)) || Array.isArray(items);
    this.known = isValue ? lengthOf(items as Value) : null;
    this.source = (isValue ? iterate(items as Value) : (items as Iterable<Value>))[Symbol.iterator]();
    this.depth0 = depth0;
    const call = ({ positional }: Given): Value => {
      if (recurse === null)
        throw new TemplateError("The loop must have the 'recursive' marker to be called recursively.");
      return recurse(positional[0] ?? null, depth0 + 1);
    };
    const shown = () => `<LoopContext ${this.index0 + 1}/${this.length}>`;
    this.handle = new Attributes((name) => this.attribute(name), shown, call);
  }

  /** The next item, or undefined at the end. */
  next(): Value | undefined {
    const item = this.peek();
    if (item === undefined) return undefined;
    this.ahead.shift();
    this.index0 += 1;
    this.before = this.current;
    this.current = item;
    return item;
  }

  private peek(): Value | undefined {
    if (this.ahead.length === 0) {
      const next = this.source.next();
      if (!next.done) this.ahead.push(next.value);
    }
    return this.ahead[0];
  }

  private get length(): number {
    if (this.known === null) {
      for (let next = this.source.next(); !next.done; next = this.source.next()) this.ahead.push(next.value);
      this.known = this.index0 + 1 + this.ahead.length;
    }
    return this.known;
  }

  private attribute(name: string): Value | undefined {
    switch (name) {
      case 'index':
        return this.index0 + 1;
      case 'index0':
        return this.index0;
      case 'revindex':
        return this.length - this.index0;
      case 'revindex0':
        return this.length - this.index0 - 1;
      case 'first':
        return this.index0 === 0;
      case 'last':
        return this.peek() === undefined;
      case 'length':
        return this.length;
      case 'depth':
        return this.depth0 + 1;
      case 'depth0':
        return this.depth0;
      case 'previtem':
        return this.index0 === 0 ? orUndefined(undefined, 'there is no previous item') : this.before;
      case 'nextitem':
        return orUndefined(this.peek(), 'there is no next item');
      case 'cycle':
        return new Attributes(
          () => undefined,
          () => 'cycle',
          ({ positional }) => {
            if (positional.length === 0) throw new TemplateError('no items for cycling given');
            return positional[this.index0 % positional.length]!;
          },
        );
      case 'changed':
        return new Attributes(
          () => undefined,
          () => 'changed',
          ({ positional }) => {
            const seen = new Tuple(positional);
            const isNew = this.changing === null || !equal(this.changing, seen);
            this.changing = seen;
            return isNew;
          },
        );
      default:
        return undefined;
    }
  }
}

const orUndefined = (value: Value | undefined, message: string): Value =>
  value === undefined ? new Undefined(message) : value;
