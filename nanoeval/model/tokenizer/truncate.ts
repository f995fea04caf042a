/** Texts cut to a window with their special tokens (`tokenizers/src/utils/truncation.rs`, `longest_first`). */

/**
 * How many tokens of one text, or of two, are kept where `room` is left for them: the longer one gives first, and where both
 * are too long each has half, the longer one (the second of equals) the odd token.
 */
export function keptLengths(lengths: readonly number[], room: number): number[] {
  const [first = 0, second] = lengths;
  if (second === undefined) return [Math.min(first, room)];
  const [short, long] = [Math.min(first, second), Math.max(first, second)];
  if (short + long <= room) return [first, second];
  let kept = [short, short > room ? short : Math.max(short, room - short)] as [number, number];
  if (kept[0] + kept[1] > room) kept = [Math.floor(room / 2), Math.floor(room / 2) + (room % 2)];
  return first > second ? [kept[1], kept[0]] : kept;
}

/** The first tokens of a text, or the last ones where the tokenizer's `truncation_side` is `left`. */
export function cutTo(ids: readonly number[], length: number, side: 'left' | 'right'): readonly number[] {
  return side === 'right' ? ids.slice(0, length) : ids.slice(ids.length - length);
}
