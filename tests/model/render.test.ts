/** Prompts as texts: strings, parts and conversations. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openChatTemplate } from '../../nanoeval/model/chat.ts';
import { openRenderer } from '../../nanoeval/model/render.ts';
import type { VisionFamily } from '../../nanoeval/model/vision/family.ts';
import type { ChatMessage, ContentPart } from '../../nanoeval/questions.ts';
import { UserError } from '../../nanoeval/types.ts';
import { userError } from './fixtures.ts';

const PARTS =
  '{% for m in messages %}<{{ m.role }}>{% for p in m.content %}{% if p.type == "image" %}[IMG]{% else %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}<assistant>';
const PLAIN = '{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>';
const templateOf = (jinja: string) => openChatTemplate({ jinja, json: null }, {}, {});

const family = { placeholder: '<image>' } as VisionFamily;
const blind = (): never => {
  throw new UserError('it takes no pictures', { key: 'model.model_id' });
};
const text = (words: string): ContentPart => ({ type: 'text', text: words });
const image: ContentPart = { type: 'image', bytes: Uint8Array.of(1, 2, 3) };

test('a text stays as it is, and neither template nor vision is asked for', () => {
  const { render } = openRenderer('toy', null, blind);
  for (const words of ['', 'What is that?', 'a literal <image>']) assert.equal(render(words), words);
});

test('parts are put in a row, with a placeholder for each picture; the template is not asked', () => {
  const { render } = openRenderer('toy', templateOf(PARTS), () => family);
  assert.equal(render([text('What is '), image, text('?')]), 'What is <image>?');
  assert.equal(render([image, image]), '<image><image>');
  assert.equal(render([text('one, '), text('two')]), 'one, two');
  assert.equal(render([]), '');
});

test('texts in parts need no vision; a picture does', () => {
  const { render } = openRenderer('toy', null, blind);
  assert.equal(render([text('one, '), text('two')]), 'one, two');
  assert.throws(() => render([text('What is '), image]), userError('model.model_id', 'it takes no pictures'));
});

test('a conversation goes through the template, its pictures as places', () => {
  const { render } = openRenderer('toy', templateOf(PARTS), blind);
  const messages: ChatMessage[] = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: [text('What is '), image, text('?')] },
  ];
  assert.equal(render(messages), '<system>Be brief.<user>What is [IMG]?<assistant>');
  const plain = openRenderer('toy', templateOf(PLAIN), blind);
  assert.equal(plain.render([{ role: 'user', content: 'Hello' }]), '<user>Hello<assistant>');
  assert.throws(
    () => plain.render([{ role: 'user', content: [image] }]),
    userError('model.model_id', 'no place for a picture'),
  );
});

test('a template is shown no bytes of a picture', () => {
  let seen: readonly ChatMessage[] = [];
  const template = {
    text: '',
    render(messages: readonly ChatMessage[]) {
      seen = messages;
      return 'rendered';
    },
  };
  const messages: ChatMessage[] = [
    { role: 'user', content: [text('What is '), image] },
    { role: 'assistant', content: 'A cat.' },
  ];
  assert.equal(openRenderer('toy', template, blind).render(messages), 'rendered');
  assert.deepEqual(seen, [
    { role: 'user', content: [text('What is '), { type: 'image' }] },
    { role: 'assistant', content: 'A cat.' },
  ]);
  assert.equal(image.bytes.length, 3, 'the prompt keeps its own');
});

test('without a template a conversation is refused on one line that names the model', () => {
  const { render } = openRenderer('org/bare', null, () => family);
  assert.throws(
    () => render([{ role: 'user', content: 'Hello' }]),
    userError('model.chat_template', 'true, but org/bare has no chat template.'),
  );
});

test('how the checkpoint takes pictures is found once, and not before somebody asks', () => {
  let opened = 0;
  const { render, vision } = openRenderer('toy', null, () => {
    opened += 1;
    return family;
  });
  render('a text');
  render([text('a text')]);
  assert.equal(opened, 0);
  assert.equal(vision(), family);
  render([image]);
  assert.equal(vision(), family);
  assert.equal(opened, 1);
});

test('the date goes to the template', () => {
  const chat = templateOf("{{ strftime_now('%B %-d') }}: {{ messages[0].content }}");
  const { render } = openRenderer('toy', chat, blind);
  assert.equal(render([{ role: 'user', content: 'Hello' }], '2026-03-05'), 'March 5: Hello');
  assert.throws(
    () => render([{ role: 'user', content: 'Hello' }]),
    userError('model.chat_template', 'asks for the date'),
  );
});
