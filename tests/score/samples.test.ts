/** Several samples and seeds of a question: shares, votes and spreads against counting by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { majority, passAt, sampleMetrics, seedScores, summed, withSamples } from '../../nanoeval/score/samples.ts';
import { summarizeRows } from '../../nanoeval/score/summarize.ts';
import type { Estimate, ScoredRow } from '../../nanoeval/types.ts';

const close = (found: number | null | undefined, wanted: number, what = '') =>
  assert.ok(typeof found === 'number' && Math.abs(found - wanted) < 1e-12, `${what}: ${found} is not ${wanted}`);

function row(index: number, prediction: number | null, which: { seed?: number; sample?: number } = {}): ScoredRow {
  const correct = prediction === 0 ? 1 : 0;
  const head = { task: 't', id: String(index), index, ...which, group: 'g', gold: 0 };
  const tail = { num_context_tokens: 1, truncated: false, prompt_sha256: '' };
  return { ...head, prediction, correct, metrics: { acc: correct }, ...tail };
}

test('pass@k is the share of the subsets of k samples with a right one, counted one by one', () => {
  for (let n = 1; n <= 6; n += 1) {
    for (let c = 0; c <= n; c += 1) {
      for (let k = 1; k <= n; k += 1) {
        let all = 0;
        let passed = 0;
        for (let subset = 0; subset < 2 ** n; subset += 1) {
          const members = Array.from({ length: n }, (_, i) => i).filter((i) => (subset >> i) & 1);
          if (members.length !== k) continue;
          all += 1;
          if (members.some((i) => i < c)) passed += 1;
        }
        close(passAt(k, n, c), passed / all, `pass@${k} of ${n} with ${c} right`);
      }
    }
  }
});

test('the majority: most votes, of equals the first, answers without a choice have none', () => {
  const table: [(number | null)[], number | null][] = [
    [[1, 2, 2], 2],
    [[1, 2], 1],
    [[2, 1], 2],
    [[3, 1, 1, 3], 3],
    [[null, null, 2], 2],
    [[null, 1, null, 0], 1],
    [[null, null], null],
    [[], null],
    [[0], 0],
  ];
  for (const [votes, choice] of table) assert.equal(majority(votes), choice, JSON.stringify(votes));
});

test('metrics over the samples of each question, at 1, 2, 4 and all of them', () => {
  // Five samples each; right are 2 and 0. The vote of the first goes to choice 0 (its gold), though it is no majority.
  const answers = [
    [0, 3, 0, 2, 1],
    [1, 1, null, 2, 3],
  ];
  const rows = answers.flatMap((all, index) => all.map((prediction, sample) => row(index, prediction, { sample })));
  const metrics = sampleMetrics(rows);
  assert.deepEqual(Object.keys(metrics), ['pass_at_1', 'pass_at_2', 'pass_at_4', 'pass_at_5', 'avg_at_5', 'maj_at_5']);
  const value = (name: string) => metrics[name]?.value;
  close(value('pass_at_1'), 0.4 / 2);
  // 1 - C(3,2)/C(5,2) = 0.7
  close(value('pass_at_2'), 0.7 / 2);
  close(value('pass_at_4'), 0.5);
  close(value('pass_at_5'), 0.5);
  close(value('avg_at_5'), 0.2);
  close(value('maj_at_5'), 0.5);
  // Two questions: their difference over two.
  close(metrics.avg_at_5?.stderr, 0.2);
  assert.equal(metrics.avg_at_5?.n, 2);
});

test('no metrics over samples where there is one a question; one that lost a sample has no say', () => {
  assert.deepEqual(sampleMetrics([]), {});
  assert.deepEqual(sampleMetrics([row(0, 0), row(1, 1)]), {});
  assert.deepEqual(sampleMetrics([row(0, 0, { seed: 1 }), row(0, 0, { seed: 2 })]), {});
  const { avg_at_2: average } = sampleMetrics([
    row(0, 0, { sample: 0 }),
    row(0, 1, { sample: 1 }),
    row(1, 0, { sample: 0 }),
  ]);
  assert.deepEqual([average?.value, average?.n], [0.5, 1]);
});

test('seeds are votes of their own, and one cluster in the standard error', () => {
  const both = [1, 2].flatMap((seed) => [0, 1].map((sample) => row(0, sample, { seed, sample })));
  const other = [1, 2].flatMap((seed) => [0, 1].map((sample) => row(1, 0, { seed, sample })));
  const metrics = sampleMetrics([...both, ...other]);
  // Question 0: half of its samples in each seed; question 1: all. Clusters: 0.5 and 1, each of two seeds.
  close(metrics.avg_at_2?.value, 0.75);
  assert.equal(metrics.avg_at_2?.n, 4);
  close(metrics.avg_at_2?.stderr, 0.25);
});

test('between seeds: their means, and how far these scatter', () => {
  // Of 10 rows each seed gets 4, 6, 7, 3, 5 right: mean 0.5, sample deviation sqrt(0.025) = 0.158...
  const right = { 11: 4, 2: 6, 33: 7, 4: 3, 5: 5 };
  const rows = Object.entries(right).flatMap(([seed, count]) =>
    Array.from({ length: 10 }, (_, i) => row(i, i < count ? 0 : 1, { seed: Number(seed) })),
  );
  const scores = seedScores(rows)!;
  assert.deepEqual(scores.by_seed, {
    2: { acc: 0.6 },
    4: { acc: 0.3 },
    5: { acc: 0.5 },
    11: { acc: 0.4 },
    33: { acc: 0.7 },
  });
  const { mean, std, n } = scores.between_seeds.acc!;
  close(mean, 0.5);
  close(std, Math.sqrt(0.025));
  assert.equal(n, 5);
});

test('one seed has no spread, rows without seeds have no seeds', () => {
  assert.deepEqual(seedScores([row(0, 0, { seed: 3 })])?.between_seeds, { acc: { mean: 1, std: null, n: 1 } });
  assert.equal(seedScores([row(0, 0)]), null);
});

test('the samples stand behind the metrics; sums multiply by n and leave shares of questions alone', () => {
  const rows = [0, 1, 2].flatMap((index) => [0, 1].map((sample) => row(index, index === 0 ? 0 : sample, { sample })));
  const scores = withSamples(summarizeRows(rows, 'acc', 0.25), rows);
  assert.deepEqual(Object.keys(scores.metrics), ['acc', 'pass_at_1', 'pass_at_2', 'avg_at_2', 'maj_at_2']);
  const sums = summed(scores);
  const times = ({ value, stderr, ci95, n }: Estimate) => [value * n, stderr! * n, ci95!.map((end) => end * n), n];
  const one = (estimate: Estimate) => [estimate.value, estimate.stderr, estimate.ci95, estimate.n];
  assert.deepEqual(one(sums.metrics.acc!), times(scores.metrics.acc!));
  assert.equal(sums.metrics.acc!.value, 4);
  assert.deepEqual(sums.metrics.avg_at_2, scores.metrics.avg_at_2);
  assert.deepEqual(one(sums.groups.g!.acc!), times(scores.groups.g!.acc!));
  assert.deepEqual([sums.primary_metric, sums.chance, sums.tags], ['acc', 0.25 * 6, undefined]);
  assert.ok(
    !('acc_macro' in summed({ ...scores, metrics: { ...scores.metrics, acc_macro: scores.metrics.acc! } }).metrics),
  );
  const single = summed({ ...scores, metrics: { acc: { value: 1, stderr: null, ci95: null, n: 1 } }, tags: { a: {} } });
  assert.deepEqual(single.metrics.acc, { value: 1, stderr: null, ci95: null, n: 1 });
  assert.deepEqual(single.tags, { a: {} });
});
