/**
 * A decoder whose graph was edited for scoring, as a session that computes the passes of a plan.
 *
 * Which edits a graph takes is found out when it is opened: each set of them is tried on a small tree of tokens and
 * held against the untouched graph. The first that gives the same numbers is used; a graph that takes none is left
 * alone.
 */
import type { Tensor } from 'onnxruntime-node';
import type { ModelSettings } from '../../config/keys.ts';
import { attentionSizes, editMask, fuseRotary, groupHeads } from './attention.ts';
import { EDITED, editHead, isDynamicallyQuantized, NoEdit } from './edit.ts';
import type { Embedder } from './embeddings.ts';
import { longRope, switchesRotary } from './export.ts';
import { feedsOf, longest } from './feeds.ts';
import { writeOutGroupQueryAttention } from './grouped_query.ts';
import { readNamed } from './names.ts';
import { emptyTensor } from './onnx.ts';
import { type OnnxGraph, writeGraph } from './onnx_graph.ts';
import { Past } from './past.ts';
import { exposePositions } from './positions.ts';
import { type Distances, difference, type Expected, expectedNumbers, type Runner } from './self_check.ts';
import { describe, type GraphFiles, type GraphSource, openSession, runGraph } from './session.ts';
import { slidingLayers } from './window.ts';

export interface TreeSession extends Runner {
  /** Bytes that a token of the cache takes. */
  bytesPerToken: number;
  /** Width of the logits. */
  vocab: number;
  /** Tokens that a sliding layer sees; null where none slides, or where the graph itself hides what is beyond. */
  window: number | null;
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
  /** What other edits of the graph are held against, and up to which distance in nats; absent where no session is. */
  check?: { numbers: number[]; limit: number };
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
  let tried: Attempt[];
  try {
    const graph = readNamed(path);
    dynamic = isDynamicallyQuantized(graph);
    half = usesHalf(graph);
    const choice = attemptsOn(graph, files, dynamic && !share);
    tried = choice.tried;
    remarks.push(...choice.remarks);
  } catch (error) {
    return { session: null, remarks: [`the graph cannot be edited: ${(error as Error).message}`], dynamic, half };
  }
  let expected: Expected | null = null;
  for (const attempt of tried) {
    const graph = readNamed(path);
    let opened: TreeSession | null = null;
    try {
      attempt.edit(graph);
      const edited = writeGraph(graph);
      expected ??= await expectedNumbers(files, settings, threads, { dynamic, embedder });
      opened = await openEdited(attempt.form, expected.vocab, { path, edited }, { files, settings, threads, embedder });
      const taken = judge(
        await difference(opened, expected),
        expected,
        { shared: dynamic && share, half },
        opened.window,
      );
      const rounding = half ? ROUNDING.half : ROUNDING.float32;
      const limit = Math.max(rounding, Math.min(MOST_NOISE, 3 * (expected.noise?.largest ?? 0)));
      const check = { numbers: expected.numbers, limit };
      return { session: opened, remarks: [...new Set([...remarks, ...taken])], dynamic, half, check };
    } catch (error) {
      await opened?.close();
      remarks.push(`no ${attempt.name} passes: ${(error as Error).message}`);
    }
  }
  return { session: null, remarks: [...new Set(remarks)], dynamic, half };
}

/** Distances up to which rounding explains them, in nats: float32, float16 weights. */
const ROUNDING = { float32: 5e-3, half: 0.2 };
/** Noise of a graph above which nothing can be told from it, in nats. */
const MOST_NOISE = 4;

/**
 * Whether the numbers of an edited graph are those of the untouched one: remarks where they are, NoEdit where not. A graph that
 * rounds activations to 8 bits gives other numbers for one text in each shape of pass; it is held against that noise.
 * `window`: of the layers that slide, by config.json, which counts beyond it.
 */
