/** Which rows of the split under test a run asks about, and which of them are planned together. */
import type { TaskConfig } from '../config/keys.ts';
import { chosenSubjects, type Subjects } from '../config/subjects.ts';
import { textField } from '../data/row.ts';
import { sampleIndices } from '../data/rows.ts';
import type { Split } from '../types.ts';
import type { Earlier } from './journal.ts';

/** The rows of one seed. */
export interface Selection {
  seed: number;
  /** Rising; null for all rows of the split. */
  indices: readonly number[] | null;
  count: number;
}

/**
 * The rows that the config asks for. In this order: `dataset.sample` is drawn over the whole split, `dataset.subjects` keeps
 * rows of its subjects, `dataset.subset_size` the first of those, and a shard is a block of what is left, for neighbours
 * share prefixes. Reads the column of the subjects where the config needs it, and no other.
 */
export async function selectRows(
  task: { name: string; subjects?: Subjects },
  { dataset, run }: TaskConfig,
  split: Split,
  seed: number,
): Promise<Selection> {
  const numRows = await split.numRows();
  const { sample, subset_size } = dataset;
  let indices: readonly number[] | null = sample === undefined ? null : sampleIndices(numRows, sample, seed);
  if (task.subjects !== undefined) indices = await ofSubjects(task.name, task.subjects, dataset, split, indices);
  if (subset_size !== undefined && !task.subjects?.subsetOfEach)
    indices = (indices ?? range(Math.min(subset_size, numRows))).slice(0, subset_size);
  if (run.shard !== undefined) {
    const { number, count } = shardOf(run.shard);
    const all = indices ?? range(numRows);
    indices = all.slice(Math.floor((all.length * (number - 1)) / count), Math.floor((all.length * number) / count));
  }
  return { seed, indices, count: indices?.length ?? numRows };
}

/** Those of the asked subjects, the first `subset_size` of each where the benchmark counts so. */
async function ofSubjects(
  task: string,
  { column, of = (value) => value, groups, subsetOfEach }: Subjects,
  dataset: TaskConfig['dataset'],
  split: Split,
  indices: readonly number[] | null,
): Promise<readonly number[] | null> {
  const { subjects } = dataset as { subjects?: string | string[] };
  const wanted = chosenSubjects(subjects, groups);
  const most = subsetOfEach ? dataset.subset_size : undefined;
  if (wanted === null && most === undefined) return indices;
  const seen = new Map<string, number>();
  const kept: number[] = [];
  for await (const row of split.rows([column], indices ?? undefined)) {
    const subject = of(textField(task, row, column));
    const count = (seen.get(subject) ?? 0) + 1;
    if (wanted?.has(subject) === false || count > (most ?? count)) continue;
    seen.set(subject, count);
    kept.push(row.index);
  }
  return kept;
}

const range = (length: number) => Array.from({ length }, (_, i) => i);

/** `2/8` -> number 2 of 8. The schema has seen that it is one. */
export function shardOf(text: string): { number: number; count: number } {
  const [number = 1, count = 1] = text.split('/').map(Number);
  return { number, count };
}

/** Rows that are planned together; the first ones are fewer, so that the workers begin soon. */
const WINDOW = 1024;
const FIRST_WINDOW = 128;
/** Of rows with pictures: their files are held. */
const PICTURED_WINDOW = 16;

/** The windows of a run, and what an earlier run left to do in them. */
export interface Windows {
  /** The number of the window in which a row is planned. Cuts follow from the row's position in the selection alone. */
  of(index: number): number;
  /** Something in the row's window is to be asked. */
  isOpen(index: number): boolean;
  /** Rows in open windows, rising; null for all rows of the split. Rows of other windows are not even read. */
  wanted: readonly number[] | null;
}

/**
 * A window is open while it lacks the verdict of any of its rows: replies come in any order, so nothing follows from a later
 * one. `earlier`: what an earlier run left, by `rowKey`; of several seeds (`manySeeds`) each has its own windows. `samples`:
 * verdicts that a row has in the end.
 */
export async function openWindows(
  { seed, indices, count }: Selection,
  { scored }: Pick<Earlier, 'scored'>,
  { pictured, manySeeds, samples }: { pictured: boolean; manySeeds: boolean; samples: number },
): Promise<Windows> {
  const positions = indices === null ? null : new Map(indices.map((index, position) => [index, position]));
  const at = (position: number): number => {
    if (pictured) return Math.floor(position / PICTURED_WINDOW);
    return position < FIRST_WINDOW ? 0 : 1 + Math.floor(position / WINDOW);
  };
  const of = (index: number): number => at(positions === null ? index : positions.get(index)!);
  const missing: number[] = [];
  for (let position = 0; position < count; position += 1)
    missing[at(position)] = (missing[at(position)] ?? 0) + samples;
  let known = 0;
  for (const key of scored) {
    const [index = 0, own] = key.split('|').map(Number);
    if (manySeeds && own !== seed) continue;
    if (positions === null ? index >= count : !positions.has(index)) continue;
    missing[of(index)]! -= 1;
    known += 1;
  }
  const isOpen = (index: number) => missing[of(index)]! > 0;
  const wanted = known === 0 ? indices : (indices ?? range(count)).filter(isOpen);
  return { of, isOpen, wanted };
}
