/** A report that nobody measured: a reference and three variants, of which one is broken. */
import type { MetricResult } from '../../nanoeval/compare/result.ts';
import { describeHost } from '../../nanoeval/report/host.ts';
import type { Outcome } from '../../nanoeval/score/gate.ts';
import type { Primary } from '../../nanoeval/types.ts';
import type { VariantFlip, VariantResult, VariantsResult, VariantTask } from '../../nanoeval/variants/result.ts';

export const PRIMARY: Primary = { name: 'acc_norm', unit: 'share', better: 'higher', chance: 0.25 };

export function madeMetric(difference: number, verdict: Outcome, more: Partial<MetricResult> = {}): MetricResult {
  return {
    name: 'acc_norm',
    unit: 'share',
    better: 'higher',
    gated: true,
    baseline: 0.41,
    current: 0.41 + difference,
    difference,
    interval: [difference - 0.01, difference + 0.01],
    level: 0.95,
    method: "Tango's score interval",
    p_value: 0.5,
    test: 'McNemar, exact',
    values_of: 'rows',
    wins: 1,
    losses: 2,
    ties: 997,
    differing: 3,
    allowed_drop: 0.01,
    verdict,
    point: 'PASS',
    smallest_drop: null,
    rows_needed: null,
    note: null,
    ...more,
  };
}

export const madeTask = (metric: MetricResult): VariantTask => ({
  name: 'hellaswag',
  task: 'hellaswag',
  recipe: 'lm_eval',
  rows: 1000,
  questions: 1000,
  left: { baseline: 0, current: 0, other_prompt: 0 },
  metrics: [metric],
  drift: { kl: null, mean_abs_change: null, same_prediction: null },
  flips_of: 'acc_norm',
  flips: { worse: 2, better: 1 },
});

export function madeVariant(name: string, bytes: number | null, metric: MetricResult | null): VariantResult {
  const value = 0.41 + (metric?.difference ?? 0);
  return {
    name,
    model: 'a/small',
    variant: name,
    reference: metric === null,
    bytes,
    files: [],
    cost:
      bytes === null
        ? null
        : {
            load_seconds: 1.25,
            tokens_per_second: 1e11 / bytes,
            tokens: 8192,
            seconds: 10,
            peak_rss: 2 * bytes,
            peak_rss_before_load: 9e7,
          },
    scores: [
      {
        task: 'hellaswag',
        primary: PRIMARY,
        estimate: { value, stderr: 0.0155, ci95: [value - 0.03, value + 0.03], n: 1000 },
      },
    ],
    comparison:
      metric === null
        ? null
        : {
            verdict: metric.verdict,
            exit_code: metric.verdict === 'REGRESSED' ? 1 : 0,
            level: 0.95,
            tasks: [madeTask(metric)],
            warnings: [],
          },
    distributions:
      metric === null || bytes === null
        ? null
        : {
            tokens: 8192,
            nonfinite: 0,
            kl: { mean: -2 * metric.difference + 0.0004, p99: 1.5, largest: 4 },
            top1: 0.91,
            perplexity: { reference: 20.25, variant: 21.5 },
          },
    perplexity: bytes === null ? null : 21.5,
    broken: null,
    faults: [],
  };
}

export function madeReport(more: Partial<VariantsResult> = {}): VariantsResult {
  const broken: VariantResult = {
    ...madeVariant('q4', 180e6, madeMetric(-0.16, 'REGRESSED')),
    broken: {
      reasons: ['mean KL divergence 7.500 nats a token, above 2'],
      row: { of: 'distributions', index: 3, shows: 'token 17: KL 8.250 nats' },
    },
  };
  return {
    format: 2,
    suite: 'made',
    verdict: 'BROKEN',
    exit_code: 1,
    reference: 'fp32',
    gate: { rule: 'interval', strict: false },
    distributions: {
      dataset: { id: 'texts.jsonl', commit: null, split: 'test', column: 'text', files: [] },
      texts: 3,
      tokens: 8192,
      window: 512,
      broken_kl: 2,
    },
    threads: null,
    variants: [
      madeVariant('fp32', 538e6, null),
      madeVariant('fp16', 269e6, madeMetric(0, 'HELD')),
      madeVariant('q8', 135e6, madeMetric(-0.004, 'HELD')),
      broken,
    ],
    host: describeHost(),
    ...more,
  };
}

export const madeFlip = (index: number, now: number, more: Partial<VariantFlip> = {}): VariantFlip => ({
  variant: 'q8',
  task: 'hellaswag',
  id: `row ${index}`,
  index,
  gold: 1,
  baseline: { value: 1 - now, prediction: 1 - now },
  current: { value: now, prediction: '<b>' },
  ...more,
});
