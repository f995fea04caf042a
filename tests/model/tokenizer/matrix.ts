/**
 * Small tokenizers, each for one part of tokenizer.json, with the ids that PyPI `tokenizers` gives for 60 texts
 * (tests/fixtures/tokenizers/README.md).
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { openPipeline } from '../../../nanoeval/model/tokenizer/pipeline.ts';

interface Made {
  tokenizer: object;
  ids?: number[][];
  special?: number[][];
  pairs?: { texts: [number, number]; ids: number[] }[];
  sequences?: { ids: number[]; decoded: string; kept: string }[];
}

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../fixtures/tokenizers/${name}.json`, import.meta.url), 'utf8'));
const texts: string[] = read('texts');

/** A test for each tokenizer of a fixture; `refused`: those of which a part is not supported, and the part. */
export function testMatrix(file: string, refused: Record<string, string> = {}): void {
  for (const [name, made] of Object.entries(read(file) as Record<string, Made>)) {
    const part = refused[name];
    test(`${file}, ${name}: as PyPI tokenizers${part === undefined ? '' : ', or refused by name'}`, () => {
      if (part === undefined) return check(made);
      assert.throws(() => openPipeline(made.tokenizer, 'x'), {
        name: 'UserError',
        message: new RegExp(`^x: .*"${part}"`),
      });
    });
  }
}

function check({ tokenizer, ids, special, pairs, sequences }: Made): void {
  const pipeline = openPipeline(tokenizer, 'tokenizer.json');
  texts.forEach((text, i) => {
    const found = pipeline.encode(text);
    if (ids !== undefined) assert.deepEqual(found, ids[i], JSON.stringify(text));
    if (special !== undefined) assert.deepEqual(pipeline.frame(found).ids, special[i], JSON.stringify(text));
  });
  for (const { texts: places, ids: wanted } of pairs ?? []) {
    const [first, second] = places.map((place) => pipeline.encode(texts[place]!));
    assert.deepEqual(pipeline.frame(first!, second).ids, wanted, `texts ${places.join(' and ')}`);
  }
  for (const sequence of sequences ?? []) {
    assert.equal(pipeline.decode(sequence.ids, false), sequence.decoded, JSON.stringify(sequence.ids));
    assert.equal(pipeline.decode(sequence.ids, true), sequence.kept, JSON.stringify(sequence.ids));
  }
  assert.ok((ids ?? sequences ?? []).length > 0);
}

/** The parts of a tokenizer.json around a vocabulary of whole texts: what reaches the model comes back as it is. */
export function pipelineOf(parts: object, vocab: Record<string, number> = { '<unk>': 0 }) {
  const model = { type: 'WordLevel', vocab, unk_token: '<unk>' };
  return openPipeline({ added_tokens: [], model, ...parts }, 'tokenizer.json');
}
