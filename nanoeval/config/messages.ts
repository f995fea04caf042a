/** How errors speak: values as they are shown, keys with their dots, the word that was meant. */
import { closest, distance } from 'fastest-levenshtein';

export type Path = readonly PropertyKey[];

/** A path and all that it lies in, the innermost first. */
export const ancestors = (path: Path): Path[] => path.map((_, i) => path.slice(0, path.length - i));

/** `tasks[0].model.dtype`. A key that would break the line, or is longer than 60 characters, is shown as a value is. */
export function dotted(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    const name = String(part);
    const shown = name.length > 60 || UNPRINTABLE.test(name) ? show(name) : name;
    return text === '' ? shown : `${text}.${shown}`;
  }, '');
}

/** Line ends and other characters that do not stay in their place. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029]/u;

/**
 * The nearest allowed word, when it is near enough to be a slip of the pen: a third of the letters, or letters in
 * another order. In a word of up to three letters another letter is another word (`gpu` is not `cpu`).
 */
export function nearest(word: string, allowed: readonly string[]): string | null {
  if (allowed.length === 0) return null;
  const lower = word.toLowerCase();
  const lowered = allowed.map((other) => other.toLowerCase());
  const letters = (text: string) => [...text].sort().join('');
  const swapped = lowered.find((other) => letters(other) === letters(lower) && distance(lower, other) <= 2);
  const best = swapped ?? closest(lower, lowered);
  const isOther = word.length <= 3 && best.length === word.length && best !== lower;
  const isSlip =
    swapped !== undefined || (!isOther && distance(lower, best) <= Math.max(1, Math.floor(word.length / 3)));
  return isSlip ? (allowed[lowered.indexOf(best)] ?? null) : null;
}

/** A value as it is shown in a message: JSON, cut at 60 characters. */
export function show(value: unknown): string {
  const json = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  const text = json.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
