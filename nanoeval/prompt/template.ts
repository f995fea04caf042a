/** Prompt texts with `{slots}`: recipes are plain data, so that they can be hashed and read as they are. */
import { UserError } from '../types.ts';

/**
 * Puts values into the `{name}` slots of a template. A value is placed as it is, braces in it included.
 * Throws Error for a slot without a value: a typing mistake in a recipe.
 */
export function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\{(\w+)\}/g, (_, slot: string) => {
    const value = values[slot];
    if (value === undefined) throw new Error(`template ${JSON.stringify(template)}: no value for {${slot}}.`);
    return value;
  });
}

/**
 * Which slots a template of a config has. Throws UserError unless the first of `slots` stands in it once, each other one once
 * at most, and nothing else.
 */
export function slotsOf(template: string, slots: readonly [string, ...string[]]): ReadonlySet<string> {
  const found = (template.match(/\{\w+\}/g) ?? []).map((slot) => slot.slice(1, -1));
  const set = new Set(found);
  if (set.has(slots[0]) && set.size === found.length && found.every((slot) => slots.includes(slot))) return set;
  const [first, ...others] = slots.map((slot) => `{${slot}}`);
  const wanted = [`${first} once`, ...others.map((slot) => `${slot} once at most`)].join(', ');
  const has = found.map((slot) => `{${slot}}`).join(' and ') || 'no slot';
  throw new UserError(`it has ${has}. It has to have ${wanted}.`, { key: 'dataset.template' });
}
