/** compare.md: verdicts on top, then the numbers, then the rows that flipped, folded away. Fit to be pasted in a pull request. */
import { type Column, markdownTable } from '../report/table.ts';
import type { Outcome } from '../score/gate.ts';
import type { CompareResult, Flip, MetricResult, TaskResult } from './result.ts';

/** Flipped rows of a task that are listed; all stand in compare.json. */
const FLIPS = 50;

const MEANING: Record<Outcome, string> = {
  REGRESSED: 'worse by more than is allowed',
  SUSPECT: 'worse, perhaps by more than is allowed',
  UNDERPOWERED: 'too few rows to tell',
  HELD: 'not worse by more than is allowed',
  IMPROVED: 'better',
};

/** The whole document. */
export function compareMarkdown(result: CompareResult): string {
  const { verdict, baseline, current, warnings, tasks } = result;
  const head = [
    `## ${verdict}: ${MEANING[verdict]}`,
    `${current.models.join(', ')} against ${baseline.models.join(', ')} (\`${baseline.folder}\`).`,
  ];
  const notes = warnings.length === 0 ? [] : [warnings.map((line) => `- ${line}`).join('\n')];
  const parts = [...head, verdictTable(result), ...notes, explanation(result), ...tasks.map(taskPart)];
  return `${parts.map((part) => part.trimEnd()).join('\n\n')}\n`;
}

/** The table of the metrics that decide: also what the program prints. */
export function verdictTable({ tasks }: CompareResult): string {
  return metricTable(
    tasks.flatMap((task) => task.metrics.filter(({ gated }) => gated).map((metric) => ({ task, metric }))),
  );
}

const right = { align: 'right' } as const;
const COLUMNS: Column[] = [
  { name: 'verdict' },
  { name: 'task' },
  { name: 'metric' },
  { name: 'baseline', ...right },
  { name: 'current', ...right },
  { name: 'difference', ...right },
  { name: 'interval', ...right },
  { name: 'allowed', ...right },
  { name: 'better / worse', ...right },
  { name: 'p', ...right },
  { name: 'n', ...right },
  { name: 'point' },
];

function metricTable(lines: readonly { task: TaskResult; metric: MetricResult }[]): string {
  return markdownTable({
    columns: COLUMNS,
    rows: lines.map(({ task, metric }) => [
      metric.verdict,
      task.name,
      `${metric.name}${metric.better === 'lower' ? ' (lower is better)' : ''}`,
      valueText(metric, metric.baseline),
      valueText(metric, metric.current),
      signed(metric, metric.difference),
      metric.interval === null ? '-' : metric.interval.map((end) => signed(metric, end)).join(' to '),
      `-${valueText(metric, metric.allowed_drop)}`,
      `${metric.wins} / ${metric.losses}`,
      metric.p_value === null ? '-' : pText(metric.p_value),
      countText(task, metric),
      metric.point,
    ]),
  });
}

/** What the numbers of a metric are counted over: rows, with their questions where these have several, or values of questions. */
function countText({ rows, questions }: TaskResult, { values_of, wins, losses, ties }: MetricResult): string {
  if (values_of === 'questions') return String(wins + losses + ties);
  return questions === rows ? String(rows) : `${rows} (${questions})`;
}

/** Which metrics are no mean over rows, and how their intervals were made; empty where there is none. */
function notByRow(metrics: readonly MetricResult[]): string {
  const others = metrics.filter(({ values_of }) => values_of !== 'rows');
  const methods = [...new Set(others.map(({ method }) => method))];
  const parts = methods.map((method) => {
    const names = others.filter((metric) => metric.method === method).map(({ name }) => name);
    return `${names.join(', ')} (${method})`;
  });
  return parts.length === 0 ? '' : `No means over rows: ${parts.join('; ')}.`;
}

/** Four decimals of a share; of another number as many as tell its hundredths of a percent. */
function valueText({ unit, baseline }: MetricResult, value: number): string {
  if (unit === 'share') return value.toFixed(4);
  const size = Math.abs(baseline);
  const decimals = size === 0 ? 4 : Math.min(6, Math.max(0, 4 - Math.floor(Math.log10(size))));
  return value.toFixed(decimals);
}

function signed(metric: MetricResult, value: number): string {
  const text = valueText(metric, value);
  if (Number(text) === 0) return text.replace('-', '');
  return value > 0 ? `+${text}` : text;
}

const pText = (p: number): string => (p < 0.0001 ? '<0.0001' : p.toFixed(4));

