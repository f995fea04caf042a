/** Unigram language model segmentation as the Rust library does it (`tokenizers/src/models/unigram/model.rs`). */
import { UserError } from '../../types.ts';
import { type Model, remembering } from './bpe.ts';
import { byteTokens } from './bytes.ts';
import type { Part } from './normalizer.ts';

/** What an unknown character costs below the worst token (SentencePiece's `kUnkPenalty`). */
const UNKNOWN_PENALTY = 10;

/** A node of the vocabulary's trie. `id`: of the token that ends here, or -1. */
interface Node {
  id: number;
  next: Map<number, Node>;
}

/** The model of tokenizer.json's `model`: `vocab` is a list of [token, log probability]. Throws UserError. */
export function openUnigram(config: Part, where: string): Model {
  const vocab = config.vocab as [string, number][];
  const unknown = typeof config.unk_id === 'number' ? config.unk_id : undefined;
  if (unknown !== undefined && unknown >= vocab.length) {
    throw new UserError(`${where}: unk_id is ${unknown}, and the vocabulary has ${vocab.length} tokens.`);
  }
  const ids = new Map(vocab.map(([token], id) => [token, id]));
  const scores = vocab.map(([, score]) => score);
  const unknownScore =
    scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;
  const root = trie(ids);

  function idsOf(token: string): number[] {
    const id = ids.get(token);
    if (id !== undefined) return [id];
    const bytes = config.byte_fallback ? byteTokens(token).map((byte) => ids.get(byte)) : [undefined];
    if (bytes.every((byte) => byte !== undefined)) return bytes;
    return [unknown!];
  }

  return {
    encode: remembering((piece) => bestPath(piece, root, scores, unknown, unknownScore, where).flatMap(idsOf)),
    idOf: (token) => ids.get(token),
    tokenOf: (id) => vocab[id]?.[0],
    size: vocab.length,
  };
}

function trie(ids: ReadonlyMap<string, number>): Node {
  const root: Node = { id: -1, next: new Map() };
  for (const [token, id] of ids) {
    let node = root;
    for (const char of token) {
      const code = char.codePointAt(0)!;
      let next = node.next.get(code);
      if (next === undefined) {
        next = { id: -1, next: new Map() };
        node.next.set(code, next);
      }
      node = next;
    }
    node.id = id;
  }
  return root;
}

/** The tokens of the most probable segmentation; unknown characters in a row are one. */
function bestPath(
  piece: string,
  root: Node,
  scores: readonly number[],
  unknown: number | undefined,
  unknownScore: number,
  where: string,
): string[] {
  const size = piece.length;
  const best = new Float64Array(size + 1);
  const from = new Int32Array(size + 1).fill(-1);
  const by = new Int32Array(size + 1);
  const reach = (end: number, start: number, id: number, score: number) => {
    if (from[end] !== -1 && score <= best[end]!) return;
    best[end] = score;
    from[end] = start;
    by[end] = id;
  };
  for (let start = 0; start < size; ) {
    const width = piece.codePointAt(start)! > 0xffff ? 2 : 1;
    let single = false;
    let node = root.next.get(piece.codePointAt(start)!);
    for (let end = start + width; node !== undefined; ) {
      if (node.id >= 0) {
        reach(end, start, node.id, scores[node.id]! + best[start]!);
        if (end === start + width) single = true;
      }
      const code = piece.codePointAt(end);
      if (code === undefined) break;
      node = node.next.get(code);
      end += code > 0xffff ? 2 : 1;
    }
    if (!single) {
      if (unknown === undefined) {
        throw new UserError(
          `${where}: ${JSON.stringify(piece.slice(start, start + width))} is in no token, and there is no unk_id.`,
        );
      }
      reach(start + width, start, unknown, unknownScore + best[start]!);
    }
    start += width;
  }
  const tokens: string[] = [];
  let fused = '';
  for (let end = size; end > 0; end = from[end]!) {
    const token = piece.slice(from[end]!, end);
    if (by[end] === unknown) {
      fused = token + fused;
      continue;
    }
    if (fused !== '') tokens.push(fused);
    fused = '';
    tokens.push(token);
  }
  if (fused !== '') tokens.push(fused);
  return tokens.reverse();
}
