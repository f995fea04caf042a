/** What is no tokenizer.json is refused with the place of its first fault. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkShape } from '../../../nanoeval/model/tokenizer/shape.ts';

const MODEL = { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b', ['a', 'b']] };

test('the first fault is named', () => {
  const cases: [object, string][] = [
    [{}, 'model: expected object, received undefined'],
    [{ model: { ...MODEL, vocab: [['a', 0]] } }, 'model.vocab: BPE needs a mapping'],
    [{ model: { type: 'Unigram', vocab: [['a', 0], ['b']] } }, 'model.vocab.1: expected a token and its score'],
    [{ model: { ...MODEL, merges: ['a b', 'ab'] } }, 'model.merges.1: expected two tokens'],
    [{ model: { type: 'BPE', vocab: {} } }, 'model.merges: expected a list'],
    [{ model: MODEL, added_tokens: [{ content: 'a' }] }, 'added_tokens.0.id: expected number, received undefined'],
    [
      { model: MODEL, normalizer: { type: 'Replace', content: '' } },
      'normalizer.pattern: missing, and Replace needs it',
    ],
    [
      {
        model: MODEL,
        pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Split', pattern: { String: 'a' } }] },
      },
      'pre_tokenizer.pretokenizers.0.behavior: missing, and Split needs it',
    ],
    [
      { model: MODEL, decoder: { type: 'Sequence', decoders: [null] } },
      'decoder.decoders.0: expected object, received null',
    ],
  ];
  for (const [json, line] of cases)
    assert.throws(() => checkShape(json, 'x'), {
      name: 'UserError',
      message: `x: ${line}. It is not as a tokenizer.json is written; get it again.`,
    });
  checkShape({ model: MODEL, added_tokens: null, normalizer: null }, 'x');
});
