/** Several samples and seeds of a question: shares, votes and spreads against counting by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ScoredRow } from '../../nanoeval/questions.ts';
import { majority, passAt, sampleMetrics, seedScores, summed, withSamples } from '../../nanoeval/score/samples.ts';
import { summarizeRows } from '../../nanoeval/score/summarize.ts';
import type { Estimate, Scores } from '../../nanoeval/types.ts';

const close = (found: number | null | undefined, wanted: number, what = '') =>
  assert.ok(typeof found === 'number' && Math.abs(found - wanted) < 1e-12, `${what}: ${found} is not ${wanted}`);

const ACC = { primary: 'acc', unit: 'share', better: 'higher' } as const;
const summarize = (rows: readonly ScoredRow[]) => summarizeRows(rows, ACC, 0.25);

function row(
  index: number,
  prediction: number | string | null,
  which: { seed?: number; sample?: number } = {},
): ScoredRow {
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

test('the majority of texts, and of rows where there was nothing to read', () => {
  const table: [(string | null | undefined)[], string | null][] = [
    [['42', '41', '42'], '42'],
    [['41', '42'], '41'],
    [['', 'x', ''], ''],
    [[undefined, null, 'x'], 'x'],
    [[undefined, undefined], null],
    [['1', '01', '1.0', '01'], '01'],
  ];
  for (const [votes, answer] of table) assert.equal(majority(votes), answer, JSON.stringify(votes));
});

test('texts as answers: a majority is right as the samples are that gave it', () => {
  const said = (index: number, prediction: string | null, correct: 0 | 1, sample: number): ScoredRow => ({
    ...row(index, prediction, { sample }),
    gold: ['4', 'four'],
    correct,
  });
  const rows = [
    // Two spellings of the right answer: neither is the gold itself, `four` has most votes.
    ...['4', 'four', 'four', '5'].map((text, i) => said(0, text, text === '5' ? 0 : 1, i)),
    // The wrong one has most votes.
    ...['7', '8', '7', null].map((text, i) => said(1, text, text === '8' ? 1 : 0, i)),
    // Nothing could be read.
    ...[0, 1, 2, 3].map((i) => said(2, null, 0, i)),
  ];
  const metrics = sampleMetrics(rows);
  close(metrics.maj_at_4?.value, 1 / 3);
  // 3, 1 and 0 of four samples are right.
  close(metrics.avg_at_4?.value, 1 / 3);
  close(metrics.pass_at_1?.value, 1 / 3);
  close(metrics.pass_at_4?.value, 2 / 3);
  // 1 - C(1,2)/C(4,2) = 1 and 1 - C(3,2)/C(4,2) = 1/2.
  close(metrics.pass_at_2?.value, 1.5 / 3);
});

test('rows that are not right or wrong have no metrics over samples; without answers there is no vote', () => {
  const graded = [0, 1].flatMap((index) =>
    [0, 1].map((sample): ScoredRow => {
      const { correct: _c, ...rest } = row(index, 'a', { sample });
      return { ...rest, metrics: { rouge: 0.5 } };
    }),
  );
  assert.deepEqual(sampleMetrics(graded), {});
  const judged = [0, 1].map((sample): ScoredRow => {
    const { prediction: _p, ...rest } = row(0, null, { sample });
    return { ...rest, correct: sample === 0 ? 1 : 0 };
  });
  assert.deepEqual(Object.keys(sampleMetrics(judged)), ['pass_at_1', 'pass_at_2', 'avg_at_2']);
  close(sampleMetrics(judged).pass_at_2?.value, 1);
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
  const scores = seedScores(rows, summarize)!;
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
  assert.deepEqual(seedScores([row(0, 0, { seed: 3 })], summarize)?.between_seeds, {
    acc: { mean: 1, std: null, n: 1 },
  });
  assert.equal(seedScores([row(0, 0)], summarize), null);
});

test('the samples stand behind the metrics; sums multiply by n and leave shares of questions alone', () => {
  const rows = [0, 1, 2].flatMap((index) => [0, 1].map((sample) => row(index, index === 0 ? 0 : sample, { sample })));
  const scores = withSamples(summarize(rows), rows);
  const over = ['pass_at_1', 'pass_at_2', 'avg_at_2', 'maj_at_2'];
  assert.deepEqual([Object.keys(scores.metrics), scores.over_samples], [['acc', ...over], over]);
  const sums = summed(scores);
  assert.deepEqual(sums.over_samples, over);
  const times = ({ value, stderr, ci95, n }: Estimate) => [value * n, stderr! * n, ci95!.map((end) => end * n), n];
  const one = (estimate: Estimate) => [estimate.value, estimate.stderr, estimate.ci95, estimate.n];
  assert.deepEqual(one(sums.metrics.acc!), times(scores.metrics.acc!));
  assert.equal(sums.metrics.acc!.value, 4);
  assert.deepEqual(sums.metrics.avg_at_2, scores.metrics.avg_at_2);
  assert.deepEqual(one(sums.groups.g!.acc!), times(scores.groups.g!.acc!));
  // A sum of shares is a count, and so is what chance gives.
  assert.deepEqual(sums.primary, { name: 'acc', unit: 'number', better: 'higher', chance: 0.25 * 6 });
  assert.equal(sums.tags, undefined);
  assert.ok(
    !('acc_macro' in summed({ ...scores, metrics: { ...scores.metrics, acc_macro: scores.metrics.acc! } }).metrics),
  );
  const single = summed({ ...scores, metrics: { acc: { value: 1, stderr: null, ci95: null, n: 1 } }, tags: { a: {} } });
  assert.deepEqual(single.metrics.acc, { value: 1, stderr: null, ci95: null, n: 1 });
  assert.deepEqual(single.tags, { a: {} });
});

test("a task's own metric that is called as one over samples is a mean over rows like any other", () => {
  const named: Scores = summarize([row(0, 0), row(1, 1), row(2, 0), row(3, 0)]);
  const { acc } = named.metrics as { acc: Estimate };
  const own: Scores = { ...named, metrics: { pass_at_2: acc, maj_at_5: acc }, tags: { t: { avg_at_2: acc } } };
  const sums = summed({ ...own, primary: { ...own.primary, name: 'pass_at_2' } });
  assert.equal(acc.value, 0.75);
  assert.deepEqual([sums.metrics.pass_at_2!.value, sums.metrics.maj_at_5!.value], [3, 3]);
  assert.equal(sums.primary.unit, 'number');
  // A tag's metric is the task's, whatever is over samples elsewhere.
  assert.equal(summed({ ...own, over_samples: ['avg_at_2'] }).tags!.t!.avg_at_2!.value, 3);
  assert.equal(summed({ ...own, over_samples: ['pass_at_2'] }).metrics.pass_at_2!.value, 0.75);
});

test("a task's metric of the same name as one over samples is refused, where there are samples", () => {
  const both = [0, 1].map((sample) => row(0, sample, { sample }));
  const own = (scores: Scores): Scores => ({
    ...scores,
    metrics: { ...scores.metrics, pass_at_2: scores.metrics.acc! },
  });
  assert.throws(
    () => withSamples(own(summarize(both)), both),
    /^Error: "pass_at_2" is a metric of the task and of the/,
  );
  const single = [row(0, 0), row(1, 1)];
  const scores = own(summarize(single));
  assert.equal(withSamples(scores, single), scores);
});

test('a metric that is no mean over rows is computed for each seed as for the whole run', () => {
  // Perplexity over all tokens of a seed's rows, not the mean of the rows' own.
  const pooled = (rows: readonly ScoredRow[]): Scores => {
    const sum = (name: string) => rows.reduce((total, { metrics }) => total + metrics[name]!, 0);
    const value = Math.exp(sum('nll') / sum('tokens'));
    const primary = { name: 'perplexity', unit: 'number', better: 'lower', chance: null } as const;
    const metrics = { perplexity: { value, stderr: null, ci95: null, n: rows.length } };
    return { primary, metrics, groups: {}, subjects: {}, subject_groups: {}, pooled: ['perplexity'] };
  };
  const text = (seed: number, index: number, nll: number, tokens: number): ScoredRow => ({
    ...row(index, null, { seed }),
    metrics: { nll, tokens },
  });
  const rows = [text(1, 0, 10, 10), text(1, 1, 90, 30), text(2, 0, 6, 3)];
  const { by_seed, between_seeds } = seedScores(rows, pooled)!;
  // exp(100 / 40) and exp(6 / 3).
  close(by_seed[1]?.perplexity, Math.exp(2.5));
  close(by_seed[2]?.perplexity, Math.exp(2));
  close(between_seeds.perplexity?.mean, (Math.exp(2.5) + Math.exp(2)) / 2);
  close(between_seeds.perplexity?.std, (Math.exp(2.5) - Math.exp(2)) / Math.SQRT2);
});

test('sums leave pooled metrics what they are, in every part, and the primary one with its unit', () => {
  const one = (value: number, n: number): Estimate => ({ value, stderr: 0.5, ci95: [value - 1, value + 1], n });
  const primary = { name: 'perplexity', unit: 'number', better: 'lower', chance: null } as const;
  const part = { perplexity: one(12, 4), hits: one(3, 4) };
  const scores: Scores = {
    primary,
    metrics: { perplexity: one(10, 8), hits: one(2, 8) },
    groups: { g: part },
    subjects: { s: part },
    subject_groups: { s: 'g' },
    tags: { t: part },
    pooled: ['perplexity'],
  };
  const sums = summed(scores);
  assert.deepEqual(sums.primary, primary);
  assert.deepEqual(sums.metrics.perplexity, one(10, 8));
  assert.deepEqual(sums.metrics.hits, { value: 16, stderr: 4, ci95: [8, 24], n: 8 });
  for (const own of [sums.groups.g, sums.subjects.s, sums.tags?.t]) {
    assert.deepEqual(own?.perplexity, one(12, 4));
    assert.deepEqual(own?.hits, { value: 12, stderr: 2, ci95: [8, 16], n: 4 });
  }
  // A number that is a mean over rows is summed, and stays a number of which lower is better.
  const mean = summed({ ...scores, primary: { ...primary, name: 'hits' } });
  assert.deepEqual(mean.primary, { ...primary, name: 'hits' });
});
