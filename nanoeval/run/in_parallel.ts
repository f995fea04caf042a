/** Slow work on a stream of things, several at a time. */

/**
 * What `work` makes of each item, as it is known; with `inOrder` in the order of the items. At most `atOnce` are under way, and
 * with 1 an item is done before the next one is asked for. Where the stream throws (a run is interrupted), what is under way is
 * given first. An error of `work` ends it.
 */
export async function* inParallel<T, R>(
  items: AsyncIterable<T>,
  atOnce: number,
  work: (item: T) => Promise<R>,
  inOrder = false,
): AsyncGenerator<R> {
  type Step = { done: Promise<R>; result: R } | { item: IteratorResult<T> } | { error: unknown } | { broken: unknown };
  const source = items[Symbol.asyncIterator]();
  const under: { done: Promise<R>; step: Promise<Step> }[] = [];
  let next: Promise<Step> | null = null;
  let ended = false;
  let failure: { broken: unknown } | null = null;
  const asStep = (error: unknown): Step => ({ error });
  try {
    while (!ended || under.length > 0) {
      if (!ended && next === null && under.length < atOnce)
        next = source.next().then(
          (item) => ({ item }),
          (broken): Step => ({ broken }),
        );
      const first = inOrder ? under.slice(0, 1) : under;
      const waiting = [...first.map(({ step }) => step), ...(next === null || ended ? [] : [next])];
      const step = await Promise.race(waiting);
      if ('result' in step) {
        const place = under.findIndex(({ done }) => done === step.done);
        under.splice(place, 1);
        yield step.result;
      } else if ('error' in step) throw step.error;
      else if ('broken' in step) {
        ended = true;
        failure = step;
      } else if (step.item.done) ended = true;
      else {
        next = null;
        const done = work(step.item.value);
        under.push({ done, step: done.then((result) => ({ done, result }), asStep) });
      }
    }
  } finally {
    if (!ended) await source.return?.();
  }
  if (failure !== null) throw failure.broken;
}
