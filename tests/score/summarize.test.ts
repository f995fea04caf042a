import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NamedVerdict, ScoredRow } from '../../nanoeval/questions.ts';
import { scoresBy, summarizeRows, verdict } from '../../nanoeval/score/summarize.ts';
import type { Estimate } from '../../nanoeval/types.ts';

const ACC = { primary: 'acc', unit: 'share', better: 'higher' } as const;

test('verdict: the primary metric first, null is wrong and unparsed', () => {
  const best = { acc: 1, acc_norm: 2, acc_bytes: 2 };
  const norm = verdict(best, 'acc_norm', 2);
  assert.deepEqual(norm, { prediction: 2, correct: 1, metrics: { acc_norm: 1, acc: 0, acc_bytes: 1 } });
  assert.deepEqual(Object.keys(norm.metrics), ['acc_norm', 'acc', 'acc_bytes']);
  assert.deepEqual(verdict(best, 'acc', 2), {
    prediction: 1,
    correct: 0,
    metrics: { acc: 0, acc_norm: 1, acc_bytes: 1 },
  });
  assert.deepEqual(verdict({ acc: null }, 'acc', 0), { prediction: null, correct: 0, metrics: { acc: 0 } });
  assert.throws(() => verdict(best, 'acc_token', 0), /acc_token.*acc, acc_norm, acc_bytes/);
});

function row(index: number, group: string, subject: string | undefined, metrics: Record<string, number>): ScoredRow {
  return {
    task: 't',
    id: String(index),
    index,
    group,
    ...(subject === undefined ? {} : { subject }),
    gold: 0,
    num_context_tokens: 1,
    truncated: false,
    prompt_sha256: '',
    prediction: 0,
    correct: metrics.acc === 1 ? 1 : 0,
    metrics,
  };
}

test('without subjects: plain means over all rows and by group', () => {
  const rows = [1, 0, 1, 1].map((acc, i) => row(i, i < 2 ? 'b' : 'a', undefined, { acc, acc_norm: 1 - acc }));
  const scores = summarizeRows(rows, ACC, null);
  assert.deepEqual(scores.metrics.acc?.stderr, 0.25);
  assert.deepEqual(Object.keys(scores.metrics), ['acc', 'acc_norm']);
  assert.deepEqual(Object.keys(scores.groups), ['b', 'a']);
  assert.equal(scores.groups.b?.acc?.value, 0.5);
  assert.equal(scores.groups.a?.acc?.n, 2);
  assert.deepEqual(scores.subjects, {});
  assert.deepEqual(scores.subject_groups, {});
  assert.deepEqual(scores.primary, { name: 'acc', unit: 'share', better: 'higher', chance: null });
});

test('with subjects: the pooled standard error, and the macro mean beside it', () => {
  const table: [string, string, number][] = [
    ['stem', 'x', 1],
    ['stem', 'x', 0],
    ['stem', 'x', 1],
    ['stem', 'x', 1],
    ['other', 'y', 0],
    ['other', 'y', 1],
    ['other', 'z', 0],
    ['other', 'z', 0],
  ];
  const scores = summarizeRows(
    table.map(([group, subject, acc], i) => row(i, group, subject, { acc })),
    ACC,
    0.25,
  );
  assert.deepEqual(Object.keys(scores.metrics), ['acc', 'acc_macro']);
  assert.equal(scores.metrics.acc?.value, 0.5);
  // By hand: sqrt((0.75 + 0.5 + 0) / (8 - 3) / 8) and (0.75 + 0.5 + 0) / 3.
  assert.ok(Math.abs(scores.metrics.acc!.stderr! - Math.sqrt(1.25 / 5 / 8)) < 1e-15);
  assert.ok(Math.abs(scores.metrics.acc_macro!.value - 1.25 / 3) < 1e-15);
  // A group of one subject has no macro mean of its own.
  assert.deepEqual(Object.keys(scores.groups.stem!), ['acc']);
  assert.equal(scores.groups.stem?.acc?.stderr, 0.25);
  assert.equal(scores.groups.other?.acc?.value, 0.25);
  assert.equal(scores.groups.other?.acc_macro?.value, 0.25);
  assert.deepEqual(scores.subjects.z, { acc: { value: 0, stderr: 0, ci95: scores.subjects.z!.acc!.ci95, n: 2 } });
  assert.deepEqual(scores.subject_groups, { x: 'stem', y: 'other', z: 'other' });
});

