/** jinja2's tests (`x is defined`). */
import { below, contains, equal, numberOf } from './operators.ts';
import { str } from './printed.ts';
import { isLower, isUpper } from './texts.ts';
import {
  Attributes,
  bind,
  Callable,
  Dict,
  Float,
  type Given,
  isIterable,
  lengthOf,
  Markup,
  TemplateError,
  typeName,
  Undefined,
  type Value,
  View,
} from './values.ts';

type Test = (value: Value, given: Given) => boolean;

const simple =
  (holds: (value: Value) => boolean): Test =>
  (value, given) => {
    bind('test', given, []);
    return holds(value);
  };
const against =
  (holds: (value: Value, other: Value) => boolean): Test =>
  (value, given) =>
    holds(value, bind('test', given, ['other'], 1)[0]!);

function remainder(value: Value, divisor: Value): number {
  const [a, b] = [numberOf(value), numberOf(divisor)];
  if (value instanceof Undefined) value.fail();
  if (a === null || b === null)
    throw new TemplateError(`unsupported operand type(s) for %: '${typeName(value)}' and '${typeName(divisor)}'`);
  if (b.value === 0) throw new TemplateError('integer modulo by zero');
  return Math.abs(a.value % b.value);
}

const isSame = (a: Value, b: Value): boolean => (a instanceof Float && b instanceof Float ? false : a === b);
/** Numbers and texts apart: whether `below` has an order for two of them is its to say. */
const belowOrEqual = (a: Value, b: Value): boolean => below(a, b) || equal(a, b);
const isSequence = (value: Value): boolean => lengthOf(value) !== null && !(value instanceof View);
const isCallable = (value: Value): boolean =>
  value instanceof Callable || value instanceof Undefined || (value instanceof Attributes && value.call !== null);

const equals = against(equal);
const differs = against((a, b) => !equal(a, b));
const smaller = against(below);
const smallerOrEqual = against(belowOrEqual);
const larger = against((a, b) => below(b, a));
const largerOrEqual = against((a, b) => belowOrEqual(b, a));

/** The tests by name, but for `filter` and `test`, which ask what names there are. */
export const TESTS: Readonly<Record<string, Test>> = {
  defined: simple((value) => !(value instanceof Undefined)),
  undefined: simple((value) => value instanceof Undefined),
  none: simple((value) => value === null),
  boolean: simple((value) => typeof value === 'boolean'),
  true: simple((value) => value === true),
  false: simple((value) => value === false),
  integer: simple((value) => typeof value === 'number'),
  float: simple((value) => value instanceof Float),
  number: simple((value) => numberOf(value) !== null),
  string: simple((value) => typeof value === 'string' || value instanceof Markup),
  mapping: simple((value) => value instanceof Dict),
  sequence: simple(isSequence),
  iterable: simple(isIterable),
  callable: simple(isCallable),
  escaped: simple((value) => value instanceof Markup),
  lower: simple((value) => isLower(str(value))),
  upper: simple((value) => isUpper(str(value))),
  odd: simple((value) => remainder(value, 2) === 1),
  even: simple((value) => remainder(value, 2) === 0),
  divisibleby: against((value, divisor) => remainder(value, divisor) === 0),
  sameas: against(isSame),
  in: against((value, whole) => contains(whole, value)),
  '==': equals,
  eq: equals,
  equalto: equals,
  '!=': differs,
  ne: differs,
  '<': smaller,
  lt: smaller,
  lessthan: smaller,
  '<=': smallerOrEqual,
  le: smallerOrEqual,
  '>': larger,
  gt: larger,
  greaterthan: larger,
  '>=': largerOrEqual,
  ge: largerOrEqual,
};
