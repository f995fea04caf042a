/**
 * A decoder whose graph was edited for scoring, as a session that computes the passes of a plan.
 *
 * Which edits a graph takes is found out when it is opened: each set of them is tried on a small tree of tokens and
 * held against the untouched graph. The first that gives the same numbers is used; a graph that takes none is left
 * alone.
 */
import type { Tensor } from 'onnxruntime-node';
import type { ModelSettings } from '../../config/keys.ts';
import { editMask, fuseRotary, groupHeads, writeOutGroupQueryAttention } from './attention.ts';
import { EDITED, editHead, isDynamicallyQuantized, NoEdit } from './edit.ts';
import type { Embedder } from './embeddings.ts';
import { feedsOf, longest } from './feeds.ts';
import { emptyTensor, START_AT_ONE } from './onnx.ts';
import { type OnnxGraph, readGraph, writeGraph } from './onnx_graph.ts';
import { Past } from './past.ts';
import { difference, type Expected, expectedNumbers, type Runner } from './self_check.ts';
import { describe, type GraphFiles, type GraphSource, openSession, runGraph } from './session.ts';

export interface TreeSession extends Runner {
  /** Bytes that a token of the cache takes. */
  bytesPerToken: number;
  /** Width of the logits. */
  vocab: number;
  close(): Promise<void>;
}

export interface Opened {
  session: TreeSession | null;
  /** Why a better form was not taken. */
  remarks: string[];
  /** The graph quantises activations at run time. */
  dynamic: boolean;
  /** It has float16 weights. */
  half: boolean;
}

interface Attempt {
  form: Runner['form'];
  /** In a remark: `no <name> passes: ...`. */
  name: string;
  edit(graph: OnnxGraph): void;
}

/**
 * Opens the decoder of `files` in the best form that it takes. `share`: sequences may be shared even where that changes
 * a number, as it does in dynamically quantised graphs. Throws UserError when the untouched graph cannot be loaded
 * either.
 */
export async function openTreeSession(
  files: GraphFiles,
  settings: ModelSettings,
  threads: number | undefined,
  { share, embedder }: { share: boolean; embedder: Embedder | null },
): Promise<Opened> {
  const path = files.graphs.decoder;
  const remarks: string[] = [];
  let dynamic = false;
  let half = false;
  try {
    const graph = readGraph(path);
    dynamic = isDynamicallyQuantized(graph);
    half = usesHalf(graph);
  } catch (error) {
    return { session: null, remarks: [`the graph cannot be edited: ${(error as Error).message}`], dynamic, half };
  }
  let expected: Expected | null = null;
  for (const attempt of attempts(files, dynamic && !share)) {
    const graph = readGraph(path);
    let opened: TreeSession | null = null;
    try {
      attempt.edit(graph);
      const edited = writeGraph(graph);
      expected ??= await expectedNumbers(files, settings, threads, { dynamic, embedder });
      opened = await openEdited(attempt.form, expected.vocab, { path, edited }, { files, settings, threads, embedder });
      const { mean, largest } = await difference(opened, expected);
      // Where sharing itself moves the numbers only their mean can say whether the right ones are meant.
      const [off, limit] = dynamic && share ? [mean, 1] : [largest, half ? 0.2 : 5e-3];
      // Also true of NaN.
      if (!(off <= limit)) throw new NoEdit(`log-probabilities are ${off.toPrecision(2)} off`);
      return { session: opened, remarks: [...new Set(remarks)], dynamic, half };
    } catch (error) {
      await opened?.close();
      remarks.push(`no ${attempt.name} passes: ${(error as Error).message}`);
    }
  }
  return { session: null, remarks: [...new Set(remarks)], dynamic, half };
}

const usesHalf = (graph: OnnxGraph) => [...graph.initializers.values()].some((tensor) => tensor.type === 10);

