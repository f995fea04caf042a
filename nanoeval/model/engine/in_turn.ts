/** Items that share nothing: each by itself on whichever lane is free, answers in the order of the items. */
import type { Lane } from './lane.ts';

/**
 * Gives what `work` makes of each item that is not `done`. When the source fails, an item fails or `signal` is aborted,
 * nothing more starts; what is under way and comes to an end is given, and then the reason is thrown.
 */
export async function* inTurn<I extends { done?: boolean }, A>(
  items: AsyncIterable<I>,
  work: (item: I, lane: Lane) => Promise<A>,
  lanes: readonly Lane[],
  signal: AbortSignal,
): AsyncGenerator<A> {
  const underWay: { lane: Lane; answer: Promise<A> }[] = [];
  const settle = async () => {
    const { lane, answer } = underWay.shift()!;
    lane.busy -= 1;
    return answer;
  };
  try {
    for await (const item of items) {
      if (item.done) continue;
      while (underWay.length >= lanes.reduce((sum, lane) => sum + lane.ahead, 0)) yield await settle();
      signal.throwIfAborted();
      const lane = lanes.reduce((least, other) => (other.busy < least.busy ? other : least));
      lane.busy += 1;
      const answer = work(item, lane);
      answer.catch(() => undefined);
      underWay.push({ lane, answer });
      await new Promise(setImmediate);
    }
    while (underWay.length > 0) yield await settle();
  } catch (error) {
    while (underWay.length > 0) {
      const [ended] = await Promise.allSettled([settle()]);
      if (ended.status === 'fulfilled') yield ended.value;
    }
    throw error;
  } finally {
    await Promise.allSettled(underWay.map(({ answer }) => answer));
    for (const { lane } of underWay) lane.busy -= 1;
  }
}
