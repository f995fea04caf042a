/** What an edited graph is fed: ids, positions and masks of sequences with branches and of unlike length. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tensor } from 'onnxruntime-node';
import { chain, type PassOrder } from '../../../nanoeval/model/engine/prefix_tree.ts';
import { EDITED } from '../../../nanoeval/model/graph/edit.ts';
import type { Embedder } from '../../../nanoeval/model/graph/embeddings.ts';
import { feedsOf, longest } from '../../../nanoeval/model/graph/feeds.ts';

/** Two tokens with a branch each at the first one, and a sequence of one token. */
const ORDER: PassOrder = {
  past: null,
  sequences: [{ ids: [7, 8, 9], parents: [-1, 0, 0] }, chain([5])],
  select: [0, 2, 1, 0],
  pairs: [1, 40, 0, 41],
  keep: null,
};
const NAMES = ['input_ids', 'attention_mask', 'position_ids', EDITED.bias, EDITED.select, EDITED.pairs];
const inputsOf = (names: readonly string[], dims: (string | number)[] = ['b', 's']) =>
  names.map((name) => ({ name, type: 'int64', dims }));
const options = { embedder: null, past: new Map<string, Tensor>() };
const plain = ({ dims, data }: Tensor) => [[...dims], Array.from(data as ArrayLike<number | bigint>, Number)];

test('from the start: zeros behind shorter sequences, each token sees those above it', async () => {
  const feeds = await feedsOf(ORDER, { ...options, inputs: inputsOf(NAMES), seen: 0 });
  assert.deepEqual(Object.keys(feeds), NAMES);
  assert.deepEqual(plain(feeds.input_ids!), [
    [2, 3],
    [7, 8, 9, 5, 0, 0],
  ]);
  assert.deepEqual(plain(feeds.attention_mask!), [
    [2, 3],
    [1, 1, 1, 1, 0, 0],
  ]);
  assert.deepEqual(plain(feeds.position_ids!), [
    [2, 3],
    [0, 1, 1, 0, 0, 0],
  ]);
  const [shape, bias] = plain(feeds[EDITED.bias]!) as [number[], number[]];
  assert.deepEqual(shape, [2, 1, 3, 3]);
  // The padding sees itself alone.
  assert.deepEqual(
    bias.map((value) => (value === 0 ? 1 : 0)),
    [1, 0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1],
  );
  assert.ok(bias.every((value) => value === 0 || value < -1e8));
  assert.deepEqual(plain(feeds[EDITED.select]!), [
    [2, 2],
    [0, 2, 1, 0],
  ]);
  assert.deepEqual(plain(feeds[EDITED.pairs]!), [
    [2, 3],
    [0, 1, 40, 0, 0, 41],
  ]);
});

test('after a past: all of it is seen, positions go on from it, three sections are equal', async () => {
  const key = new Tensor('float32', new Float32Array(8), [2, 1, 4, 1]);
  const inputs = [
    ...inputsOf(['attention_mask', EDITED.bias, 'use_cache_branch', 'num_logits_to_keep', 'past_key_values.0.key']),
    ...inputsOf(['position_ids'], [3, 'b', 's']),
  ];
  const past = new Map([['past_key_values.0.key', key]]);
  const feeds = await feedsOf(ORDER, { ...options, inputs, seen: 4, past });
  assert.deepEqual(plain(feeds.attention_mask!)[0], [2, 7]);
  assert.deepEqual(plain(feeds.attention_mask!)[1], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
  const row = [4, 5, 5, 4, 0, 0];
  assert.deepEqual(plain(feeds.position_ids!), [
    [3, 2, 3],
    [...row, ...row, ...row],
  ]);
  const bias = Array.from(feeds[EDITED.bias]!.data as Float32Array, (value) => (value === 0 ? 1 : 0));
  assert.deepEqual(bias.slice(0, 21), [1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1]);
  assert.deepEqual([...(feeds.use_cache_branch!.data as Uint8Array)], [1]);
  assert.equal(feeds['past_key_values.0.key'], key);
});

test('vectors come from the embedder; a graph that is asked for nothing selects one state', async () => {
  const asked: unknown[] = [];
  const vectors = new Tensor('float32', new Float32Array(6), [2, 3, 1]);
  const embedder = {
    async embed(ids: ArrayLike<number>, dims: readonly number[], type: string) {
      asked.push([[...(ids as Int32Array)], dims, type]);
      return vectors;
    },
  } as unknown as Embedder;
  const inputs = [...inputsOf([EDITED.select, EDITED.pairs]), { name: 'inputs_embeds', type: 'float16', dims: [] }];
  const feeds = await feedsOf({ ...ORDER, select: [], pairs: [] }, { ...options, embedder, inputs, seen: 0 });
  assert.equal(feeds.inputs_embeds, vectors);
  assert.deepEqual(asked, [[[7, 8, 9, 5, 0, 0], [2, 3], 'float16']]);
  assert.deepEqual(plain(feeds[EDITED.select]!), [
    [1, 2],
    [0, 0],
  ]);
  assert.deepEqual(plain(feeds[EDITED.pairs]!), [
    [1, 3],
    [0, 0, 0],
  ]);
  assert.equal(longest(ORDER.sequences), 3);
});

test('int32 and logits_to_keep: each input in the type and the shape that it declares', async () => {
  const inputs = [
    ...inputsOf(['input_ids', 'attention_mask', 'position_ids']).map((input) => ({ ...input, type: 'int32' })),
    { name: 'logits_to_keep', type: 'int32', dims: [1] },
    { name: 'num_logits_to_keep', type: 'int64', dims: [] },
  ];
  const feeds = await feedsOf(ORDER, { ...options, inputs, seen: 0 });
  assert.deepEqual(
    Object.values(feeds).map(({ type, dims }) => [type, [...dims]]),
    [
      ['int32', [2, 3]],
      ['int32', [2, 3]],
      ['int32', [2, 3]],
      ['int32', [1]],
      ['int64', []],
    ],
  );
  assert.deepEqual(plain(feeds.position_ids!)[1], [0, 1, 1, 0, 0, 0]);
  assert.deepEqual(plain(feeds.logits_to_keep!)[1], [0]);
});

test('a window hides what is further back, in the past and above a token, down to the last token seen', async () => {
  // After two tokens of a past: 0 -> 1 -> 2 -> 3, and 4 below 1.
  const order = { ...ORDER, sequences: [{ ids: [1, 2, 3, 4, 5], parents: [-1, 0, 1, 2, 1] }] };
  const inputs = inputsOf([EDITED.windowed]);
  const seen = async (window: number | null, past: number) => {
    const { [EDITED.windowed]: mask } = await feedsOf(order, { ...options, inputs, window, seen: past });
    const width = past + 5;
    const values = Array.from(mask!.data as Float32Array, (value) => (value === 0 ? 1 : 0));
    return Array.from({ length: 5 }, (_, i) => values.slice(i * width, (i + 1) * width).join(''));
  };
  assert.deepEqual(await seen(3, 2), ['1110000', '0111000', '0011100', '0001110', '0011001']);
  assert.deepEqual(await seen(1, 2), ['0010000', '0001000', '0000100', '0000010', '0000001']);
  assert.deepEqual(await seen(100, 2), ['1110000', '1111000', '1111100', '1111110', '1111001']);
  assert.deepEqual(await seen(null, 0), ['10000', '11000', '11100', '11110', '11001']);
});
