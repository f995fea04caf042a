/** Plain forward passes of untouched graphs over the same windows: how fast one is, and how far two are apart. */
import { readFileSync } from 'node:fs';
import type { Decoder, Step } from '../model/graph/onnx.ts';
import { comparePosition, type Divergence, DivergenceTally } from '../score/divergence.ts';
import { OutsideError } from '../types.ts';
import type { TokenWindow } from './windows.ts';

/** Called after each window with how many are done. */
type Told = (done: number) => void;

/** What the passes over all windows took. */
export interface Timing {
  /** Tokens fed, and seconds of their passes alone. */
  tokens: number;
  seconds: number;
}

/** Gives the memory of logits that nobody holds any more back, where the process was started with `--expose-gc`. */
async function collect(): Promise<void> {
  (globalThis as { gc?: () => void }).gc?.();
  // What onnxruntime lent is let go after the collection, by a task of its own.
  await new Promise(setImmediate);
}

/** One pass a window, after one of the first window that is not counted: it maps the weights and grows the arena. */
export async function timePasses(decoder: Decoder, windows: readonly TokenWindow[], told: Told): Promise<Timing> {
  const timing = { tokens: 0, seconds: 0 };
  await decoder.forward(windows[0]!.input, null, false);
  for (const [i, { input }] of windows.entries()) {
    await collect();
    const started = performance.now();
    await decoder.forward(input, null, false);
    timing.seconds += (performance.now() - started) / 1000;
    timing.tokens += input.length;
    told(i + 1);
  }
  return timing;
}

/** The first position that shows that a variant is broken. */
export interface BrokenPosition {
  /** Row of the data set, and place of the token among the text's. */
  row: number;
  token: number;
  /** null: a number that is not finite. */
  kl: number | null;
  /** The most likely tokens; null where numbers are not finite. */
  top: { reference: number; variant: number } | null;
}

/** How far two models are apart. */
export interface Apart extends Divergence {
  /** First position with a number that is not finite, else the first whose KL is above the limit; null where none is. */
  first: BrokenPosition | null;
}

/**
 * Both models over the same windows, every target compared over the whole vocabulary. Two windows' logits are held at a time:
 * [tokens, vocab] float32 of each. Throws OutsideError where the two have vocabularies of different sizes.
 */
export async function compareLogits(
  reference: Decoder,
  variant: Decoder,
  windows: readonly TokenWindow[],
  limit: number,
  told: Told,
): Promise<Apart> {
  const tally = new DivergenceTally();
  let [broken, far]: (BrokenPosition | null)[] = [null, null];
  for (const [i, { row, start, input, targets }] of windows.entries()) {
    const [a, b] = [await reference.forward(input, null, false), await variant.forward(input, null, false)];
    if (a.vocab !== b.vocab)
      throw new OutsideError(
        `the reference has ${a.vocab} logits a token and the variant ${b.vocab}: their distributions cannot be compared.`,
      );
    for (const [k, target] of targets.entries()) {
      const at = input.length - targets.length + k;
      const position = comparePosition(rowOf(a, at), rowOf(b, at), target);
      tally.add(position);
      const where = { row, token: start + k };
      if (position === null) broken ??= { ...where, kl: null, top: null };
      else if (position.kl > limit) far ??= { ...where, kl: position.kl, top: position.top };
    }
    await collect();
    told(i + 1);
  }
  return { ...tally.result(), first: broken ?? far ?? null };
}

const rowOf = ({ logits, vocab }: Step, row: number) => logits.subarray(row * vocab, (row + 1) * vocab);

/**
 * The most memory that this process has held, in bytes. Linux: VmHWM, which begins anew with the program; what `getrusage`
 * says there begins with the peak of the process that started it.
 */
export function peakMemory(): number {
  if (process.platform === 'linux') {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (found !== null) return 1024 * Number(found[1]);
  }
  return 1024 * process.resourceUsage().maxRSS;
}
