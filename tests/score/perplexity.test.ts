import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ScoredRow } from '../../nanoeval/questions.ts';
import { perplexityOf, pooledPerplexity, type TextUnits } from '../../nanoeval/score/perplexity.ts';
import { RowError } from '../../nanoeval/types.ts';

const near = (found: number | null | undefined, wanted: number) =>
  assert.ok(found != null && Math.abs(found / wanted - 1) < 1e-12, `${found} in place of ${wanted}`);

const row = (index: number, logprob: number, words: number, bytes: number, num_greedy: number, num_tokens: number) =>
  ({
    id: String(index),
    index,
    gold: { words, bytes },
    logprob,
    num_greedy,
    num_tokens,
    metrics: {},
  }) as unknown as ScoredRow<TextUnits>;

test('one text: lm-eval word_perplexity, byte_perplexity, bits_per_byte', () => {
  const found = perplexityOf(-120.5, { words: 60, bytes: 300 }, [
    'word_perplexity',
    'byte_perplexity',
    'bits_per_byte',
  ]);
  near(found.word_perplexity, Math.exp(120.5 / 60));
  near(found.byte_perplexity, Math.exp(120.5 / 300));
  near(found.bits_per_byte, Math.log2(found.byte_perplexity!));
  assert.deepEqual(Object.keys(found), ['word_perplexity', 'byte_perplexity', 'bits_per_byte']);
});

test('an empty text has no bytes, and a perplexity beyond any number is no number: failed rows', () => {
  assert.throws(
    () => perplexityOf(0, { words: 1, bytes: 0 }, ['bits_per_byte']),
    new RowError('length', 'the text has no bytes.'),
  );
  assert.throws(() => perplexityOf(-800, { words: 1, bytes: 9 }, ['word_perplexity']), RowError);
  assert.throws(() => perplexityOf(Number.NaN, { words: 1, bytes: 9 }, ['bits_per_byte']), RowError);
});

test('texts together: sums over sums, with the linearised standard error of a ratio', () => {
  const rows = [row(0, -120.5, 60, 300, 20, 70), row(1, -80.25, 41, 199, 10, 50), row(2, -33, 12, 70, 3, 16)];
  const found = pooledPerplexity(rows, ['word_perplexity', 'bits_per_byte']);
  // Python: R = sum(x)/sum(w); se = sqrt(3/2 * sum((x - R*w)**2)) / sum(w); exp(R), exp(R)*se; R/ln 2, se/ln 2
  near(found.word_perplexity?.value, 7.913610069678598);
  near(found.word_perplexity?.stderr, 0.8608935704691693);
  near(found.word_perplexity?.ci95?.[0], 6.394041498047155);
  near(found.word_perplexity?.ci95?.[1], 9.794309960929294);
  near(found.bits_per_byte?.value, 0.5926712931595698);
  near(found.bits_per_byte?.stderr, 0.01636737354877927);
  near(found.token_acc?.value, 0.2426470588235294);
  near(found.token_acc?.stderr, 0.03418990431176986);
  assert.equal(found.word_perplexity?.n, 3);
});

test('one text has a value and no standard error', () => {
  const { bits_per_byte } = pooledPerplexity([row(0, -120.5, 60, 300, 20, 70)], ['bits_per_byte']);
  near(bits_per_byte?.value, 120.5 / 300 / Math.LN2);
  assert.deepEqual([bits_per_byte?.stderr, bits_per_byte?.ci95], [null, null]);
});
