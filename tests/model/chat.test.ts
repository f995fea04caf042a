import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { chatTemplateInUse, openChatTemplate, templateAbilities } from '../../nanoeval/model/chat.ts';
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

test("a template's line ends are no part of it: CRLF, CR and LF print the same", () => {
  const plain = '{% for m in messages %}\n<{{ m.role }}>\n{{ m.content }}\n{% endfor %}\n';
  for (const end of ['\r\n', '\r']) {
    const other = plain.replaceAll('\n', end);
    assert.equal(rendered(other), '<user>\nHello\n');
    assert.equal(from(other)?.text, plain);
    assert.equal(from(null, null, { chat_template: other })?.render(HELLO), '<user>\nHello\n');
  }
});

const DATED = '{{ strftime_now("%d %b %Y") }} {{ messages[0].content }}';

test('a template that asks for the date is known by rendering, and is given it', () => {
  assert.equal(from(DATED)?.dated, true);
  assert.equal(from(DATED)?.render(HELLO, '2026-03-05'), '05 Mar 2026 Hello');
  assert.throws(
    () => from(DATED)?.render(HELLO),
    userError('model.chat_template', 'asks for the date', 'model.template_date'),
  );
  // Only where there is no system message (Llama-3.2), or only in one.
  for (const condition of ["messages[0].role != 'system'", "messages[0].role == 'system'"])
    assert.equal(from(`{% if ${condition} %}{{ strftime_now("%Y") }}{% endif %}`)?.dated, true);
  // Named, but never called: tools are not given; a date of the template's own stands in.
  for (const idle of [
    '{% if tools %}{{ strftime_now("%Y") }}{% endif %}{{ messages[0].content }}',
    "{% if strftime_now is not defined %}{% set date = '26 Jul 2024' %}{% endif %}{{ messages[0].content }}",
    'strftime_now {{ messages[0].content }}',
  ]) {
    assert.equal(from(idle)?.dated, false, idle);
    assert.ok(from(idle)?.render(HELLO).includes('Hello'), idle);
  }
});

/** The generation prompt as Qwen3 has it. */
const THINKING =
  "{{ messages[0].content }}<|im_start|>assistant\n{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}";

test('enable_thinking is given as the config has it, and is not defined where that says nothing', () => {
  const open = (jinja: string, enable_thinking?: boolean) =>
    openChatTemplate({ jinja, json: null }, {}, {}, { enable_thinking })!;
  const closed = 'Hello<|im_start|>assistant\n<think>\n\n</think>\n\n';
  assert.equal(open(THINKING, false).render(HELLO), closed);
  assert.equal(open(THINKING, true).render(HELLO), 'Hello<|im_start|>assistant\n');
  assert.equal(open(THINKING).render(HELLO), 'Hello<|im_start|>assistant\n');
  assert.equal(open('{{ enable_thinking is defined }}').render(HELLO), 'False');
  assert.equal(open('{{ enable_thinking }}', true).render(HELLO), 'True');
  const lazily = chatTemplateInUse({ jinja: THINKING, json: null }, {}, {}, { enable_thinking: false });
  assert.equal(lazily?.render(HELLO), closed);
});

test('whether a template looks at enable_thinking is known by rendering, whatever it is given', () => {
  for (const given of [undefined, true, false])
    assert.equal(openChatTemplate({ jinja: THINKING, json: null }, {}, {}, { enable_thinking: given })?.switched, true);
  const refusing = "{% if enable_thinking %}{{ raise_exception('no') }}{% endif %}{{ messages[0].content }}";
  const inParts = '{% for p in messages[0].content %}{{ p.text }}{% endfor %}{{ enable_thinking }}';
  for (const jinja of [refusing, inParts]) assert.equal(from(jinja)?.switched, true, jinja);
  for (const jinja of ['{{ messages[0].content }}', '{# enable_thinking #}{{ messages[0].content }}'])
    assert.equal(from(jinja)?.switched, false, jinja);
});

test('templateAbilities: a template, whether it asks for the date, and why it cannot be used', () => {
  const of = (jinja: string | null) => templateAbilities({ jinja, json: null }, {});
  assert.deepEqual(of(null), { chat: false });
  assert.deepEqual(of('{{ messages[0].content }}'), { chat: true });
  assert.deepEqual(of(DATED), { chat: true, dated: true });
  assert.deepEqual(of(THINKING), { chat: true, thinking_switch: true });
  assert.deepEqual(of('{{ messages | pprint }}'), {
    chat: true,
    chat_fault: 'chat template: cannot be read: the filter "pprint" is not supported here',
  });
});

test('chatTemplateInUse: a template that cannot be used is told with the first conversation', () => {
  const lazily = (jinja: string | null) => chatTemplateInUse({ jinja, json: null }, {}, {});
  assert.equal(lazily(null), null);
  assert.equal(lazily(DATED)?.render(HELLO, '2026-03-05'), '05 Mar 2026 Hello');
  const broken = lazily('{{ messages | pprint }}');
  assert.throws(() => broken?.render(HELLO), userError('model.model_id', 'the filter "pprint" is not supported here'));
});

test('a text stays a text where the role is read as one: parts for the user alone, as Llama-3.2-Vision has it', () => {
  const template =
    "{% if messages[0].role == 'system' %}[{{ messages[0].content | trim }}]{% set messages = messages[1:] %}{% endif %}" +
    "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text if p.type == 'text' else '<|image|>' }}{% endfor %}{% endif %}{% endfor %}";
  const system: ChatMessage = { role: 'system', content: ' Be brief. ' };
  assert.equal(rendered(template, [system, ...HELLO]), '[Be brief.]Hello');
  assert.equal(rendered(template, [system, ...PICTURE]), '[Be brief.]What is <|image|>this?');
  const parts: ChatMessage = { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] };
  assert.equal(rendered(template, [parts, ...HELLO]), '[Be brief.]Hello', 'never a list as Python prints it');
});

test('blanks of an answer, braces in a text, None and True: as Python prints them', () => {
  const messages: ChatMessage[] = [
    { role: 'user', content: ' {{ x }} {% if %} ' },
    { role: 'assistant', content: '\n  indented' },
  ];
  const template =
    "{% for m in messages %}{{ m.role }}:{{ m.content }}|{{ m.content.split('</think>')[-1].lstrip('\\n') }};{% endfor %}{{ none }}{{ true }}{{ 1.0 }}{{ '1' == 1 }}{{ -7 % 3 }}";
  assert.equal(
    rendered(template, messages),
    'user: {{ x }} {% if %} | {{ x }} {% if %} ;assistant:\n  indented|  indented;NoneTrue1.0False2',
  );
});
