/**
 * Templates of jinja2 3.1 as transformers 5 compiles them: ImmutableSandboxedEnvironment with `trim_blocks`, `lstrip_blocks`,
 * loop controls, the tag `generation`, and its own `tojson`, `raise_exception`, `strftime_now` and `namespace`. What is not
 * supported is refused by name when a template is read, or fails when it is reached; nothing is printed otherwise than Python
 * prints it.
 */
import { METHODS_LACKING } from './attributes.ts';
import { Scope } from './evaluate.ts';
import { FILTERS_LACKING } from './filters.ts';
import { numberOf } from './operators.ts';
import { parse, type Statement } from './parser.ts';
import { str } from './printed.ts';
import { rendered, setField } from './render.ts';
import {
  Attributes,
  bind,
  Callable,
  Dict,
  fromJson,
  type Given,
  iterate,
  Namespace,
  Range,
  TemplateError,
  Tuple,
  typeName,
  Unsupported,
  type Value,
} from './values.ts';

export interface TemplateOptions {
  /** `strftime_now(format)`. */
  now(format: string): string;
}

/** A template that has been read. */
export class Template {
  private readonly body: readonly Statement[];
  private readonly options: TemplateOptions;

  /** Throws TemplateError for a template that cannot be read, and for one that needs what is not there (Unsupported). */
  constructor(source: string, options: TemplateOptions) {
    this.body = parse(source);
    this.options = options;
    refuseLacking(this.body);
  }

  /** The text for JSON-like values. Throws TemplateError where Python raises. */
  render(values: Readonly<Record<string, unknown>>): string {
    const globals = new Scope(null);
    for (const [name, value] of Object.entries(globalsOf(this.options))) globals.set(name, value);
    for (const [name, value] of Object.entries(values)) globals.set(name, fromJson(value));
    try {
      return rendered(this.body, new Scope(globals));
    } catch (cause) {
      if (cause instanceof RangeError)
        throw new TemplateError('a macro or a loop calls itself without an end', { cause });
      throw cause;
    }
  }
}

/** Filters and methods that jinja2 has and that are not here, wherever they stand in the template. */
function refuseLacking(tree: unknown): void {
  if (typeof tree !== 'object' || tree === null) return;
  const { type, name, of } = tree as { type?: unknown; name?: unknown; of?: { type?: unknown; name?: unknown } };
  if (type === 'filter' && FILTERS_LACKING.includes(String(name))) throw new Unsupported(`the filter "${name}"`);
  if (type === 'call' && of?.type === 'attribute' && METHODS_LACKING.includes(String(of.name)))
    throw new Unsupported(`the method "${of.name}"`);
  if (type === 'call' && of?.type === 'name' && of.name === 'lipsum') throw new Unsupported('the function "lipsum"');
  for (const one of Object.values(tree)) refuseLacking(one);
}

/** The sandbox's limit. */
const LONGEST_RANGE = 100_000;

function range({ positional }: Given): Value {
  const numbers = positional.map((one) => {
    const number = numberOf(one);
    if (number === null || number.float)
      throw new TemplateError(`'${typeName(one)}' object cannot be interpreted as an integer`);
    return number.value;
  });
  if (numbers.length < 1 || numbers.length > 3) throw new TemplateError('range expected 1 to 3 arguments');
  const [start, stop, step = 1] = numbers.length === 1 ? [0, numbers[0]!] : (numbers as [number, number, number?]);
  if (step === 0) throw new TemplateError('range() arg 3 must not be zero');
  const made = new Range(start, stop, step);
  if (made.length > LONGEST_RANGE)
    throw new TemplateError(`Range too big. The sandbox blocks ranges larger than ${LONGEST_RANGE}.`);
  return made;
}

/** Python's `dict(...)`: of a dict, of pairs, and of names. */
function dict({ positional, named }: Given): Dict {
  const [from] = bind('dict', { positional, named: new Map() }, ['mapping']);
  const made = new Dict();
  if (from instanceof Dict) for (const [key, value] of from.pairs()) made.set(key, value);
  else if (from !== undefined) {
    for (const pair of iterate(from)) {
      const [key, value, ...more] = [...iterate(pair)];
      if (value === undefined || more.length > 0)
        throw new TemplateError('dictionary update sequence element is no pair');
      made.set(key!, value);
    }
  }
  for (const [key, value] of named) made.set(key, value);
  return made;
}

function namespace(given: Given): Namespace {
  const made = new Namespace(new Dict());
  for (const [key, value] of dict(given).pairs()) setField(made, str(key), value);
  return made;
}

function joiner(given: Given): Value {
  const [mark = ', '] = bind('joiner', given, ['sep']);
  let used = false;
  return new Callable(() => {
    const text = used ? mark : '';
    used = true;
    return text;
  });
}

function cycler({ positional }: Given): Value {
  if (positional.length === 0) throw new TemplateError('at least one item has to be provided');
  let at = 0;
  const fields: Record<string, () => Value> = {
    current: () => positional[at]!,
    next: () =>
      new Callable(() => {
        const value = positional[at]!;
        at = (at + 1) % positional.length;
        return value;
      }),
    reset: () =>
      new Callable(() => {
        at = 0;
        return null;
      }),
    items: () => new Tuple(positional),
    pos: () => at,
  };
  return new Attributes(
    (name) => (Object.hasOwn(fields, name) ? fields[name]!() : undefined),
    () => {
      throw new Unsupported('printing a cycler');
    },
  );
}

function globalsOf({ now }: TemplateOptions): Record<string, Value> {
  const raise = (given: Given): never => {
    throw new TemplateError(str(bind('raise_exception', given, ['message'], 1)[0]!));
  };
  return {
    range: new Callable(range),
    dict: new Callable(dict),
    namespace: new Callable(namespace),
    joiner: new Callable(joiner),
    cycler: new Callable(cycler),
    raise_exception: new Callable(raise),
    strftime_now: new Callable((given) => now(str(bind('strftime_now', given, ['format'], 1)[0]!))),
  };
}
