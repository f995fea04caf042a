/**
 * Writes what follows from the code: `configs/nanoeval.schema.json` for editors, and README.md's tables of keys and recipes.
 *
 *     npm run schema
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { compareSchema } from './config/compare.ts';
import { rescoreSchema, type TaskConfig } from './config/keys.ts';
import { manyModelsSchema, suiteSchema } from './config/suite.ts';
import { variantsSchema } from './config/variants.ts';
import { viewSchema } from './config/view.ts';
import { isProgram } from './program.ts';
import { loadTask, taskNames } from './run/task_files.ts';
import type { Task } from './task.ts';

const SCHEMA_FILE = new URL('../configs/nanoeval.schema.json', import.meta.url);
const README_FILE = new URL('../README.md', import.meta.url);

type JsonSchema = {
  properties?: Record<string, JsonSchema>;
  description?: string;
  default?: unknown;
  [key: string]: unknown;
};

const toSchema = (schema: z.ZodType) => z.toJSONSchema(schema, { io: 'input' }) as JsonSchema;

/** One JSON Schema for task files and suites: an editor follows `task:` to the right branch, in a suite's entries too. */
export function editorSchema(tasks: readonly Task[]): JsonSchema {
  const files = tasks.map((task) => strip(toSchema(task.config)));
  const suites = [suiteSchema, manyModelsSchema, variantsSchema].map((schema) => strip(toSchema(schema)));
  for (const suite of suites) {
    const list = suite.properties?.tasks as JsonSchema & { items: JsonSchema };
    const { name, reference } = list.items.properties as Record<'name' | 'reference', JsonSchema>;
    list.items = {
      anyOf: files.map((file) => ({
        ...file,
        // The model of an entry only overrides, so it need not name the checkpoint again.
        properties: {
          ...file.properties,
          model: { ...file.properties?.model, required: [] },
          name,
          reference,
        } as Record<string, JsonSchema>,
        required: ['task'],
      })),
    };
  }
  const others = [rescoreSchema, compareSchema, viewSchema].map((schema) => strip(toSchema(schema)));
  const anyOf = [...files, ...suites, ...others];
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'NanoEval', ...withDefs({ anyOf }) };
}

/** A schema shorter than this as JSON is not worth a name. */
const SHORT = 160;

/** Sections that stand in several places are put under `$defs` once, named by their key. */
function withDefs(schema: JsonSchema): JsonSchema {
  const counts = new Map<string, number>();
  const count = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if (isSchema(value)) counts.set(JSON.stringify(value), (counts.get(JSON.stringify(value)) ?? 0) + 1);
    for (const inner of Object.values(value)) count(inner);
  };
  count(schema);
  const names = new Map<string, string>();
  const $defs: Record<string, unknown> = {};
  const inside = (value: object, key: string): unknown =>
    Array.isArray(value)
      ? value.map((item) => shared(item, key))
      : Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shared(inner, name)]));
  const shared = (value: unknown, key: string): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    const text = JSON.stringify(value);
    if (!isSchema(value) || text.length < SHORT || (counts.get(text) ?? 0) < 2) return inside(value, key);
    let name = names.get(text);
    if (name === undefined) {
      name = key;
      for (let n = 2; name in $defs; n += 1) name = `${key}_${n}`;
      names.set(text, name);
      $defs[name] = null;
      $defs[name] = inside(value, key);
    }
    return { $ref: `#/$defs/${name}` };
  };
  const { anyOf } = inside(schema, 'file') as JsonSchema;
  return { anyOf, $defs };
}

const isSchema = (value: object) => 'type' in value || 'anyOf' in value || 'enum' in value;

const strip = (schema: JsonSchema): JsonSchema => {
  const { $schema: _, ...rest } = schema;
  return rest;
};

