/** A sequence-classification head against transformers (../fixtures/classification/make_head.py). */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { engineSection } from '../../nanoeval/config/keys.ts';
import { openFolder } from '../../nanoeval/data/hub.ts';
import { logSoftmax } from '../../nanoeval/model/classifier.ts';
import { openModel } from '../../nanoeval/model/model.ts';
import type { Ask, ClassesReply, Model, Reply } from '../../nanoeval/questions.ts';
import { RowError } from '../../nanoeval/types.ts';
import { folderWith, settings, userError } from './fixtures.ts';

interface Row {
  text: string;
  pair: string | null;
  ids: number[];
  length: number;
  logprobs: number[];
  label: string;
}
const FIXTURES = new URL('../fixtures/classification/', import.meta.url);
const HEAD = fileURLToPath(new URL('head', FIXTURES));
const { rows }: { rows: Row[] } = JSON.parse(readFileSync(new URL('head.json', FIXTURES), 'utf8'));
const log = { info() {}, progress() {} };

async function open(
  t: TestContext,
  folder = HEAD,
  engine: object = {},
  keys: Parameters<typeof settings>[0] = {},
): Promise<Model> {
  const given = engineSection.parse({ threads_per_worker: 1, ...engine });
  const model = await openModel(await openFolder(folder, 'model'), settings({ model_id: folder, ...keys }), given, log);
  t.after(() => model.close());
  return model;
}

async function answers(model: Model, asks: readonly Ask[]): Promise<(Reply | RowError)[]> {
  const questions = async function* () {
    for (const [place, content] of asks.entries()) yield { place, content };
  };
  const found: (Reply | RowError)[] = [];
  for await (const { place, content } of model.answer(questions(), new AbortController().signal))
    found[place] = content;
  return found;
}

test('ids, log-probabilities and classes are those of transformers, pairs and truncated rows among them', async (t) => {
  const model = await open(t);
  const asks = rows.map(
    ({ text, pair }): Ask => ({ verb: 'classify', text, ...(pair === null ? {} : { pair }), keep_tokens: true }),
  );
  const found = (await answers(model, asks)) as ClassesReply[];
  for (const [i, { text, pair, ids, length, logprobs, label }] of rows.entries()) {
    const reply = found[i]!;
    assert.deepEqual(reply.tokens, { prompt: ids, output: [] }, text);
    assert.deepEqual([reply.num_context_tokens, reply.truncated], [length, length > 24], text);
    const off = logprobs.map((wanted, k) => Math.abs(reply.label_logprobs[k]! - wanted));
    assert.ok(Math.max(...off) <= 1e-5, `${text}: ${off.join(' ')}`);
    assert.equal(model.can.labels![reply.label_logprobs.indexOf(Math.max(...reply.label_logprobs))], label, text);
    assert.deepEqual(reply.prompts, pair === null ? [text] : [text, pair]);
  }
  assert.ok(found.filter(({ truncated }) => truncated).length >= 4 && new Set(rows.map(({ label }) => label)).size > 1);
  assert.deepEqual([model.engine.form, model.stats().passes], ['alone', rows.length]);
  assert.equal(await model.countTokens(rows[4]!.text), 29);
});

test('a shorter window cuts sooner; what the head cannot do fails its row alone, and a known answer is not asked again', async (t) => {
  const model = await open(t, HEAD, {}, { max_length: 4 });
  const long = { verb: 'classify', text: rows[4]!.text, keep_tokens: true } as const;
  const [cut, other] = await answers(model, [
    long,
    { verb: 'generate_until', prompt: 'a', until: [], max_new_tokens: 1 },
  ]);
  assert.deepEqual((cut as ClassesReply).tokens!.prompt, [2, 5, 29, 3]);
  assert.ok(other instanceof RowError && other.kind === 'verb');
  const questions = async function* () {
    yield { place: 0, content: long, done: true };
  };
  for await (const _ of model.answer(questions(), new AbortController().signal)) assert.fail('it was known');
  const stopped = new AbortController();
  stopped.abort(new Error('stopped'));
  await assert.rejects(async () => {
    for await (const _ of model.answer(questions(), stopped.signal)) assert.fail('it was stopped');
  }, /stopped/);
});

/** A copy of the head with another config.json. */
function changed(t: TestContext, change: object): string {
  const folder = folderWith(t, {});
  cpSync(HEAD, folder, { recursive: true });
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }));
  return folder;
}

test('settings and graphs that will not do are refused with one line', async (t) => {
  await assert.rejects(open(t, HEAD, { mode: 'prefix_tree' }), userError('engine.mode', 'shares no prefixes'));
  await assert.rejects(open(t, HEAD, { workers: 2 }), userError('engine.workers', 'a classification head has one'));
  const id2label = { 0: 'a', 1: 'b', 2: 'c', 3: 'd' };
  await assert.rejects(open(t, changed(t, { id2label })), userError('model.model_id', 'They have to be [batch, 4]'));
  // The demo's decoder has a row of logits for each token.
  const demo = fileURLToPath(new URL('../../nanoeval/demo/checkpoint', import.meta.url));
  const decoder = folderWith(t, {});
  cpSync(demo, decoder, { recursive: true });
  const path = join(decoder, 'config.json');
  writeFileSync(
    path,
    JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), architectures: ['XForSequenceClassification'] }),
  );
  await assert.rejects(
    open(t, decoder),
    userError('model.model_id', /A classification head is given|no logits|They have to be/),
  );
});

test('log-softmax in float64; logits that are no numbers fail the row', () => {
  const [a, b] = logSoftmax([1000, 999]);
  assert.ok(Math.abs(a! + Math.log1p(Math.exp(-1))) < 1e-15 && Math.abs(b! - a! + 1) < 1e-12);
  assert.throws(() => logSoftmax([1, Number.NaN]), { name: 'RowError', kind: 'nan' });
});
