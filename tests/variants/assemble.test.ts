/** From what was found to the report: verdict and exit code, perplexities, flips, a variant that cannot be measured. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CompareResult } from '../../nanoeval/compare/result.ts';
import type { VariantsConfig } from '../../nanoeval/config/variants.ts';
import { type Found, type Texts, wholeResult } from '../../nanoeval/variants/assemble.ts';
import type { Apart } from '../../nanoeval/variants/passes.ts';
import { madeFlip, madeMetric, madeReport, madeTask, PRIMARY } from './made.ts';

const config = {
  gate: { rule: 'interval', strict: false },
  distributions: { broken_kl: 2 },
} as unknown as VariantsConfig;
const texts: Texts = { source: madeReport().distributions, tokenText: String };
const apart = (mean: number): Apart => ({
  tokens: 100,
  nonfinite: 0,
  kl: { mean, p99: 1, largest: 3 },
  top1: 0.9,
  perplexity: { reference: 20, variant: 22 },
  first: null,
});
const FILES = [
  { path: 'onnx/model.onnx', size: 1000, sha256: 'aa' },
  { path: 'onnx/model.onnx_data', size: 234, sha256: 'bb' },
];

function found(name: string, verdict: CompareResult['verdict'] | null, more: Partial<Found> = {}): Found {
  const flips = [madeFlip(3, 0)].map(({ variant: _v, task: _t, ...flip }) => flip);
  const compared = {
    verdict,
    exit_code: { REGRESSED: 1, SUSPECT: 4, UNDERPOWERED: 4, HELD: 0, IMPROVED: 0 }[verdict ?? 'HELD'],
    gate: { level: 0.95 },
    tasks: [{ ...madeTask(madeMetric(0, verdict ?? 'HELD')), flips }],
    warnings: [],
  };
  const value = { value: 0.41, stderr: 0.01, ci95: [0.38, 0.44], n: 1000 };
  const summary = { primary: PRIMARY, metrics: { acc_norm: value }, model: { label: 'a/small', variant: name } };
  const config = { model: { model_id: 'a/small' }, engine: { threads_per_worker: 2 } };
  const made = {
    variant: { name, entry: { config }, files: { repo: { id: 'a/small' }, checkpoint: { files: FILES } } },
    runs: { set: { name, folder: '', runs: [{ name: 'hellaswag', summary }] }, faults: [], nan: null },
    compared: verdict === null ? null : compared,
    measured: {
      cost: { load_seconds: 1, pass: { tokens: 100, seconds: 4 }, peak_rss: 9, peak_rss_before_load: 5 },
      apart: verdict === null ? null : apart(0.2),
    },
    fault: null,
    ...more,
  };
  return made as unknown as Found;
}
const whole = (...others: Found[]) => wholeResult('made', [found('fp32', null), ...others], texts, config);

test('bytes of all files, tokens a second, and both perplexities of the same passes', () => {
  const { result, flips } = whole(found('q8', 'HELD'));
  const [reference, q8] = result.variants;
  assert.deepEqual([q8!.bytes, q8!.cost!.tokens_per_second, q8!.cost!.peak_rss], [1234, 25, 9]);
  assert.deepEqual([reference!.perplexity, q8!.perplexity], [20, 22]);
  assert.deepEqual([reference!.reference, reference!.comparison, reference!.distributions], [true, null, null]);
  assert.deepEqual([q8!.distributions!.top1, 'first' in q8!.distributions!], [0.9, false]);
  assert.deepEqual([result.threads, result.reference], [2, 'fp32']);
  assert.deepEqual(q8!.comparison!.tasks[0]!.flips, { worse: 1, better: 0 });
  assert.deepEqual(flips, [madeFlip(3, 0, { variant: 'q8', task: 'hellaswag' })]);
});

test('the verdict is the worst, and the exit code goes with it', () => {
  const codeOf = (...others: Found[]) => {
    const { verdict, exit_code } = whole(...others).result;
    return [verdict, exit_code];
  };
  assert.deepEqual(codeOf(found('a', 'HELD'), found('b', 'IMPROVED')), ['HELD', 0]);
  assert.deepEqual(codeOf(found('a', 'HELD'), found('b', 'SUSPECT')), ['SUSPECT', 4]);
  assert.deepEqual(codeOf(found('a', 'REGRESSED'), found('b', 'SUSPECT')), ['REGRESSED', 1]);
  const far = { ...found('b', 'HELD').measured!, apart: apart(2.5) };
  assert.deepEqual(codeOf(found('a', 'REGRESSED'), found('b', 'HELD', { measured: far })), ['BROKEN', 1]);
  assert.deepEqual(codeOf(found('a', 'HELD', { fault: 'it could not be measured: no memory' })), ['FAILED', 1]);
  const none = found('a', null);
  assert.deepEqual(codeOf({ ...none, runs: { ...none.runs, faults: ['hellaswag: gave up'] } }), ['FAILED', 1]);
});

test('a variant without files has its answers alone', () => {
  const served = found('served', 'HELD', { measured: null });
  served.variant.files = null;
  const { result } = whole(found('q8', 'HELD'), served);
  const last = result.variants.at(-1)!;
  assert.deepEqual(
    [last.bytes, last.files, last.cost, last.distributions, last.perplexity],
    [null, null, null, null, null],
  );
  assert.deepEqual([last.model, last.comparison!.verdict, result.verdict], ['a/small', 'HELD', 'HELD']);
});