function attempts(files: GraphFiles, alone: boolean): Attempt[] {
  if (alone) return [{ form: 'alone', name: 'alone', edit: (graph) => editHead(graph, false) }];
  const head = (graph: OnnxGraph) => editHead(graph, true);
  const mask = (graph: OnnxGraph) => {
    const sizes = attentionSizes(graph, files);
    const grouped = graph.nodes.some((node) => node.op === 'GroupQueryAttention');
    if (grouped) writeOutGroupQueryAttention(graph, sizes);
    else editMask(graph, sizes);
    return { sizes, grouped };
  };
  return [
    {
      form: 'tree',
      name: 'streamlined tree',
      edit(graph) {
        head(graph);
        const { sizes, grouped } = mask(graph);
        if (grouped) return;
        groupHeads(graph, sizes);
        fuseRotary(graph, sizes);
      },
    },
    {
      form: 'tree',
      name: 'tree',
      edit(graph) {
        head(graph);
        mask(graph);
      },
    },
    { form: 'batched', name: 'batched', edit: head },
    { form: 'single', name: 'single', edit: head },
  ];
}

/** From config.json; the number of layers with a cache from the graph itself. */
function attentionSizes(graph: OnnxGraph, { textConfig: config }: GraphFiles) {
  const layers = graph.inputs.filter((input) => /^past_key_values\..*key$/.test(input.name)).length;
  const heads = Number(config.num_attention_heads ?? config.n_head);
  const groups = Number(config.num_key_value_heads ?? heads);
  const headSize = Number(config.head_dim ?? Number(config.hidden_size ?? config.n_embd) / heads);
  if (layers === 0) throw new NoEdit('the graph has no cache');
  if (![heads, groups, headSize].every(Number.isInteger)) throw new NoEdit('config.json does not say how many heads');
  // The second name is GPT-Neo's, the third Llama 4's.
  const window = config.sliding_window ?? config.window_size ?? config.attention_chunk_size;
  if (typeof window === 'number' && config.use_sliding_window !== false) {
    const most = Number(config.max_position_embeddings ?? Number.POSITIVE_INFINITY);
    if (window < most) throw new NoEdit(`attention slides over ${window} of ${most} tokens`);
  }
  return { layers, heads, groups, headSize };
}

interface Surroundings {
  files: GraphFiles;
  settings: ModelSettings;
  threads: number | undefined;
  embedder: Embedder | null;
}

/** A session over an edited graph; `vocab` is the width of its logits. */
async function openEdited(
  form: Runner['form'],
  vocab: number,
  source: GraphSource,
  { files, settings, threads, embedder }: Surroundings,
): Promise<TreeSession> {
  // Denormals: masked scores give weights of 1e-39, on which every later product stalls (a Softmax takes 7 times as
  // long).
  const opened: GraphSource = {
    ...source,
    // A memory pattern is made for each new shape of the inputs, and here nearly every pass has one.
    options: { enableMemPattern: false },
    entries: { set_denormal_as_zero: '1' },
  };
  const session = await openSession(opened, settings, threads);
  const inputs = describe(session.inputMetadata);
  const pastInputs = inputs.filter((input) => input.name.startsWith('past'));
  const presentOf = new Map(pastInputs.map(({ name }) => [name, name.replace(/^past_key_values/, 'present')]));
  const past = new Past(new Map(pastInputs.map((input) => [input.name, emptyTensor(input, files)])));
  const firstPosition = START_AT_ONE.has(files.config.model_type ?? '') ? 1 : 0;

  return {
    form,
    bytesPerToken: past.bytesPerToken,
    vocab,
    async pass(order) {
      const { sequences, select, pairs, keep, widest = sequences.length } = order;
      const seen = past.lengthOf(order.past);
      const tensors = past.tensorsOf(order.past, sequences.length, widest);
      const feeds = await feedsOf(order, { inputs, embedder, firstPosition, seen, past: tensors });
      const wanted = [EDITED.logprob, EDITED.best, ...(keep === null ? [] : presentOf.values())];
      const results = await runGraph(session, feeds, wanted, files.graphs.decoder);
      if (keep !== null) {
        const present = new Map([...presentOf].map(([name, output]) => [name, results[output] as Tensor]));
        past.keep(keep, seen + longest(sequences), present);
      }
      const logprobs = pairs.length === 0 ? [] : Array.from((results[EDITED.logprob] as Tensor).data as Float32Array);
      const best =
        select.length === 0 ? [] : Array.from((results[EDITED.best] as Tensor).data as BigInt64Array, Number);
      return { logprobs, best };
    },
    hold: (id, { length, tensors }) => past.keep(id, length, new Map(Object.entries(tensors))),
    free: (ids) => past.free(ids),
    async close() {
      await session.release();
    },
  };
}
