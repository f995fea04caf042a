/** Files with some bytes changed, each from a number, so that no damaged file lies anywhere. */

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A copy with one to four changed bytes among the first `within`; every tenth is cut short as well. */
export function changed(whole: Uint8Array, seed: number, within = whole.byteLength): Buffer {
  const random = randomFrom(seed);
  const bytes = Buffer.from(whole);
  for (let left = 1 + Math.floor(random() * 4); left > 0; left--)
    bytes[Math.floor(random() * within)] = Math.floor(random() * 256);
  return seed % 10 === 9 ? bytes.subarray(0, Math.floor(random() * bytes.byteLength)) : bytes;
}
