/** A comparison as test cases: one test suite a task, one test case a metric that decides. */
import type { JunitCase } from '../report/junit.ts';
import type { CompareResult, MetricResult } from './result.ts';

/** The cases of a comparison: a metric fails where it makes the exit code. */
export function compareCases({ tasks, gate }: CompareResult, fails: (metric: MetricResult) => boolean): JunitCase[] {
  const describe = (metric: MetricResult) =>
    [
      `baseline ${metric.baseline}`,
      `current ${metric.current}`,
      `difference ${metric.difference} (below 0 is worse)`,
      metric.interval === null ? 'no interval' : `${metric.level} interval ${metric.interval.join(' to ')}`,
      `allowed drop ${metric.allowed_drop}`,
      `${metric.wins} better, ${metric.losses} worse, ${metric.ties} alike of ${metric.wins + metric.losses + metric.ties}`,
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
        text: describe(metric),
      })),
  );
}
