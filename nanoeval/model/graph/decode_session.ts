/** A decoder whose graph was edited for decoding, as a session that takes many answers a token further at once. */
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { ModelSettings } from '../../config/keys.ts';
import { attentionSizes, fuseRotary } from './attention.ts';
import { DECODE, editDecode } from './decode_graph.ts';
import { EDITED, editHead, NoEdit } from './edit.ts';
import type { Embedder } from './embeddings.ts';
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
  runGraph,
} from './session.ts';
import { type SlotInput, Slots, type Snapshot } from './slots.ts';

/** The next token of a sequence, and what was asked of its place. */
export interface Said {
  /** The most likely one. */
  token: number;
  /** Of each watched token. */
  logprobs: number[];
}

export interface DecodeSession {
  bytesPerToken: number;
  /** Tokens of each answer under way, by slot. */
  readonly lengths: readonly number[];
  /**
   * Runs `ids` after the cache `past` (null: from the start) in the slot behind the last one. The answer begins there unless
   * `keep` is a number: then what was computed is kept under it and the slot is free again. `room`: tokens that the
   * answer may come to, prompt included.
   */
  begin(order: {
    past: number | null;
    ids: readonly number[];
    keep: number | null;
    room: number;
    watched: readonly number[];
  }): Promise<Said>;
  /** Takes every answer a token further: `tokens[i]` is the last one of slot i. */
  step(tokens: readonly number[], watched: readonly (readonly number[])[]): Promise<Said[]>;
  /** Ends the answer of a slot; the last one moves there. */
  leave(slot: number): void;
  free(caches: readonly number[]): void;
  close(): Promise<void>;
}

/** Opens it. Throws NoEdit for a graph that does not take the edit, and what `openSession` throws. */
export async function openDecodeSession(
  files: GraphFiles,
  settings: ModelSettings,
  threads: number | undefined,
  embedder: Embedder | null,
): Promise<DecodeSession> {
  const path = files.graphs.decoder;
  const graph = readNamed(path);
  const sizes = attentionSizes(graph, files);
  editHead(graph, true);
  editDecode(graph, sizes);
  fuseRotary(graph, sizes);
  const session = await openSession(
    {
      path,
      edited: writeGraph(graph),
      options: { enableMemPattern: false },
      entries: { set_denormal_as_zero: '1' },
    },
    settings,
    threads,
  );
  const inputs = describe(session.inputMetadata);
  const known = ['input_ids', 'inputs_embeds', 'position_ids', 'use_cache_branch', ...KEPT_LOGITS];
  const own: string[] = [EDITED.select, EDITED.pairs, DECODE.lengths, DECODE.longest];
  const other = inputs.find(({ name }) => ![...known, ...own].includes(name) && !name.startsWith('past'));
  if (other !== undefined || inputs.some(({ name, dims }) => name === 'position_ids' && dims.length === 3)) {
    await session.release();
    throw new NoEdit(`the graph has an input "${other?.name ?? 'position_ids of three sections'}"`);
  }
  return new Decoding(session, inputs, files, embedder);
}

class Decoding implements DecodeSession {
  readonly lengths: number[] = [];
  readonly #session: InferenceSession;
  readonly #inputs: readonly GraphInput[];
  readonly #path: string;
  readonly #embedder: Embedder | null;
  readonly #slots: Slots;
  readonly #caches = new Map<number, Snapshot>();

  constructor(session: InferenceSession, inputs: readonly GraphInput[], files: GraphFiles, embedder: Embedder | null) {
    this.#session = session;
    this.#inputs = inputs.filter(({ name }) => !name.startsWith('past'));
    this.#path = files.graphs.decoder;
    this.#embedder = embedder;
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

  async begin({ past, ids, keep, room, watched }: Parameters<DecodeSession['begin']>[0]): Promise<Said> {
    const cache = past === null ? null : this.#caches.get(past);
    if (cache === undefined) throw new Error(`no cache ${past}`);
    const seen = cache?.length ?? 0;
    const slot = this.lengths.length;
    this.#slots.reserve(slot + 1, Math.max(room, seen + ids.length), this.lengths);
    if (cache !== null) this.#slots.load(slot, cache);
    const [said] = await this.#run(slot, [ids], [seen], [watched]);
    if (keep === null) this.lengths.push(seen + ids.length);
    else this.#caches.set(keep, this.#slots.snapshot(slot, seen + ids.length));
    return said!;
  }

  async step(tokens: readonly number[], watched: readonly (readonly number[])[]): Promise<Said[]> {
    if (tokens.length !== this.lengths.length)
      throw new RangeError(`${tokens.length} tokens for ${this.lengths.length} answers`);
    this.#slots.reserve(tokens.length, Math.max(...this.lengths) + 1, this.lengths);
    const said = await this.#run(
      0,
      tokens.map((token) => [token]),
      this.lengths,
      watched,
    );
    for (const slot of this.lengths.keys()) this.lengths[slot]! += 1;
    return said;
  }

  leave(slot: number): void {
    const last = this.lengths.length - 1;
    this.#slots.move(last, slot, this.lengths[last]!);
    this.lengths[slot] = this.lengths[last]!;
    this.lengths.pop();
  }

  free(caches: readonly number[]): void {
    for (const id of caches) this.#caches.delete(id);
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  /** A pass over the slots from `first` on: rows of one length each, `seen` tokens before each. */
  async #run(
    first: number,
    rows: readonly (readonly number[])[],
    seen: readonly number[],
    watched: readonly (readonly number[])[],
  ): Promise<Said[]> {
    const [count, length] = [rows.length, rows[0]!.length];
    const ids = Int32Array.from(rows.flat());
    const dims = [count, length];
    const pairs = watched.flatMap((tokens, row) => tokens.flatMap((token) => [0, row, token]));
    const positions = seen.flatMap((from) => Array.from({ length }, (_, i) => from + i));
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
      else if (name === EDITED.select)
        feeds[name] = int64(
          rows.flatMap((_, row) => [row, length - 1]),
          [count, 2],
        );
      else if (name === EDITED.pairs) feeds[name] = int64(pairs, [pairs.length / 3, 3]);
      else if (name === 'use_cache_branch') feeds[name] = integers([1], [1], 'bool');
      else feeds[name] = allLogits({ name, type, dims: declared });
    }
    const fetches: Record<string, Tensor | null> = { [EDITED.logprob]: null, [EDITED.best]: null };
    for (const [name, tensor] of this.#slots.tensors(first, count)) {
      feeds[name] = tensor;
      // The same memory: what is new is written behind what is there.
      fetches[name.replace(/^past_key_values/, 'present')] = tensor;
    }
    const results = await runGraph(this.#session, feeds, fetches, this.#path);
    const best = Array.from((results[EDITED.best] as Tensor).data as BigInt64Array, Number);
    const logprobs = pairs.length === 0 ? [] : Array.from((results[EDITED.logprob] as Tensor).data as Float32Array);
    let at = 0;
    return best.map((token, row) => {
      const own = logprobs.slice(at, at + watched[row]!.length);
      at += watched[row]!.length;
      return { token, logprobs: own };
    });
  }
}
