/**
 * Damaged data files: each seed changes some bytes of a small file, and reading it must give rows or exactly one line
 * (UserError), never another error, a rejection that nobody waits for, or more than 10 seconds.
 *
 * `npm run test:fuzz` tries 2,000 seeds a format, or as many as its first argument says, from the second on. A child
 * does the reading: one that hangs or runs out of memory is ended, and the seed is named.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { openSplit } from '../../nanoeval/data/rows.ts';
import { type Log, UserError } from '../../nanoeval/types.ts';
import { changed } from './changed.ts';

const PARQUET = fileURLToPath(new URL('../fixtures/parquet/', import.meta.url));
const log: Log = { info() {}, progress() {} };
/** Milliseconds for one file. */
const LONGEST = 10_000;

const ROWS = Array.from({ length: 20 }, (_, i) => ({
  question: `Which is ${i}? "ä\n\t你`,
  answer: i % 4,
  choices: ['a', "b's", '', `[${i}]`],
  id: 2 ** 60 + i,
}));
const lines = `${ROWS.map((row) => JSON.stringify(row)).join('\n')}\n`.replace('"answer":3', '"answer":NaN');
const quoted = (value: unknown) => `"${String(value).replaceAll('"', '""')}"`;
const csv = [
  'question,answer,choices,id',
  ...ROWS.map((row) => [quoted(row.question), row.answer, quoted(JSON.stringify(row.choices)), row.id].join(',')),
].join('\r\n');

/** A small whole file, and the columns that are read of it. */
interface Format {
  name: string;
  columns: readonly string[];
  bytes: () => Uint8Array;
}

const parquet = (name: string, columns: readonly string[]): Format => ({
  name: `${name}.parquet`,
  columns,
  bytes: () => readFileSync(join(PARQUET, `${name}.parquet`)),
});
const text = (name: string, bytes: () => Uint8Array): Format => ({ name, columns: Object.keys(ROWS[0]!), bytes });
const NESTED = ['question', 'choices', 'answer', 'big', 'score', 'ids', 'targets'];

export const FORMATS: readonly Format[] = [
  ...['none', 'snappy', 'zstd', 'gzip', 'brotli'].map((codec) => parquet(`rows_${codec}`, NESTED)),
  parquet('images', ['id', 'image']),
  parquet('kinds', ['text', 'named', 'scale1', 'scale4', 'scale18', 'json']),
  text('rows.jsonl', () => Buffer.from(lines)),
  text('rows.json', () => Buffer.from(JSON.stringify(ROWS))),
  text('rows.csv', () => Buffer.from(csv)),
  text('rows.jsonl.gz', () => gzipSync(lines)),
  text('rows.csv.gz', () => gzipSync(csv)),
  text('rows.jsonl.zst', () => zstandard(Buffer.from(lines))),
];

/** A frame of one raw block (RFC 8878): magic number, sizes, the bytes as they are. */
function zstandard(bytes: Buffer): Buffer {
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32LE(bytes.byteLength, 5);
  head.writeUIntLE(1 | (bytes.byteLength << 3), 9, 3);
  return Buffer.concat([head, bytes]);
}

/** Rows that are read of these bytes. */
export async function rowsOf({ name, columns }: Format, bytes: Uint8Array, folder: string): Promise<number> {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  const spec = { dataset_id: 'no/matter', revision: 'main', subset_name: null, split: 'test', path };
  const split = await openSplit(spec, { log });
  await split.numRows();
  let count = 0;
  for await (const _ of split.rows(columns)) count++;
  return count;
}

/**
 * What is wrong with how these changed bytes are read, in one line; null when there are rows or one line, in time. The
 * first half of a Parquet file is its data: odd seeds change this alone, for most of a small file is its footer.
 */
export async function faultOf(format: Format, whole: Uint8Array, seed: number, folder: string): Promise<string | null> {
  const bytes = changed(whole, seed, seed % 2 === 1 ? whole.byteLength >> 1 : whole.byteLength);
  const alone: unknown[] = [];
  const note = (error: unknown) => alone.push(error);
  process.on('unhandledRejection', note);
  const started = performance.now();
  let fault: string | null = null;
  try {
    await rowsOf(format, bytes, folder);
  } catch (error) {
    if (!(error instanceof UserError)) fault = `${(error as Error).stack ?? error}`;
    else if (/[\r\n]/.test(error.message)) fault = `more than one line: ${error.message}`;
  }
  await new Promise((done) => setImmediate(done));
  process.off('unhandledRejection', note);
  if (alone.length > 0) fault ??= `left alone: ${alone[0]}`;
  if (performance.now() - started > LONGEST) fault ??= 'too slow';
  return fault === null ? null : `${format.name}, seed ${seed}: ${fault}`;
}

/** The child: reads seed after seed, says which one is next, and at last what was wrong. */
async function readSeeds(name: string, from: number, to: number): Promise<void> {
  const format = FORMATS.find((one) => one.name === name)!;
  const whole = format.bytes();
  const folder = mkdtempSync(join(tmpdir(), 'nanoeval_fuzz_'));
  try {
    for (let seed = from; seed < to; seed++) {
      process.send!({ seed });
      const fault = await faultOf(format, whole, seed, folder);
      if (fault !== null) process.send!({ fault });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  process.disconnect();
}

/** Reads the seeds in a child; resolves to its faults. */
function watch(name: string, from: number, to: number): Promise<string[]> {
  return new Promise((done) => {
    const faults: string[] = [];
    let seed = from;
    const child = fork(fileURLToPath(import.meta.url), ['--child', name, String(from), String(to)]);
    const end = () => child.kill('SIGKILL');
    let timer = setTimeout(end, 6 * LONGEST);
    child.on('message', (said: { seed?: number; fault?: string }) => {
      clearTimeout(timer);
      timer = setTimeout(end, 2 * LONGEST);
      seed = said.seed ?? seed;
      if (said.fault !== undefined) faults.push(said.fault);
    });
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      if (code !== 0) faults.push(`${name}, seed ${seed}: the process ended (${signal ?? code})`);
      done(faults);
    });
  });
}

async function main(): Promise<void> {
  const [first, name, from, to] = process.argv.slice(2);
  if (first === '--child') return readSeeds(name!, Number(from), Number(to));
  const start = Number(name ?? 0);
  const stop = start + Number(first ?? 2000);
  let count = 0;
  for (const format of FORMATS) {
    const faults = await watch(format.name, start, stop);
    console.log(`${format.name}: seeds ${start} to ${stop - 1}, ${faults.length} faults`);
    for (const fault of faults) console.log(fault);
    count += faults.length;
  }
  process.exitCode = count === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