function judge(
  { near, far }: { near: Distances; far: Distances | null },
  { noise, long }: Expected,
  { shared, half }: { shared: boolean; half: boolean },
  window: number | null,
): string[] {
  const limit = half ? ROUNDING.half : ROUNDING.float32;
  const isNoise = (of: Distances | null): of is Distances =>
    of !== null && of.largest > limit && of.largest <= MOST_NOISE;
  // False of NaN too. Where sharing itself moves the numbers only their mean can say whether the right ones are meant.
  const equal = ({ mean, largest }: Distances, rounding: Distances | null) =>
    shared
      ? mean <= 1
      : largest <= limit || (isNoise(rounding) && largest <= 3 * rounding.largest && mean <= 3 * rounding.mean);
  const remarks: string[] = [];
  for (const distances of [near, far]) {
    if (distances === null || equal(distances, distances === far ? (long?.noise ?? null) : noise)) continue;
    const off = shared ? distances.mean : distances.largest;
    if (distances !== far || window === null) throw new NoEdit(`log-probabilities are ${off.toPrecision(2)} off`);
    remarks.push(
      `config.json has attention slide over ${window} tokens and the graph does otherwise: beyond ${window} tokens config.json holds, and engine.mode naive gives other numbers`,
    );
  }
  if (isNoise(noise))
    remarks.push(
      `activations are rounded: two plain passes of one text are up to ${noise.largest.toPrecision(2)} nats a token apart (mean ${noise.mean.toPrecision(2)}), shared ones ${near.largest.toPrecision(2)} (mean ${near.mean.toPrecision(2)})`,
    );
  return remarks;
}

const usesHalf = (graph: OnnxGraph) => [...graph.initializers.values()].some((tensor) => tensor.type === 10);

const ALONE: Attempt = { form: 'alone', name: 'alone', edit: (graph) => editHead(graph, false) };

/** Of a graph without a cache; the last where tokens behind a token move its numbers. */
const WITHOUT_CACHE: Attempt[] = [
  { form: 'whole', name: 'streamlined whole', edit: (graph) => editHead(graph, true) },
  { form: 'whole', name: 'whole', edit: (graph) => editHead(graph, false) },
  ALONE,
];

/**
 * The sets of edits to try, the best form first, and why there are no better ones. `alone`: nothing may be shared. Each throws an
 * Error, mostly NoEdit, for a graph that does not take it.
 */
export function attemptsOn(
  graph: OnnxGraph,
  files: GraphFiles,
  alone: boolean,
): { tried: Attempt[]; remarks: string[] } {
  const cached = graph.inputs.some((input) => input.name.startsWith('past'));
  const factors = 'rotary factors change with the longest position (longrope): ';
  if (longRope(files.textConfig) !== null) {
    // A graph without a cache need not show where its positions come from.
    if (!cached) return { tried: [ALONE], remarks: [`${factors}no pass tells of a shorter input`] };
    if (switchesRotary(graph)) return { tried: [], remarks: [`${factors}no pass goes on from another`] };
  }
  if (alone) return { tried: [ALONE], remarks: [] };
  if (cached) return { tried: cachedAttempts(files), remarks: [] };
  return { tried: WITHOUT_CACHE, remarks: ['the graph has no cache: no pass goes on from another'] };
}

/** Of a graph with a cache. */
function cachedAttempts(files: GraphFiles): Attempt[] {
  const head = (graph: OnnxGraph) => editHead(graph, true);
  const mask = (graph: OnnxGraph) => {
    const sizes = attentionSizes(graph, files);
    const grouped = graph.nodes.some((node) => node.op === 'GroupQueryAttention');
    if (grouped) writeOutGroupQueryAttention(graph, sizes);
    else {
      exposePositions(graph);
      editMask(graph, sizes);
    }
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
  const window = inputs.some((input) => input.name === EDITED.windowed)
    ? (slidingLayers(files.textConfig, pastInputs.length / 2)?.window ?? null)
    : null;

  return {
    form,
    bytesPerToken: past.bytesPerToken,
    vocab,
    window,
    async pass(order) {
      const { sequences, select, pairs, keep, widest = sequences.length } = order;
      const seen = past.lengthOf(order.past);
      const tensors = past.tensorsOf(order.past, sequences.length, widest);
      const feeds = await feedsOf(order, { inputs, embedder, window, seen, past: tensors });
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
