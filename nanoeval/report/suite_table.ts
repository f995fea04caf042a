/** The table of a suite, as Markdown, LaTeX and CSV: ours beside reported values. */
import { stringify } from 'csv-stringify/sync';
import type { Estimate } from '../types.ts';
import type { Unit } from './chart_values.ts';
import { type Column, decimals, markdownTable } from './table.ts';

/** A published value in the same unit as ours (0.431, not 43.1), and where it is from. */
export interface Reported {
  value: number;
  source: string;
}

/** One line: a task, the mean of some, or one that is not run. */
export interface SuiteLine {
  /** Its name in the suite. */
  task: string;
  recipe: string;
  /** Scored rows; null when there are none. */
  n: number | null;
  /** The metric; null when the task failed before it was known. */
  metric: string | null;
  /** null: the task failed, or is not run. */
  estimate: Estimate | null;
  /** Of the metric; null where it is not known. */
  unit: Unit | null;
  /** Why it failed. The table shows the first line, cut. */
  error?: string;
  /** Why it is not run. */
  missing?: string;
  reference?: Reported;
}

/** Ours less the reported value; null where there is no pair. */
export function differenceOf({ estimate, reference }: SuiteLine): number | null {
  return estimate === null || reference === undefined ? null : estimate.value - reference.value;
}

/** Whether a line is of shares: by its unit; of one without a value of ours, by the reported one. */
export function isOfShares({ unit, estimate, reference }: SuiteLine): boolean {
  if (unit !== null || estimate !== null) return unit === 'share';
  return reference !== undefined && reference.value >= 0 && reference.value <= 1;
}

/** A difference of numbers with few digits is off by its last bits. */
const ROUNDING = 1e-9;

/**
 * Whether the reported value lies within two of our standard errors; null where there is no pair, or no standard error. What
 * the reported value itself may be off by is not counted: cards seldom say it.
 */
export function isWithinTwo(line: SuiteLine): boolean | null {
  const difference = differenceOf(line);
  const stderr = line.estimate?.stderr ?? null;
  return difference === null || stderr === null ? null : Math.abs(difference) <= 2 * stderr * (1 + ROUNDING);
}

/**
 * What a suite prints: one line a task. With at least one reference there are four more columns: the reference, ours minus the
 * reference, whether it lies within two standard errors, and its source.
 */
export function suiteTable(lines: readonly SuiteLine[]): string {
  const hasReference = lines.some(({ reference }) => reference !== undefined);
  const columns: Column[] = [
    { name: 'task' },
    { name: 'recipe' },
    { name: 'n', align: 'right' },
    { name: 'metric' },
    { name: 'value', align: 'right' },
    { name: '± stderr', align: 'right' },
  ];
  if (hasReference)
    columns.push(
      { name: 'reference', align: 'right' },
      { name: 'difference', align: 'right' },
      { name: 'within 2 se' },
      { name: 'source' },
    );
  const rows = lines.map((line) => {
    const { task, recipe, n, metric, estimate, reference } = line;
    const value = estimate === null ? reasonOf(line) : decimals(estimate.value);
    const cells = [
      task,
      recipe,
      n === null ? '-' : String(n),
      metric ?? '-',
      value,
      decimals(estimate?.stderr ?? null),
    ];
    if (!hasReference) return cells;
    if (reference === undefined) return [...cells, '-', '-', '-', '-'];
    const difference = differenceOf(line);
    const signedText = difference === null ? '-' : signed(difference, 4);
    return [...cells, decimals(reference.value), signedText, yesOrNo(isWithinTwo(line)), reference.source];
  });
  return markdownTable({ columns, rows });
}

const CSV_COLUMNS = [
  'task',
  'recipe',
  'metric',
  'value',
  'stderr',
  'n',
  'reference',
  'difference',
  'within_two_stderr',
  'source',
  'note',
] as const;

/** The same with all digits; empty where there is nothing, `note` says why a line has no value. */
export function suiteCsv(lines: readonly SuiteLine[]): string {
  const records = lines.map((line) => {
    const { task, recipe, n, metric, estimate, reference } = line;
    const within = isWithinTwo(line);
    return [
      task,
      recipe,
      metric ?? '',
      estimate?.value ?? '',
      estimate?.stderr ?? '',
      n ?? '',
      reference?.value ?? '',
      differenceOf(line) ?? '',
      within === null ? '' : String(within),
      reference?.source ?? '',
      estimate === null ? reasonOf(line, Number.POSITIVE_INFINITY) : '',
    ];
  });
  return stringify([CSV_COLUMNS, ...records], { record_delimiter: '\n', quoted_match: /[\r\n]/ });
}

