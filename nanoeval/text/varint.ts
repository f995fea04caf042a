/** Whole numbers as few bytes, and those as base64: token ids in files that are to stay small. Runs in browsers too. */

/** Little-endian base 128 (LEB128), seven bits a byte, as base64. Throws RangeError for what is no whole number from 0 to 2^32 - 1. */
export function packNumbers(numbers: readonly number[]): string {
  const bytes: number[] = [];
  for (const number of numbers) {
    if (number >>> 0 !== number) throw new RangeError(`${number} is no whole number from 0 to 2^32 - 1`);
    let rest = number;
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
    bytes.push(rest);
  }
  let letters = '';
  // More arguments than this are too many for some engines.
  for (let at = 0; at < bytes.length; at += 8192) letters += String.fromCharCode(...bytes.slice(at, at + 8192));
  return btoa(letters);
}

/** The numbers of `packNumbers`. Throws RangeError where the text ends within a number. */
export function unpackNumbers(packed: string): number[] {
  const letters = atob(packed);
  const numbers: number[] = [];
  let [number, weight] = [0, 1];
  for (let at = 0; at < letters.length; at += 1) {
    const byte = letters.charCodeAt(at);
    number += (byte % 128) * weight;
    weight *= 128;
    if (byte >= 128) continue;
    numbers.push(number);
    [number, weight] = [0, 1];
  }
  if (weight > 1) throw new RangeError('the packed numbers end within one');
  return numbers;
}
