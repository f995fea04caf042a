/** A decoder whose graph was edited for decoding, as a session that takes many answers a token further at once. */
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import type { ModelSettings } from '../../config/keys.ts';
import type { Room } from '../engine/executor.ts';
import { attentionSizes, fuseRotary } from './attention.ts';
import { DECODE, editChoice, editDecode } from './decode_graph.ts';
import { EDITED, editHead, NoEdit } from './edit.ts';
import type { Embedder } from './embeddings.ts';
import { flattenHeads } from './flat_heads.ts';
import { readNamed } from './names.ts';
import { emptyTensor } from './onnx.ts';
import { writeGraph } from './onnx_graph.ts';
import {
  allLogits,
  describe,
  type GraphFiles,
  type GraphInput,
  int64,
  integers,
  KEPT_LOGITS,
  openSession,
  runInto,
} from './session.ts';
import { type SlotInput, Slots, type Snapshot } from './slots.ts';
import { fullGroups, groupsOf, TURNED, turnProducts } from './turned_products.ts';

/** What is wanted of a place. */
export interface Wish {
  /** Tokens whose log-probability is wanted. */
  watched: readonly number[];
  /** Of the distribution that all numbers are of; 1 without it. */
  temperature?: number;
  /** How many of the likeliest tokens are wanted; one without it. */
  count?: number;
  /** The log-probabilities of the whole vocabulary are wanted. */
  all?: boolean;
}

/** The next token of a sequence, and what was asked of its place; natural logs all. */
export interface Said {
  /** The most likely one. */
  token: number;
  /** Of each watched token. */
  logprobs: number[];
  /** The likeliest tokens, at least as many as asked for, and their log-probabilities, falling; null where one is enough. */
  likeliest: { tokens: readonly number[]; logprobs: Float32Array } | null;
  /** Of every token; null where nobody asked for it. */
  all: Float32Array | null;
}

export interface DecodeSession {
  bytesPerToken: number;
  /** Tokens of each answer under way, by slot. */
  readonly lengths: readonly number[];
  /**
   * Runs `ids` after the cache `past` (null: from the start) in the slot behind the last one. The answer begins there unless
   * `keep` is a number: then what was computed is kept under it and the slot is free again.
   */
  begin(order: {
    past: number | null;
    ids: readonly number[];
    keep: number | null;
    room: Room;
    wish: Wish;
  }): Promise<Said>;
  /** Takes every answer a token further: `tokens[i]` is the last one of slot i, `wishes[i]` what is wanted behind it. */
  step(tokens: readonly number[], wishes: readonly Wish[]): Promise<Said[]>;
  /** Ends the answer of a slot; the last one moves there. */
  leave(slot: number): void;
  free(caches: readonly number[]): void;
  close(): Promise<void>;
}

/** What a graph for answers is changed in beside its attention. */
export interface DecodeForm {
  /** Heads are not set apart around the attention. */
  flat?: boolean;
  /** Products read rows of weights: of so many columns at least where it is a number. */
  turned?: boolean | number;
}

/**
 * Opens it; `vocab`: the width of its logits. Throws NoEdit for a graph that does not take the edit, and what `openSession`
 * throws.
 */
export async function openDecodeSession(
  files: GraphFiles,
  settings: ModelSettings,
  threads: number | undefined,
  { embedder, vocab, flat = false, turned = false }: DecodeForm & { embedder: Embedder | null; vocab: number },
): Promise<DecodeSession> {
  const path = files.graphs.decoder;
  const graph = readNamed(path);
  const sizes = attentionSizes(graph, files);
  editHead(graph, true);
  editChoice(graph);
  editDecode(graph, sizes);
  fuseRotary(graph, sizes);
  if (flat && flattenHeads(graph) < sizes.layers) throw new NoEdit('heads are set apart in another way');
  if (turned !== false) turnProducts(graph, turned === true ? undefined : turned);
  const session = await withWholeScores(() =>
    openSession(
      {
        path,
        edited: writeGraph(graph),
        options: { enableMemPattern: false },
        entries: { set_denormal_as_zero: '1' },
      },
      settings,
      threads,
    ),
  );
  const inputs = describe(session.inputMetadata);
  const known = ['input_ids', 'inputs_embeds', 'position_ids', 'use_cache_branch', ...KEPT_LOGITS];
  const own: string[] = [EDITED.select, EDITED.pairs, ...Object.values(DECODE), ...Object.values(TURNED)];
  const other = inputs.find(({ name }) => ![...known, ...own].includes(name) && !name.startsWith('past'));
  if (other !== undefined || inputs.some(({ name, dims }) => name === 'position_ids' && dims.length === 3)) {
    await session.release();
    throw new NoEdit(`the graph has an input "${other?.name ?? 'position_ids of three sections'}"`);
  }
  return new Decoding(session, inputs, files, { embedder, vocab });
}

