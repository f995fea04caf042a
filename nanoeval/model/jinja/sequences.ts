/** jinja2's filters on many values (`xs|join(', ')`). */
import { listOf, path } from './attributes.ts';
import { type Filter, nameOf } from './filters.ts';
import { arithmetic, below, equal } from './operators.ts';
import { str } from './printed.ts';
import {
  bind,
  characters,
  Dict,
  distinct,
  type Given,
  Iterator,
  isIterable,
  iterate,
  lengthOf,
  Markup,
  TemplateError,
  Tuple,
  truth,
  typeName,
  Undefined,
  Unsupported,
  type Value,
} from './values.ts';

/** How a filter calls a filter or a test by name. */
export interface Names {
  filter(name: string, value: Value, given: Given): Value;
  test(name: string, value: Value, given: Given): boolean;
}

/** Texts compare without regard to case, unless a filter was told otherwise. */
const folded = (value: Value): Value => (typeof value === 'string' ? value.toLowerCase() : value);

/** The value of an item that a filter compares: an attribute of it, its case put aside. */
function keyed(attribute: Value | undefined, caseSensitive: Value | undefined): (item: Value) => Value {
  const read = path(attribute ?? null);
  return truth(caseSensitive ?? false) ? (item) => read(item) : (item) => folded(read(item));
}

/** Python's `sorted`: stable, and stable too where it is reversed. */
function sorted<T>(items: readonly T[], keyOf: (item: T) => Value, reverse: boolean): T[] {
  const keys = new Map(items.map((item, i) => [i, keyOf(item)] as const));
  const order = items.map((_, i) => i);
  order.sort((a, b) => {
    const [x, y] = [keys.get(a)!, keys.get(b)!];
    if (below(x, y)) return reverse ? 1 : -1;
    return below(y, x) ? (reverse ? -1 : 1) : a - b;
  });
  return order.map((i) => items[i]!);
}

function sort(value: Value, given: Given): Value {
  const [reverse = false, sensitive, attribute = null] = bind('sort', given, [
    'reverse',
    'case_sensitive',
    'attribute',
  ]);
  const names = typeof attribute === 'string' ? attribute.split(',') : [attribute];
  const keys = names.map((name) => keyed(name, sensitive));
  return sorted(listOf(value), (item) => keys.map((key) => key(item)), truth(reverse));
}

function dictsort(value: Value, given: Given): Value {
  const [sensitive = false, by = 'key', reverse = false] = bind('dictsort', given, ['case_sensitive', 'by', 'reverse']);
  if (by !== 'key' && by !== 'value') throw new TemplateError('You can only sort by either "key" or "value"');
  if (value instanceof Undefined) value.fail();
  if (!(value instanceof Dict)) throw new TemplateError(`'${typeName(value)}' object has no attribute 'items'`);
  const keyOf = (pair: [Value, Value]) =>
    truth(sensitive) ? pair[by === 'key' ? 0 : 1] : folded(pair[by === 'key' ? 0 : 1]);
  return sorted(value.pairs(), keyOf, truth(reverse)).map((pair) => new Tuple(pair));
}

function groupby(value: Value, given: Given): Value {
  const [attribute = null, preset = null, sensitive] = bind(
    'groupby',
    given,
    ['attribute', 'default', 'case_sensitive'],
    1,
  );
  const read = path(attribute);
  const exact = (item: Value) => read(item, preset);
  const keyOf = truth(sensitive ?? false) ? exact : (item: Value) => folded(exact(item));
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(listOf(value), keyOf, false)) {
    const key = keyOf(item);
    const last = groups.at(-1);
    if (last !== undefined && equal(last.key, key)) last.items.push(item);
    else groups.push({ key, items: [item] });
  }
  return groups.map(({ items }) => new Tuple([exact(items[0]!), items], ['grouper', 'list']));
}

function extreme(pick: 'min' | 'max'): Filter {
  return (value, given) => {
    const [sensitive, attribute] = bind(pick, given, ['case_sensitive', 'attribute']);
    const items = listOf(value);
    if (items.length === 0) return new Undefined('No aggregated item, sequence was empty.');
    const keyOf = keyed(attribute, sensitive);
    let best: Value = items[0] as Value;
    for (const item of items.slice(1)) {
      const [a, b] = pick === 'min' ? [item, best] : [best, item];
      if (below(keyOf(a), keyOf(b))) best = item;
    }
    return best;
  };
}

function join(value: Value, given: Given): Value {
  const [mark = '', attribute = null] = bind('join', given, ['d', 'attribute']);
  const read = path(attribute);
  return [...iterate(value)].map((item) => str(read(item))).join(str(mark));
}

