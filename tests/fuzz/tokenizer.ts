/**
 * Damaged tokenizer files: each small tokenizer of the fixtures with changed bytes, or with some part that is another value or is
 * gone, and tokenizer_config.json likewise: ids, or one line.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { openTokenizer, type TokenizerConfig } from '../../nanoeval/model/tokenizer.ts';
import { changed, editedJson, randomFrom } from './changed.ts';
import type { Subject } from './watch.ts';

const folder = new URL('../fixtures/tokenizers/', import.meta.url);
const read = (file: string) => JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
const TEXTS = ['Hello world 12 ½', ' the <s> x', 'ü\n語'];

let all: object[] | null = null;

/** Every small tokenizer. */
export function tokenizers(): object[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.json') && name !== 'texts.json');
  all ??= files
    .flatMap((file) => Object.values(read(file) as Record<string, { tokenizer: object }>))
    .map((made) => made.tokenizer);
  return all;
}

const CONFIG = {
  bos_token: '<s>',
  eos_token: { content: '</s>' },
  tokenizer_class: 'LlamaTokenizer',
  add_bos_token: true,
  truncation_side: 'left',
};

/** The parsed file with a changed part, or with changed bytes; null where it is no JSON any more. Negative seeds change nothing. */
function damaged(whole: object, seed: number): object | null {
  if (seed < 0) return whole;
  if (seed % 2 === 1) return editedJson(whole, randomFrom(seed));
  try {
    return JSON.parse(new TextDecoder().decode(changed(Buffer.from(JSON.stringify(whole)), seed)));
  } catch (error) {
    assert.ok(error instanceof SyntaxError);
    return null;
  }
}

function idsBy(json: object, config: TokenizerConfig): string {
  const tokenizer = openTokenizer(json, config);
  for (const text of TEXTS) {
    const ids = tokenizer.encode(text);
    assert.ok(
      ids.every((id) => Number.isInteger(id) && id >= 0),
      `${ids}`,
    );
    tokenizer.decode(ids, true);
  }
  return 'ids';
}

/** Two seeds of each tokenizer in turn. */
export const TOKENIZER: Subject = {
  name: 'tokenizer.json',
  async read(seed) {
    const whole = tokenizers()[Math.floor(Math.abs(seed) / 2) % tokenizers().length]!;
    const json = damaged(whole, seed);
    return json === null ? 'no JSON' : idsBy(json, {});
  },
};

export const TOKENIZER_CONFIG: Subject = {
  name: 'tokenizer_config.json',
  async read(seed) {
    const config = damaged(CONFIG, seed) as TokenizerConfig | null;
    return config === null ? 'no JSON' : idsBy(read('model_bpe.json').Llama.tokenizer, config);
  },
};