/** Read by onnxruntime when it makes a GroupQueryAttention. */
const NO_TILES = 'ORT_GQA_DISABLE_FLASH_ATTENTION';

/**
 * Opens a session whose attention computes the scores of a head whole, unless the user's environment says how. onnxruntime's
 * other way (1.30, 1.31), tile by tile, has a loop for single tokens that is compiled for SSE2: where the processor has AVX a
 * step of 16 answers behind 155 tokens spends 1.5 times as long in it.
 */
async function withWholeScores<T>(open: () => Promise<T>): Promise<T> {
  if (process.env[NO_TILES] !== undefined) return open();
  process.env[NO_TILES] = '1';
  try {
    return await open();
  } finally {
    delete process.env[NO_TILES];
  }
}

class Decoding implements DecodeSession {
  readonly lengths: number[] = [];
  readonly #session: InferenceSession;
  readonly #inputs: readonly GraphInput[];
  readonly #path: string;
  readonly #embedder: Embedder | null;
  readonly #vocab: number;
  readonly #slots: Slots;
  /** Products are computed with rows in groups. */
  readonly #turned: boolean;
  readonly #caches = new Map<number, Snapshot>();

  constructor(
    session: InferenceSession,
    inputs: readonly GraphInput[],
    files: GraphFiles,
    { embedder, vocab }: { embedder: Embedder | null; vocab: number },
  ) {
    this.#session = session;
    this.#inputs = inputs.filter(({ name }) => !name.startsWith('past'));
    this.#path = files.graphs.decoder;
    this.#embedder = embedder;
    this.#vocab = vocab;
    this.#turned = inputs.some(({ name }) => name === TURNED.groups);
    this.#slots = new Slots(
      inputs
        .filter(({ name }) => name.startsWith('past'))
        .map((input): SlotInput => {
          const { dims, type } = emptyTensor(input, files);
          return { name: input.name, heads: dims[1]!, size: dims[3]!, type: type as SlotInput['type'] };
        }),
    );
  }

  get bytesPerToken(): number {
    return this.#slots.bytesPerToken;
  }

  async begin({ past, ids, keep, room, wish }: Parameters<DecodeSession['begin']>[0]): Promise<Said> {
    const cache = past === null ? null : this.#caches.get(past);
    if (cache === undefined) throw new Error(`no cache ${past}`);
    const seen = cache?.length ?? 0;
    const slot = this.lengths.length;
    const tokens = Math.max(room.tokens, seen + ids.length);
    if (keep === null) this.#slots.fit(room.slots, tokens, this.lengths, room.most);
    else this.#slots.reserve(slot + 1, tokens, this.lengths, room.most);
    if (cache !== null) this.#slots.load(slot, cache);
    const [said] = await this.#run(slot, [ids], [seen], [wish]);
    if (keep === null) this.lengths.push(seen + ids.length);
    else {
      this.free([keep]);
      this.#caches.set(keep, this.#slots.snapshot(slot, seen + ids.length));
    }
    return said!;
  }

  async step(tokens: readonly number[], wishes: readonly Wish[]): Promise<Said[]> {
    if (tokens.length !== this.lengths.length)
      throw new RangeError(`${tokens.length} tokens for ${this.lengths.length} answers`);
    // Rows that fill the last group say nothing: they are texts of one token, in slots that are free.
    const fill = this.#turned ? fullGroups(tokens.length) - tokens.length : 0;
    this.#slots.reserve(tokens.length + fill, Math.max(...this.lengths) + 1, this.lengths);
    const filled = <T>(list: readonly T[], one: T) => [...list, ...Array.from({ length: fill }, () => one)];
    const rows = filled(tokens, 0).map((token) => [token]);
    const said = await this.#run(0, rows, filled(this.lengths, 0), filled(wishes, { watched: [] }));
    for (const slot of this.lengths.keys()) this.lengths[slot]! += 1;
    return said.slice(0, tokens.length);
  }

  leave(slot: number): void {
    const last = this.lengths.length - 1;
    this.#slots.move(last, slot, this.lengths[last]!);
    this.lengths[slot] = this.lengths[last]!;
    this.lengths.pop();
  }

  free(caches: readonly number[]): void {
    for (const id of caches) {
      const cache = this.#caches.get(id);
      if (cache !== undefined) this.#slots.release(cache);
      this.#caches.delete(id);
    }
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  /** A pass over the slots from `first` on: rows of one length each, `seen` tokens before each. */
  async #run(
    first: number,
    rows: readonly (readonly number[])[],
    seen: readonly number[],
    wishes: readonly Wish[],
  ): Promise<Said[]> {
    const feeds = await this.#feeds(rows, seen, wishes);
    const outputs = outputsFor(wishes, this.#vocab);
    for (const [name, tensor] of this.#slots.tensors(first, rows.length)) {
      feeds[name] = tensor;
      // The same memory: what is new is written behind what is there.
      outputs[name.replace(/^past_key_values/, 'present')] = tensor;
    }
    await runInto(this.#session, feeds, outputs, this.#path);
    return saidOf(outputs, wishes);
  }

  async #feeds(rows: readonly (readonly number[])[], seen: readonly number[], wishes: readonly Wish[]) {
    const [count, length] = [rows.length, rows[0]!.length];
    const ids = Int32Array.from(rows.flat());
    const dims = [count, length];
    const pairs = pairsOf(wishes);
    const positions = seen.flatMap((from) => Array.from({ length }, (_, i) => from + i));
    const sharpness = Float32Array.from(wishes, ({ temperature = 1 }) => 1 / temperature);
    const feeds: Record<string, Tensor> = {};
    for (const { name, type, dims: declared } of this.#inputs) {
      if (name === 'input_ids') feeds[name] = integers(ids, dims, type);
      else if (name === 'inputs_embeds') feeds[name] = await this.#embedder!.embed(ids, dims, type);
      else if (name === 'position_ids') feeds[name] = integers(positions, dims, type);
      else if (name === DECODE.lengths)
        feeds[name] = integers(
          seen.map((from) => from + length - 1),
          [count],
          'int32',
        );
      else if (name === DECODE.longest) feeds[name] = integers([Math.max(...seen) + length], [], 'int32');
      else if (name === DECODE.sharpness) feeds[name] = new Tensor('float32', sharpness, [count, 1]);
      else if (name === DECODE.count) feeds[name] = int64([mostOf(wishes)], [1]);
      else if (name === EDITED.select)
        feeds[name] = int64(
          rows.flatMap((_, row) => [row, length - 1]),
          [count, 2],
        );
      else if (name === TURNED.groups) feeds[name] = int64([...groupsOf(count * length), 0], [3]);
      else if (name === TURNED.shape) feeds[name] = int64([...dims, 0], [3]);
      else if (name === EDITED.pairs) feeds[name] = int64(pairs, [pairs.length / 3, 3]);
      else if (name === 'use_cache_branch') feeds[name] = integers([1], [1], 'bool');
      else feeds[name] = allLogits({ name, type, dims: declared });
    }
    return feeds;
  }
}

