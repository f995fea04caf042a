/** The value of an expression in a scope. */
import { attribute, item, listOf, slice } from './attributes.ts';
import type { CallArguments, Expression } from './expressions.ts';
import { FILTERS, type Filter } from './filters.ts';
import { arithmetic, compare, concatenated, signed } from './operators.ts';
import { type Names, sequenceFilters } from './sequences.ts';
import { TESTS } from './tests.ts';
import {
  Attributes,
  Callable,
  Dict,
  type Given,
  TemplateError,
  Tuple,
  truth,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** A loop's turn, a macro's call, a block: what is set in it is not seen outside. */
export class Scope {
  private readonly names = new Map<string, Value>();
  private readonly outer: Scope | null;

  constructor(outer: Scope | null) {
    this.outer = outer;
  }

  set(name: string, value: Value): void {
    this.names.set(name, value);
  }

  /** The value of a name; what nobody has set is undefined. */
  get(name: string): Value {
    const own = this.names.get(name);
    if (own !== undefined) return own;
    return this.outer === null ? new Undefined(`'${name}' is undefined`) : this.outer.get(name);
  }
}

const names: Names = { filter: applyFilter, test: applyTest };
const ALL_FILTERS: Readonly<Record<string, Filter>> = { ...FILTERS, ...sequenceFilters(names) };

/** Every filter, and every test, that there is. */
export const isFilter = (name: string): boolean => Object.hasOwn(ALL_FILTERS, name);
export const isTest = (name: string): boolean => Object.hasOwn(TESTS, name) || name === 'filter' || name === 'test';

function applyFilter(name: string, value: Value, given: Given): Value {
  if (!isFilter(name)) throw new TemplateError(`No filter named '${name}'.`);
  return ALL_FILTERS[name]!(value, given);
}

function applyTest(name: string, value: Value, given: Given): boolean {
  if (name === 'filter') return typeof value === 'string' && isFilter(value);
  if (name === 'test') return typeof value === 'string' && isTest(value);
  if (!isTest(name)) throw new TemplateError(`No test named '${name}'.`);
  return TESTS[name]!(value, given);
}

/** Calls a value. Throws TemplateError for one that cannot be called. */
export function call(of: Value, given: Given): Value {
  if (of instanceof Undefined) of.fail();
  if (of instanceof Callable) return of.call(given);
  if (of instanceof Attributes && of.call !== null) return of.call(given);
  throw new TemplateError(`'${typeName(of)}' object is not callable`);
}

/** The arguments of a call in a scope. */
export function argumentsOf({ positional, named, rest, restNamed }: CallArguments, scope: Scope): Given {
  const values = positional.map((one) => evaluate(one, scope));
  const byName = new Map(named.map(([name, one]) => [name, evaluate(one, scope)] as const));
  if (rest !== null) values.push(...listOf(evaluate(rest, scope)));
  if (restNamed !== null) {
    const more = evaluate(restNamed, scope);
    if (!(more instanceof Dict)) throw new TemplateError(`argument after ** must be a mapping, not ${typeName(more)}`);
    for (const [key, value] of more.pairs()) {
      if (typeof key !== 'string') throw new TemplateError('keywords must be strings');
      if (byName.has(key)) throw new TemplateError(`got multiple values for keyword argument '${key}'`);
      byName.set(key, value);
    }
  }
  return { positional: values, named: byName };
}

/** `input`: the text of a block, where the expression is a filter on it. */
export function evaluate(node: Expression, scope: Scope, input: Value = null): Value {
  const value = (one: Expression): Value => evaluate(one, scope, input);
  switch (node.type) {
    case 'constant':
      return node.value;
    case 'name':
      return scope.get(node.name);
    case 'list':
      return node.items.map(value);
    case 'tuple':
      return new Tuple(node.items.map(value));
    case 'dict':
      return new Dict(node.pairs.map(([key, one]) => [value(key), value(one)] as const));
    case 'conditional':
      if (truth(value(node.test))) return value(node.value);
      return node.otherwise === null
        ? new Undefined('the inline if-expression evaluated to false and no else section was defined.')
        : value(node.otherwise);
    case 'and': {
      const left = value(node.left);
      return truth(left) ? value(node.right) : left;
    }
    case 'or': {
      const left = value(node.left);
      return truth(left) ? left : value(node.right);
    }
    case 'not':
      return !truth(value(node.of));
    case 'negative':
    case 'positive':
      return signed(value(node.of), node.type === 'negative');
    case 'arithmetic':
      return arithmetic(node.operator, value(node.left), value(node.right));
    case 'concat':
      return concatenated(node.parts.map(value));
    case 'compare':
      return comparison(node, value);
    case 'attribute':
      return attribute(value(node.of), node.name);
    case 'item':
      return item(value(node.of), value(node.key));
    case 'slice': {
      const bound = (one: Expression | null) => (one === null ? null : value(one));
      return slice(value(node.of), [bound(node.start), bound(node.stop), bound(node.step)]);
    }
    case 'call':
      return call(value(node.of), argumentsOf(node.given, scope));
    case 'filter':
      return applyFilter(node.name, node.of === null ? input : value(node.of), argumentsOf(node.given, scope));
    case 'test':
      return applyTest(node.name, value(node.of), argumentsOf(node.given, scope));
  }
}

/** `a < b <= c`: each value once, up to the first that does not hold. */
function comparison({ first, rest }: Expression & { type: 'compare' }, value: (one: Expression) => Value): boolean {
  let left = value(first);
  for (const { operator, value: node } of rest) {
    const right = value(node);
    if (!compare(operator, left, right)) return false;
    left = right;
  }
  return true;
}
