/** What is scored: real rows of a folder of benchmark material, and random rows of the same shapes, as token ids. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import type { TokenQuestion, TokenRequest } from '../../nanoeval/model/engine/prefix_tree.ts';
import type { Tokenizer } from '../../nanoeval/model/tokenizer.ts';

export interface Workload {
  name: string;
  rows: number;
  /** Rows that the slow way scores as well, evenly spread. */
  naiveRows: number;
  /**
   * All rows begin with a header of some hundred tokens: how fast they are once it is there is worth a line of its own.
   */
  header: boolean;
  /** The row of that number; texts are tokenised anew in each call. */
  question(place: number): TokenQuestion;
}

/** Numbers in [0, 1) that a seed determines (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The rows themselves. */
export async function* questionsOf({ question }: Workload, places: readonly number[]): AsyncGenerator<TokenQuestion> {
  for (const place of places) yield question(place);
}

export const allPlaces = ({ rows }: Workload) => Array.from({ length: rows }, (_, i) => i);

export function naivePlaces({ rows, naiveRows }: Workload): number[] {
  const count = Math.min(rows, naiveRows);
  return Array.from({ length: count }, (_, i) => Math.floor((i * rows) / count));
}

type Ids = (count: number) => number[];

function randomIds(random: () => number, vocab: number): Ids {
  return (count) => Array.from({ length: count }, () => 3 + Math.floor(random() * (vocab - 3)));
}

function request(context: readonly number[], continuation: readonly number[]): TokenRequest {
  return { input: Int32Array.from([...context, ...continuation].slice(0, -1)), targets: continuation };
}

const between = (random: () => number, low: number, high: number) => low + Math.floor(random() * (high - low + 1));

interface Shape {
  name: string;
  rows: number;
  naiveRows: number;
  vocab: number;
  seed: number;
}

/** A context and four endings, all of random ids. */
export function endings(shape: Shape, context: number, [shortest, longest]: readonly [number, number]): Workload {
  const question = (place: number): TokenQuestion => {
    const random = seeded(shape.seed * 1_000_003 + place);
    const ids = randomIds(random, shape.vocab);
    const shared = ids(context);
    const requests = Array.from({ length: 4 }, () => request(shared, ids(between(random, shortest, longest))));
    return { place, requests };
  };
  return { ...shape, header: false, question };
}

/** A header that all rows share, questions of 60 to 120 tokens, four answers of one token. */
export function letters(shape: Shape, header: number): Workload {
  const shared = randomIds(seeded(shape.seed), shape.vocab)(header);
  const question = (place: number): TokenQuestion => {
    const random = seeded(shape.seed * 1_000_003 + place);
    const ids = randomIds(random, shape.vocab);
    const context = [...shared, ...ids(between(random, 60, 120))];
    return { place, requests: [3, 4, 5, 6].map((letter) => request(context, [letter])) };
  };
  return { ...shape, header: header >= 256, question };
}

function textRow(tokenizer: Tokenizer, place: number, context: string, continuations: readonly string[]) {
  const requests = continuations.map((continuation) => {
    const pair = tokenizer.encodePair(context, continuation);
    return request(pair.context, pair.continuation);
  });
  return { place, requests };
}

interface Counts {
  rows: number;
  naiveRows: number;
}

interface Ending {
  query: string;
  choices: string[];
}

/** HellaSwag's rows: the first ones, or random ones. null when the folder has none. */
export function hellaswag(
  folder: string,
  tokenizer: Tokenizer,
  { rows, naiveRows }: Counts,
  seed: number | null,
): Workload | null {
  const home = join(folder, 'hellaswag');
  const file = existsSync(home) ? readdirSync(home).find((name) => name.endsWith('.jsonl')) : undefined;
  if (file === undefined) return null;
  const all = readFileSync(join(home, file), 'utf8').trimEnd().split('\n');
  const places = all.map((_, i) => i);
  if (seed !== null) {
    const random = seeded(seed);
    for (let i = 0; i < Math.min(rows, all.length); i += 1) {
      const other = i + Math.floor(random() * (all.length - i));
      [places[i], places[other]] = [places[other]!, places[i]!];
    }
  }
  const chosen = places.slice(0, rows).map((place) => JSON.parse(all[place]!) as Ending);
  return {
    name: seed === null ? `HellaSwag, first ${chosen.length}` : `HellaSwag, ${chosen.length} at random`,
    rows: chosen.length,
    naiveRows,
    header: false,
    question: (place) => {
      const { query, choices } = chosen[place]!;
      return textRow(
        tokenizer,
        place,
        query,
        choices.map((choice) => ` ${choice}`),
      );
    },
  };
}

const LETTERS = ['A', 'B', 'C', 'D'];

const asked = (row: readonly string[]) =>
  `${row[0]!.trim()}\n${LETTERS.map((letter, i) => `${letter}. ${row[i + 1]}`).join('\n')}\nAnswer:`;

/** The first rows of a subject of MMLU, prompted as lm-evaluation-harness does. null when the folder has none. */
export function mmlu(
  folder: string,
  tokenizer: Tokenizer,
  subject: string,
  shots: number,
  { rows, naiveRows }: Counts,
): Workload | null {
  const table = (split: string) => {
    const path = join(folder, 'mmlu', split, `${subject}_${split}.csv`);
    return existsSync(path) ? (parse(readFileSync(path), { relax_quotes: true }) as string[][]) : null;
  };
  const [test, dev] = [table('test'), table('dev')];
  if (test === null || dev === null) return null;
  const examples = dev.slice(0, shots).map((row) => `${asked(row)} ${row[5]}\n\n`);
  const about = subject.replaceAll('_', ' ');
  const header = `The following are multiple choice questions (with answers) about ${about}.\n\n${examples.join('')}`;
  const chosen = test.slice(0, rows);
  return {
    name: `MMLU ${shots}-shot, ${about}`,
    rows: chosen.length,
    naiveRows,
    header: shots > 0,
    question: (place) =>
      textRow(
        tokenizer,
        place,
        header + asked(chosen[place]!),
        LETTERS.map((letter) => ` ${letter}`),
      ),
  };
}
