/**
 * A checkpoint of which one file is damaged, beside its graphs and its tokenizer.json: opened as a run opens it (the graph in
 * this process), and a text, a conversation with a picture and an answer asked: finite numbers, errors of rows, or one line.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { engineSection } from '../../nanoeval/config/keys.ts';
import { openFolder } from '../../nanoeval/data/hub.ts';
import { openExecutor } from '../../nanoeval/model/engine/open_executor.ts';
import { openModel } from '../../nanoeval/model/model.ts';
import type { Ask, Prompt } from '../../nanoeval/questions.ts';
import { RowError } from '../../nanoeval/types.ts';
import { askEach, choice } from '../model/ask_one.ts';
import { settings } from '../model/fixtures.ts';
import { IMAGE, picture, toyVlmFolder } from '../model/toy_vlm.ts';
import { changed, editedJson, randomFrom } from './changed.ts';
import type { Subject } from './watch.ts';

const ENGINE = engineSection.parse({ workers: 1, threads_per_worker: 1 });
const log = { info() {}, progress() {} };
const NUMBERS = [0, -1, -192, 1.5, 2 ** 40, 1e300];
const VALUES = [null, ...NUMBERS, 'x', '', [], {}, true, [1], [null], ['x'], { type: 'x' }];
const TEMPLATE =
  '{%- if messages[0].role != "system" %}{{ "Be brief. " }}{% endif %}{% for m in messages %}{{ bos_token ~ m.role | upper }}: ' +
  `{% for p in m.content %}{% if p.type == "image" %}${IMAGE}{% else %}{{ p.text | trim }}{% endif %}{% endfor %}{{ "\\n" }}` +
  '{% endfor %}{% if add_generation_prompt %}{{ "assistant:" }}{% endif %}';

/** The files that are changed, whole. */
function filesOf(): Record<string, unknown> {
  const toy = toyVlmFolder({ headDims: ['heads', 'size'] });
  const config = toy['config.json'] as { text_config: object };
  return {
    ...toy,
    'config.json': {
      ...config,
      eos_token_id: [2, 7],
      text_config: {
        ...config.text_config,
        eos_token_id: 2,
        sliding_window: 16,
        layer_types: ['sliding_attention'],
        attn_logit_softcapping: 5,
        rope_scaling: { rope_type: 'longrope', original_max_position_embeddings: 32 },
      },
    },
    'generation_config.json': { bos_token_id: 1, eos_token_id: [2], max_length: 20 },
    'special_tokens_map.json': { bos_token: '<s>', eos_token: { content: '</s>' }, additional_special_tokens: [IMAGE] },
    'chat_template.json': { chat_template: [{ name: 'default', template: TEMPLATE }] },
    'chat_template.jinja': TEMPLATE,
  };
}

const textOf = (content: unknown) =>
  typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content);

/** Bytes of the file are changed, or one value of its JSON. */
function damaged(content: unknown, seed: number): Uint8Array | string {
  if (seed < 0) return textOf(content);
  if (seed % 2 === 0 || typeof content === 'string') return changed(Buffer.from(textOf(content)), seed);
  return JSON.stringify(editedJson(content as object, randomFrom(seed), VALUES));
}

async function ask(folder: string): Promise<string> {
  const repo = await openFolder(folder, 'model');
  const model = await openModel(repo, settings({ model_id: folder }), ENGINE, log, undefined, openExecutor);
  try {
    const image = { type: 'image', bytes: await picture([200, 10, 3]) } as const;
    const seen: Prompt = [{ role: 'user', content: [{ type: 'text', text: 'What is ' }, image] }];
    const choices = [choice(' A'), choice(' B')];
    const asks: Ask[] = [
      { verb: 'loglikelihood', prompt: 'Which is it?', choices },
      { verb: 'loglikelihood', prompt: seen, choices },
      { verb: 'generate_until', prompt: seen, until: ['.'], max_new_tokens: 3 },
    ];
    const replies = await askEach(model, asks);
    for (const reply of replies)
      if ('choices' in reply) assert.ok(reply.choices.every(({ logprob }) => Number.isFinite(logprob)));
    return replies.some((reply) => reply instanceof RowError) ? 'rows refused' : 'rows';
  } finally {
    await model.close();
  }
}

const FILES = [
  'config.json',
  'generation_config.json',
  'special_tokens_map.json',
  'tokenizer_config.json',
  'preprocessor_config.json',
  'processor_config.json',
  'chat_template.json',
  'chat_template.jinja',
] as const;
let whole: Record<string, unknown> | null = null;

/** Two seeds of each file in turn. Negative ones are the whole files. */
export const CHECKPOINT: Subject = {
  name: 'checkpoint files',
  async read(seed, folder) {
    whole ??= filesOf();
    const name = FILES[Math.floor(Math.abs(seed) / 2) % FILES.length]!;
    for (const [path, content] of Object.entries(whole)) {
      const file = join(folder, path);
      mkdirSync(dirname(file), { recursive: true });
      // The template in a file of its own hides the other one.
      if (path === 'chat_template.jinja' && path !== name) rmSync(file, { force: true });
      else writeFileSync(file, path === name ? damaged(content, seed) : textOf(content));
    }
    return ask(folder);
  },
};
