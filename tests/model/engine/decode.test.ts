import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutAtStops, drawAt, drawLikeliest, drawToken, hasStop } from '../../../nanoeval/model/engine/decode.ts';
import { RowError } from '../../../nanoeval/types.ts';
import { fixture } from '../fixtures.ts';

const { rows } = fixture<{ rows: { text: string; until: string[]; kept: string }[] }>('stops.json');

test('stops are cut off in turn, as lm-eval does', () => {
  for (const { text, until, kept } of rows) assert.equal(cutAtStops(text, until), kept, `${text} ${until}`);
});

test('a stop is there exactly when something is cut', () => {
  for (const { text, until, kept } of rows) assert.equal(hasStop(text, until), kept !== text, `${text} ${until}`);
});

test('an empty stop never ends an answer', () => {
  assert.equal(hasStop('text', ['']), false);
  assert.equal(hasStop('', ['']), false);
});

// ---------------------------------------------------------------- drawing

/** Numbers that are the same in every run of the tests. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * transformers' warpers, word by word: softmax of logits / temperature, sorted whole, cut behind top_p, the line
 * walked.
 */
function plainDraw(logits: readonly number[], temperature: number, top_p: number, uniform: number): number {
  const largest = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp((logit - largest) / temperature));
  const order = weights.map((_, id) => id).sort((a, b) => weights[b]! - weights[a]! || a - b);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const kept: number[] = [];
  let mass = 0;
  for (const id of order) {
    if (kept.length > 0 && (mass >= top_p * total || weights[id] === 0)) break;
    kept.push(id);
    mass += weights[id]!;
  }
  let left = uniform * mass;
  for (const id of kept) {
    left -= weights[id]!;
    if (left < 0) return id;
  }
  return kept.at(-1)!;
}

test('a drawn token is that of a plain implementation that sorts all', () => {
  const next = numbers(1);
  const peaked = (width: number) => Array.from({ length: width }, () => 30 * next() ** 8 - 12);
  const flat = (width: number) => Array.from({ length: width }, () => next());
  const tied = (width: number) => Array.from({ length: width }, () => Math.floor(4 * next()));
  const masked = (width: number) => flat(width).map((logit) => (next() < 0.5 ? Number.NEGATIVE_INFINITY : logit));
  let drawn = 0;
  for (const make of [peaked, flat, tied, masked]) {
    for (const width of [1, 2, 7, 1008, 5000]) {
      for (const temperature of [0.05, 0.8, 1, 2.5, 100]) {
        for (const top_p of [1e-9, 0.3, 0.5, 0.9, 0.999, 1]) {
          const logits = make(width);
          // Always one that can be drawn.
          logits[width >> 1] = 2;
          for (const uniform of [0, next(), next(), 1 - 2 ** -53]) {
            const how = { temperature, top_p, uniform };
            const token = drawToken(Float32Array.from(logits), how);
            const rounded = Array.from(Float32Array.from(logits));
            assert.equal(token, plainDraw(rounded, temperature, top_p, uniform), JSON.stringify({ width, ...how }));
            assert.ok(logits[token]! > Number.NEGATIVE_INFINITY);
            drawn += 1;
          }
        }
      }
    }
  }
  assert.equal(drawn, 4 * 5 * 5 * 6 * 4);
});

test('log-probabilities draw as the logits that they come from', () => {
  const next = numbers(2);
  for (let i = 0; i < 200; i += 1) {
    const logits = Array.from({ length: 50 }, () => 8 * next());
    const shift = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    const how = { temperature: 0.7, top_p: 0.9, uniform: next() };
    assert.equal(
      drawToken(
        logits.map((logit) => logit - shift),
        how,
      ),
      drawToken(logits, how),
    );
  }
});

