/** Letters and tokens that stand for bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byteTokens, toBytes, toLetters } from '../../../nanoeval/model/tokenizer/bytes.ts';

test('every byte has a letter of its own, and comes back', () => {
  const text = Array.from({ length: 0x800 }, (_, code) => String.fromCharCode(code)).join('');
  assert.deepEqual([...toBytes(toLetters(text))], [...new TextEncoder().encode(text)]);
  assert.equal(new Set(toLetters(text)).size, 256 - 34, 'lead bytes C2 to DF, no other');
});

test("the letters are GPT-2's", () => {
  assert.equal(toLetters(' a\n½'), 'ĠaĊÂ½');
  assert.deepEqual(byteTokens(' ½'), ['<0x20>', '<0xC2>', '<0xBD>']);
});

test('a token with a character that stands for no byte is its own UTF-8', () => {
  assert.deepEqual([...toBytes('Ġ語')], [...new TextEncoder().encode('Ġ語')]);
});
