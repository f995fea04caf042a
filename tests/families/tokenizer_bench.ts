/**
 * Time to tokenise few-shot rows, ours against another way of doing the same, in turn and in one process.
 *
 *     TOKENIZER_FAMILIES=<folder> [TOKENIZER_BASE=<checkout>] npx tsx tests/families/tokenizer_bench.ts [name ...]
 *
 * <folder> is as tests/families/tokenizer_reference.py leaves it. The other way is `openTokenizer` of another checkout of
 * this project, else the whole text through `@huggingface/tokenizers`. A row is four `encodePair` of one context of some
 * 2,500 characters (five texts that eight rows share, and one of the row's own) and ` A` to ` D`. Prints for each family the
 * milliseconds a row of both, best of three, their ratio, the time to open, and how many rows have other ids.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { openTokenizer } from '../../nanoeval/model/tokenizer.ts';

type EncodePair = (context: string, continuation: string) => { context: number[]; continuation: number[] };
type Open = (json: object, config: object) => { encodePair: EncodePair };

const ROWS = 120;
const SHARED = 8;
const ROUNDS = 3;

const lines = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n');

/** Contexts of five texts that SHARED rows have in common and one of their own. */
function contexts(texts: readonly string[]): string[] {
  const usual = texts.filter(({ length }) => length > 200 && length < 1200);
  return Array.from({ length: ROWS }, (_, i) => {
    const header = Array.from({ length: 5 }, (_, k) => usual[(5 * Math.floor(i / SHARED) + k) % usual.length]!);
    return [...header, usual[(200 + i) % usual.length]!].map((text) => text.trimEnd()).join('\n\n');
  });
}

function library(json: object, config: object): { encodePair: EncodePair } {
  const tokenizer = new LibraryTokenizer(json, config);
  const encode = (text: string) => tokenizer.encode(text, { add_special_tokens: true }).ids;
  return {
    encodePair(context, continuation) {
      const head = encode(context);
      return { context: head, continuation: encode(context + continuation).slice(head.length) };
    },
  };
}

/** Milliseconds a row, and the ids of all rows. */
function timed(encodePair: EncodePair, rows: readonly string[]): { ms: number; ids: string[] } {
  const started = performance.now();
  const ids = rows.map((row) => JSON.stringify([' A', ' B', ' C', ' D'].map((letter) => encodePair(row, letter))));
  return { ms: (performance.now() - started) / rows.length, ids };
}

async function bench(folder: string, names: readonly string[]): Promise<void> {
  const base = process.env.TOKENIZER_BASE;
  const other: Open =
    base === undefined
      ? library
      : (await import(pathToFileURL(join(resolve(base), 'nanoeval/model/tokenizer.ts')).href)).openTokenizer;
  const rows = contexts(lines(join(folder, 'texts.jsonl')).map((line) => JSON.parse(line) as string));
  console.log(
    `${rows.length} rows; the other way: ${base === undefined ? 'the library, whole texts' : 'the other checkout'}`,
  );
  console.log('family: ours ms a row, other ms a row, ratio; open ours, other ms; rows with other ids');
  for (const name of names) {
    const read = (file: string) => JSON.parse(readFileSync(join(folder, name, file), 'utf8'));
    const config = existsSync(join(folder, name, 'tokenizer_config.json')) ? read('tokenizer_config.json') : {};
    const opens = [openTokenizer as Open, other];
    const best = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    const opened = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    const ids: string[][] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [way, open] of opens.entries()) {
        const json = read('tokenizer.json');
        const begun = performance.now();
        const { encodePair } = open(json, config);
        opened[way] = Math.min(opened[way]!, performance.now() - begun);
        const found = timed(encodePair, rows);
        best[way] = Math.min(best[way]!, found.ms);
        ids[way] = found.ids;
      }
    }
    const [ours, others] = best as [number, number];
    const differ = ids[0]!.filter((id, i) => id !== ids[1]![i]).length;
    const whole = opened.map((ms) => Math.round(ms)).join(', ');
    console.log(
      `${name}: ${ours.toFixed(2)}, ${others.toFixed(2)}, ${(others / ours).toFixed(1)}; ${whole}; ${differ}`,
    );
  }
}

const folder = process.env.TOKENIZER_FAMILIES;
if (folder === undefined) throw new Error('TOKENIZER_FAMILIES has to name a folder of tokenizers.');
const given = process.argv.slice(2);
await bench(
  folder,
  given.length > 0 ? given : readdirSync(folder).filter((name) => existsSync(join(folder, name, 'tokenizer.json'))),
);
