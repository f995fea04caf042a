/** junit.xml: what CI systems show as tests. */
import { XMLBuilder } from 'fast-xml-parser';
import type { FailedRow, ScoredRow } from '../questions.ts';
import { failuresIn, rowName } from './failures.ts';

/** What XML 1.0 cannot hold, escaped or not. */
const ILLEGAL = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu;

/** A text that fits an XML document. */
const legal = (text: string): string => text.replaceAll(ILLEGAL, '\u{FFFD}');

/** A case that a report shows as failed, or as passed with a text. */
export interface JunitCase {
  name: string;
  /** The group of cases that it belongs to. */
  suite: string;
  /** One line; null where it passed. */
  failure: string | null;
  /** It could not be judged at all: JUnit's `error` in place of its `failure`. */
  isError?: boolean;
  /** Shown with the case. */
  text: string;
}

/** A JUnit document (the schema that Jenkins, GitHub's reporters and GitLab read). */
export function junitXml(name: string, cases: readonly JunitCase[]): string {
  const suites = [...new Set(cases.map(({ suite }) => suite))];
  const counts = (some: readonly JunitCase[]) => {
    const bad = some.filter(({ failure }) => failure !== null);
    const errors = bad.filter(({ isError }) => isError === true).length;
    return { '@tests': some.length, '@failures': bad.length - errors, '@errors': errors };
  };
  const builder = new XMLBuilder({
    ignoreAttributes: false,
    attributeNamePrefix: '@',
    format: true,
    suppressEmptyNode: true,
  });
  const testsuite = suites.map((suite) => {
    const own = cases.filter((one) => one.suite === suite);
    return {
      '@name': legal(suite),
      ...counts(own),
      '@skipped': 0,
      testcase: own.map(({ name: title, failure, isError = false, text }) => ({
        '@name': legal(title),
        '@classname': legal(`${name}.${suite}`),
        '@time': 0,
        ...(failure === null
          ? text === ''
            ? {}
            : { 'system-out': legal(text) }
          : {
              [isError ? 'error' : 'failure']: {
                '@message': legal(failure),
                '@type': legal(failure.split(':', 1)[0]!),
                '#text': legal(text),
              },
            }),
      })),
    };
  });
  const head = { '@name': legal(name), ...counts(cases) };
  return `<?xml version="1.0" encoding="UTF-8"?>\n${builder.build({ testsuites: { ...head, testsuite } })}`;
}

/** What was read of a wrong row that does not say why, and what is right where that is short. */
function wrongAnswer({ prediction, gold }: ScoredRow): string {
  if (prediction === null) return 'no answer that could be read';
  const right = typeof gold === 'number' || typeof gold === 'string' ? `, and ${gold} is right` : '';
  return `wrong: ${prediction ?? 'its verdict is 0'}${right}`;
}

/**
 * Rows as test cases: a wrong one fails, with why it says it is; one that could not be scored is an error. A row that is neither
 * right nor wrong (a perplexity) passes with its metrics.
 */
export function rowCases(suite: string, rows: readonly ScoredRow[], failed: readonly FailedRow[]): JunitCase[] {
  const cases = rows.map((row): JunitCase & { index: number } => {
    const why = failuresIn(row).map(({ check, failure }) => `${check}: ${failure}`);
    const failure = row.correct === 0 ? (why[0] ?? wrongAnswer(row)) : null;
    const numbers = Object.entries(row.metrics).map(([name, value]) => `${name} ${value}`);
    const text = (row.correct === undefined ? numbers : why).join('\n');
    return { index: row.index, name: rowName(row), suite, failure, text };
  });
  const errors = failed.map(({ error, ...row }) => ({
    index: row.index,
    name: rowName(row),
    suite,
    failure: `${error.kind}: ${error.message}`,
    isError: true,
    text: error.message,
  }));
  return [...cases, ...errors].sort((a, b) => a.index - b.index).map(({ index: _place, ...one }) => one);
}
