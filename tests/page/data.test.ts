import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { embedded, readBook, unpack } from '../../nanoeval/page/data.ts';
import { packNumbers } from '../../nanoeval/text/varint.ts';

const pack = (value: unknown) => gzipSync(JSON.stringify(value)).toString('base64');
const row = (text: string) => [0, { row: '0', prompts: [{ ids: packNumbers([1, 2]) }], choices: [{ text }] }];
const blocks: Record<string, string> = {
  'r0-list': pack({ index: [0], status: 'r', prompts: '' }),
  'r0-rows-0': pack(Array.from({ length: 256 }, (_, i) => ({ output: `Answer ${i}` }))),
  'r0-rows-1': pack([{ error: { kind: 'a', message: 'Disk is full' } }, { prompt: ['saved HERE'] }]),
  'r0-prompts-0': pack(Array.from({ length: 256 }, (_, i) => (i === 3 ? row('choice text') : null))),
  'r0-shared': pack([{ text_heads: {}, ids_heads: {}, texts: { 1: 'Wh', 2: 'at' } }]),
  'r0-picture-0123456789abcdef': 'image/webp;4;2;AAAA',
};
const source = () => embedded((name) => blocks[name] ?? null);

test('a row, its prompt and its pictures come out of their blocks', async () => {
  assert.deepEqual((await source().list(0)).index, [0]);
  assert.deepEqual(await source().detail(0, 255), { output: 'Answer 255' });
  assert.equal((await source().detail(0, 256)).error?.message, 'Disk is full');
  assert.equal((await source().prompt(0, 3))!.shared.texts[2], 'at');
  assert.deepEqual([await source().prompt(0, 4), await source().prompt(0, 256)], [null, null]);
  assert.deepEqual(source().picture(0, '0123456789abcdef99'), {
    type: 'image/webp',
    width: 4,
    height: 2,
    data: 'AAAA',
  });
  assert.equal(source().picture(0, 'f'.repeat(64)), null);
  assert.deepEqual(await source().list(7), { index: [], status: '', prompts: '' });
});

test('a search looks in answers, faults, saved prompts, tokens and choices of a block', async () => {
  const search = (block: number, text: string) => source().search(0, block, text);
  assert.deepEqual(
    [await search(0, 'answer 25'), await search(0, 'what'), await search(0, 'choice')],
    [[25, 250, 251, 252, 253, 254, 255], [3], [3]],
  );
  assert.deepEqual([await search(1, 'disk'), await search(1, 'here'), await search(2, 'x')], [[256], [257], null]);
});

test('what is damaged is an error and no empty row', async () => {
  await assert.rejects(unpack('AAAA'));
  await assert.rejects(embedded(() => 'AAAA').detail(0, 0));
  assert.equal(readBook('{"title":"a"}').title, 'a');
});
