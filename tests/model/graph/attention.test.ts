/** Edits of the attention: each keeps the numbers, from the start and from a past, and lets a sequence hold a tree. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Tensor } from 'onnxruntime-node';
import { type AttentionSizes, editMask, fuseRotary, groupHeads } from '../../../nanoeval/model/graph/attention.ts';
import { EDITED, NoEdit } from '../../../nanoeval/model/graph/edit.ts';
import { writeOutGroupQueryAttention } from '../../../nanoeval/model/graph/grouped_query.ts';
import { nodeOf, type OnnxGraph, readGraph, tensorValue } from '../../../nanoeval/model/graph/onnx_graph.ts';
import type { GraphFiles } from '../../../nanoeval/model/graph/session.ts';
import {
  type DecoderOptions,
  decoderFiles,
  furthest,
  openGraph,
  openPlain,
  type Plain,
  pathTo,
  SIZES,
  VOCAB,
} from '../attention_decoder.ts';

const STEM = [3, 17, 42, 8, 55];
const TAIL = [21, 9, 30, 1];
/** After the stem: two branches, the second of which forks. */
const TREE = { ids: [21, 9, 4, 4, 60, 12], parents: [-1, 0, -1, 2, 3, 3] };

const graphOf = (files: GraphFiles) => readGraph(files.graphs.decoder);
const count = (graph: OnnxGraph, op: string) => graph.nodes.filter((node) => node.op === op).length;
const isInput = (graph: OnnxGraph, name: string) => graph.inputs.some((input) => input.name === name);

/** The graph against the untouched one: whole, from a past, and a tree after a past where it takes a bias. */
async function compare(
  t: TestContext,
  files: GraphFiles,
  graph: OnnxGraph,
  plain: Plain,
  { limit = 1e-5, headSize = SIZES.headSize } = {},
): Promise<void> {
  const run = await openGraph(t, files, graph);
  const same = async (found: Tensor, paths: number[][], what: string) => {
    const logits = found.data as Float32Array;
    for (const [i, path] of paths.entries()) {
      const off = furthest(logits.subarray(i * VOCAB, (i + 1) * VOCAB), await plain.last(path));
      assert.ok(off <= limit, `${what}, place ${i}: ${off}`);
    }
  };
  const all = [...STEM, ...TAIL];
  const upTo = (from: number) => all.slice(from).map((_, i) => all.slice(0, from + i + 1));
  await same((await run(all)).logits!, upTo(0), 'whole');
  const tensors = new Map(Object.entries(await run(STEM)).filter(([name]) => name.startsWith('present')));
  const past = { tensors, length: STEM.length };
  const tail = await run(TAIL, { past });
  await same(tail.logits!, upTo(STEM.length), 'after a past');
  assert.deepEqual(tail['present.0.value']?.dims, [1, 2, all.length, headSize]);
  if (!isInput(graph, EDITED.bias)) return;
  const tree = await run(TREE.ids, { past, parents: TREE.parents });
  const paths = TREE.ids.map((_, i) => [...STEM, ...pathTo(TREE, i)]);
  await same(tree.logits!, paths, 'a tree');
}

const PLAIN: Record<string, DecoderOptions> = {
  plain: {},
  'a mask by Where': { mask: 'where' },
  'opset 15': { opset: 15 },
  'opset 18': { opset: 18 },
  'four bits': { weights: 'int4' },
  'queries and keys scaled': { scale: 'sides' },
  'a float16 cache': { cache: 'float16' },
};

for (const [name, options] of Object.entries(PLAIN)) {
  test(`editMask, groupHeads and fuseRotary alone and together: ${name}`, async (t) => {
    const files = decoderFiles(t, options);
    // A float16 cache rounds what another order of sums has moved by a digit.
    const limit = options.cache === 'float16' ? 5e-3 : 1e-5;
    const plain = await openPlain(t, files);
    const cast = options.cache === 'float16';
    const masked = graphOf(files);
    editMask(masked, SIZES);
    assert.ok(isInput(masked, EDITED.bias));
    await compare(t, files, masked, plain, { limit });

    const grouped = graphOf(files);
    // Heads stay repeated where something else than a scale is done to the cache between: a cast.
    const kept = cast ? 4 : 0;
    assert.equal(groupHeads(grouped, SIZES), 4 - kept);
    assert.equal(count(grouped, 'Expand'), kept);
    await compare(t, files, grouped, plain, { limit });

    const fused = graphOf(files);
    assert.equal(fuseRotary(fused, SIZES), 4);
    assert.deepEqual([count(fused, 'RotaryEmbedding'), count(fused, 'Neg')], [4, 0]);
    await compare(t, files, fused, plain, { limit });

    const all = graphOf(files);
    editMask(all, SIZES);
    groupHeads(all, SIZES);
    fuseRotary(all, SIZES);
    // Nothing asks for the old mask any more, nor for the number of repeated heads.
    assert.equal(isInput(all, 'attention_mask'), kept > 0);
    await compare(t, files, all, plain, { limit });
  });
}