test('20,000 draws are as frequent as the softmax says, within 4 standard errors', () => {
  const logits = [2, 1, 0, -1, 3, 0.5, -4];
  const n = 20_000;
  for (const [temperature, top_p] of [
    [0.8, 1],
    [1.5, 1],
    [1, 0.9],
  ] as const) {
    const counts = logits.map(() => 0);
    for (let i = 0; i < n; i += 1) {
      const token = drawToken(logits, drawAt({ temperature, top_p, stream: `1:row${i}:0` }, 0));
      counts[token] = counts[token]! + 1;
    }
    const weights = logits.map((logit) => Math.exp(logit / temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const order = weights.map((_, id) => id).sort((a, b) => weights[b]! - weights[a]!);
    let mass = 0;
    const kept = order.filter((id) => {
      const isIn = mass < top_p * total;
      if (isIn) mass += weights[id]!;
      return isIn;
    });
    for (const id of order) {
      const share = kept.includes(id) ? weights[id]! / mass : 0;
      const error = Math.sqrt((share * (1 - share)) / n);
      assert.ok(Math.abs(counts[id]! / n - share) <= 4 * error, `${temperature} ${top_p}: token ${id}: ${counts[id]}`);
    }
  }
});

test('the random numbers are spread evenly: chi-square over 16 bins below the 99.9 % point', () => {
  const streams: ((i: number) => [string, number])[] = [
    (i) => ['123:row:0', i],
    (i) => [`123:${i}:0`, 0],
    (i) => [`${i}:7:0`, 0],
    (i) => [`123:7:${i}`, 3],
  ];
  for (const name of streams) {
    const counts = new Array<number>(16).fill(0);
    const n = 16_000;
    for (let i = 0; i < n; i += 1) {
      const [stream, step] = name(i);
      const { uniform } = drawAt({ temperature: 1, top_p: 1, stream }, step);
      assert.ok(uniform >= 0 && uniform < 1);
      const bin = Math.floor(uniform * 16);
      counts[bin] = counts[bin]! + 1;
    }
    const chi = counts.reduce((sum, count) => sum + (count - n / 16) ** 2 / (n / 16), 0);
    assert.ok(chi < 37.7, `${name(0)}: ${chi}`);
  }
});

test('another seed, row, sample or step draws another number; the same names the same', () => {
  const at = (stream: string, step: number) => drawAt({ temperature: 0.8, top_p: 0.9, stream }, step);
  const all = ['1:a:0', '2:a:0', '1:b:0', '1:a:1', '11:a:0'].flatMap((stream) =>
    [0, 1, 2, 10].map((step) => at(stream, step)),
  );
  assert.equal(new Set(all.map(({ uniform }) => uniform)).size, all.length);
  assert.deepEqual(at('1:a:0', 2), at('1:a:0', 2));
  // SHA-256 of `1:a:0:0`, its first 53 bits; python3.11: int(hashlib.sha256(b'1:a:0:0').hexdigest()[:16], 16) // 2**11
  // / 2**53
  assert.deepEqual(at('1:a:0', 0), { temperature: 0.8, top_p: 0.9, uniform: 0.08725242986225124 });
});

test('nothing is drawn from logits that are no numbers', () => {
  const how = { temperature: 1, top_p: 1, uniform: 0.5 };
  for (const logits of [
    [1, Number.NaN, 2],
    [Number.NaN, Number.NaN],
    [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
    [0, Number.POSITIVE_INFINITY],
  ])
    assert.throws(
      () => drawToken(Float32Array.from(logits), how),
      (error) => error instanceof RowError && error.kind === 'nan',
      String(logits),
    );
});

test('from the likeliest tokens alone the same token is drawn, or none where others decide', () => {
  const next = numbers(5);
  const counts = { same: 0, none: 0 };
  for (let round = 0; round < 3000; round += 1) {
    const width = 40;
    const temperature = 0.3 + 2 * next();
    const logits = Array.from({ length: width }, () => 8 * next() ** 3);
    const weights = logits.map((logit) => Math.exp(logit / temperature));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const order = logits.map((_, id) => id).sort((a, b) => logits[b]! - logits[a]! || a - b);
    const tokens = order.slice(0, 1 + Math.floor(next() * width));
    const logprobs = tokens.map((id) => Math.log(weights[id]! / sum));
    const draw = { temperature, top_p: next() < 0.3 ? 1 : next() || 1, uniform: next() };
    const found = drawLikeliest({ tokens, logprobs }, draw);
    if (found === null) counts.none += 1;
    else {
      assert.equal(found, drawToken(logits, draw), JSON.stringify({ logits, draw, tokens }));
      counts.same += 1;
    }
  }
  assert.ok(counts.same > 1000 && counts.none > 200, JSON.stringify(counts));
});

test('the nucleus may end with the last of the likeliest, and one token is drawn whatever its share', () => {
  const half = { tokens: [4, 2], logprobs: [Math.log(0.5), Math.log(0.25)] };
  assert.equal(drawLikeliest(half, { top_p: 0.5, uniform: 0.999 }), 4);
  assert.equal(drawLikeliest(half, { top_p: 0.75, uniform: 0.9 }), 2);
  assert.equal(drawLikeliest(half, { top_p: 0.76, uniform: 0 }), null);
  assert.equal(drawLikeliest(half, { top_p: 1, uniform: 0.7 }), 2);
  assert.equal(drawLikeliest(half, { top_p: 1, uniform: 0.76 }), null);
});
