import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openVision, type VisionFiles } from '../../../nanoeval/model/vision/family.ts';
import { userError } from '../fixtures.ts';

const KEY = 'model.model_id';

function files(config: Record<string, unknown>, rest: Partial<VisionFiles> = {}): VisionFiles {
  return { config: { image_token_id: 7, ...config }, preprocessor: {}, processor: {}, ...rest };
}
const LLAVA = { patch_size: 14, vision_feature_select_strategy: 'default', num_additional_image_tokens: 1 };

test('a family by model_type, with its name, its token and that token’s id', () => {
  for (const name of ['idefics3', 'smolvlm', 'llava']) {
    const family = openVision(files({ model_type: name }, { processor: name === 'llava' ? LLAVA : {} }));
    assert.deepEqual(
      [family.name, family.placeholder, family.imageToken, family.imageTokenId],
      [name, '<image>', '<image>', 7],
    );
    assert.deepEqual(
      family.values.map((table) => table.length),
      [256, 256, 256],
    );
  }
  const both = files({ model_type: 'llava', image_token_index: 32000 }, { processor: LLAVA });
  assert.equal(openVision(both).imageTokenId, 32000);
});

test('any family: the text has as many placeholders as tokens, the tiles as many bytes as they say', () => {
  for (const name of ['idefics3', 'smolvlm', 'llava']) {
    const family = openVision(files({ model_type: name }, { processor: name === 'llava' ? LLAVA : {} }));
    const { text, tokens } = family.expand({ width: 30, height: 20 });
    assert.equal(text.split(family.imageToken).length - 1, tokens, name);
    const { count, width, height, data } = family.tiles({ width: 30, height: 20, data: new Uint8Array(1800).fill(50) });
    assert.equal(data.length, count * 3 * width * height, name);
    assert.equal(tokens % count, 0, name);
    assert.ok(data.every((byte) => byte === 50));
  }
});

test('an unknown family is named, with those that are known', () => {
  const known = 'Known are: idefics3, smolvlm, llava.';
  assert.throws(() => openVision(files({ model_type: 'qwen2_vl' })), userError(KEY, 'model_type "qwen2_vl"', known));
  assert.throws(() => openVision(files({})), userError(KEY, 'model_type "undefined"', known));
  assert.throws(() => openVision(files({ model_type: 'constructor' })), userError(KEY, known));
});

test('missing keys and settings that are not done are refused by file, key and value', () => {
  const idefics3 = (preprocessor: Record<string, unknown>, processor = {}) =>
    openVision(files({ model_type: 'idefics3' }, { preprocessor, processor }));
  const cases: [() => unknown, ...(string | RegExp)[]][] = [
    [
      () => openVision({ config: { model_type: 'smolvlm' }, preprocessor: {}, processor: {} }),
      'config.json: image_token_id: missing',
    ],
    [() => openVision(files({ model_type: 'llava' })), 'processor_config.json: patch_size: missing'],
    [
      () => idefics3({ do_resize: false }),
      'preprocessor_config.json: do_resize: false is not done here (expected true).',
    ],
    [() => idefics3({ resample: 0 }), 'preprocessor_config.json: resample: 0 is not done here', '1, 2, 3, 4, 5'],
    [() => idefics3({ size: { height: 3, width: 4 } }), 'preprocessor_config.json: size.longest_edge: missing'],
    [() => idefics3({ image_mean: [0.5] }), 'preprocessor_config.json: image_mean'],
    [() => idefics3({}, { image_seq_len: '64' }), 'processor_config.json: image_seq_len: "64" is not done here'],
    [
      () => openVision(files({ model_type: 'llava' }, { processor: LLAVA, preprocessor: { do_pad: true } })),
      'do_pad: true',
    ],
    [
      () => openVision(files({ model_type: 'idefics3', image_token_id: '<image>' })),
      'config.json: image_token_id: "<image>"',
    ],
  ];
  for (const [open, ...parts] of cases) assert.throws(open, userError(KEY, ...parts));
});

test('transformers 5 saves the settings of pictures in processor_config.json: they count alone', () => {
  const nested = {
    image_seq_len: 2,
    image_processor: { size: { longest_edge: 64 }, max_image_size: { longest_edge: 32 } },
  };
  const preprocessor = { size: { longest_edge: 320 }, max_image_size: { longest_edge: 32 } };
  const family = openVision(files({ model_type: 'smolvlm' }, { preprocessor, processor: nested }));
  assert.equal(family.expand({ width: 5, height: 5 }).tokens, (2 * 2 + 1) * 2);
});
