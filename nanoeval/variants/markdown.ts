/** variants.md: the verdict, one table of all variants, what is broken or failed, and the rows that flipped, folded away. */
import type { MetricResult } from '../compare/result.ts';
import { type Column, markdownTable } from '../report/table.ts';
import { primaryOf, type VariantFlip, type VariantResult, type VariantsResult, verdictOf } from './result.ts';

/** Flipped rows of a variant's task that are listed; all stand in the file. */
const FLIPS = 20;

const right = { align: 'right' } as const;

/** The whole document; `flipsFile`: where all flips stand. */
export function variantsMarkdown(result: VariantsResult, flips: readonly VariantFlip[], flipsFile: string): string {
  const { verdict, reference, variants } = result;
  const broken = variants.flatMap(({ name, broken: found }) => {
    if (found === null) return [];
    const row =
      found.row === null ? '' : ` First: ${found.row.of} row ${found.row.index}: ${harmless(found.row.shows)}.`;
    return [`- **${name} is broken**: ${harmless(found.reasons.join('; '))}.${row}`];
  });
  const faults = variants.flatMap(({ name, faults: all }) =>
    all.map((fault) => `- ${name}: ${harmless(oneLine(fault))}`),
  );
  const warnings = variants.flatMap(({ name, comparison }) =>
    (comparison?.warnings ?? []).map((line) => `- ${name}: ${harmless(line)}`),
  );
  const lists = [broken, faults, warnings].filter((list) => list.length > 0).map((list) => list.join('\n'));
  const folded = variants.flatMap((variant) => flipParts(variant, flips, flipsFile));
  const parts = [
    `## ${verdict}: ${variants.length - 1} ${variants.length === 2 ? 'variant' : 'variants'} against ${reference}`,
    variantsTable(result),
    ...lists,
    explanation(result),
    ...folded,
  ];
  return `${parts.map((part) => part.trimEnd()).join('\n\n')}\n`;
}

/** One line a variant, the reference first: also what the program prints. */
export function variantsTable({ variants }: VariantsResult): string {
  const tasks = [...new Set(variants.flatMap(({ scores }) => scores.map(({ task }) => task)))];
  const columns: Column[] = [
    { name: 'variant' },
    { name: 'verdict' },
    { name: 'bytes', ...right },
    { name: 'load s', ...right },
    { name: 'tokens/s', ...right },
    { name: 'peak RSS MB', ...right },
    ...tasks.flatMap((task): Column[] => [
      { name: `${task} ${metricName(task, variants)}`, ...right },
      { name: 'difference (interval)', ...right },
      { name: 'verdict' },
    ]),
    { name: 'KL mean', ...right },
    { name: 'KL p99', ...right },
    { name: 'top-1', ...right },
    { name: 'perplexity/token', ...right },
  ];
  return markdownTable({ columns, rows: variants.map((variant) => cellsOf(variant, tasks)) });
}

const metricName = (task: string, variants: readonly VariantResult[]) =>
  variants.flatMap(({ scores }) => scores).find((score) => score.task === task)!.primary.name;

function cellsOf(variant: VariantResult, tasks: readonly string[]): string[] {
  const { name, reference, bytes, cost, distributions, perplexity } = variant;
  const kl = distributions?.kl ?? null;
  return [
    name,
    reference ? 'reference' : verdictOf(variant),
    bytes === null ? '-' : bytes.toLocaleString('en-US'),
    cost === null ? '-' : cost.load_seconds.toFixed(2),
    cost === null ? '-' : cost.tokens_per_second.toFixed(0),
    cost === null ? '-' : (cost.peak_rss / 1e6).toFixed(0),
    ...tasks.flatMap((task) => taskCells(variant, task)),
    kl === null ? '-' : number(kl.mean),
    kl === null ? '-' : number(kl.p99),
    distributions?.top1 == null ? '-' : `${(100 * distributions.top1).toFixed(2)} %`,
    perplexity === null ? '-' : perplexity.toPrecision(5),
  ];
}

