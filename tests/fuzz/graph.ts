/**
 * Damaged ONNX graphs. `graph reader`: what is read of a file without onnxruntime, and all edits of it; each gives something or an
 * Error of its own, never one of the language's. `graph`: the same file opened by onnxruntime as a run opens it, and two rows
 * scored: finite numbers, errors of rows, or one line.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openEngine } from '../../nanoeval/model/engine/engine.ts';
import { openExecutor } from '../../nanoeval/model/engine/open_executor.ts';
import type { TokenQuestion } from '../../nanoeval/model/engine/prefix_tree.ts';
import { NoEdit, nudgeAttention } from '../../nanoeval/model/graph/edit.ts';
import { contradictions, embeddingRows, loadFault } from '../../nanoeval/model/graph/export.ts';
import { readNamed } from '../../nanoeval/model/graph/names.ts';
import { writeGraph } from '../../nanoeval/model/graph/onnx_graph.ts';
import type { GraphFiles } from '../../nanoeval/model/graph/session.ts';
import { attemptsOn } from '../../nanoeval/model/graph/tree_session.ts';
import { slidingCaches } from '../../nanoeval/model/graph/window.ts';
import { RowError } from '../../nanoeval/types.ts';
import { each } from '../model/ask_one.ts';
import { attentionDecoder, DECODER_CONFIG, type DecoderOptions, filesAt } from '../model/attention_decoder.ts';
import { settings } from '../model/fixtures.ts';
import { type Anatomy, anatomyOf, changedGraph } from './onnx_bytes.ts';
import type { Subject } from './watch.ts';

const SIDE = 'model.onnx_data';
const KINDS: Record<string, DecoderOptions> = {
  plain: {},
  'side file': { side: SIDE },
  GroupQueryAttention: { attention: 'gqa', attributes: { local_window_size: 8, sliding_window_cache: 0 } },
  'int8, capped': { weights: 'int8', capped: true },
};
const log = { info() {}, progress() {} };
const never = new AbortController().signal;

/** What config.json may say so that the graph is looked at more closely. */
const CONFIG = {
  ...DECODER_CONFIG,
  attn_logit_softcapping: 5,
  rope_scaling: { rope_type: 'longrope' },
  original_max_position_embeddings: 16,
};

/** Whether it could be done. Rejects errors that nobody has put into words. */
function done(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (error instanceof NoEdit || (error as Error).constructor === Error) return false;
    throw error;
  }
}

/** Everything that is read of a graph and made of it before a session sees it. */
function readAll(files: GraphFiles): string {
  const path = files.graphs.decoder;
  // These have an answer for a file that cannot be read.
  slidingCaches(path);
  embeddingRows(path);
  contradictions(path, CONFIG, false);
  loadFault(path, 'no message of onnxruntime');
  if (!done(() => writeGraph(readNamed(path)))) return 'not read';
  const edits = [false, true].flatMap((alone) => {
    let tried: ReturnType<typeof attemptsOn>['tried'] = [];
    done(() => ({ tried } = attemptsOn(readNamed(path), files, alone)));
    return tried.map(({ edit }) => edit);
  });
  edits.push((graph) => void nudgeAttention(graph, 1));
  const taken = edits.filter((edit) =>
    done(() => {
      const graph = readNamed(path);
      edit(graph);
      writeGraph(graph);
    }),
  );
  return taken.length === 0 ? 'not edited' : 'edited';
}

const QUESTIONS: TokenQuestion[] = [
  [3, 17, 42, 8],
  [3, 17, 5, 60, 21],
].map((input, place) => ({
  place,
  requests: [{ input: Int32Array.from(input), targets: [input[1]!, 9] }],
}));

/** Opens the graph as a worker does and scores two rows. */
async function scoreRows(files: GraphFiles): Promise<string> {
  const executor = await openExecutor(files, settings(), { mode: 'auto', threads: 1 });
  const reopen = () => Promise.reject(new Error('nothing ends here'));
  const engine = openEngine([executor], reopen, { batchTokens: 256, cacheBytes: 1e6, log });
  const kinds: string[] = [];
  try {
    for await (const { scores } of engine.score(each(QUESTIONS), never)) {
      kinds.push(scores instanceof RowError ? 'rows refused' : 'rows');
      if (!(scores instanceof RowError)) assert.ok(scores.every(({ logprob }) => Number.isFinite(logprob)));
    }
  } finally {
    await engine.close();
  }
  assert.equal(kinds.length, QUESTIONS.length);
  return kinds.sort()[1]!;
}

const anatomies = new Map<string, { anatomy: Anatomy; side: Uint8Array }>();

function anatomyAt(kind: string): { anatomy: Anatomy; side: Uint8Array } {
  let parts = anatomies.get(kind);
  if (parts === undefined) {
    const { graph, side } = attentionDecoder(KINDS[kind]);
    parts = { anatomy: anatomyOf(graph), side };
    anatomies.set(kind, parts);
  }
  return parts;
}

/** Four seeds of each kind in turn, which are changed in four ways. Negative ones are the whole files. */
function subject(name: string, mayEnd: boolean, use: (files: GraphFiles) => string | Promise<string>): Subject {
  const kinds = Object.keys(KINDS);
  return {
    name,
    mayEnd,
    async read(seed, folder) {
      const kind = kinds[Math.floor(Math.abs(seed) / 4) % kinds.length]!;
      const { anatomy, side } = anatomyAt(kind);
      const path = join(folder, 'model.onnx');
      writeFileSync(path, seed < 0 ? anatomy.whole : changedGraph(anatomy, seed));
      writeFileSync(join(folder, SIDE), side);
      return use(filesAt(path));
    },
  };
}

export const GRAPH_READER = subject('graph reader', false, readAll);
export const GRAPH = subject('graph', true, scoreRows);
