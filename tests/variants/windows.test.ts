/** Texts as windows: every token once, as many as asked for, and the same ones for all variants. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ModelSettings } from '../../nanoeval/config/keys.ts';
import { variantsSchema } from '../../nanoeval/config/variants.ts';
import { openModelRepo } from '../../nanoeval/data/hub.ts';
import { openCheckpoint } from '../../nanoeval/model/checkpoint.ts';
import { UserError } from '../../nanoeval/types.ts';
import { checkTokens, openVariantTokenizer, readWindows, type VariantFiles } from '../../nanoeval/variants/windows.ts';
import { settings } from '../model/fixtures.ts';
import { DEMO, ROOT, temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('windows');
after(folder.remove);
const options = { log: { info() {}, progress() {} }, signal: new AbortController().signal };

async function filesAt(path: string): Promise<VariantFiles> {
  const repo = await openModelRepo(path, 'main', options);
  return { repo, checkpoint: await openCheckpoint(repo, settings() as ModelSettings) };
}
const demo = await filesAt(join(ROOT, DEMO));
const tokenizer = openVariantTokenizer(demo);

const sectionOf = (section: object) =>
  variantsSchema.parse({
    models: [{ model_id: 'a' }, { model_id: 'b' }],
    tasks: [{ task: 'x' }],
    distributions: section,
  }).distributions;
const read = (section: object, maxLength = 1024) => readWindows(sectionOf(section), tokenizer, maxLength, options);
const texts = ['How to run a long race. Start slowly.', '', 'A man is standing in a shop and tries shoes on.'];
const rows = texts.map((text) => ({ text }));

test('the windows of each text hold each of its tokens once, and what is fed before it', async () => {
  const { windows, source, texts: seen } = await read({ rows, window: 5 });
  assert.deepEqual(seen, [texts[0], texts[2]]);
  for (const [row, text] of texts.entries()) {
    const own = windows.filter((window) => window.row === row);
    const ids = tokenizer.encode(text);
    assert.deepEqual(
      own.flatMap(({ targets }) => targets),
      ids,
    );
    const before = [tokenizer.prefixToken!, ...ids];
    for (const { start, input, targets } of own) {
      assert.ok(input.length <= 5);
      const end = start + targets.length;
      assert.deepEqual(input, before.slice(end - input.length, end));
    }
  }
  const total = texts.reduce((sum, text) => sum + tokenizer.encode(text).length, 0);
  assert.deepEqual([source.tokens, source.texts, source.window], [total, 2, 5]);
});

test('the texts end where the tokens are enough', async () => {
  const first = tokenizer.encode(texts[0]!).length;
  const { windows, source } = await read({ rows, window: 5, tokens: first + 3 });
  assert.deepEqual([source.tokens, source.texts], [first + 3, 2]);
  assert.equal(
    windows.reduce((sum, { targets }) => sum + targets.length, 0),
    first + 3,
  );
  const { source: few } = await read({ rows, window: 5, tokens: 2 });
  assert.deepEqual([few.tokens, few.texts], [2, 1]);
});

test('what is wrong with the texts is told under the section that names them', async () => {
  const key = (wanted: string) => (error: unknown) => error instanceof UserError && error.key === wanted;
  await assert.rejects(read({ path: join(folder.path, 'none.jsonl') }), key('distributions.path'));
  await assert.rejects(read({ rows, window: 200 }, 128), key('distributions.window'));
  await assert.rejects(read({ rows: [{ text: '' }] }), key('distributions'));
  await assert.rejects(read({ rows: [{ text: 3 }] }), /distributions row 0: text is 3\. It has to be a text/);
  await assert.rejects(read({ rows, column: 'page' }), /page/);
});

test('a variant that reads other tokens is none; one whose file merely looks otherwise is', async () => {
  const path = join(folder.path, 'other');
  cpSync(join(ROOT, DEMO), path, { recursive: true });
  const file = join(path, 'tokenizer.json');
  const json = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify(json, null, 4));
  checkTokens(demo, await filesAt(path), texts);
  writeFileSync(file, JSON.stringify({ ...json, pre_tokenizer: null, normalizer: { type: 'Lowercase' } }));
  const other = await filesAt(path);
  assert.throws(
    () => checkTokens(demo, other, texts),
    (error) =>
      error instanceof UserError && error.key === 'model.model_id' && /another tokenizer than/.test(error.message),
  );
});