/** Rows and tokens whose log-probabilities are wanted; one at least, for memory of no size is none. */
function pairsOf(wishes: readonly Wish[]): number[] {
  const pairs = wishes.flatMap(({ watched }, row) => watched.flatMap((token) => [0, row, token]));
  return pairs.length === 0 ? [0, 0, 0] : pairs;
}

const mostOf = (wishes: readonly Wish[]) => Math.max(...wishes.map(({ count = 1 }) => count));

/** Memory for what a pass gives beside the caches. */
function outputsFor(wishes: readonly Wish[], vocab: number): Record<string, Tensor> {
  const [rows, pairs, count] = [wishes.length, pairsOf(wishes).length / 3, mostOf(wishes)];
  const floats = (dims: number[]) =>
    new Tensor('float32', new Float32Array(dims.reduce((size, dim) => size * dim, 1)), dims);
  const outputs: Record<string, Tensor> = {
    [EDITED.logprob]: floats([pairs]),
    [EDITED.best]: new Tensor('int64', new BigInt64Array(rows * count), [1, rows, count]),
  };
  if (count > 1) outputs[DECODE.top] = floats([1, rows, count]);
  if (wishes.some(({ all }) => all)) outputs[DECODE.all] = floats([1, rows, vocab]);
  return outputs;
}

/** What a pass gave, by row. */
function saidOf(outputs: Record<string, Tensor>, wishes: readonly Wish[]): Said[] {
  const numbers = (name: string) => (outputs[name]?.data ?? new Float32Array()) as Float32Array;
  const best = Array.from(outputs[EDITED.best]!.data as BigInt64Array, Number);
  const [logprobs, top, all] = [numbers(EDITED.logprob), numbers(DECODE.top), numbers(DECODE.all)];
  const [many, vocab] = [best.length / wishes.length, all.length / wishes.length];
  let at = 0;
  return wishes.map(({ watched }, row) => {
    const own = Array.from(logprobs.subarray(at, at + watched.length));
    at += watched.length;
    const [from, to] = [row * many, (row + 1) * many];
    return {
      token: best[from]!,
      logprobs: own,
      likeliest: many === 1 ? null : { tokens: best.slice(from, to), logprobs: top.subarray(from, to) },
      all: vocab === 0 ? null : all.subarray(row * vocab, (row + 1) * vocab),
    };
  });
}
