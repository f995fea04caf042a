/** Files and parsed JSON with some of them changed, each from a number, so that no damaged file lies anywhere. */

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

const VALUES = [null, 1, -1, 1.5, 'x', '', [], {}, true, [1], { type: 'x' }];

/** Every place of a value, some deep. */
function places(value: unknown, depth = 0): [Record<string, unknown>, string][] {
  if (typeof value !== 'object' || value === null || depth > 6) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder)
    .slice(0, 12)
    .flatMap((key) => [[holder, key] as [Record<string, unknown>, string], ...places(holder[key], depth + 1)]);
}

/** Parsed JSON of which one part is another of the `values`, or is gone. */
export function editedJson(whole: object, random: () => number, values: readonly unknown[] = VALUES): object {
  const json = structuredClone(whole);
  const all = places(json);
  const [holder, key] = all[Math.floor(random() * all.length)]!;
  const at = Math.floor(random() * (values.length + 1));
  if (at === values.length) delete holder[key];
  else holder[key] = values[at];
  return json;
}
