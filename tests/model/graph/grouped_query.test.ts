/** GroupQueryAttention written out; its numbers are held against the operator's in attention.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EDITED, NoEdit } from '../../../nanoeval/model/graph/edit.ts';
import { writeOutGroupQueryAttention } from '../../../nanoeval/model/graph/grouped_query.ts';
import { readGraph } from '../../../nanoeval/model/graph/onnx_graph.ts';
import { decoderFiles } from '../attention_decoder.ts';

const SIZES = { layers: 2, heads: 4, groups: 2, headSize: 16 };

test('each layer reads the mask of its kind, and only masks that are read are inputs', (t) => {
  for (const [slides, wanted] of [
    [undefined, [EDITED.bias]],
    [
      [true, false],
      [EDITED.bias, EDITED.windowed],
    ],
    [[true, true], [EDITED.windowed]],
  ] as const) {
    const attributes: Record<string, number> = slides === undefined ? {} : { local_window_size: 8 };
    // A window in the operator and in config.json alike, or in config.json alone.
    const graph = readGraph(
      decoderFiles(t, { attention: 'gqa', attributes: slides?.[1] ? attributes : {} }).graphs.decoder,
    );
    writeOutGroupQueryAttention(graph, { ...SIZES, ...(slides === undefined ? {} : { slides }) });
    const inputs = graph.inputs.map(({ name }) => name);
    assert.deepEqual(
      [EDITED.bias, EDITED.windowed].filter((name) => inputs.includes(name)),
      wanted,
    );
    const readers = graph.nodes.filter((node) => node.op === 'CastLike' && node.inputs[0]?.startsWith(EDITED.bias));
    assert.deepEqual(
      readers.map((node) => node.inputs[0] === EDITED.windowed),
      slides ?? [false, false],
    );
  }
});

test('a window in the operator that config.json does not tell is not written out', (t) => {
  const graph = readGraph(decoderFiles(t, { attention: 'gqa', attributes: { local_window_size: 8 } }).graphs.decoder);
  assert.throws(
    () => writeOutGroupQueryAttention(graph, SIZES),
    (error) => error instanceof NoEdit && /slides over 8 tokens, config.json does not/.test(error.message),
  );
});
