/** Whether a decode session gives the numbers of the untouched graph: answers of unlike length side by side, some of which end. */

import type { DecodeSession } from './decode_session.ts';
import { NoEdit } from './edit.ts';
import { BRANCHES, type Distances, distances, type Expected, STEM } from './self_check.ts';

/** Where the caches of the check are kept, apart from all others. */
const STEM_CACHE = -1;

/**
 * Distances to the expected numbers. The stem is a cache; each branch goes on from it as an answer, its tokens one by one, so
 * that three answers of unlike length run side by side and two of them end before the last.
 */
export async function decodeDifference(
  session: DecodeSession,
  { numbers }: Pick<Expected, 'numbers'>,
): Promise<Distances> {
  const found: number[][] = BRANCHES.map(() => []);
  const tokens = STEM.length + Math.max(...BRANCHES.map((branch) => branch.length));
  const room = { tokens, slots: BRANCHES.length };
  const firsts = BRANCHES.map((branch) => branch[0]!);
  const stem = await session.begin({ past: null, ids: STEM, keep: STEM_CACHE, room, wish: { watched: firsts } });
  for (const [b, logprob] of stem.logprobs.entries()) found[b]!.push(logprob);
  /** The branch and the place in it of the answer in each slot. */
  const under: { branch: number; at: number }[] = [];
  for (const [branch, ids] of BRANCHES.entries()) {
    const order = { past: STEM_CACHE, ids: ids.slice(0, 1), keep: null, room, wish: { watched: ids.slice(1, 2) } };
    found[branch]!.push(...(await session.begin(order)).logprobs);
    under.push({ branch, at: 1 });
  }
  while (under.length > 0) {
    for (let slot = under.length - 1; slot >= 0; slot -= 1) {
      const { branch, at } = under[slot]!;
      if (at + 1 < BRANCHES[branch]!.length) continue;
      session.leave(slot);
      const last = under.pop()!;
      if (slot < under.length) under[slot] = last;
    }
    if (under.length === 0) break;
    const tokens = under.map(({ branch, at }) => BRANCHES[branch]![at]!);
    const wishes = under.map(({ branch, at }) => ({ watched: [BRANCHES[branch]![at + 1]!] }));
    const said = await session.step(tokens, wishes);
    for (const [slot, { logprobs }] of said.entries()) {
      found[under[slot]!.branch]!.push(...logprobs);
      under[slot]!.at += 1;
    }
  }
  session.free([STEM_CACHE]);
  return distances(found.flat(), numbers);
}

/** Throws NoEdit where the distances are more than rounding explains: `limit` nats a token. */
export function judgeDecode({ largest }: Distances, limit: number): void {
  // Also true of NaN.
  if (!(largest <= limit)) throw new NoEdit(`log-probabilities are ${largest.toPrecision(2)} off`);
}
