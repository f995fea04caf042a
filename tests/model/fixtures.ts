/** Reads the vectors of ../fixtures/model (made by its make_vectors.py), and makes small checkpoint folders. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { modelSection } from '../../nanoeval/config/keys.ts';
import { openTokenizer, type Tokenizer, type TokenizerConfig } from '../../nanoeval/model/tokenizer.ts';
import { UserError } from '../../nanoeval/types.ts';

const FIXTURES = new URL('../fixtures/model/', import.meta.url);

/** The repositories and answers beside the checkout; absent from a plain clone. */
export const SHARED = fileURLToPath(new URL('../../../shared/', import.meta.url));

export function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8'));
}

export function fixture<T>(name: string): T {
  return readJson<T>(fileURLToPath(new URL(name, FIXTURES)));
}

/** tokenizer.json of the byte-level tokenizer with another post-processor. */
export function tokenizerJson(postProcessor: unknown = null, name = 'tokenizer_byte_level.json'): object {
  return { ...fixture<object>(name), post_processor: postProcessor };
}

export const BOS_TEMPLATE = {
  type: 'TemplateProcessing',
  single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  pair: [],
  special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
};

export function byteLevelTokenizer(config: TokenizerConfig = { bos_token: '<s>', eos_token: '</s>' }): Tokenizer {
  return openTokenizer(tokenizerJson(), config);
}

/** The model section of a YAML, defaults filled in. */
export function settings(keys: Partial<Parameters<typeof modelSection.parse>[0] & object> = {}) {
  return modelSection.parse({ model_id: 'toy', ...keys });
}

/** A folder that is removed after the test; values that are not bytes or text are written as JSON. */
export function folderWith(t: TestContext, files: Record<string, unknown>): string {
  const folder = mkdtempSync(join(tmpdir(), 'nanoeval-model-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    const raw = typeof content === 'string' || content instanceof Uint8Array;
    writeFileSync(path, raw ? content : JSON.stringify(content));
  }
  return folder;
}

/** For assert.throws and assert.rejects: a UserError of this key whose message is one line and matches all of `parts`. */
export function userError(key: string | undefined, ...parts: (string | RegExp)[]) {
  return (error: unknown): boolean => {
    if (!(error instanceof UserError)) throw error;
    const missing = parts.filter((part) =>
      typeof part === 'string' ? !error.message.includes(part) : !part.test(error.message),
    );
    if (error.key !== key || error.message.includes('\n') || missing.length > 0) {
      throw new Error(`key ${error.key}, message ${JSON.stringify(error.message)}; not there: ${missing.join(', ')}`);
    }
    return true;
  };
}

/** Of PNG chunks; Node 20 has none (zlib.crc32 is of 22). */
export function crc32(bytes: Uint8Array): number {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum;
}