const QUERY_GROUPS: Record<string, DecoderOptions> = {
  'a product each': {},
  'one product for all': { packed: true },
  'a scale of its own': { attributes: { scale: { float: 0.4 } } },
  'a soft cap': { attributes: { softcap: { float: 2 } } },
  'no rotary embedding': { attributes: { do_rotary: 0 } },
  'interleaved rotary embedding': { attributes: { rotary_interleaved: 1 } },
  'half a head turned': { headSize: 32, rotary: 16 },
  'half a head turned, pairs side by side': { headSize: 32, rotary: 16, attributes: { rotary_interleaved: 1 } },
  'four bits, opset 15': { weights: 'int4', opset: 15 },
};

for (const [name, options] of Object.entries(QUERY_GROUPS)) {
  test(`GroupQueryAttention written out: ${name}`, async (t) => {
    const files = decoderFiles(t, { attention: 'gqa', ...options });
    const graph = graphOf(files);
    const headSize = options.headSize ?? SIZES.headSize;
    writeOutGroupQueryAttention(graph, { ...SIZES, headSize });
    assert.deepEqual([count(graph, 'GroupQueryAttention'), count(graph, 'Softmax')], [0, SIZES.layers]);
    assert.ok(isInput(graph, EDITED.bias));
    assert.equal(isInput(graph, 'position_ids'), options.attributes?.do_rotary !== 0);
    await compare(t, files, graph, await openPlain(t, files), { headSize });
  });
}

test('heads that are not grouped and rotations that are not there are left alone', (t) => {
  const files = decoderFiles(t);
  const graph = graphOf(files);
  assert.equal(groupHeads(graph, { ...SIZES, groups: SIZES.heads }), 0);
  assert.equal(graph.nodes.length, graphOf(files).nodes.length);
  const other = graphOf(decoderFiles(t, { attention: 'gqa' }));
  assert.equal(fuseRotary(other, SIZES), 0);
  assert.equal(groupHeads(other, SIZES), 0);
});

test('graphs that an edit does not fit are told why', (t) => {
  const refused = (
    edit: (graph: OnnxGraph, sizes: AttentionSizes) => void,
    options: DecoderOptions,
    reason: RegExp,
    change: (graph: OnnxGraph) => void = () => {},
  ) => {
    const graph = graphOf(decoderFiles(t, options));
    change(graph);
    assert.throws(
      () => edit(graph, SIZES),
      (error) => error instanceof NoEdit && reason.test(error.message),
      `${reason}`,
    );
  };
  refused(editMask, { positions: 'counted' }, /position_ids is not an input/);
  refused(editMask, { opset: 14 }, /opset 14/);
  refused(editMask, { attention: 'gqa' }, /0 of 2 attention layers/, (graph) => {
    graph.inputs.push(tensorValue('position_ids', 7));
  });
  refused(editMask, {}, /1 of 2 attention layers/, (graph) => {
    const softmax = graph.nodes.find((node) => node.op === 'Softmax')!;
    const sum = graph.nodes.find((node) => node.outputs[0] === softmax.inputs[0])!;
    softmax.inputs = [sum.inputs[0]!];
  });
  const gqa = (attributes: DecoderOptions['attributes']) => ({ attention: 'gqa', attributes }) as const;
  refused(writeOutGroupQueryAttention, {}, /0 of 2 layers/);
  refused(writeOutGroupQueryAttention, { attention: 'gqa', opset: 14 }, /opset 14/);
  refused(writeOutGroupQueryAttention, gqa({ local_window_size: 16 }), /slides over 16 tokens, config.json does not/);
  refused(writeOutGroupQueryAttention, gqa({ smooth_softmax: 1 }), /smooth_softmax 1/);
  refused(writeOutGroupQueryAttention, gqa({ kv_num_heads: 3 }), /4 heads in 3 groups/);
  refused(writeOutGroupQueryAttention, gqa({}), /inputs beyond/, (graph) => {
    for (const node of graph.nodes) if (node.op === 'GroupQueryAttention') node.inputs.push('', 'attention_mask');
  });
  refused(writeOutGroupQueryAttention, gqa({}), /without a past/, (graph) => {
    for (const node of graph.nodes) if (node.op === 'GroupQueryAttention') node.inputs[3] = '';
  });
});

test('ways through a graph that lead back to where they began are errors, and end', (t) => {
  for (const op of ['Cast', 'Add', 'Reshape']) {
    const graph = graphOf(decoderFiles(t));
    const softmax = graph.nodes.find((node) => node.op === 'Softmax')!;
    graph.nodes.push(nodeOf(op, ['ring', softmax.inputs[0]!], ['ring']));
    softmax.inputs[0] = 'ring';
    assert.throws(() => editMask(graph, SIZES), /value ring is made from itself/, op);
  }
});

test('heads of an odd size are not turned by halves', (t) => {
  assert.throws(() => fuseRotary(graphOf(decoderFiles(t)), { ...SIZES, headSize: 15 }), NoEdit);
});
