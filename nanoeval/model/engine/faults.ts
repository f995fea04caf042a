/** What may be wrong with one row alone: a token that the graph does not know, or no memory for it. */
import { OutsideError, RowError } from '../../types.ts';
import type { Lane } from './lane.ts';
import { WorkerGone } from './workers.ts';

/** Throws RowError `tokens` for a target beyond the graph's logits; `vocab` null: their number is not known. */
export function checkTargets(targets: readonly number[], vocab: number | null): void {
  const beyond = vocab === null ? undefined : targets.find((target) => target >= vocab);
  if (beyond !== undefined) throw new RowError('tokens', `token ${beyond} is beyond the ${vocab} logits of the graph.`);
}

/** The process was killed or crashed, or an allocation failed; onnxruntime's words for it differ by allocator. */
export function isMemory(error: unknown): error is Error {
  if (error instanceof WorkerGone) return true;
  return error instanceof OutsideError && /alloc|out of memory/i.test(error.message);
}

/** The error of a row, where it is one: its own, or no memory for it even alone. Any other is thrown. */
export async function rowError(error: unknown, lane: Lane): Promise<RowError> {
  if (error instanceof RowError) return error;
  if (!isMemory(error)) throw error;
  await lane.recover(error);
  return new RowError('memory', `out of memory: ${error.message}`, { cause: error });
}