/** The README's table: every key with its default and meaning; a default that differs by task is given for each. */
export function keyTable(tasks: readonly Task[]): string {
  const keys = new Map<string, { defaults: Map<string, string>; meanings: Map<string, string>; tasks: string[] }>();
  for (const task of tasks) {
    const schema = toSchema(task.config);
    for (const [section, inner] of Object.entries(schema.properties ?? {})) {
      const leaves =
        inner.properties === undefined
          ? [[section, inner] as const]
          : Object.entries(inner.properties).map(([key, leaf]) => [`${section}.${key}`, leaf] as const);
      for (const [key, leaf] of leaves) {
        const required = (inner.properties === undefined ? schema : inner).required as string[] | undefined;
        const preset =
          leaf.default !== undefined
            ? `\`${Array.isArray(leaf.default) ? JSON.stringify(leaf.default) : leaf.default}\``
            : required?.includes(key.split('.').at(-1) ?? '')
              ? 'required'
              : '-';
        const entry = keys.get(key) ?? {
          defaults: new Map<string, string>(),
          meanings: new Map<string, string>(),
          tasks: [] as string[],
        };
        const allowed =
          Array.isArray(leaf.enum) && !key.startsWith('scoring.')
            ? `: ${leaf.enum.map((value) => `\`${value}\``).join(' ')}`
            : '';
        entry.meanings.set(task.name, `${leaf.description ?? ''}${allowed}`);
        entry.defaults.set(task.name, preset);
        entry.tasks.push(task.name);
        keys.set(key, entry);
      }
    }
  }
  // A section's keys stand together, a task's own behind the shared ones.
  const sections = [...new Set([...keys.keys()].map(sectionOf))];
  const ordered = sections.flatMap((section) => [...keys].filter(([key]) => sectionOf(key) === section));
  const lines = ordered.map(([key, { defaults, meanings, tasks: where }]) => {
    // Where only the task's own name differs it is said once.
    const general = [...defaults].map(([task, value]) => value.replace(new RegExp(`\\b${task}\\b`), '<task>'));
    const values = [...new Set(defaults.size > 1 ? general : defaults.values())];
    const shown =
      values.length === 1 ? values[0] : [...defaults].map(([task, value]) => `${value} (${task})`).join(', ');
    const said = [...new Set(meanings.values())];
    const meaning = said.length === 1 ? said[0]! : [...meanings].map(([task, words]) => `${task}: ${words}`).join('; ');
    const only = where.length === tasks.length || said.length > 1 ? '' : ` (${where.join(', ')} only)`;
    return `| \`${key}\` | ${shown} | ${meaning.replaceAll('|', '\\|')}${only} |`;
  });
  return ['| key | default | meaning |', '| --- | --- | --- |', ...lines, ''].join('\n');
}

const sectionOf = (key: string) => key.split('.', 1)[0] ?? key;

/** The README's table: every recipe with its shots and metrics, the default one of each task first. */
export function recipeTable(tasks: readonly Task[]): string {
  const lines = tasks.flatMap(({ name, recipes, config }) => {
    const preset = (config.parse({ task: name, model: { model_id: 'a/b' } }) as TaskConfig).scoring.recipe;
    const order = [preset, ...Object.keys(recipes).filter((recipe) => recipe !== preset)];
    return order.map((recipe) => {
      const { num_fewshot, strategies, about } = recipes[recipe]!;
      const metrics = Object.entries(strategies).map(([strategy, rule]) => {
        const primary = rule.normalize_by_length ? rule.normalized : rule.primary;
        return `\`${primary}\` (\`${strategy}\`)`;
      });
      const cells = [
        name,
        `\`${recipe}\`${recipe === preset ? ' (default)' : ''}`,
        num_fewshot,
        metrics.join(', '),
        about,
      ];
      return `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;
    });
  });
  const head = ['| task | recipe | shots | primary metric (strategy) | whose words, and comparable with what |'];
  return [...head, '| --- | --- | --: | --- | --- |', ...lines, ''].join('\n');
}

/** README.md with today's tables between their marks. Throws Error where marks are missing. */
export function readmeWithTables(readme: string, tasks: readonly Task[]): string {
  const tables = { keys: keyTable(tasks), recipes: recipeTable(tasks) };
  return Object.entries(tables).reduce((text, [name, table]) => {
    const marks = new RegExp(`(<!-- ${name}:begin -->\\n)[\\s\\S]*(<!-- ${name}:end -->)`);
    if (!marks.test(text))
      throw new Error(`README.md: the marks <!-- ${name}:begin --> and <!-- ${name}:end --> are missing.`);
    return text.replace(marks, (_, begin: string, end: string) => `${begin}${table}${end}`);
  }, readme);
}

/** Every task that there is, loaded. */
export const allTasks = (): Promise<Task[]> => Promise.all(taskNames().map(loadTask));

if (isProgram(import.meta.url)) {
  const tasks = await allTasks();
  writeFileSync(SCHEMA_FILE, `${JSON.stringify(editorSchema(tasks), null, 2)}\n`);
  writeFileSync(README_FILE, readmeWithTables(readFileSync(README_FILE, 'utf8'), tasks));
}
