/** Few-shot examples: the split that they come from, and which of its rows each question gets. */
import { statSync } from 'node:fs';
import type { TaskConfig } from '../config/keys.ts';
import type { ResolvedRecipe } from '../config/recipe.ts';
import { PythonRandom } from '../data/python_random.ts';
import { openSplit } from '../data/rows.ts';
import type { Run } from '../task.ts';
import { type DatasetFile, type Log, type Split, UserError } from '../types.ts';

/** Opens the split that shots come from, when there are any and the recipe has none of its own. Throws UserError that says what the shots are wanted for. */
export async function openShots(
  name: string | undefined,
  { dataset }: TaskConfig,
  { numFewshot, recipe }: ResolvedRecipe,
  options: { log: Log; signal: AbortSignal },
): Promise<Split | null> {
  if (numFewshot === 0 || name === undefined || recipe.fixed_shots !== undefined) return null;
  const { rows, path } = dataset;
  const single = rows !== undefined ? 'dataset.rows' : path !== undefined && statSync(path).isFile() ? path : null;
  if (single !== null) {
    throw new UserError(
      `${single} is one ${rows === undefined ? 'file' : 'list'}, and ${numFewshot} shots come from a split "${name}". ` +
        'Give a folder with a file for each split, or set scoring.num_fewshot: 0.',
      { key: rows === undefined ? 'dataset.path' : 'dataset.rows' },
    );
  }
  try {
    return await openSplit({ ...dataset, split: name, path: path ?? null }, options);
  } catch (cause) {
    // The config names the split under test, not this one.
    if (!(cause instanceof UserError) || cause.key !== 'dataset.split') throw cause;
    const message = `${numFewshot} shots come from a split "${name}", but ${cause.message}`;
    throw new UserError(message, { key: 'scoring.num_fewshot', cause });
  }
}

/**
 * That the two splits have no file in common, by its path or its content. Throws UserError: a folder may give one file for
 * any split (texts that name none, a README whose splits are the same file, a copy), and rows would see their own answers.
 */
export function checkApart(split: Split, shots: Split | null, { numFewshot }: ResolvedRecipe): void {
  if (shots === null) return;
  const isSame = (one: DatasetFile, other: DatasetFile) =>
    one.path === other.path || (one.size > 0 && one.sha256 !== null && one.sha256 === other.sha256);
  for (const one of split.files) {
    const twin = shots.files.find((other) => isSame(one, other));
    if (twin === undefined) continue;
    const what = twin.path === one.path ? `${one.path} is also a file` : `${twin.path} holds the same as ${one.path}`;
    throw new UserError(
      `${numFewshot} shots come from the split "${shots.split}", and its ${what} of the split "${split.split}": ` +
        'rows would see their own answers. Give each split files of its own, or set scoring.num_fewshot: 0.',
      { key: shots.revision === null ? 'dataset.path' : 'dataset.split' },
    );
  }
}

/** The two ways in which questions get their shots, `count` for each. */
export function openShotPools(shots: Split | null, count: number): Pick<Run, 'firstShots' | 'drawnShots'> {
  const tooFew = (found: number, what: string) =>
    new UserError(`${count}, but the split "${shots?.split}" has ${found} rows${what}.`, {
      key: 'scoring.num_fewshot',
    });
  return {
    async firstShots(columns, read, keyOf) {
      if (shots === null) return () => [];
      const kept = new Map<string, ReturnType<typeof read>[]>();
      for await (const indexed of shots.rows(columns)) {
        const shot = read(indexed);
        const own = kept.get(keyOf(shot)) ?? [];
        if (own.length < count) kept.set(keyOf(shot), [...own, shot]);
      }
      return (key) => {
        const own = kept.get(key) ?? [];
        if (own.length < count) throw tooFew(own.length, ` of ${key}`);
        return own;
      };
    },
    async drawnShots(columns, read, spare) {
      if (shots === null) return () => [];
      const pool: ReturnType<typeof read>[] = [];
      for await (const indexed of shots.rows(columns)) pool.push(read(indexed));
      if (pool.length < count + spare) throw tooFew(pool.length, '');
      const random = new PythonRandom(1234);
      let drawn = 0;
      return (index) => {
        if (index < drawn)
          throw new Error(`shots for row ${index} after those for row ${drawn - 1}: rows come in rising order.`);
        let chosen: number[] = [];
        for (; drawn <= index; drawn += 1) chosen = random.sample(pool.length, count + spare);
        return chosen.slice(0, count).map((i) => pool[i]!);
      };
    },
  };
}
