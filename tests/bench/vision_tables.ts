/** The vision bench's results as aligned text. */
import { table } from './tables.ts';
import type { MemoryResult, Stages, TowerResult } from './vision_jobs.ts';

/** Medians over the pictures, in seconds, and how many times ours the peer's is. */
export type Ratios = Record<
  'decode' | 'processor' | 'encoder' | 'prefill' | 'decode_token' | 'total',
  { ours: number; peer: number; ratio: number }
>;

export interface TowerRow extends Omit<TowerResult, 'features'> {
  dtype: string;
  /** Tiles of a pass. */
  batch: number;
  /** Mean difference from the first row of all, and from the first of this number format, in parts of the mean size. */
  off: number;
  offBatch: number;
}

const fixed = (value: number | null, digits: number) => (value === null ? null : value.toFixed(digits));
const small = (value: number) => (value === 0 ? '0' : value.toExponential(1));

export function stagesText(
  who: string,
  result: { each: readonly Stages[]; peak_rss_mb: number | null; remarks?: string[]; form?: string },
): string {
  const { each, peak_rss_mb, remarks = [], form } = result;
  return [
    `## ${who}: seconds a picture; peak ${fixed(peak_rss_mb, 0) ?? '?'} MB` +
      (form === undefined ? '' : `, form ${form}`),
    table(
      [
        'file',
        'size',
        'tiles',
        'prompt',
        'decode',
        'resize',
        'encoder',
        'a tile',
        'prefill',
        'a token',
        'total',
        'cpu',
      ],
      each.map((one) => [
        one.file,
        one.size.join('x'),
        one.tiles,
        one.prompt_tokens,
        fixed(one.decode, 3),
        fixed(one.processor, 3),
        fixed(one.encoder, 3),
        fixed(one.encoder_tile, 3),
        fixed(one.prefill, 3),
        fixed(one.decode_token, 4),
        fixed(one.total, 3),
        fixed(one.cpu_share, 2),
      ]),
    ),
    ...remarks,
  ].join('\n');
}

export function ratiosText(ratios: Ratios): string {
  return [
    '## Beside each other: medians over the pictures, seconds',
    table(
      ['stage', 'NanoEval', 'transformers', 'times ours'],
      Object.entries(ratios).map(([stage, { ours, peer, ratio }]) => [
        stage,
        fixed(ours, 4),
        fixed(peer, 4),
        fixed(ratio, 2),
      ]),
    ),
  ].join('\n');
}

export function towerText(rows: readonly TowerRow[], picture: string): string {
  return [
    `## The vision tower by itself: ${picture}, ${rows[0]?.tiles ?? 0} tiles`,
    table(
      ['dtype', 'tiles a pass', 's a tile', 's a picture', 'peak MB', 'off the first', 'off own first'],
      rows.map(({ dtype, batch, tiles, encoder, peak_rss_mb, off, offBatch }) => [
        dtype,
        batch,
        fixed(encoder / tiles, 3),
        fixed(encoder, 2),
        fixed(peak_rss_mb, 0),
        small(off),
        small(offBatch),
      ]),
    ),
  ].join('\n');
}

export function memoryText({ samples, encoded }: MemoryResult): string {
  return [
    `## Memory over the pictures: tiny checkpoint, MB resident; ${encoded} pictures went through the tower`,
    table(
      ['pictures', 'seconds', 'program', 'worker'],
      samples.map(({ shown, seconds, parent_mb, worker_mb }) => [
        shown,
        fixed(seconds, 0),
        fixed(parent_mb, 0),
        fixed(worker_mb, 0),
      ]),
    ),
  ].join('\n');
}