/**
 * A `tabular` for the package booktabs; shares in percent, two standard errors apart in bold. It has to fit a page: why a task
 * failed stands in suite.md and suite.csv, a mean of several metrics counts them, and a reason spans the columns that have nothing.
 */
export function suiteLatex(lines: readonly SuiteLine[]): string {
  const hasReference = lines.some(({ reference }) => reference !== undefined);
  const body = lines.map((line) => {
    const { task, recipe, n, metric, estimate, reference } = line;
    const [scale, digits] = isOfShares(line) ? [100, 1] : [1, 4];
    const number = (value: number) => (value * scale).toFixed(digits);
    const spread = estimate?.stderr == null ? '' : ` $\\pm$ ${number(estimate.stderr)}`;
    const ours = estimate === null ? '\\emph{failed}' : `${number(estimate.value)}${spread}`;
    const metrics = metric?.split(', ') ?? ['--'];
    const measured = metrics.length > 1 ? `${metrics.length} metrics` : metrics[0]!;
    const cells =
      line.missing === undefined
        ? [escaped(task), escaped(recipe), escaped(measured), n === null ? '--' : String(n), ours]
        : [escaped(task), `\\multicolumn{4}{l}{\\emph{${escaped(reasonOf(line))}}}`];
    if (!hasReference) return cells;
    const difference = differenceOf(line);
    const text = difference === null ? '' : signed(difference * scale, digits);
    const apart = isWithinTwo(line) === false ? `$\\mathbf{${text}}$` : text === '' ? '--' : `$${text}$`;
    const reported = reference === undefined ? '--' : scale === 100 ? number(reference.value) : String(reference.value);
    return [...cells, reported, apart];
  });
  const head = ['task', 'recipe', 'metric', '$n$', 'ours', ...(hasReference ? ['reported', 'difference'] : [])];
  const row = (cells: readonly string[]) => `${cells.join(' & ')} \\\\`;
  const sources = [...new Set(lines.flatMap(({ reference }) => reference?.source || []))];
  return [
    `% needs \\usepackage{booktabs}; shares in percent, $\\pm$ one standard error${hasReference ? '; bold: more than two apart' : ''}`,
    ...(sources.length === 0 ? [] : [`% reported: ${sources.join('; ').replace(/[\r\n]+/g, ' ')}`]),
    `\\begin{tabular}{lllr${'r'.repeat(head.length - 4)}}`,
    '\\toprule',
    row(head),
    '\\midrule',
    ...body.map(row),
    '\\bottomrule',
    '\\end{tabular}',
    '',
  ].join('\n');
}

/** Longest reason of a failure in the table, in code points; the whole of it is in the log. */
const MAX_REASON = 48;

/** Why a line has no value of ours: a failure by its first line, cut; what is missing by the whole reason, for nothing else says it. */
function reasonOf({ error, missing }: SuiteLine, most = MAX_REASON): string {
  if (missing !== undefined) return `missing: ${missing.trim()}`;
  const reason = [...(error ?? '').trim().split('\n', 1)[0]!.trim()];
  if (reason.length === 0) return 'failed';
  return `failed: ${reason.length > most ? `${reason.slice(0, most - 1).join('')}…` : reason.join('')}`;
}

/** With its sign; 0 has none. */
function signed(difference: number, digits: number): string {
  const text = Math.abs(difference).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${difference < 0 ? '-' : '+'}${text}`;
}

const yesOrNo = (within: boolean | null) => (within === null ? '-' : within ? 'yes' : 'no');

const SPECIAL: Record<string, string> = {
  '\\': '\\textbackslash{}',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
};

/** Plain text in LaTeX. */
function escaped(text: string): string {
  return text.replace(/[\r\n\t]+/g, ' ').replace(/[\\~^]|[&%$#_{}]/g, (sign) => SPECIAL[sign] ?? `\\${sign}`);
}
