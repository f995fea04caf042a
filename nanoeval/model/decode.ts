/** Ends of a greedy answer: end-of-sequence tokens and stop texts, as lm-eval's `generate_until` (HF backend). */

/** The part of `text` before the first stop; each stop is applied in turn, as the harness does. */
export function cutAtStops(text: string, until: readonly string[]): string {
  let kept = text;
  for (const stop of until) {
    if (stop === '') continue;
    const at = kept.indexOf(stop);
    if (at >= 0) kept = kept.slice(0, at);
  }
  return kept;
}

/** Whether one of the stops stands in the text. */
export function hasStop(text: string, until: readonly string[]): boolean {
  return until.some((stop) => stop !== '' && text.includes(stop));
}
