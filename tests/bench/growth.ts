/** How time and memory grow: with the length of a header that all rows share, and with the number of rows. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { GraphFiles } from '../../nanoeval/model/graph/session.ts';
import { distance, openWay, type Timed, time, type Way } from './measure.ts';
import { readJson } from './random_model.ts';
import { allPlaces, endings, letters, naivePlaces } from './rows.ts';
import type { Plan } from './workloads.ts';

export interface ShotsResult {
  shots: number;
  headerTokens: number;
  rows: number;
  treeMsPerRow: number;
  /** Without the header's own time. */
  afterHeaderMsPerRow: number;
  naiveMsPerRow: number;
  timesNaive: number;
  largestDifference: number;
}

export interface RowsResult {
  workers: number;
  rows: number;
  msPerRow: number;
  parentMb: number;
  workerMb: number | null;
  gapMs: number;
  finite: boolean;
}

const SHOT = 100;
const INSTRUCTION = 16;

/** Rows behind 0 to 10 examples. */
export async function growWithShots(
  tree: Way,
  naive: Way,
  counts: { shots: readonly number[]; rows: number; naiveRows: number },
  { sizes, engine, say }: Plan,
): Promise<ShotsResult[]> {
  const results: ShotsResult[] = [];
  for (const shots of counts.shots) {
    const headerTokens = INSTRUCTION + shots * SHOT;
    const shape = {
      name: `${shots} shots`,
      rows: counts.rows,
      naiveRows: counts.naiveRows,
      vocab: sizes.vocab,
      seed: 7,
    };
    const workload = { ...letters(shape, headerTokens), header: true };
    let quick: Timed | null = null;
    for (let round = 0; round < 2; round += 1) {
      const found = await time(tree, workload, allPlaces(workload), engine);
      const again = Math.min(found.againMs ?? found.ms, quick?.againMs ?? Number.POSITIVE_INFINITY);
      quick = { ...(quick !== null && quick.ms < found.ms ? quick : found), againMs: again };
    }
    const slow = await time(naive, workload, naivePlaces(workload), engine);
    const treeMsPerRow = quick!.ms / workload.rows;
    const naiveMsPerRow = slow.ms / slow.scores.size;
    say(`${shots} shots: ${treeMsPerRow.toFixed(1)} ms a row, naive ${naiveMsPerRow.toFixed(1)}`);
    results.push({
      shots,
      headerTokens,
      rows: workload.rows,
      treeMsPerRow,
      afterHeaderMsPerRow: quick!.againMs! / workload.rows,
      naiveMsPerRow,
      timesNaive: naiveMsPerRow / treeMsPerRow,
      largestDifference: distance(quick!.scores, slow.scores).largest,
    });
  }
  return results;
}

const DEMO = fileURLToPath(new URL('../../nanoeval/demo/checkpoint/config.json', import.meta.url));

/** More and more rows through the embedded demo checkpoint, whose forward pass costs next to nothing. */
export async function growWithRows(
  counts: readonly number[],
  cores: number,
  { engine, say }: Plan,
): Promise<RowsResult[]> {
  const config = readJson(DEMO);
  const graph = (name: string) => join(dirname(DEMO), 'onnx', `${name}.onnx`);
  const graphs = { decoder: graph('decoder_model_merged'), embed: graph('embed_tokens'), vision: null };
  const textConfig = config.text_config as Record<string, unknown>;
  const files: GraphFiles = { graphs, config, textConfig, preprocessor: null, processor: null };
  const results: RowsResult[] = [];
  for (const workers of [1, 2]) {
    const threads = Math.max(1, Math.floor(cores / workers));
    const way = await openWay(files, 'fp32', { name: 'demo', mode: 'prefix_tree', workers, threads });
    try {
      const shape = { name: 'demo', naiveRows: 0, vocab: Number(textConfig.vocab_size), seed: 5 };
      // Compiled code and pools of memory: not the first row's to pay.
      await time(way, endings({ ...shape, rows: 100 }, 40, [6, 15]), [...new Array(100).keys()], engine);
      for (const rows of counts) {
        const workload = endings({ ...shape, rows }, 40, [6, 15]);
        const found = await time(way, workload, allPlaces(workload), engine);
        say(`demo, ${workers} workers, ${rows} rows: ${(found.ms / rows).toFixed(2)} ms a row`);
        results.push({
          workers,
          rows,
          msPerRow: found.ms / rows,
          parentMb: found.parentMb,
          workerMb: found.workerMb,
          gapMs: found.gapMs,
          finite: found.scores.size === rows,
        });
      }
    } finally {
      await way.close();
    }
  }
  return results;
}
