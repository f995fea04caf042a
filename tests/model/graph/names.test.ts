/** Decoders under the names of other exporters: the same numbers, in the same form. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isNamedOtherwise, readNamed, renameAll } from '../../../nanoeval/model/graph/names.ts';
import { openDecoder } from '../../../nanoeval/model/graph/onnx.ts';
import { readGraph, writeGraph } from '../../../nanoeval/model/graph/onnx_graph.ts';
import { openTreeSession } from '../../../nanoeval/model/graph/tree_session.ts';
import { decoderFiles } from '../attention_decoder.ts';
import { settings } from '../fixtures.ts';

const each = (name: (layer: number, part: 'key' | 'value') => [string, string]) =>
  [0, 1].flatMap((layer) => (['key', 'value'] as const).map((part) => name(layer, part)));
const SCHEMES: Record<string, [string, string][]> = {
  'torch, by its operators': [
    ['logits', 'linear_21'],
    ...each((layer, part) => [`past_key_values.${layer}.${part}`, `past_key_values_${part}_cache_${layer}`]),
    ...each((layer, part) => [`present.${layer}.${part}`, `cat_${2 * layer}${part === 'key' ? 0 : 1}`]),
  ],
  transformers: [
    ...each((layer, part) => [`past_key_values.${layer}.${part}`, `input.cache.layers.${layer}.${part}s`]),
    ...each((layer, part) => [`present.${layer}.${part}`, `output.cache.layers.${layer}.${part}s`]),
  ],
};

/** A decoder, and the same one under other names. */
function twins(t: TestContext, names: [string, string][]) {
  const plain = decoderFiles(t);
  const graph = readGraph(plain.graphs.decoder);
  renameAll(graph, new Map(names));
  const path = join(dirname(plain.graphs.decoder), 'other.onnx');
  writeFileSync(path, writeGraph(graph).bytes);
  return { plain, other: { ...plain, graphs: { ...plain.graphs, decoder: path } } };
}

for (const [scheme, names] of Object.entries(SCHEMES)) {
  test(`${scheme}: read under the hub's names`, async (t) => {
    const { plain, other } = twins(t, names);
    const namesOf = (path: string) => {
      const { inputs, outputs } = readNamed(path);
      return [...inputs, ...outputs].map(({ name, dims }) => `${name} ${dims}`);
    };
    assert.deepEqual(namesOf(other.graphs.decoder), namesOf(plain.graphs.decoder));

    const decoders = await Promise.all(
      [plain, other].map((files) => openDecoder(files, settings(), 1, { embedder: null })),
    );
    t.after(() => Promise.all(decoders.map((decoder) => decoder.close())));
    const [wanted, found] = await Promise.all(
      decoders.map(async (decoder) => {
        const { cache } = await decoder.forward([3, 1, 4], null, true);
        return (await decoder.forward([1, 5], cache, false)).logits;
      }),
    );
    assert.deepEqual(found, wanted);

    const { session, remarks } = await openTreeSession(other, settings(), 1, { share: false, embedder: null });
    t.after(() => session?.close());
    assert.deepEqual([session?.form, remarks], ['tree', []]);
  });
}

test("graphs under the hub's names are read as they are", (t) => {
  const { inputs } = readGraph(decoderFiles(t).graphs.decoder);
  assert.equal(isNamedOtherwise(inputs.map(({ name }) => name)), false);
});
