/** Python's operators on values: equality, order, membership, arithmetic. */
import { comparesBelow, str } from './printed.ts';
import { printf } from './printf.ts';
import {
  Dict,
  Float,
  iterate,
  Markup,
  Range,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  Unsupported,
  type Value,
} from './values.ts';

/** A number of Python's (a bool is one), and whether it is a float; null for anything else. */
export function numberOf(value: Value): { value: number; float: boolean } | null {
  if (typeof value === 'number') return { value, float: false };
  if (typeof value === 'boolean') return { value: value ? 1 : 0, float: false };
  return value instanceof Float ? { value: value.value, float: true } : null;
}

/** An int as a value. Throws Unsupported beyond 2^53, where JavaScript would round. */
export function int(value: number): number {
  if (!Number.isSafeInteger(value)) throw new Unsupported('a number beyond 2^53');
  return value + 0;
}

/** Python's `==`. */
export function equal(a: Value, b: Value): boolean {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== null && y !== null) return x.value === y.value;
  if (a instanceof Undefined && b instanceof Undefined) return true;
  const [first, second] = [textOf(a), textOf(b)];
  if (first !== null && second !== null) return first === second;
  if (Array.isArray(a) && Array.isArray(b)) return equalItems(a, b);
  if (a instanceof Tuple && b instanceof Tuple) return equalItems(a.items, b.items);
  if (a instanceof Range && b instanceof Range) return equalItems(a.items(), b.items());
  if (a instanceof Dict && b instanceof Dict)
    return a.size === b.size && a.pairs().every(([key, value]) => b.has(key) && equal(value, b.get(key)!));
  return a === b;
}

const textOf = (value: Value): string | null =>
  typeof value === 'string' ? value : value instanceof Markup ? value.text : null;
const equalItems = (a: readonly Value[], b: readonly Value[]): boolean =>
  a.length === b.length && a.every((value, i) => equal(value, b[i]!));

/** Python's `<`. Throws TemplateError for values that have no order. */
export function below(a: Value, b: Value): boolean {
  for (const one of [a, b]) if (one instanceof Undefined) one.fail();
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== null && y !== null) return x.value < y.value;
  if (typeof a === 'string' && typeof b === 'string') return comparesBelow(a, b);
  const items =
    Array.isArray(a) && Array.isArray(b)
      ? [a, b]
      : a instanceof Tuple && b instanceof Tuple
        ? [a.items, b.items]
        : null;
  if (items !== null) {
    const [first, second] = items as [readonly Value[], readonly Value[]];
    const at = first.findIndex((value, i) => i >= second.length || !equal(value, second[i]!));
    if (at < 0) return first.length < second.length;
    return at < second.length && below(first[at]!, second[at]!);
  }
  throw new TemplateError(`'<' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** A comparison by its sign. */
export function compare(operator: string, a: Value, b: Value): boolean {
  switch (operator) {
    case '==':
      return equal(a, b);
    case '!=':
      return !equal(a, b);
    case '<':
      return below(a, b);
    case '>':
      return below(b, a);
    case '<=':
      return below(a, b) || ordered(a, b);
    case '>=':
      return below(b, a) || ordered(a, b);
    case 'in':
      return contains(b, a);
    default:
      return !contains(b, a);
  }
}

/** Equal, where `below` has said that the two can be ordered. */
const ordered = (a: Value, b: Value): boolean => equal(a, b);

/** Python's `item in whole`. */
export function contains(whole: Value, item: Value): boolean {
  if (typeof whole === 'string') {
    if (typeof item === 'string') return whole.includes(item);
    if (item instanceof Undefined) item.fail();
    throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (whole instanceof Dict) return whole.has(item);
  if (whole instanceof Markup) throw new Unsupported('"in" on a text that is marked as safe');
  for (const one of iterate(whole)) if (equal(one, item)) return true;
  return false;
}

/** A binary operator by its sign. */
export function arithmetic(operator: string, a: Value, b: Value): Value {
  if (operator === '%' && typeof a === 'string') return printf(a, b);
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== null && y !== null) return calculate(operator, x, y);
  for (const one of [a, b]) if (one instanceof Undefined) one.fail();
  if (operator === '+') {
    if (typeof a === 'string' && typeof b === 'string') return a + b;
    if (Array.isArray(a) && Array.isArray(b)) return [...a, ...b] as Value[];
    if (a instanceof Tuple && b instanceof Tuple) return new Tuple([...a.items, ...b.items]);
  }
  if (operator === '*') {
    if (y !== null && !y.float) return repeated(a, y.value) ?? wrongTypes(operator, a, b);
    if (x !== null && !x.float) return repeated(b, x.value) ?? wrongTypes(operator, a, b);
  }
  return wrongTypes(operator, a, b);
}

function wrongTypes(operator: string, a: Value, b: Value): never {
  if (a instanceof Markup || b instanceof Markup)
    throw new Unsupported(`"${operator}" on a text that is marked as safe`);
  throw new TemplateError(`unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
}

function repeated(value: Value, times: number): Value | null {
  const count = Math.max(0, times);
  if (typeof value === 'string') return value.repeat(count);
  const many = <T>(items: readonly T[]): T[] => Array.from({ length: count }, () => items).flat() as T[];
  if (Array.isArray(value)) return many(value as readonly Value[]);
  return value instanceof Tuple ? new Tuple(many(value.items)) : null;
}

type Numeric = { value: number; float: boolean };

function calculate(operator: string, { value: a, float: isA }: Numeric, { value: b, float: isB }: Numeric): Value {
  const isFloat = isA || isB;
  const made = (value: number): Value => (isFloat ? new Float(value) : int(value));
  if (['/', '//', '%'].includes(operator) && b === 0) throw new TemplateError('division by zero');
  switch (operator) {
    case '+':
      return made(a + b);
    case '-':
      return made(a - b);
    case '*':
      return made(a * b);
    case '/':
      return new Float(a / b);
    case '//':
      return made(floorDivide(a, b));
    case '%':
      return made(modulo(a, b));
    default:
      return power(a, b, isFloat);
  }
}

/** Python's `%`: the sign is the divisor's. */
function modulo(a: number, b: number): number {
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest === 0 && b < 0 ? -0 : rest;
}

function floorDivide(a: number, b: number): number {
  const quotient = (a - modulo(a, b)) / b;
  const floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

function power(a: number, b: number, isFloat: boolean): Value {
  if (a === 0 && b < 0) throw new TemplateError('0.0 cannot be raised to a negative power');
  if (!isFloat && b >= 0) return int(a ** b);
  if (a < 0 && !Number.isInteger(b)) throw new Unsupported('a root of a negative number');
  return new Float(a ** b);
}

/** Unary plus and minus. */
export function signed(value: Value, negative: boolean): Value {
  if (value instanceof Undefined) value.fail();
  const number = numberOf(value);
  if (number === null)
    throw new TemplateError(`bad operand type for unary ${negative ? '-' : '+'}: '${typeName(value)}'`);
  const result = negative ? -number.value : number.value;
  return number.float ? new Float(result) : int(result);
}

/** `a ~ b`: the texts of values in a row. */
export const concatenated = (values: readonly Value[]): string => values.map(str).join('');