function taskCells({ scores, comparison }: VariantResult, name: string): string[] {
  const score = scores.find(({ task }) => task === name);
  const task = comparison?.tasks.find((one) => one.name === name);
  const value =
    score === undefined
      ? '-'
      : `${score.estimate.value.toFixed(4)}${score.estimate.stderr === null ? '' : ` ± ${score.estimate.stderr.toFixed(4)}`}`;
  if (score === undefined || task === undefined) return [value, '-', '-'];
  const metric = primaryOf(task, score);
  return [value, differenceText(metric), metric.verdict];
}

function differenceText({ difference, interval }: MetricResult): string {
  const ends = interval === null ? '' : ` (${interval.map(signed).join(' to ')})`;
  return `${signed(difference)}${ends}`;
}

/** Small numbers keep their digits. */
const number = (value: number): string => (value !== 0 && value < 0.001 ? value.toExponential(2) : value.toFixed(4));

function signed(value: number): string {
  const text = value.toFixed(4);
  if (Number(text) === 0) return text.replace('-', '');
  return value > 0 ? `+${text}` : text;
}

/** What the numbers of the table are. */
function explanation({ distributions, threads, gate, reference }: VariantsResult): string {
  const { dataset, texts, tokens, window, broken_kl } = distributions;
  return [
    `Values with their standard error; differences to ${reference} over the same rows, below 0 is worse, with the interval that the verdict (rule \`${gate.rule}\`) follows from.`,
    `KL(${reference} || variant) in nats a token over the whole vocabulary, its mean and 99th percentile; top-1: share of tokens at which both have the same most likely one; perplexity/token: exp of the mean negative log-likelihood. All over ${tokens.toLocaleString('en-US')} tokens of ${texts} ${texts === 1 ? 'text' : 'texts'} (${dataset.id} ${dataset.split}, \`${dataset.column}\`) in windows of ${window}.`,
    `Load, speed and memory: a process for each variant, plain forward passes over the same windows, ${threads === null ? "onnxruntime's own number of threads" : `${threads} ${threads === 1 ? 'thread' : 'threads'}`}; the weights' files were read before. Peak RSS has Node.js itself in it.`,
    `Broken: numbers that are not finite, a mean KL above ${broken_kl} nats, or a REGRESSED task whose 95 % interval reaches down to chance where the reference's does not.`,
  ].join(' ');
}

function flipParts({ name, comparison }: VariantResult, all: readonly VariantFlip[], file: string): string[] {
  return (comparison?.tasks ?? []).flatMap((task) => {
    if (task.flips_of === null) return [];
    const title = `${name}, ${task.name}`;
    const { worse, better } = task.flips;
    if (worse + better === 0) return [`${title}: no row flipped (${task.flips_of}).`];
    const own = all.filter((flip) => flip.variant === name && flip.task === task.name);
    // Those that got worse first: they are what a reader looks for.
    const isWorse = ({ baseline, current }: VariantFlip) => current.value < baseline.value;
    const shown = [...own.filter(isWorse), ...own.filter((flip) => !isWorse(flip))].slice(0, FLIPS);
    const columns = ['now', 'row', 'id', 'gold', 'reference', name].map((column) => ({ name: column }));
    const rows = shown.map((flip) =>
      [
        isWorse(flip) ? 'worse' : 'better',
        String(flip.index),
        [
          flip.id,
          ...(flip.seed === undefined ? [] : [`seed ${flip.seed}`]),
          ...(flip.sample === undefined ? [] : [`sample ${flip.sample}`]),
        ].join(', '),
        String(flip.gold ?? '-'),
        String(flip.baseline.prediction ?? 'unread'),
        String(flip.current.prediction ?? 'unread'),
      ].map(harmless),
    );
    const more = own.length > shown.length ? `\n${own.length - shown.length} more in ${file}.\n` : '';
    const summary = `${title}: ${own.length} of ${task.rows} rows flipped (${task.flips_of}): ${worse} worse, ${better} better`;
    return [`<details><summary>${summary}</summary>\n\n${markdownTable({ columns, rows })}${more}\n</details>`];
  });
}

const oneLine = (text: string): string => text.split('\n', 1)[0]!;

/** A model's text in Markdown: no markup of its own. */
const harmless = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('`', "'");
