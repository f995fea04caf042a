/** The short form of the fuzz of checkpoints: the same few seeds each time. `npm run test:fuzz` is the long one. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { attentionDecoder } from '../model/attention_decoder.ts';
import { CHECKPOINT } from './checkpoint.ts';
import { GRAPH_READER } from './graph.ts';
import { anatomyOf, changedGraph } from './onnx_bytes.ts';
import { outcomeOf, type Subject } from './watch.ts';

/** Outcomes of the whole files, and of some seeds. */
async function outcomes(subject: Subject, seeds: readonly number[], folder: string): Promise<Set<string>> {
  const kinds = new Set<string>();
  for (const seed of seeds) {
    const outcome = await outcomeOf(subject, seed, folder);
    assert.ok('kind' in outcome, JSON.stringify(outcome));
    kinds.add(outcome.kind);
  }
  return kinds;
}

/** Each way on a plain graph, and two on grouped queries; each file once, bytes and JSON in turn. */
const GRAPH_SEEDS = [0, 1, 9];
const FILE_SEEDS = [0, 3, 7, 12];

// onnxruntime gets no damaged graph here: it does not survive each of them, and the long form has a child for that.
for (const [subject, seeds, good] of [
  [GRAPH_READER, GRAPH_SEEDS, 'edited'],
  [CHECKPOINT, FILE_SEEDS, 'rows'],
] as const) {
  test(`${subject.name} with changed bytes: ${good}, or one line`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'nanoeval_fuzz_'));
    t.after(() => rmSync(folder, { recursive: true }));
    assert.deepEqual([...(await outcomes(subject, [-1], folder))], [good]);
    const kinds = await outcomes(subject, seeds, folder);
    assert.ok(kinds.size > 1, [...kinds].join(', '));
  });
}

test('a seed always changes a graph in the same way, and each of the four ways does', () => {
  const { graph } = attentionDecoder();
  const anatomy = anatomyOf(graph);
  for (let seed = 0; seed < 8; seed += 1) {
    const bytes = changedGraph(anatomy, seed);
    assert.deepEqual(bytes, changedGraph(anatomy, seed));
    assert.equal(bytes.length, graph.length);
    assert.notDeepEqual(bytes, graph);
  }
});
