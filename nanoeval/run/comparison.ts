/** Many checkpoints beside each other: one table of those runs that may be compared, more where they may not. */
import { stringify } from 'csv-stringify/sync';
import { show } from '../config/messages.ts';
import { markdownTable } from '../report/table.ts';
import type { Estimate, Primary } from '../types.ts';
import type { Summary } from './outcome.ts';
import { differences } from './record.ts';

/** A run to be compared: what its summary.json holds. */
export interface Compared {
  /** Of the task in its suite, or of its folder. */
  name: string;
  summary: Summary;
  /** What its checkpoint is called in the table; its id and dtype by default. */
  model?: string;
}

interface Cell {
  /** What decides the model's answers, hashed: two of one name are two. */
  identity: string;
  model: string;
  task: string;
  recipe: string;
  primary: Primary;
  estimate: Estimate | null;
  status: string;
}

/** One table: runs whose numbers mean the same thing, column by column. */
export interface ComparisonTable {
  /** Why these runs stand apart; empty for the first table. */
  reasons: string[];
  tasks: string[];
  models: string[];
  cells: Cell[];
}

/** What has to be equal in a column: how rows were asked and scored, and which rows they are. */
export function sharedTerms(summary: Summary): Record<string, unknown> {
  const { task, recipe, dataset, selection, scoring, version, reduce = 'mean', primary } = summary;
  const { dataset_id, commit, subset_name, split, num_rows } = dataset;
  const { primary: _metric, ...asked } = scoring;
  // Rows of local files have no commit; their hashes speak for them.
  const files = commit === null ? dataset.files.map(({ sha256 }) => sha256) : null;
  return {
    task,
    recipe,
    dataset: { ...(commit === null ? { files } : { dataset_id, commit, subset_name, split }), num_rows },
    selection,
    scoring: asked,
    version,
    reduce: reduce === 'sum' ? 'sum' : 'mean',
    metric: primary.name,
  };
}

/** What a task's column is called: runs of one task on one config of the data are one column. */
function columnOf({ task, dataset }: Summary): string {
  return dataset.subset_name === null || ['default', 'all'].includes(dataset.subset_name)
    ? task
    : `${task}, ${dataset.subset_name}`;
}

function nameOf({ model }: Summary): string {
  const { label, variant } = model;
  return [label.split('/').slice(-2).join('/'), ...(variant === null ? [] : [variant])].join(' ');
}

/** Names of the checkpoints; of two that would be called alike each says its commit, or what it hashes to. */
function labelsOf(runs: readonly Compared[]): Map<string, string> {
  const known = new Map<string, { name: string; commit: string; sha256: string }>();
  for (const { summary, model } of runs) {
    const { sha256, source } = summary.model;
    const commit = typeof source.commit === 'string' ? source.commit : sha256;
    known.set(`${sha256} ${model ?? ''}`, { name: model ?? nameOf(summary), commit, sha256 });
  }
  const all = [...known.values()];
  const label = ({ name, commit, sha256 }: (typeof all)[number]): string => {
    const alike = all.filter((other) => other.name === name);
    if (alike.length === 1) return name;
    // One commit may be read in two ways (another window, another file).
    const isTold = alike.filter((other) => other.commit === commit).length === 1;
    return `${name} @${(isTold ? commit : sha256).slice(0, 7)}`;
  };
  return new Map([...known].map(([key, one]) => [key, label(one)]));
}

/**
 * Tables of runs. Of the runs of one task those that most checkpoints share stand in the first table; others, asked in
 * another way or on other rows, in tables of their own with the reason. Where one checkpoint has two runs of the same kind,
 * the later one counts. `models`: names that have a line whatever came of them.
 */
export function compareRuns(runs: readonly Compared[], models: readonly string[] = []): ComparisonTable[] {
  const labels = labelsOf(runs);
  const columns = new Map<string, { terms: Record<string, unknown>; key: string; cells: Cell[] }[]>();
  for (const { summary, model } of runs) {
    const column = columnOf(summary);
    const own = sharedTerms(summary);
    const key = JSON.stringify(own);
    const variants = columns.get(column) ?? [];
    columns.set(column, variants);
    let variant = variants.find((one) => one.key === key);
    if (variant === undefined) {
      variant = { terms: own, key, cells: [] };
      variants.push(variant);
    }
    const cell: Cell = {
      identity: summary.model.sha256,
      model: labels.get(`${summary.model.sha256} ${model ?? ''}`)!,
      task: column,
      recipe: summary.recipe.name,
      primary: summary.primary,
      estimate: summary.metrics[summary.primary.name] ?? null,
      status: summary.status,
    };
    variant.cells = [
      ...variant.cells.filter((other) => other.model !== cell.model || other.identity !== cell.identity),
      cell,
    ];
  }
  const tables: ComparisonTable[] = [];
  for (const [column, variants] of columns) {
    const sorted = variants.toSorted((a, b) => b.cells.length - a.cells.length);
    for (const [i, { cells, terms: own }] of sorted.entries()) {
      tables[i] ??= { reasons: [], tasks: [], models: [], cells: [] };
      const table = tables[i];
      table.tasks.push(column);
      table.cells.push(...cells);
      if (i > 0) table.reasons.push(`${column}: ${reason(sorted[0]!.terms, own)}`);
    }
  }
  const order = [...new Set([...models, ...labels.values()])];
  for (const [i, table] of tables.entries())
    table.models = order.filter(
      (name) => (i === 0 && models.includes(name)) || table.cells.some(({ model }) => model === name),
    );
  return tables;
}

