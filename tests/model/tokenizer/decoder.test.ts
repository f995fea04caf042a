/** From tokens to text, as PyPI tokenizers does it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDecoder } from '../../../nanoeval/model/tokenizer/decoder.ts';
import { testMatrix } from './matrix.ts';

testMatrix('decoders');

test('bytes that are no UTF-8 become one replacement character each', () => {
  const decode = createDecoder({ type: 'ByteFallback' }, 'x');
  assert.deepEqual(decode(['<0xE2>', '<0x96>', 'a', '<0xC3>', '<0xBC>']), ['\ufffd\ufffd', 'a', 'ü']);
});

test('a decoder that is not known is refused by name', () => {
  assert.throws(() => createDecoder({ type: 'Morse' }, 'x'), { message: /^x: the decoder "Morse" is not supported/ });
});