test('a metric that a row lacks, or that is no number, is an error that names the row', () => {
  const good = row(0, 'g', undefined, { acc: 1 });
  assert.throws(() => summarizeRows([good, row(7, 'g', undefined, {})], ACC, null), /row 7 \(id 7\): acc is undefined/);
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(
      () => summarizeRows([good, row(7, 'g', undefined, { acc: value })], ACC, null),
      /row 7 \(id 7\): acc/,
    );
});

/** Mulberry32: the same numbers in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const mixed = [...values];
  for (let i = mixed.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [mixed[i], mixed[j]] = [mixed[j]!, mixed[i]!];
  }
  return mixed;
}

function same(found: Record<string, Estimate>, wanted: Record<string, Estimate>): void {
  assert.deepEqual(Object.keys(found).sort(), Object.keys(wanted).sort());
  const near = (a: number | null | undefined, b: number | null | undefined) =>
    typeof a === 'number' && typeof b === 'number' ? Math.abs(a - b) < 1e-12 : a === b;
  for (const [metric, estimate] of Object.entries(wanted)) {
    const other = found[metric]!;
    assert.equal(other.n, estimate.n);
    assert.ok(near(other.value, estimate.value), `${metric}: ${other.value}, ${estimate.value}`);
    assert.ok(near(other.stderr, estimate.stderr), `${metric}: ${other.stderr}, ${estimate.stderr}`);
    for (const side of [0, 1]) assert.ok(near(other.ci95?.[side], estimate.ci95?.[side]), metric);
  }
}

test('the order of the rows changes no metric', () => {
  const random = generator(20261121);
  for (let round = 0; round < 60; round += 1) {
    const count = 1 + Math.floor(random() * 60);
    const subjects = Math.floor(random() * 6);
    const rows = Array.from({ length: count }, (_, i) => {
      const n = Math.floor(random() * Math.max(subjects, 1));
      const metrics = { acc: random() < 0.4 ? 1 : 0, quality: random() };
      return row(i, `g${n % 3}`, subjects === 0 ? undefined : `s${n}`, metrics);
    });
    const before = summarizeRows(rows, ACC, 0.25);
    const after = summarizeRows(shuffled(rows, random), ACC, 0.25);
    same(after.metrics, before.metrics);
    for (const part of ['groups', 'subjects'] as const) {
      assert.deepEqual(Object.keys(after[part]).sort(), Object.keys(before[part]).sort());
      for (const [name, metrics] of Object.entries(before[part])) same(after[part][name]!, metrics);
    }
    assert.deepEqual(
      Object.fromEntries(Object.entries(after.subject_groups).sort()),
      Object.fromEntries(Object.entries(before.subject_groups).sort()),
    );
  }
});

test('tags: a row counts in each of its own, whatever their number, in the order of the rows', () => {
  const tagged = (index: number, acc: number, tags?: string[]): ScoredRow => ({
    ...row(index, 'g', index % 2 === 0 ? 's' : 't', { acc, other: 1 - acc }),
    ...(tags === undefined ? {} : { tags }),
  });
  const rows = [
    tagged(0, 1, ['Tables']),
    tagged(1, 0, ['Diagrams', 'Tables']),
    tagged(2, 1, []),
    tagged(3, 1),
    tagged(4, 0, ['Diagrams', 'Diagrams']),
    tagged(5, 1, ['__proto__']),
  ];
  const { tags, metrics, groups } = summarizeRows(rows, ACC, null);
  assert.deepEqual(Object.keys(tags!), ['Tables', 'Diagrams', '__proto__']);
  assert.deepEqual(
    Object.entries(tags!).map(([, found]) => [found.acc?.value, found.acc?.n, found.other?.value]),
    [
      [0.5, 2, 0.5],
      [0, 2, 1],
      [1, 1, 0],
    ],
  );
  assert.equal(metrics.acc?.n, 6);
  assert.equal(groups.g?.acc?.n, 6);
  // The metrics and groups of rows with tags are those of the same rows without.
  const { tags: none, ...plain } = summarizeRows(
    rows.map(({ tags: _tags, ...rest }) => rest),
    ACC,
    null,
  );
  assert.equal(none, undefined);
  const { tags: _tags, ...same } = summarizeRows(rows, ACC, null);
  assert.deepEqual(plain, same);
  assert.ok(!('tags' in summarizeRows([tagged(0, 1, [])], ACC, null)));
});

test('the order of the rows changes no metric of a tag', () => {
  const random = generator(20261122);
  const rows = Array.from({ length: 80 }, (_, i) => ({
    ...row(i, 'g', `s${i % 5}`, { acc: random() < 0.4 ? 1 : 0 }),
    tags: ['a', 'b', 'c'].filter(() => random() < 0.5),
  }));
  const [before, after] = [rows, shuffled(rows, random)].map((some) => summarizeRows(some, ACC, null).tags!);
  assert.deepEqual(Object.keys(before!).sort(), ['a', 'b', 'c']);
  for (const tag of ['a', 'b', 'c']) same(after![tag]!, before![tag]!);
});

test('several rows of one index are one cluster: samples do not make the score surer than the questions do', () => {
  const values = [1, 0, 1, 1];
  const once = values.map((value, index) => row(index, 'g', undefined, { acc: value }));
  const thrice = values.flatMap((value, index) =>
    [0, 1, 2].map((sample) => ({ ...row(index, 'g', undefined, { acc: value }), sample })),
  );
  const [plain, samples] = [once, thrice].map((rows) => summarizeRows(rows, ACC, 0.25).metrics.acc!);
  assert.equal(samples!.value, plain!.value);
  assert.ok(Math.abs(samples!.stderr! - plain!.stderr!) < 1e-15);
  assert.equal(samples!.n, 12);
});

const near = (found: number | null | undefined, wanted: number, what = '') =>
  assert.ok(typeof found === 'number' && Math.abs(found - wanted) < 1e-12, `${what}: ${found} is not ${wanted}`);

test('verdicts on parts of a row: means over all parts and by name, the parts of a row one cluster', () => {
  const parts = (
    index: number,
    group: string,
    all: 0 | 1,
    ...judged: [name: string, strict: number, loose?: number][]
  ) => ({
    ...row(index, group, undefined, { prompt_strict: all }),
    parts: judged.map(
      ([name, strict, loose]): NamedVerdict => ({
        name,
        metrics: { strict, ...(loose === undefined ? {} : { loose }) },
      }),
    ),
  });
  const rows = [
    parts(0, 'a', 1, ['length', 1, 1], ['keywords', 1, 1]),
    parts(1, 'a', 0, ['length', 0, 1], ['keywords', 1], ['length', 0, 0]),
    parts(2, 'b', 0, ['keywords', 0, 0]),
    parts(3, 'b', 1),
  ];
  const scores = summarizeRows(rows, { ...ACC, primary: 'prompt_strict' }, null);
  assert.deepEqual(Object.keys(scores.metrics), ['prompt_strict', 'strict', 'loose']);
  assert.deepEqual([scores.metrics.prompt_strict?.value, scores.metrics.prompt_strict?.n], [0.5, 4]);
  // strict over six parts: 3/6, and residual sums by row 1, -1/2, -1/2. The row without parts is in no cluster.
  // Three clusters: sqrt(3/2 * (1 + 0.25 + 0.25)) / 6 = 0.25.
  const { strict, loose } = scores.metrics;
  near(strict?.value, 0.5);
  assert.equal(strict?.n, 6);
  near(strict?.stderr, 0.25);
  // loose over five: 3/5; by row 2 - 6/5, 1 - 6/5, 0 - 3/5. sqrt(3/2 * (0.64 + 0.04 + 0.36)) / 5.
  near(loose?.value, 0.6);
  assert.equal(loose?.n, 5);
  near(loose?.stderr, Math.sqrt(1.5 * 1.04) / 5);
  // By name, and by group.
  assert.deepEqual(Object.keys(scores.tags!), ['length', 'keywords']);
  const length = scores.tags?.length?.strict;
  // 1/3; by row 2/3 and -2/3: sqrt(2 * (4/9 + 4/9)) / 3.
  near(length?.value, 1 / 3);
  near(length?.stderr, Math.sqrt(16 / 9) / 3);
  assert.equal(scores.tags?.keywords?.strict?.n, 3);
  near(scores.tags?.keywords?.strict?.value, 2 / 3);
  near(scores.groups.a?.strict?.value, 3 / 5);
  near(scores.groups.b?.strict?.value, 0);
  assert.deepEqual(Object.keys(scores.groups.b!), ['prompt_strict', 'strict', 'loose']);
});

test('parts of the samples of a row are one cluster with it', () => {
  const sampled = [0, 1].flatMap((index) =>
    [0, 1].map((sample) => ({
      ...row(index, 'g', undefined, { acc: index === 0 ? 1 : 0 }),
      sample,
      parts: [{ name: 'x', metrics: { strict: index === 0 ? 1 : 0 } }],
    })),
  );
  const { strict } = summarizeRows(sampled, ACC, null).metrics;
  assert.deepEqual([strict?.value, strict?.n], [0.5, 4]);
  // Clusters: 2 * 0.5 and 2 * -0.5. sqrt(2 * (1 + 1)) / 4 = 0.5.
  near(strict?.stderr, 0.5);
});

test('unit, direction and chance of the primary metric are what the rule says', () => {
  const rule = { primary: 'seconds', unit: 'number', better: 'lower' } as const;
  const scores = summarizeRows(
    [1.5, 2.5].map((seconds, i) => row(i, 'g', undefined, { seconds })),
    rule,
    4,
  );
  assert.deepEqual(scores.primary, { name: 'seconds', unit: 'number', better: 'lower', chance: 4 });
  assert.deepEqual([scores.metrics.seconds?.value, scores.metrics.seconds?.n], [2, 2]);
  // A mean of numbers is not held inside of [0, 1].
  assert.ok(scores.metrics.seconds!.ci95![1] > 1);
});

test('scoresBy: whatever a benchmark computes, over all rows and every part of them', () => {
  const rows = [
    { ...row(0, 'a', 's', { nll: 2 }), tags: ['long'] },
    row(1, 'a', 't', { nll: 4 }),
    { ...row(2, 'b', 't', { nll: 9 }), tags: ['long'] },
  ];
  const rule = { primary: 'worst', unit: 'number', better: 'lower' } as const;
  const scores = scoresBy(rows, rule, null, (part) => ({
    worst: { value: Math.max(...part.map(({ metrics }) => metrics.nll!)), stderr: null, ci95: null, n: part.length },
  }));
  const values = (part: Record<string, Record<string, Estimate>>) =>
    Object.fromEntries(Object.entries(part).map(([label, { worst }]) => [label, [worst?.value, worst?.n]]));
  assert.deepEqual([scores.metrics.worst?.value, scores.metrics.worst?.n], [9, 3]);
  assert.deepEqual(values(scores.groups), { a: [4, 2], b: [9, 1] });
  assert.deepEqual(values(scores.subjects), { s: [2, 1], t: [9, 2] });
  assert.deepEqual(values(scores.tags!), { long: [9, 2] });
  assert.deepEqual(scores.primary, { name: 'worst', unit: 'number', better: 'lower', chance: null });
});