/** In which terms a variant differs from the first one. */
function reason(first: Record<string, unknown>, other: Record<string, unknown>): string {
  const found = differences(first, other).filter(({ key }) => !key.endsWith('sha256'));
  if (found.length === 0) return 'the recipe has changed since';
  return found.map(({ key, a, b }) => `${key} ${show(b)} in place of ${show(a)}`).join(', ');
}

/** Markdown: a row a checkpoint, a column a task; `value ± stderr`, the best of a column in bold, `missing` where none is. */
export function comparisonMarkdown(tables: readonly ComparisonTable[]): string {
  const inOther = (model: string, task: string) =>
    tables.some(({ cells }) => cells.some((cell) => cell.model === model && cell.task === task));
  const parts = tables.map(({ reasons, tasks, models, cells }, i) => {
    const columns = [
      { name: 'model' },
      ...tasks.map((task) => ({ name: headOf(task, cells), align: 'right' as const })),
    ];
    const rows = models.map((model) => [
      model,
      ...tasks.map((task) => cellText(model, task, cells) ?? (inOther(model, task) ? 'other table' : 'missing')),
    ]);
    const head =
      i === 0
        ? '# Comparison\n'
        : `\n## Not comparable with the first table\n\n${reasons.map((one) => `- ${one}`).join('\n')}\n`;
    return `${head}\n${markdownTable({ columns, rows })}`;
  });
  const note =
    '\nValues ± one standard error (shares from 0 to 1); n in brackets where checkpoints differ in it. Bold: the best of its column.\n';
  return `${parts.join('')}${note}`;
}

function headOf(task: string, cells: readonly Cell[]): string {
  const cell = cells.find((one) => one.task === task)!;
  return `${task} (${cell.recipe}, ${cell.primary.name}${cell.primary.better === 'lower' ? ', lower is better' : ''})`;
}

const isValid = ({ estimate, status }: Cell) => estimate !== null && status === 'complete';

/** null: the table has no such cell. */
function cellText(model: string, task: string, cells: readonly Cell[]): string | null {
  const column = cells.filter((one) => one.task === task);
  const cell = column.find((one) => one.model === model);
  if (cell === undefined) return null;
  if (cell.estimate === null) return cell.status;
  const { value, stderr, n } = cell.estimate;
  const differs = new Set(column.flatMap((one) => one.estimate?.n ?? [])).size > 1;
  const text = `${value.toFixed(4)}${stderr === null ? '' : ` ± ${stderr.toFixed(4)}`}${differs ? ` (${n})` : ''}`;
  if (!isValid(cell)) return `${text} (${cell.status})`;
  const pick = cell.primary.better === 'lower' ? Math.min : Math.max;
  const best = pick(...column.filter(isValid).map(({ estimate }) => estimate!.value));
  return value === best && column.filter(isValid).length > 1 ? `**${text}**` : text;
}

/** One line a cell; `table` 1 is the first. */
export function comparisonCsv(tables: readonly ComparisonTable[]): string {
  const head = ['table', 'model', 'task', 'recipe', 'metric', 'value', 'stderr', 'ci_low', 'ci_high', 'n', 'status'];
  const lines = tables.flatMap(({ models, tasks, cells }, i) =>
    models.flatMap((model) =>
      tasks.map((task) => {
        const cell = cells.find((one) => one.model === model && one.task === task);
        const { value, stderr, ci95, n } = cell?.estimate ?? { value: '', stderr: '', ci95: null, n: '' };
        const status = cell?.status ?? 'missing';
        return [
          i + 1,
          model,
          task,
          cell?.recipe ?? '',
          cell?.primary.name ?? '',
          value,
          stderr ?? '',
          ...(ci95 ?? ['', '']),
          n,
          status,
        ];
      }),
    ),
  );
  return stringify([head, ...lines], { record_delimiter: '\n', quoted_match: /[\r\n]/ });
}
