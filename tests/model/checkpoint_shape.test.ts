/** The JSON files of a checkpoint: what is read of them has its shape, and a fault is told with its place. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkCheckpointJson } from '../../nanoeval/model/checkpoint_shape.ts';
import { userError } from './fixtures.ts';

const check = (name: string, json: unknown) => checkCheckpointJson(name, json, 'owner/name');

test('what checkpoints hold is taken: null, Infinity, ids alone and in lists, keys that nobody reads', () => {
  check('config.json', { max_position_embeddings: 64, eos_token_id: 2, text_config: null, any: [null] });
  check('config.json', {
    n_positions: Number.POSITIVE_INFINITY,
    text_config: { n_ctx: Number.NaN, eos_token_id: [2, 7] },
  });
  check('generation_config.json', { eos_token_id: null });
  check('tokenizer_config.json', { model_max_length: 1e30, chat_template: [{ name: 'default', template: 'x' }] });
  check('chat_template.json', { chat_template: 'x' });
  check('special_tokens_map.json', { bos_token: { content: '<s>' } });
});

test('a fault is refused with its file and its place', () => {
  const cases: [file: string, json: unknown, ...parts: string[]][] = [
    ['config.json', null, 'config.json: the file: expected object, received null'],
    ['config.json', { text_config: 'x' }, 'config.json: text_config: expected object'],
    [
      'config.json',
      { text_config: { eos_token_id: 'x' } },
      'text_config.eos_token_id: expected an id or a list of ids',
    ],
    ['config.json', { max_position_embeddings: '64' }, 'max_position_embeddings: expected a number'],
    ['generation_config.json', { eos_token_id: [2, null] }, 'eos_token_id: expected an id'],
    ['generation_config.json', [], 'the file: expected object, received array'],
    ['tokenizer_config.json', { model_max_length: '64' }, 'model_max_length: expected a number'],
    ['tokenizer_config.json', { chat_template: [null] }, 'chat_template: expected a text or a list of named templates'],
    ['chat_template.json', { chat_template: 7 }, 'chat_template: expected a text'],
    ['special_tokens_map.json', 'x', 'special_tokens_map.json: the file: expected object'],
    ['preprocessor_config.json', 3, 'preprocessor_config.json: the file: expected object'],
  ];
  for (const [file, json, ...parts] of cases)
    assert.throws(() => check(file, json), userError('model.model_id', 'owner/name: ', ...parts), file);
});
