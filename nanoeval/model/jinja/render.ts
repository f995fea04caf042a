/** Statements of a template, written out. */
import { listOf } from './attributes.ts';
import { argumentsOf, call, evaluate, Scope } from './evaluate.ts';
import type { Expression, Target } from './expressions.ts';
import { Loop } from './loop.ts';
import type { Parameter, Statement } from './parser.ts';
import { repr, str } from './printed.ts';
import {
  Attributes,
  Dict,
  type Given,
  iterate,
  Namespace,
  TemplateError,
  Tuple,
  truth,
  Undefined,
  type Value,
} from './values.ts';

/** How a list of statements ended: at its end, or by a tag that ends the turn or the loop around it. */
type End = 'end' | 'break' | 'continue';

/** The text of statements in a scope. */
export function rendered(body: readonly Statement[], scope: Scope): string {
  const out: string[] = [];
  run(body, scope, out);
  return out.join('');
}

function run(body: readonly Statement[], scope: Scope, out: string[]): End {
  for (const statement of body) {
    const end = execute(statement, scope, out);
    if (end !== 'end') return end;
  }
  return 'end';
}

function execute(node: Statement, scope: Scope, out: string[]): End {
  switch (node.type) {
    case 'text':
      out.push(node.text);
      break;
    case 'print':
      out.push(str(evaluate(node.value, scope)));
      break;
    case 'if': {
      const branch = node.branches.find(({ test }) => truth(evaluate(test, scope)));
      return run(branch?.body ?? node.otherwise, scope, out);
    }
    case 'for':
      loop(node, scope, out, evaluate(node.items, scope), 0);
      break;
    case 'set':
      assign(node.target, evaluate(node.value, scope), scope);
      break;
    case 'setblock':
      assign(node.target, filtered(node.filter, node.body, scope), scope);
      break;
    case 'filterblock':
      out.push(str(filtered(node.filter, node.body, scope)));
      break;
    case 'macro':
      scope.set(node.name, macro(node.name, node.parameters, node.body, scope));
      break;
    case 'callblock': {
      const given = argumentsOf(node.call.given, scope);
      const caller = macro(null, node.parameters, node.body, scope);
      out.push(
        str(call(evaluate(node.call.of, scope), { ...given, named: new Map([...given.named, ['caller', caller]]) })),
      );
      break;
    }
    case 'with': {
      const values = node.values.map((value) => evaluate(value, scope));
      const inner = new Scope(scope);
      for (const [i, target] of node.targets.entries()) assign(target, values[i]!, inner);
      return run(node.body, inner, out);
    }
    case 'scope':
      out.push(rendered(node.body, new Scope(scope)));
      break;
    default:
      return node.type;
  }
  return 'end';
}

/** The text of a block, through the filter that stands at its head. */
function filtered(filter: Expression | null, body: readonly Statement[], scope: Scope): Value {
  const text = rendered(body, new Scope(scope));
  return filter === null ? text : evaluate(filter, scope, text);
}

function assign(target: Target, value: Value, scope: Scope): void {
  if (target.type === 'name') scope.set(target.name, value);
  else if (target.type === 'field') {
    const owner = scope.get(target.of);
    if (!(owner instanceof Namespace)) throw new TemplateError('cannot assign attribute on non-namespace object');
    setField(owner, target.name, value);
  } else {
    const values = listOf(value);
    if (values.length !== target.items.length)
      throw new TemplateError(`cannot unpack ${values.length} values into ${target.items.length} names`);
    for (const [i, one] of target.items.entries()) assign(one, values[i]!, scope);
  }
}

/** transformers keeps templates from names that begin with an underscore. */
export function setField(owner: Namespace, name: string, value: Value): void {
  if (name.startsWith('_'))
    throw new TemplateError(
      `Chat templates cannot store underscore-prefixed attributes on a namespace, but got '${name}'.`,
    );
  owner.fields.set(name, value);
}

type For = Statement & { type: 'for' };

function loop(node: For, scope: Scope, out: string[], items: Value, depth0: number): void {
  const recurse = (inner: Value, depth: number) => {
    const text: string[] = [];
    loop(node, scope, text, inner, depth);
    return text.join('');
  };
  const turns = new Loop(chosen(node, scope, items), depth0, node.recursive ? recurse : null);
  for (let item = turns.next(); item !== undefined; item = turns.next()) {
    const inner = new Scope(scope);
    inner.set('loop', turns.handle);
    assign(node.target, item, inner);
    if (run(node.body, inner, out) === 'break') return;
  }
  if (turns.index0 < 0) run(node.otherwise, new Scope(scope), out);
}

/** The items that `for ... if` lets through, each looked at when its turn comes. */
function chosen({ test, target }: For, scope: Scope, items: Value): Value | Iterable<Value> {
  if (test === null) return items;
  return (function* () {
    for (const item of iterate(items)) {
      const inner = new Scope(scope);
      assign(target, item, inner);
      if (truth(evaluate(test, inner))) yield item;
    }
  })();
}

/** A macro, or with no name what `caller` calls. */
function macro(
  name: string | null,
  parameters: readonly Parameter[],
  body: readonly Statement[],
  scope: Scope,
): Attributes {
  const uses = (wanted: string) => mentions(body, wanted) || mentions(parameters, wanted);
  const [takesRest, takesNamed, takesCaller] = ['varargs', 'kwargs', 'caller'].map(uses);
  const shown = name === null ? 'anonymous' : repr(name);
  const invoke = ({ positional, named }: Given): Value => {
    const inner = new Scope(scope);
    const left = new Map(named);
    const values = parameters.map(({ name: one }, i) => {
      if (i < positional.length) return positional[i];
      const value = left.get(one);
      left.delete(one);
      return value;
    });
    if (takesCaller && !parameters.some((one) => one.name === 'caller')) {
      const caller = left.get('caller');
      inner.set('caller', caller == null ? new Undefined('No caller defined') : caller);
      left.delete('caller');
    }
    if (takesNamed) inner.set('kwargs', new Dict(left));
    else if (left.size > 0)
      throw new TemplateError(`macro ${shown} takes no keyword argument '${[...left.keys()][0]}'`);
    if (takesRest) inner.set('varargs', new Tuple(positional.slice(parameters.length)));
    else if (positional.length > parameters.length)
      throw new TemplateError(`macro ${shown} takes not more than ${parameters.length} argument(s)`);
    parameters.forEach(({ name: one, preset }, i) => {
      const missing = () =>
        preset === null ? new Undefined(`parameter '${one}' was not provided`) : evaluate(preset, inner);
      const value = values[i];
      inner.set(one, value === undefined ? missing() : value);
    });
    return rendered(body, inner);
  };
  const fields: Record<string, Value> = {
    name,
    arguments: new Tuple(parameters.map((one) => one.name)),
    catch_kwargs: takesNamed!,
    catch_varargs: takesRest!,
    caller: takesCaller!,
  };
  return new Attributes(
    (field) => (Object.hasOwn(fields, field) ? fields[field] : undefined),
    () => `<Macro ${shown}>`,
    invoke,
  );
}

/** Whether a name is read anywhere in a tree. */
function mentions(tree: unknown, name: string): boolean {
  if (typeof tree !== 'object' || tree === null) return false;
  if ('type' in tree && tree.type === 'name' && 'name' in tree && tree.name === name) return true;
  return Object.values(tree).some((one) => mentions(one, name));
}
