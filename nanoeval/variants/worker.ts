/** The program of the process that measures one variant: alone first, so that its memory is its own, then with the reference. */
import { setPriority } from 'node:os';
import { plainError } from '../model/engine/crossing.ts';
import { openDecoder } from '../model/graph/onnx.ts';
import { compareLogits, peakMemory, timePasses } from './passes.ts';
import type { Job, Report } from './workers.ts';

// The parent has little to do and should do it at once.
setPriority(5);

const tell = (report: Report) => process.send?.(report, () => undefined);

async function work({ variant, reference, windows, threads, limit }: Job): Promise<void> {
  const base = peakMemory();
  const started = performance.now();
  const decoder = await openDecoder(variant.files, variant.settings, threads);
  const load = (performance.now() - started) / 1000;
  const passes = reference === null ? 1 : 2;
  const done = (before: number) => (count: number) =>
    tell({ kind: 'progress', done: before + count, total: passes * windows.length });
  const timing = await timePasses(decoder, windows, done(0));
  tell({
    kind: 'cost',
    cost: { load_seconds: load, pass: timing, peak_rss: peakMemory(), peak_rss_before_load: base },
  });
  if (reference !== null) {
    const other = await openDecoder(reference.files, reference.settings, threads);
    const apart = await compareLogits(other, decoder, windows, limit, done(windows.length));
    tell({ kind: 'apart', apart });
    await other.close();
  }
  await decoder.close();
}

// Ctrl-C and a closed terminal reach the whole group; when to stop is the parent's to say.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => undefined);
process.on('disconnect', () => process.exit(0));
process.once('message', async (job: Job) => {
  try {
    await work(job);
    tell({ kind: 'end' });
  } catch (error) {
    tell({ kind: 'error', error: plainError(error) });
  }
});
