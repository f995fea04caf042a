import assert from 'node:assert/strict';
import { test } from 'node:test';
import { placePictures, withFiles } from '../../nanoeval/prompt/pictures.ts';
import { RowError } from '../../nanoeval/types.ts';

/** Parts with each picture as its number. */
function placed(text: string, layout: 'inline' | 'last'): (string | number)[] {
  const { parts, shown } = placePictures(text, layout);
  assert.equal(parts.filter(({ type }) => type === 'image').length, shown.length);
  let next = 0;
  return parts.map((part) => (part.type === 'text' ? part.text : shown[next++]!));
}

test('inline: a picture where it is first named, its name in brackets where it is named again', () => {
  const table: [string, (string | number)[]][] = [
    ['a <image 1> b', ['a ', 1, ' b']],
    ['<image 1>', [1]],
    ['<image 1><image 2>', [1, 2]],
    ['see <image 2>, then <image 1>.', ['see ', 2, ', then ', 1, '.']],
    ['<image 1> or <image 1>?', [1, ' or [image 1]?']],
    ['<image 2><image 1><image 2> x <image 3>', [2, 1, '[image 2] x ', 3]],
    ['<image 1>[image 1]<image 1>', [1, '[image 1][image 1]']],
    ['<image   7>\n<image\n7>', [7, '\n[image 7]']],
    ['<image 12>', [12]],
    ['<image 01><image 1>', [1, '[image 1]']],
  ];
  for (const [text, wanted] of table) assert.deepEqual(placed(text, 'inline'), wanted, text);
});

test('last: a mark for each mention, all pictures behind the text, repeated ones again', () => {
  const table: [string, (string | number)[]][] = [
    ['a <image 1> b', ['a [image] b', 1]],
    ['<image 1>', ['[image]', 1]],
    ['see <image 2>, then <image 1>.', ['see [image], then [image].', 2, 1]],
    ['<image 1> or <image 1>?', ['[image] or [image]?', 1, 1]],
    ['<image   7>\n<image\n7>', ['[image]\n[image]', 7, 7]],
  ];
  for (const [text, wanted] of table) assert.deepEqual(placed(text, 'last'), wanted, text);
});

test('each: a picture at every mention with one blank and a number to 7, repeated ones again', () => {
  const { parts, shown } = placePictures('<image 2> and <image 1>, <image 2><image  1><image 8>', 'each');
  assert.deepEqual(shown, [2, 1, 2]);
  assert.deepEqual(parts, [
    { type: 'image' },
    { type: 'text', text: ' and ' },
    { type: 'image' },
    { type: 'text', text: ', ' },
    { type: 'image' },
    { type: 'text', text: '<image  1><image 8>' },
  ]);
});

test('what only looks like a name is text', () => {
  const texts = [
    'no picture',
    '<image>',
    '<image1>',
    '<Image 1>',
    '<image x>',
    '< image 1>',
    '<image 1',
    '[image 1]',
    '<image 1 >',
    '<image -1>',
  ];
  for (const text of texts) {
    assert.deepEqual(placed(text, 'inline'), [text]);
    assert.deepEqual(placed(text, 'last'), [text]);
  }
  for (const layout of ['inline', 'last'] as const)
    assert.deepEqual(placePictures('', layout), { parts: [], shown: [] });
});

test('parts put together again are the text', () => {
  const text = 'x <image 1> y <image 2>\nA. <image 3>\nB. <image 1>';
  assert.equal(
    placed(text, 'inline')
      .map((part) => (typeof part === 'number' ? `<image ${part}>` : part.replaceAll('[', '<').replaceAll(']', '>')))
      .join(''),
    text,
  );
});

test('a text of many mentions is read at once', () => {
  const started = performance.now();
  const { parts, shown } = placePictures('<image 1> and <image 2>'.repeat(20_000), 'inline');
  assert.deepEqual([parts.length, shown], [4, [1, 2]]);
  placePictures(`${'<image '.repeat(50_000)}${' '.repeat(50_000)}`, 'inline');
  assert.ok(performance.now() - started < 5000);
});

test('files come to their places in order; a row that lacks one cannot be asked, and says which', () => {
  const [one, two] = [Uint8Array.of(1), Uint8Array.of(2, 2)];
  const { parts } = placePictures('a <image 2> b <image 1>', 'inline');
  assert.deepEqual(withFiles(parts, [two, one]), [
    { type: 'text', text: 'a ' },
    { type: 'image', bytes: two },
    { type: 'text', text: ' b ' },
    { type: 'image', bytes: one },
  ]);
  const told: [files: (Uint8Array | null)[], message: string][] = [
    [[null], 'the question shows 1 pictures, and the row lacks the one at place 1.'],
    [[one, null, null], 'the question shows 3 pictures, and the row lacks the one at place 2.'],
    [[one, null], 'the question shows 2 pictures, and the row lacks the one at place 2.'],
  ];
  for (const [files, message] of told) {
    const fault = withFiles(
      files.map(() => ({ type: 'image' })),
      files,
    );
    assert.ok(fault instanceof RowError);
    assert.deepEqual([fault.kind, fault.message], ['image', message]);
  }
  assert.deepEqual(withFiles([{ type: 'text', text: 'x' }], []), [{ type: 'text', text: 'x' }]);
});
