/** The self-check: nothing is found wrong with the untouched graph itself, and every way of being wrong is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PassOrder, Sequence } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { logSoftmaxAt } from '../../../nanoeval/model/graph/logits.ts';
import { difference, expectedNumbers, type Runner } from '../../../nanoeval/model/graph/self_check.ts';
import { decoderFiles, openPlain, type Plain, pathTo, VOCAB } from '../attention_decoder.ts';
import { settings } from '../fixtures.ts';

/** A runner whose numbers come from full forward passes; `wrong` may change one of them. */
function honest(plain: Plain, form: Runner['form'], wrong = (_order: PassOrder, logprobs: number[]) => logprobs) {
  const caches = new Map<number, number[]>();
  const orders: PassOrder[] = [];
  const runner: Runner = {
    form,
    async pass(order) {
      orders.push(order);
      const before = order.past === null ? [] : caches.get(order.past)!;
      if (order.keep !== null) caches.set(order.keep, [...before, ...order.sequences[0]!.ids]);
      const answers = [];
      for (let i = 0; i < order.pairs.length; i += 2) {
        const state = 2 * order.pairs[i]!;
        const path = [...before, ...pathTo(order.sequences[order.select[state]!]!, order.select[state + 1]!)];
        answers.push(await plain.after(path, order.pairs[i + 1]!));
      }
      return {
        logprobs: wrong(
          order,
          answers.map(({ logprob }) => logprob),
        ),
        best: answers.map(({ best }) => best),
      };
    },
    hold: () => assert.fail('no long past was asked for'),
    free: (ids) => {
      for (const id of ids) caches.delete(id);
    },
  };
  return { runner, orders, caches };
}

const FORMS = ['tree', 'batched', 'single', 'whole', 'alone'] as const;
const branches = ({ parents }: Sequence) => parents.filter((parent, i) => i > 0 && parent !== i - 1).length;

test('true numbers are no distance from the expected ones, in every form, and no cache is left', async (t) => {
  const files = decoderFiles(t);
  const { numbers, vocab } = await expectedNumbers(files, settings(), 1, { dynamic: false, embedder: null });
  const expected = { numbers, long: null, noise: null, vocab };
  assert.equal(vocab, VOCAB);
  const plain = await openPlain(t, files);
  for (const form of FORMS) {
    const { runner, orders, caches } = honest(plain, form);
    const { near, far } = await difference(runner, expected);
    const off = near.largest;
    assert.equal(far, null);
    assert.ok(off < 1e-5, `${form}: ${off}`);
    assert.equal(caches.size, 0);
    // What a form cannot do is not asked of it.
    const sequences = orders.flatMap((order) => order.sequences);
    assert.equal(
      sequences.some((sequence) => branches(sequence) > 0),
      form === 'tree',
    );
    assert.equal(
      orders.some((order) => order.sequences.length > 1),
      form === 'tree' || form === 'batched',
    );
    assert.equal(
      orders.some((order) => order.past !== null || order.keep !== null),
      form !== 'alone' && form !== 'whole',
    );
    const lengths = orders
      .filter((order) => order.sequences.length > 1)
      .map((order) => order.sequences.map(({ ids }) => ids.length));
    assert.ok(
      lengths.every((list) => new Set(list).size > 1),
      'sequences of unlike length',
    );
  }
});

test('a wrong number anywhere is seen: after a past, of any sequence, in a branch', async (t) => {
  const files = decoderFiles(t, { attention: 'gqa' });
  const expected = { ...(await expectedNumbers(files, settings(), 1, { dynamic: false, embedder: null })), long: null };
  const plain = await openPlain(t, files);
  for (const form of FORMS) {
    const { runner, orders } = honest(plain, form);
    await difference(runner, expected);
    for (const [o, { pairs }] of orders.entries()) {
      for (let place = 0; place < pairs.length / 2; place += 1) {
        const counted = { at: -1 };
        const broken = honest(plain, form, (_order, logprobs) => {
          counted.at += 1;
          return counted.at === o ? logprobs.with(place, logprobs[place]! - 1) : logprobs;
        });
        const { mean, largest } = (await difference(broken.runner, expected)).near;
        // Of a whole one the first tokens of the three branches are looked at twice.
        const count = expected.numbers.length + (form === 'whole' ? 3 : 0);
        assert.ok(largest > 0.9 && mean > 0.9 / count, `${form}, order ${o}, number ${place}: ${largest}`);
      }
    }
  }
});

