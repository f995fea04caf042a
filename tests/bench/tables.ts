/** The results as aligned text. */
import type { RowsResult, ShotsResult } from './growth.ts';
import type { WorkloadResult } from './workloads.ts';

type Cell = string | number | null;

/** Columns as wide as they must be; the first to the left, the others to the right. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = [head, ...rows.map((row) => row.map((cell) => (cell === null ? '-' : `${cell}`)))];
  const widths = head.map((_, column) => Math.max(...texts.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join('  ');
  return [line(texts[0]!), widths.map((width) => '-'.repeat(width)).join('  '), ...texts.slice(1).map(line)].join('\n');
}

const fixed = (value: number | null | undefined, digits = 1) =>
  value === null || value === undefined ? null : value.toFixed(digits);
const small = (value: number | null | undefined) =>
  value === null || value === undefined ? null : value === 0 ? '0' : value.toExponential(1);

export function workloadText(result: WorkloadResult): string {
  const { workload, dtype, rows, rates, ways, between } = result;
  const floors = Object.entries(rates).map(([product, rate]) => `${product} ${rate.toFixed(0)}`);
  const header = result.gflopPerRowAfterHeader;
  const lines = [
    `## ${workload}: ${rows} rows, ${dtype}`,
    `${result.distinctTokens} distinct tokens, header ${result.headerTokens}; ` +
      `GFLOP a row ${fixed(result.gflopPerRow)} (all prefixes shared), ` +
      `${fixed(result.gflopPerRowByQuestion)} (by question)` +
      `${header === null ? '' : `, ${fixed(header)} after the header`}; ` +
      `floor ${fixed(result.floorMsPerRow)} ms a row`,
    `MatMul GFLOP/s: ${floors.join(', ')}; other programs used ${fixed(result.othersCores, 2) ?? '?'} cores`,
    '',
    table(
      [
        'way',
        'form',
        'rows',
        'ms/row',
        'x naive',
        'floor %',
        'by q. %',
        'asked',
        'distinct',
        'computed',
        'padded',
        'MB load',
        'MB peak',
        'MB here',
        'gap ms',
        'max diff',
        'mean diff',
      ],
      ways.map((way) => [
        way.way,
        way.form,
        way.rows,
        fixed(way.msPerRow),
        way.timesNaive === null
          ? null
          : `${way.rows < rows || ways[0]!.rows < rows ? '~' : ''}${way.timesNaive.toFixed(1)}`,
        fixed(way.ofFloor, 0),
        fixed(way.ofFloorByQuestion, 0),
        way.tokensAsked,
        way.form === 'naive' || way.form === 'alone' ? null : way.tokensDistinct,
        way.tokensRun,
        way.tokensPadded,
        fixed(way.openMb, 0),
        fixed(way.workerMb, 0),
        fixed(way.parentMb, 0),
        fixed(way.gapMs, 0),
        small(way.difference?.largest),
        small(way.difference?.mean),
      ]),
    ),
  ];
  for (const { way, afterHeader } of ways) {
    if (afterHeader === null) continue;
    const { msPerRow, ofFloor, ofFloorByQuestion } = afterHeader;
    lines.push(
      `after the header, ${way}: ${fixed(msPerRow)} ms a row` +
        (dtype === 'fp32' ? `, ${fixed(ofFloor, 0)} % of the floor, ${fixed(ofFloorByQuestion, 0)} % by question` : ''),
    );
  }
  for (const { ways: pair, difference } of between)
    lines.push(
      `${pair.join(' against ')}: largest difference ${small(difference.largest)}, mean ${small(difference.mean)}`,
    );
  for (const { way, remarks } of ways) for (const remark of remarks) lines.push(`${way}: ${remark}`);
  return lines.join('\n');
}

export function shotsText(results: readonly ShotsResult[]): string {
  return [
    '## Growth with the header: random MMLU-like rows',
    table(
      ['shots', 'header', 'rows', 'tree ms/row', 'after header', 'naive ms/row', 'x naive', 'max diff'],
      results.map((one) => [
        one.shots,
        one.headerTokens,
        one.rows,
        fixed(one.treeMsPerRow),
        fixed(one.afterHeaderMsPerRow),
        fixed(one.naiveMsPerRow),
        fixed(one.timesNaive),
        small(one.largestDifference),
      ]),
    ),
  ].join('\n');
}

export function rowsText(results: readonly RowsResult[]): string {
  return [
    '## Growth with the rows: the embedded demo checkpoint, random HellaSwag-like rows',
    table(
      ['workers', 'rows', 'ms/row', 'MB here', 'MB worker', 'gap ms'],
      results.map((one) => [
        one.workers,
        one.rows,
        fixed(one.msPerRow, 2),
        fixed(one.parentMb, 0),
        fixed(one.workerMb, 0),
        fixed(one.gapMs, 0),
      ]),
    ),
  ].join('\n');
}