function sum(value: Value, given: Given): Value {
  const [attribute = null, start = 0] = bind('sum', given, ['attribute', 'start']);
  if (typeof start === 'string') throw new TemplateError("sum() can't sum strings");
  const read = path(attribute);
  let total: Value = start;
  for (const item of iterate(value)) total = arithmetic('+', total, read(item));
  return total;
}

function reverse(value: Value, given: Given): Value {
  bind('reverse', given, []);
  if (typeof value === 'string') return characters(value).reverse().join('');
  if (value instanceof Markup) throw new Unsupported('the filter "reverse" on a text that is marked as safe');
  if (!isIterable(value)) throw new TemplateError('argument must be iterable');
  // A generator is read at once, into a list.
  return value instanceof Iterator ? listOf(value).reverse() : new Iterator(listOf(value).reverse());
}

function last(value: Value, given: Given): Value {
  bind('last', given, []);
  if (value instanceof Iterator || lengthOf(value) === null)
    throw new TemplateError(`'${typeName(value)}' object is not reversible`);
  const found = listOf(value).at(-1);
  return found === undefined ? new Undefined('No last item, sequence was empty.') : found;
}

function first(value: Value, given: Given): Value {
  bind('first', given, []);
  for (const item of iterate(value)) return item;
  return new Undefined('No first item, sequence was empty.');
}

function* batches(value: Value, given: Given): Generator<Value> {
  const [size, fill = null] = bind('batch', given, ['linecount', 'fill_with'], 1);
  let part: Value[] = [];
  for (const item of iterate(value)) {
    if (part.length === size) {
      yield part;
      part = [];
    }
    part.push(item);
  }
  if (part.length === 0) return;
  if (fill !== null) while (part.length < (size as number)) part.push(fill);
  yield part;
}

function* slices(value: Value, given: Given): Generator<Value> {
  const [slices, fill = null] = bind('slice', given, ['slices', 'fill_with'], 1);
  const items = listOf(value);
  const count = slices as number;
  const [each, extra] = [Math.floor(items.length / count), items.length % count];
  let start = 0;
  for (let i = 0; i < count; i += 1) {
    const end = start + each + (i < extra ? 1 : 0);
    const part = items.slice(start, end);
    if (fill !== null && i >= extra) part.push(fill);
    yield part;
    start = end;
  }
}

const lazily =
  (work: (value: Value, given: Given) => Iterable<Value>): Filter =>
  (value, given) =>
    new Iterator(work(value, given));

/** `map`: an attribute of each item, or a filter on it. */
function mapping(names: Names): Filter {
  return lazily(function* (value, { positional, named }) {
    if (!truth(value)) return;
    if (positional.length === 0 && named.has('attribute')) {
      const [attribute, preset = null] = bind('map', { positional: [], named }, ['attribute', 'default']);
      const read = path(attribute!);
      for (const item of iterate(value)) yield read(item, preset);
      return;
    }
    const [name, ...rest] = positional;
    if (name === undefined) throw new TemplateError('map requires a filter argument');
    for (const item of iterate(value)) yield names.filter(nameOf(name), item, { positional: rest, named });
  });
}

/** `select`, `reject`, `selectattr`, `rejectattr`: by a test, or by what is true. */
function choosing(names: Names, wanted: boolean, ofAttribute: boolean): Filter {
  return lazily(function* (value, { positional, named }) {
    if (!truth(value)) return;
    if (ofAttribute && positional.length === 0) throw new TemplateError('Missing parameter for attribute name');
    const read = ofAttribute ? path(positional[0]!) : (item: Value) => item;
    const [name, ...rest] = positional.slice(ofAttribute ? 1 : 0);
    for (const item of iterate(value)) {
      const seen = read(item);
      const holds = name === undefined ? truth(seen) : names.test(nameOf(name), seen, { positional: rest, named });
      if (holds === wanted) yield item;
    }
  });
}

/** The filters by name. */
export function sequenceFilters(names: Names): Record<string, Filter> {
  return {
    batch: lazily(batches),
    dictsort,
    first,
    groupby,
    join,
    last,
    list: (value, given) => {
      bind('list', given, []);
      return listOf(value);
    },
    map: mapping(names),
    max: extreme('max'),
    min: extreme('min'),
    reject: choosing(names, false, false),
    rejectattr: choosing(names, false, true),
    reverse,
    select: choosing(names, true, false),
    selectattr: choosing(names, true, true),
    slice: lazily(slices),
    sort,
    sum,
    unique: lazily((value, given) => {
      const [sensitive, attribute] = bind('unique', given, ['case_sensitive', 'attribute']);
      return distinct(iterate(value), keyed(attribute, sensitive));
    }),
  };
}
