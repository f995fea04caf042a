/** A copy of a checkpoint with Gaussian noise on its weights: what a bad conversion or a broken training step leaves. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ELEMENT, readGraph } from '../nanoeval/model/graph/onnx_graph.ts';
import { randomFrom } from './fuzz/changed.ts';

/**
 * Copies the folder `from` to `to` and adds noise to every large float32 weight of `graph` (a path inside): of the standard
 * deviation of the weight itself, times `share`. The same `seed` gives the same noise. Returns how many numbers were changed.
 */
export function addNoise(from: string, to: string, graph: string, share: number, seed = 1): number {
  cpSync(from, to, { recursive: true });
  const path = join(to, graph);
  const { initializers } = readGraph(path);
  const bytes = readFileSync(path);
  const random = randomFrom(seed);
  let count = 0;
  for (const { type, stored, dims } of initializers.values()) {
    if (type !== ELEMENT.float32 || stored === null || dims.length < 2) continue;
    const values = new Float32Array(stored.length / 4);
    for (let i = 0; i < values.length; i += 1) values[i] = bytes.readFloatLE(stored.offset + 4 * i);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    for (const [i, value] of values.entries()) {
      // Box and Muller's normal numbers.
      const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
      bytes.writeFloatLE(value + share * deviation * normal, stored.offset + 4 * i);
    }
    count += values.length;
  }
  writeFileSync(path, bytes);
  return count;
}
