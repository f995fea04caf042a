/** The JSON files of runs, suites and baselines: read and checked for what a comparison takes from them, each fault one line. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { checkFormat } from '../config/file.ts';
import { dotted, show } from '../config/messages.ts';
import type { Summary } from '../run/outcome.ts';
import { UserError } from '../types.ts';

const text = z.string();
const section = z.looseObject({});

/** Of summary.json. */
const summaryShape = z.looseObject({
  task: text,
  status: z.enum(['complete', 'unscored', 'invalid']),
  faults: z.array(text),
  recipe: z.looseObject({ name: text }),
  model: z.looseObject({ label: text, variant: text.nullish() }),
  dataset: z.looseObject({ files: z.array(section), commit: text.nullish(), num_rows: z.number().nullish() }),
  selection: section,
  scoring: section,
  primary: z.looseObject({ name: text, unit: z.enum(['share', 'number']), better: z.enum(['higher', 'lower']) }),
  // A perplexity that is infinite is null in JSON.
  metrics: z.record(text, z.looseObject({ value: z.number().nullish() })),
  pooled: z.array(text).optional(),
  health: z.looseObject({ failed: z.int().min(0) }),
});

/** Of suite_summary.json. */
const suiteShape = z.looseObject({
  suite: text,
  tasks: z
    .array(
      z.looseObject({
        name: text.min(1),
        model: text.nullish(),
        output_dir: text.nullish(),
        status: text.nullish(),
        error: text.nullish(),
      }),
    )
    .min(1),
});
export type SavedSuite = z.infer<typeof suiteShape>;

/** Of baseline.json. A task's name is that of its files, below the folder. */
const taskName = text.refine((name) => name !== '' && !name.split('/').includes('..'));
const baselineShape = z.looseObject({ suite: text, tasks: z.array(taskName).min(1) });
export type SavedIndex = z.infer<typeof baselineShape>;

/** The first thing that a value lacks of a shape; null where it has all. */
function faultOf(shape: z.ZodType, value: unknown): string | null {
  const issue = shape.safeParse(value).error?.issues[0];
  if (issue === undefined) return null;
  const found = issue.path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown>)[part], value);
  const key = dotted(issue.path);
  return found === undefined || found === null ? `it has no "${key}"` : `"${key}" is ${show(found)}`;
}

/**
 * A file of today's format that holds a JSON object. Throws UserError (key `key`) for one that cannot be read, is no JSON, or of
 * another format.
 */
export function readJsonFile(path: string, key: string): Record<string, unknown> {
  let content: string;
  let value: unknown;
  try {
    content = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new UserError(`${path}: cannot be read: ${(cause as Error).message}.`, { key, cause });
  }
  try {
    value = JSON.parse(content);
  } catch (cause) {
    // V8 shows lines of the file in its message.
    const reason = (cause as Error).message.replaceAll(/\s+/g, ' ');
    throw new UserError(`${path}: not JSON: ${reason}.`, { key, cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UserError(`${path}: not a JSON object.`, { key });
  checkFormat(path, (value as { format?: unknown }).format, { key });
  return value as Record<string, unknown>;
}

function readShape(path: string, shape: z.ZodType, key: string, what: string, remedy: string): unknown {
  const value = readJsonFile(path, key);
  const fault = faultOf(shape, value);
  if (fault !== null) throw new UserError(`${path}: not ${what}: ${fault}. ${remedy}`, { key });
  return value;
}

/** These throw UserError. `remedy`: what is to be done about a damaged file. */
export const readSummary = (path: string, key: string, remedy: string): Summary =>
  readShape(path, summaryShape, key, 'the summary of a run', remedy) as Summary;

export const readSuite = (path: string, key: string): SavedSuite =>
  readShape(path, suiteShape, key, 'the summary of a suite', 'Run the suite again.') as SavedSuite;

export const readIndex = (path: string, key: string, remedy: string): SavedIndex =>
  readShape(path, baselineShape, key, "the list of a baseline's tasks", remedy) as SavedIndex;
