import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openChatTemplate } from '../../nanoeval/model/chat.ts';
import type { ChatMessage } from '../../nanoeval/questions.ts';
import { readJson, SHARED, userError } from './fixtures.ts';

const HELLO: ChatMessage[] = [{ role: 'user', content: 'Hello' }];
const from = (jinja: string | null, json: unknown = null, config: object = {}) =>
  openChatTemplate({ jinja, json }, config as { chat_template?: string }, {});
const rendered = (template: string, messages = HELLO, special = {}) =>
  openChatTemplate({ jinja: template, json: null }, {}, special)?.render(messages);

test('chat_template.jinja goes before chat_template.json, that before tokenizer_config.json', () => {
  const [json, config] = [{ chat_template: 'json' }, { chat_template: 'config' }];
  assert.equal(from('jinja', json, config)?.text, 'jinja');
  assert.equal(from(null, json, config)?.text, 'json');
  assert.equal(from(null, null, config)?.text, 'config');
  assert.equal(from(null, {}, config)?.text, 'config');
  assert.equal(from(null), null);
  assert.equal(from(null, null, { chat_template: null }), null);
});

test('of several named templates the default one is taken, else the first', () => {
  const named = (...names: string[]) => ({ chat_template: names.map((name) => ({ name, template: `the ${name}` })) });
  assert.equal(from(null, null, named('tool_use', 'default'))?.text, 'the default');
  assert.equal(from(null, null, named('rag', 'tool_use'))?.text, 'the rag');
  assert.equal(from(null, null, { chat_template: [] }), null);
  assert.equal(from(null, named('tool_use', 'default'))?.text, 'the default');
});

test('messages, special tokens and the generation prompt are there; tools and documents are none', () => {
  const turns = '{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}';
  assert.equal(rendered(`{{ bos_token }}${turns}{{ eos_token }}`, HELLO, { bos_token: '<s>' }), '<s>user=Hello;');
  assert.equal(rendered(`${turns}{% if add_generation_prompt %}assistant={% endif %}`), 'user=Hello;assistant=');
  assert.equal(rendered(`${turns}{{ tools is none }} {{ documents is none }}`), 'user=Hello;True True');
  assert.equal(rendered(`${turns}{% if tools is not none %}with tools{% endif %}`), 'user=Hello;');
});

test('blocks on their own lines leave no blank line, as transformers renders them', () => {
  const template =
    '{% for m in messages %}\n  {% if m.role == "user" %}\n{{ m.content }}\n  {% endif %}\n{% endfor %}\n';
  assert.equal(rendered(template), 'Hello\n');
});

test('a refused role is one line for the user, with the reason of the template', () => {
  const template = from(
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role\nnot supported') }}{% endif %}{{ messages[0].content }}",
  );
  assert.equal(template?.render(HELLO), 'Hello');
  assert.throws(
    () => template?.render([{ role: 'system', content: 'Be brief.' }, ...HELLO]),
    userError('model.chat_template', '(system, user)', 'System role not supported', 'model.chat_template: false'),
  );
});

test('a template that cannot be parsed is one line for the user', () => {
  assert.throws(
    () => from('{% for m in %}\n{% endfor %}'),
    userError('model.model_id', 'chat template: cannot be read'),
  );
});

test('a template that reads typed parts gets them, one that takes both gets plain text', () => {
  const parts =
    '{% for m in messages %}{% for p in m.content %}{% if p.type == "text" %}[{{ p.text }}]{% endif %}{% endfor %}{% endfor %}';
  assert.equal(rendered(parts), '[Hello]');
  const both = `{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}parts{% endif %}{% endfor %}`;
  assert.equal(rendered(both), 'Hello');
  assert.equal(rendered('no message at all'), 'no message at all');
  assert.throws(() => rendered('{{ raise_exception("never") }}'), userError('model.chat_template', 'never'));
});

const PICTURE: ChatMessage[] = [
  {
    role: 'user',
    content: [
      { type: 'text', text: 'What is ' },
      { type: 'image', bytes: new Uint8Array(0) },
      { type: 'text', text: 'this?' },
    ],
  },
];
const PARTS =
  '{% for m in messages %}{% for p in m.content %}{% if p.type == "image" %}<image>{% else %}[{{ p.text }}]{% endif %}{% endfor %}{% endfor %}';

test('messages with parts: each in its place, and plain texts beside them', () => {
  assert.equal(rendered(PARTS, PICTURE), '[What is ]<image>[this?]');
  assert.equal(rendered(PARTS, [...HELLO, ...PICTURE]), '[Hello][What is ]<image>[this?]');
  const both = `{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text if p.type == 'text' else '<image>' }}{% endfor %}{% endif %}{% endfor %}`;
  assert.equal(rendered(both, [...HELLO, ...PICTURE]), 'HelloWhat is <image>this?');
});

test('a template that takes plain texts alone gets the texts of the parts, and no picture', () => {
  const plain = '{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}';
  const texts: ChatMessage[] = [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'one, ' },
        { type: 'text', text: 'two' },
      ],
    },
  ];
  assert.equal(rendered(plain, texts), 'user: one, two');
  assert.throws(
    () => rendered(plain, PICTURE),
    userError('model.model_id', 'plain texts alone', 'no place for a picture'),
  );
  // One that joins with `+` fails on a list of parts: it is one of plain texts.
  const joins = '{% for m in messages %}{{ "user: " + m.content }}{% endfor %}';
  assert.equal(rendered(joins, texts), 'user: one, two');
  assert.throws(() => rendered(joins, PICTURE), userError('model.model_id', 'no place for a picture'));
});

interface Case {
  id: string;
  images: unknown[];
  messages: { role: 'user' | 'assistant' | 'system'; content: { type: string; text?: string }[] }[];
  prompt: string;
}
const VLM = join(SHARED, 'models/tiny_smolvlm');

test("SmolVLM's template: prompts of text-only conversations equal transformers'", {
  skip: existsSync(VLM) ? false : 'needs ../shared/models/tiny_smolvlm',
}, (t) => {
  const { cases } = readJson<{ cases: Case[] }>(join(VLM, 'references.json'));
  const chat = openChatTemplate(
    { jinja: null, json: readJson(join(VLM, 'chat_template.json')) },
    {},
    { bos_token: '<|im_start|>' },
  );
  const textOnly = cases.filter(({ messages }) =>
    messages.every(({ content }) => content.length === 1 && content[0]?.type === 'text'),
  );
  assert.ok(textOnly.length > 0);
  t.diagnostic(`${textOnly.length} conversations`);
  for (const { id, messages, prompt } of textOnly) {
    const plain = messages.map(({ role, content }) => ({ role, content: content[0]?.text ?? '' }));
    assert.equal(chat?.render(plain), prompt, id);
  }
});

test("SmolVLM's template: prompts of conversations with pictures equal transformers'", {
  skip: existsSync(VLM) ? false : 'needs ../shared/models/tiny_smolvlm',
}, (t) => {
  type Asked = Omit<Case, 'messages'> & { messages: ChatMessage[] };
  const { cases, questions } = readJson<{ cases: Asked[]; questions: Asked[] }>(join(VLM, 'references.json'));
  const json = readJson(join(VLM, 'chat_template.json'));
  const chat = openChatTemplate({ jinja: null, json }, {}, { bos_token: '<|im_start|>' });
  for (const { id, messages, prompt } of [...cases, ...questions]) assert.equal(chat?.render(messages), prompt, id);
  t.diagnostic(`${cases.length} and ${questions.length} conversations`);
});
