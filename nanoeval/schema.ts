/**
 * Writes what follows from the config schemas: `configs/nanoeval.schema.json` for editors and the key table of README.md.
 *
 *     npm run schema
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { manyModelsSchema, rescoreSchema, suiteSchema } from './config/keys.ts';
import { isProgram } from './program.ts';
import { loadTask, taskNames } from './run/task_files.ts';
import type { Task } from './task.ts';

const SCHEMA_FILE = new URL('../configs/nanoeval.schema.json', import.meta.url);
const README_FILE = new URL('../README.md', import.meta.url);
const TABLE = /(<!-- keys:begin -->\n)[\s\S]*(<!-- keys:end -->)/;

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
  const suites = [suiteSchema, manyModelsSchema].map((schema) => strip(toSchema(schema)));
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
  const rescore = strip(toSchema(rescoreSchema));
  const anyOf = [...files, ...suites, rescore];
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'NanoEval', anyOf };
}

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
            ? `\`${leaf.default}\``
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
    const values = [...new Set(defaults.values())];
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

/** README.md with today's table between its marks. */
export function readmeWithTable(readme: string, tasks: readonly Task[]): string {
  if (!TABLE.test(readme))
    throw new Error('README.md: the marks <!-- keys:begin --> and <!-- keys:end --> are missing.');
  return readme.replace(TABLE, (_, begin: string, end: string) => `${begin}${keyTable(tasks)}${end}`);
}

export const allTasks = (): Promise<Task[]> => Promise.all(taskNames().map(loadTask));

if (isProgram(import.meta.url)) {
  const tasks = await allTasks();
  writeFileSync(SCHEMA_FILE, `${JSON.stringify(editorSchema(tasks), null, 2)}\n`);
  writeFileSync(README_FILE, readmeWithTable(readFileSync(README_FILE, 'utf8'), tasks));
}
