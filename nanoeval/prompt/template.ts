/** Prompt texts with `{slots}`: recipes are plain data, so that they can be hashed and read as they are. */

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
