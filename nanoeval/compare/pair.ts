/** Two runs of one task, row by row: what makes them comparable, and their rows beside each other. */
import { show } from '../config/messages.ts';
import type { Summary } from '../run/outcome.ts';
import { differences } from '../run/record.ts';
import { IncomparableError, UserError } from '../types.ts';
import { type Columns, readColumns } from './columns.ts';
import type { ComparedRun } from './sources.ts';

/** Rows that both runs have, in the baseline's order. */
export interface Pairs {
  baseline: Columns;
  current: Columns;
  /** Places of the rows in the columns of the baseline, and in those of the current run. */
  places: { baseline: Int32Array; current: Int32Array };
  /** Rows that only one of the two has, or that were asked otherwise, left out. */
  left: { baseline: number; current: number; other_prompt: number };
}

/** What two runs have to share: how rows were asked and scored, and which rows they are. */
function terms({ task, recipe, dataset, selection, scoring, version, reduce }: Summary, rows: 'all' | 'common') {
  const { dataset_id, commit, subset_name, split, num_rows } = dataset;
  // Rows of local files have no commit; their hashes speak for them.
  const files = commit === null ? dataset.files.map(({ sha256 }) => sha256) : null;
  const data = commit === null ? { files } : { dataset_id, commit, subset_name, split };
  const { primary: _metric, ...asked } = scoring;
  const all = { dataset: { ...data, num_rows }, selection };
  return {
    task,
    recipe,
    ...(rows === 'all' ? all : commit === null ? {} : { dataset: data }),
    scoring: asked,
    version,
    reduce: reduce === 'sum' ? 'sum' : 'mean',
  };
}

/** Differences named in an error. */
const NAMED = 4;

/** Throws IncomparableError that says in what two runs differ, or why one of them is no whole run. */
export function checkComparable(baseline: ComparedRun, current: ComparedRun, rows: 'all' | 'common'): void {
  for (const { folder, name, summary } of [baseline, current]) {
    if (summary.status === 'invalid')
      throw new IncomparableError(`${folder}: ${name} is invalid: ${summary.faults.join('; ')}.`);
    if (summary.status !== 'complete')
      throw new IncomparableError(`${folder}: ${name} has no scores. Give them by rescore.ts first.`);
    const { failed } = summary.health;
    if (failed > 0 && rows === 'all')
      throw new IncomparableError(
        `${folder}: ${name}: ${failed} rows failed and have no verdict. Run its config again, or set \`rows: common\` to leave them out.`,
      );
  }
  const found = differences(terms(baseline.summary, rows), terms(current.summary, rows));
  if (found.length === 0) return;
  const named = found.filter(({ key }) => !key.endsWith('sha256') || key === 'recipe.sha256' || found.length === 1);
  const shown = named.slice(0, NAMED).map(({ key, a, b }) => `${key} is ${short(a)} there and ${short(b)} now`);
  const more = named.length > NAMED ? `; and ${named.length - NAMED} more` : '';
  const hint = found.every(({ key }) => /^(selection|dataset\.num_rows)/.test(key))
    ? ' Set `rows: common` to compare the rows that both have.'
    : '';
  throw new IncomparableError(
    `${current.name}: not comparable with ${baseline.folder}: ${shown.join('; ')}${more}.${hint}`,
  );
}

/** A hash by its first digits. */
const short = (value: unknown): string =>
  typeof value === 'string' && /^[0-9a-f]{40,64}$/.test(value) ? `${value.slice(0, 12)}...` : show(value);

/**
 * The rows of both runs beside each other, by index, seed and sample, where id and prompt are the same. Throws UserError where
 * a run has a row twice, IncomparableError where a row lacks its other, unless `rows` is `common`, and where none is left.
 */
export async function pairRows(baseline: ComparedRun, current: ComparedRun, rows: 'all' | 'common'): Promise<Pairs> {
  const before = await readColumns(baseline.batches());
  const now = await readColumns(current.batches());
  for (const [columns, { folder }] of [
    [before, baseline],
    [now, current],
  ] as const) {
    const twice = columns.firstRepeated();
    if (twice !== null)
      throw new UserError(
        `${folder}: row ${columns.key(twice)} (id ${columns.ids[twice]}) stands there twice. Run its config again.`,
      );
  }
  const [here, there] = [new Int32Array(before.length), new Int32Array(before.length)];
  const where = `${current.name}: not comparable with ${baseline.folder}`;
  let n = 0;
  let otherPrompt = 0;
  const nowIndices = now.indices.array();
  const indices = before.indices.array();
  for (let i = 0; i < before.length; i += 1) {
    // Runs of the same rows have them in the same order.
    const isBeside = nowIndices[i] === indices[i] && now.draws[i] === before.draws[i];
    const place = isBeside ? i : now.placeOf(before.key(i));
    if (place === undefined || now.ids[place] !== before.ids[i]) {
      if (rows === 'common') continue;
      const what = place === undefined ? 'is not in the current run' : `has the id "${now.ids[place]}" now`;
      throw new IncomparableError(
        `${where}: row ${before.key(i)} (id ${before.ids[i]}) ${what}. Set \`rows: common\` to compare the rows that both have.`,
      );
    }
    if (now.prompts[place] !== before.prompts[i]) {
      otherPrompt += 1;
      if (rows === 'common') continue;
      throw new IncomparableError(
        `${where}: row ${before.key(i)} (id ${before.ids[i]}) was asked with another prompt (its SHA-256 begins with ${before.prompts[i]} there and ${now.prompts[place]} now).`,
      );
    }
    here[n] = i;
    there[n] = place;
    n += 1;
  }
  const left = { baseline: before.length - n, current: now.length - n, other_prompt: otherPrompt };
  if (rows === 'all' && left.current > 0)
    throw new IncomparableError(
      `${where}: ${left.current} rows of the current run are not in the baseline. Set \`rows: common\` to compare the rows that both have.`,
    );
  if (n === 0) throw new IncomparableError(`${where}: they have no row in common.`);
  return {
    baseline: before,
    current: now,
    places: { baseline: here.subarray(0, n), current: there.subarray(0, n) },
    left,
  };
}
