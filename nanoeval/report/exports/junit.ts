/** Runs as test cases: one for each row, or the gate of a run that has one (`run.require`). */
import type { FailedRow, ScoredRow } from '../../questions.ts';
import { type JunitCase, rowCases } from '../junit.ts';
import { asMean, type ExportedRun } from './exported.ts';

/** Whether the run's cases are its rows. */
export const isByRow = ({ config, summary }: Pick<ExportedRun, 'config' | 'summary'>): boolean =>
  config.run.require === undefined && summary.status !== 'unscored';

/** The gate as a case: it fails where the run misses what is required. */
function gateCase({ name, config, summary, shortfall }: ExportedRun): JunitCase {
  const { primary, metrics, reduce: _sum } = summary;
  const found = metrics[primary.name];
  const bound = `at ${primary.better === 'higher' ? 'least' : 'most'} ${config.run.require}`;
  const text =
    found === undefined ? '' : `${primary.name} ${asMean(primary.name, found, summary).value}, n = ${found.n}`;
  const failure = shortfall === null ? null : `required: ${shortfall}`;
  return { name: `${primary.name} ${bound}`, suite: name, failure, text };
}

/**
 * The cases of a run. `rows` and `failed`: the run's rows, looked at where `isByRow` says so. An invalid run, and one without
 * verdicts, has a case `run` that is an error.
 */
export function exportCases(run: ExportedRun, rows: readonly ScoredRow[], failed: readonly FailedRow[]): JunitCase[] {
  const { name: suite, summary } = run;
  const fault = (failure: string): JunitCase => ({ name: 'run', suite, failure, isError: true, text: failure });
  if (summary.status === 'unscored') return [fault('unscored: it has predictions alone')];
  const faults = summary.faults.map((one) => fault(`invalid: ${one}`));
  const cases = isByRow(run) ? rowCases(suite, rows, failed) : summary.status === 'invalid' ? [] : [gateCase(run)];
  return [...faults, ...cases];
}

/** A task that has no run: the case `run`, with why. */
export const goneCase = (suite: string, error: string): JunitCase => ({
  name: 'run',
  suite,
  failure: `failed: ${error}`,
  isError: true,
  text: error,
});