test('a graph in which tokens behind count is no whole one, and is one that runs alone', async (t) => {
  const files = decoderFiles(t, { cache: null, causal: false });
  const expected = await expectedNumbers(files, settings(), 1, { dynamic: false, embedder: null });
  assert.equal(expected.long, null);
  const plain = await openPlain(t, files);
  for (const form of ['whole', 'alone'] as const) {
    // Every number by one pass of the whole sequence.
    const runner: Runner = {
      ...honest(plain, form).runner,
      async pass({ sequences, select, pairs }) {
        const rows = await plain.rows(sequences[0]!.ids);
        const logprobs = Array.from({ length: pairs.length / 2 }, (_, i) => {
          const row = rows[select[2 * pairs[2 * i]! + 1]!]!;
          return logSoftmaxAt(row, 0, row.length, pairs[2 * i + 1]!).logprob;
        });
        return { logprobs, best: [] };
      },
    };
    const { largest } = (await difference(runner, expected)).near;
    assert.equal(largest > 0.1, form === 'whole', `${form}: ${largest}`);
  }
});

test('too few numbers, and numbers that are none, are no small distance', async (t) => {
  const files = decoderFiles(t);
  const expected = { ...(await expectedNumbers(files, settings(), 1, { dynamic: false, embedder: null })), long: null };
  const plain = await openPlain(t, files);
  for (const form of FORMS) {
    for (const wrong of [
      (_order: PassOrder, logprobs: number[]) => logprobs.slice(1),
      (_order: PassOrder, logprobs: number[]) => logprobs.map(() => Number.NaN),
    ]) {
      const { mean, largest } = (await difference(honest(plain, form, wrong).runner, expected)).near;
      assert.ok(!(mean <= 0.5) && !(largest <= 0.5), `${form}: ${mean}`);
    }
  }
});

test('the expected numbers are of the untouched graph, whatever its weights are', async (t) => {
  for (const options of [{ weights: 'float16' }, { weights: 'int8' }, { side: 'model.onnx_data' }] as const) {
    const files = decoderFiles(t, options);
    const expected = {
      ...(await expectedNumbers(files, settings(), 1, {
        dynamic: options.weights === 'int8',
        embedder: null,
      })),
      long: null,
    };
    const off = (await difference(honest(await openPlain(t, files), 'alone').runner, expected)).near.largest;
    assert.ok(off < (options.side === undefined ? 0.1 : 1e-5), `${JSON.stringify(options)}: ${off}`);
  }
});

test('a long past of made-up keys and values: finite numbers; one who forgets some of it is seen', async (t) => {
  const files = decoderFiles(t, { cache: 'float16' });
  const expected = await expectedNumbers(files, settings(), 1, { dynamic: false, embedder: null });
  const { long } = expected;
  assert.ok(long !== null);
  assert.ok(long.numbers.every(Number.isFinite));
  assert.ok(long.cache.length >= 16, `${long.cache.length} tokens`);
  for (const tensor of Object.values(long.cache.tensors)) assert.equal(tensor.dims[2], long.cache.length);
  const plain = await openPlain(t, files);
  for (const [numbers, limit] of [
    [long.numbers, 1e-5],
    [long.numbers.map((number) => number - 1), Number.POSITIVE_INFINITY],
  ] as const) {
    const { runner } = honest(plain, 'tree');
    let held = 0;
    const pass: Runner['pass'] = async (order) => {
      if (order.past !== 2) return runner.pass(order);
      return { logprobs: [...numbers], best: [] };
    };
    const hold = (id: number) => {
      held = id;
    };
    const { near, far } = await difference({ ...runner, pass, hold }, expected);
    const { largest } = far!;
    assert.ok(near.largest < 1e-5);
    assert.equal(held, 2);
    assert.ok(limit === 1e-5 ? largest < limit : largest > 0.9, `${largest}`);
  }
});
