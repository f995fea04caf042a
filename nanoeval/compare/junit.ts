/** junit.xml: one test suite a task, one test case a metric that decides; what CI systems show as tests. */
import { XMLBuilder } from 'fast-xml-parser';
import type { CompareResult, MetricResult, TaskResult } from './result.ts';

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
  /** Shown with the case. */
  text: string;
}

/** A JUnit document (the schema that Jenkins, GitHub's reporters and GitLab read). */
export function junitXml(name: string, cases: readonly JunitCase[]): string {
  const suites = [...new Set(cases.map(({ suite }) => suite))];
  const failures = (some: readonly JunitCase[]) => some.filter(({ failure }) => failure !== null).length;
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
      '@tests': own.length,
      '@failures': failures(own),
      '@errors': 0,
      '@skipped': 0,
      testcase: own.map(({ name: title, failure, text }) => ({
        '@name': legal(title),
        '@classname': legal(`${name}.${suite}`),
        '@time': 0,
        ...(failure === null
          ? text === ''
            ? {}
            : { 'system-out': legal(text) }
          : { failure: { '@message': legal(failure), '@type': failure.split(':', 1)[0], '#text': legal(text) } }),
      })),
    };
  });
  const head = { '@name': legal(name), '@tests': cases.length, '@failures': failures(cases), '@errors': 0 };
  return `<?xml version="1.0" encoding="UTF-8"?>\n${builder.build({ testsuites: { ...head, testsuite } })}`;
}

/** The cases of a comparison: a metric fails where it makes the exit code. */
export function compareCases({ tasks, gate }: CompareResult, fails: (metric: MetricResult) => boolean): JunitCase[] {
  const describe = (task: TaskResult, metric: MetricResult) =>
    [
      `baseline ${metric.baseline}`,
      `current ${metric.current}`,
      `difference ${metric.difference} (below 0 is worse)`,
      metric.interval === null ? 'no interval' : `${metric.level} interval ${metric.interval.join(' to ')}`,
      `allowed drop ${metric.allowed_drop}`,
      `${metric.wins} better, ${metric.losses} worse, ${metric.ties} alike of ${task.rows}`,
      `rule ${gate.rule}: ${metric.verdict}, point ${metric.point}`,
      ...(metric.note === null ? [] : [metric.note]),
    ].join('\n');
  return tasks.flatMap((task) =>
    task.metrics
      .filter(({ gated }) => gated)
      .map((metric) => ({
        name: metric.name,
        suite: task.name,
        failure: fails(metric) ? `${metric.verdict}: ${metric.name} ${metric.baseline} -> ${metric.current}` : null,
        text: describe(task, metric),
      })),
  );
}
