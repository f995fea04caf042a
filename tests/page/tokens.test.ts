import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPart } from '../../nanoeval/page/tokens.ts';
import type { PageShared } from '../../nanoeval/report/page_shape.ts';
import { packNumbers } from '../../nanoeval/text/varint.ts';

const shared: PageShared = {
  text_heads: { 0: 'Begin.\n\nand ' },
  ids_heads: { 0: packNumbers([1, 2, 3]) },
  texts: {
    0: '<s>',
    1: 'Begin',
    2: '.\n\n',
    3: 'and',
    4: ' on',
    5: '\ufffd',
    6: '\ufffd',
    7: 'é',
    8: '<image>',
    9: '\n\n',
  },
};
const open = (ids: number[], more: object = {}) => openPart({ ids: packNumbers(ids), ...more }, shared);
const shown = ({ pieces }: ReturnType<typeof openPart>) => pieces!.map(({ text, ids }) => `${text}:${ids.join('+')}`);

test('one piece a token; what stands before the text belongs to the tokens alone', () => {
  const plain = open([0, 1, 4], { from: 3 });
  assert.deepEqual([plain.text, shown(plain), plain.isOther], ['Begin on', ['<s>:0', 'Begin:1', ' on:4'], false]);
});

test('a shared beginning is folded up to the last blank line, so that no question is cut', () => {
  const opened = open([4], { ids_head: 0 });
  assert.deepEqual([opened.text, opened.shared], ['Begin.\n\nand on', { pieces: 2, text: 8 }]);
  const text = openPart({ text_head: 0, text: 'on' }, shared);
  assert.deepEqual([text.text, text.pieces, text.shared.text], ['Begin.\n\nand on', null, 8]);
  assert.deepEqual(open([4, 1]).shared, { pieces: 0, text: 0 });
});

test('tokens that are parts of a character are one piece with its text', () => {
  const opened = open([1, 5, 6, 4], { text: 'Begin😀 on' });
  assert.deepEqual([shown(opened), opened.isOther], [['Begin:1', '😀:5+6', ' on:4'], false]);
  assert.deepEqual(shown(open([5, 6], { text: 'ü' })), ['ü:5+6']);
});

test('a token that stands there many times is one piece; tokens that are not the text say so', () => {
  const opened = open([1, ...Array(20).fill(8), 4], { text: 'Begin<image> on' });
  assert.deepEqual(
    opened.pieces!.map(({ text, times }) => [text, times]),
    [
      ['Begin', undefined],
      ['<image>', 20],
      [' on', undefined],
    ],
  );
  assert.equal(opened.isOther, true);
  assert.equal(opened.ids!.length, 22);
});

test('ids whose texts nobody knows leave the text without pieces', () => {
  assert.deepEqual(openPart({ text: 'x', ids: packNumbers([99]) }, shared), {
    text: 'x',
    pieces: null,
    ids: [99],
    isOther: false,
    shared: { pieces: 0, text: 0 },
  });
  assert.throws(() => openPart({ ids: Buffer.from([200]).toString('base64') }, shared), RangeError);
});
