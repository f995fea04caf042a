/** Classes and window of a sequence-classification head, from config.json. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headClasses, headWindow } from '../../nanoeval/model/head_config.ts';
import { userError } from './fixtures.ts';

const architectures = ['LlamaForSequenceClassification'];

test('classes are those of id2label, by id; the architecture says whether there are any', () => {
  assert.deepEqual(headClasses({ architectures, id2label: { 1: 'b', 0: 'a', 2: 'ü 🙂' } }, 'x'), ['a', 'b', 'ü 🙂']);
  // transformers leaves two classes without names out of config.json.
  assert.deepEqual(headClasses({ architectures }, 'x'), ['LABEL_0', 'LABEL_1']);
  assert.equal(headClasses({ architectures: ['GPT2LMHeadModel'], id2label: { 0: 'LABEL_0' } }, 'x'), null);
  assert.equal(headClasses({ id2label: { 0: 'a', 1: 'b' } }, 'x'), null);
});

test('what is no choice among classes is refused', () => {
  for (const [more, message] of [
    [{ problem_type: 'multi_label_classification' }, 'problem_type is multi_label_classification'],
    [{ id2label: { 0: 'score' } }, 'has 1 class'],
    [{ id2label: { 0: 'a', 2: 'b' } }, 'gives 1 no name'],
    [{ id2label: { 0: 'a', 1: 7 } }, 'gives 1 no name'],
    [{ id2label: ['a', 'b'] }, 'is no mapping'],
    [{ id2label: { 0: 'a', 1: 'a' } }, 'has "a" twice'],
  ] as const)
    assert.throws(
      () => headClasses({ architectures, ...more }, 'x'),
      userError('model.model_id', 'x: config.json:', message),
    );
});

test("the window: the tokenizer's limit, and no more than there are positions", () => {
  assert.equal(headWindow({ model_type: 'bert' }, { model_max_length: 128 }, 512), 128);
  assert.equal(headWindow({ model_type: 'bert' }, { model_max_length: 1e30 }, 512), 512);
  // RoBERTa's positions begin behind the padding id: 514 of them are a window of 512.
  assert.equal(headWindow({ model_type: 'roberta', max_position_embeddings: 514, pad_token_id: 1 }, {}, 514), 512);
});