/** What the numbers of the table are. */
function explanation({ gate, tasks }: CompareResult): string {
  const methods = [
    ...new Set(tasks.flatMap(({ metrics }) => metrics.filter(({ gated }) => gated).map(({ method }) => method))),
  ];
  const tests = [
    ...new Set(tasks.flatMap(({ metrics }) => metrics.filter(({ gated }) => gated).flatMap(({ test }) => test ?? []))),
  ];
  const level = `${(100 * gate.level).toFixed(gate.metrics.length > 1 ? 2 : 0)} %`;
  const simultaneous =
    gate.metrics.length > 1
      ? ` (${gate.metrics.length} metrics decide, so that all intervals hold together in 95 % of cases)`
      : '';
  const rule =
    gate.rule === 'point'
      ? 'The rule is `point`: a difference below minus the allowed drop fails.'
      : 'REGRESSED: the whole interval lies below minus the allowed drop. IMPROVED: above 0. HELD: above minus the allowed drop. SUSPECT: below 0. UNDERPOWERED: none of these.';
  return (
    `Differences are current minus baseline over the same rows, below 0 is worse${tasks.some(({ metrics }) => metrics.some(({ better }) => better === 'lower')) ? ' (the sign is turned where lower is better)' : ''}. ` +
    `Intervals: ${level}${simultaneous}, ${methods.join('; ')}. p: ${tests.join('; ') || 'none'}. ${rule}`
  );
}

function taskPart(task: TaskResult): string {
  const { name, recipe, rows, questions, left, metrics, drift } = task;
  const counted = questions === rows ? `${rows} rows` : `${rows} answers to ${questions} questions`;
  const gone =
    left.baseline + left.current > 0
      ? `; left out: ${left.baseline} of the baseline, ${left.current} of the current run`
      : '';
  const smallest = metrics.find(({ gated, smallest_drop }) => gated && smallest_drop !== null);
  const power =
    smallest === undefined
      ? ''
      : ` The smallest drop of ${smallest.name} that so many rows find four times in five: ${valueText(smallest, smallest.smallest_drop!)}.`;
  const far = [
    drift.kl === null
      ? null
      : `KL of the choices' distribution ${drift.kl.mean.toPrecision(3)} nats in the mean, ${drift.kl.p99.toPrecision(3)} at the 99th percentile`,
    drift.mean_abs_change === null
      ? null
      : `mean change of a log-likelihood ${drift.mean_abs_change.toPrecision(3)} nats`,
    drift.same_prediction === null ? null : `same answer in ${(100 * drift.same_prediction).toFixed(2)} % of the rows`,
  ].filter((text) => text !== null);
  return [
    `### ${name} (${recipe}, ${counted}${gone})`,
    metricTable(metrics.map((metric) => ({ task, metric }))).trimEnd(),
    notByRow(metrics),
    `${far.length === 0 ? '' : `Apart: ${far.join('; ')}.`}${power}`.trim(),
    flipsPart(task),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function flipsPart({ flips, flips_of, rows }: TaskResult): string {
  if (flips_of === null) return '';
  if (flips.length === 0) return `No row flipped (${flips_of}).`;
  const worse = flips.filter(({ baseline, current }) => current.value < baseline.value);
  const better = flips.filter(({ baseline, current }) => current.value > baseline.value);
  // Those that got worse first: they are what a reader looks for.
  const shown = [...worse, ...better].slice(0, FLIPS);
  const cells = ({ id, index, seed, sample, gold, baseline, current }: Flip) => [
    current.value < baseline.value ? 'worse' : 'better',
    String(index),
    [id, ...(seed === undefined ? [] : [`seed ${seed}`]), ...(sample === undefined ? [] : [`sample ${sample}`])].join(
      ', ',
    ),
    String(gold ?? '-'),
    String(baseline.prediction ?? 'unread'),
    String(current.prediction ?? 'unread'),
  ];
  const columns = ['now', 'row', 'id', 'gold', 'baseline', 'current'].map((name) => ({ name }));
  const more = flips.length > shown.length ? `\n${flips.length - shown.length} more in compare.json.\n` : '';
  const summary = `${flips.length} of ${rows} rows flipped (${flips_of}): ${worse.length} worse, ${better.length} better`;
  const body = markdownTable({ columns, rows: shown.map((flip) => cells(flip).map(harmless)) });
  return `<details><summary>${summary}</summary>\n\n${body}${more}\n</details>`;
}

/** A model's text in Markdown: no markup of its own. */
const harmless = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('`', "'");
