/** Tokenizers of which some part is another value, or is gone: ids of the vocabulary, or one line. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { openTokenizer, type TokenizerConfig } from '../../nanoeval/model/tokenizer.ts';
import { UserError } from '../../nanoeval/types.ts';
import { changed, editedJson, randomFrom } from './changed.ts';

const folder = new URL('../fixtures/tokenizers/', import.meta.url);
const read = (file: string) => JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
/** Edits of each small tokenizer; more by hand, with NANOEVAL_FUZZ=<n>. */
const EDITS = Number(process.env.NANOEVAL_FUZZ ?? 8);
const TEXTS = ['Hello world 12 ½', ' the <s> x', 'ü\n語'];

function check(json: object, config: TokenizerConfig, what: string): void {
  try {
    const tokenizer = openTokenizer(json, config);
    for (const text of TEXTS) {
      const ids = tokenizer.encode(text);
      assert.ok(
        ids.every((id) => Number.isInteger(id) && id >= 0),
        `${what}: ${ids}`,
      );
      tokenizer.decode(ids, true);
    }
  } catch (error) {
    if (!(error instanceof UserError)) throw new Error(what, { cause: error });
    assert.doesNotMatch(error.message, /\n/, what);
  }
}

test('tokenizer.json: ids or one line', () => {
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.json') && name !== 'texts.json')) {
    for (const [name, { tokenizer }] of Object.entries(read(file) as Record<string, { tokenizer: object }>)) {
      for (let seed = 0; seed < EDITS; seed += 1)
        check(editedJson(tokenizer, randomFrom(seed + name.length)), {}, `${file} ${name} ${seed}`);
    }
  }
});

test('tokenizer.json and tokenizer_config.json with changed bytes: no JSON, ids or one line', () => {
  const whole = read('model_bpe.json').Llama.tokenizer;
  const config = {
    bos_token: '<s>',
    eos_token: { content: '</s>' },
    tokenizer_class: 'LlamaTokenizer',
    add_bos_token: true,
  };
  for (let seed = 0; seed < 30 * EDITS; seed += 1) {
    for (const [json, other] of [
      [whole, config],
      [config, whole],
    ]) {
      let parsed: object;
      try {
        parsed = JSON.parse(new TextDecoder().decode(changed(Buffer.from(JSON.stringify(json)), seed)));
      } catch (error) {
        assert.ok(error instanceof SyntaxError);
        continue;
      }
      if (json === whole) check(parsed, other as TokenizerConfig, `bytes ${seed}`);
      else check(other, parsed as TokenizerConfig, `config ${seed}`);
    }
  }
});
