/** page.jsonl as it is written; how it reads back is in companion_file.test.ts. */
import assert from 'node:assert/strict';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import sharp from 'sharp';
import { openPart } from '../../nanoeval/page/tokens.ts';
import type { Ask, Reply } from '../../nanoeval/questions.ts';
import { Companion } from '../../nanoeval/run/companion.ts';
import { CompanionReader, readCompanion } from '../../nanoeval/run/companion_file.ts';
import { sha256 } from '../../nanoeval/text/hash.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('companion');
after(folder.remove);

/** One token a letter; `^` stands before each text and belongs to none. */
const idsOf = (text: string) => [94, ...[...text].map((letter) => letter.codePointAt(0)!)];
const told = { texts: (ids: readonly number[]) => ids.map((id) => String.fromCodePoint(id)), tokens: true };
const head = { num_context_tokens: 1, truncated: false };

function ranked(prompt: string): [Ask, Reply] {
  const choices = [' yes', ' no'];
  return [
    { verb: 'loglikelihood', prompt, choices: choices.map((text) => ({ text, continuation: text })) },
    {
      ...head,
      prompts: [prompt],
      choices: choices.map((text) => ({
        logprob: -1,
        num_tokens: 3,
        is_greedy: false,
        tokens: { prompt: idsOf(prompt), output: idsOf(text).slice(1) },
      })),
    },
  ];
}

async function written(
  name: string,
  asked: readonly (readonly [number, Ask, Reply])[],
  own = told as Parameters<typeof Companion.open>[1],
) {
  const path = join(folder.path, name);
  const companion = await Companion.open(path, own);
  for (const [index, ask, reply] of asked) {
    companion.hold(String(index), ask, reply);
    await companion.write({ index });
  }
  companion.close();
  return path;
}

/** Prompt, choices and answer of each row, as a page opens them. */
async function opened(path: string) {
  const { shared, rows } = await readCompanion(path);
  const reader = new CompanionReader(path);
  const found = new Map(
    [...rows].map(([key, place]) => {
      const row = reader.row(place);
      return [
        key,
        {
          row,
          prompts: row.prompts.map((part) => openPart(part, shared)),
          choices: row.choices?.map((part) => openPart(part, shared)),
          output: row.output && openPart(row.output, shared),
        },
      ] as const;
    }),
  );
  reader.close();
  return found;
}

const HEADER = 'Which one is it? '.repeat(20);

test('prompts and choices come back with their ids, and a shared header stands there once', async () => {
  const path = await written(
    'ranked',
    Array.from({ length: 12 }, (_, i) => [i, ...ranked(`${HEADER}number ${i}`)] as const),
  );
  const rows = await opened(path);
  for (let i = 0; i < 12; i += 1) {
    const { prompts, choices } = rows.get(String(i))!;
    assert.equal(prompts[0]!.text, `${HEADER}number ${i}`);
    assert.deepEqual(prompts[0]!.ids, idsOf(`${HEADER}number ${i}`));
    assert.deepEqual(
      choices!.map(({ text }) => text),
      [' yes', ' no'],
    );
  }
  const lines = readFileSync(path, 'utf8').split('\n');
  assert.deepEqual(JSON.parse(lines[0]!), { format: 2 });
  const long = lines.filter((line) => line.length > HEADER.length);
  assert.ok(long.length <= 3, `${long.length} long lines: the first row, the header, the texts of tokens`);
});

test('a process that died in the middle of a line goes on: nothing is doubled, nothing before it is lost', async () => {
  const path = await written('torn', [
    [0, ...ranked(`${HEADER}a`)],
    [1, ...ranked(`${HEADER}b`)],
  ]);
  const before = readFileSync(path, 'utf8');
  appendFileSync(path, '{"row":"2","prompts":[{"te');
  await written('torn', [
    [2, ...ranked(`${HEADER}Z`)],
    [1, ...ranked(`${HEADER}b`)],
  ]);
  const after = readFileSync(path, 'utf8');
  assert.ok(after.startsWith(before));
  assert.equal(
    after.split('"texts"').length - 1,
    before.split('"texts"').length - 1 + 1,
    'the texts of new tokens alone',
  );
  assert.ok(
    !after.slice(before.length).includes('"ids_head":null') && !/"head"/.test(after.slice(before.length)),
    'the header is known',
  );
  const rows = await opened(path);
  assert.deepEqual(
    [...rows].map(([key, { prompts }]) => [key, prompts[0]!.text.at(-1)]),
    [
      ['0', 'a'],
      ['1', 'b'],
      ['2', 'Z'],
    ],
  );
});

test('without texts of tokens, or without ids, the text itself is kept', async () => {
  const [ask, reply] = ranked('plain');
  const noTexts = (await opened(await written('no-texts', [[0, ask, reply]], { texts: null, tokens: true }))).get('0')!;
  assert.deepEqual(
    [noTexts.prompts[0]!.text, noTexts.prompts[0]!.pieces, noTexts.prompts[0]!.ids],
    ['plain', null, idsOf('plain')],
  );
  const bare: Reply = { ...(reply as Extract<Reply, { choices: unknown }>), choices: [] };
  const noIds = (await opened(await written('no-ids', [[0, ask, bare]], { texts: null, tokens: false }))).get('0')!;
  assert.deepEqual([noIds.prompts[0]!.text, noIds.prompts[0]!.ids], ['plain', null]);
});

test('an answer, a text, a pair and a conversation that a server renders', async () => {
  const answer: [Ask, Reply] = [
    { verb: 'generate_until', prompt: 'Q', until: [], max_new_tokens: 3 },
    {
      ...head,
      prompts: ['Q'],
      output: 'out',
      finish_reason: 'stop',
      num_output_tokens: 3,
      tokens: { prompt: idsOf('Q'), output: [111, 117, 116, 0] },
    },
  ];
  const text: [Ask, Reply] = [
    { verb: 'loglikelihood_rolling', text: 'whole' },
    {
      ...head,
      prompts: ['whole'],
      logprob: -1,
      num_tokens: 5,
      num_greedy: 1,
      num_windows: 1,
      tokens: { prompt: [], output: idsOf('whole') },
    },
  ];
  const pair: [Ask, Reply] = [
    { verb: 'classify', text: 'a', pair: 'b' },
    { ...head, prompts: ['a', 'b'], label_logprobs: [-1], tokens: { prompt: [94, 97, 98], output: [] } },
  ];
  const served: [Ask, Reply] = [
    {
      verb: 'generate_until',
      prompt: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Hi ' },
            { type: 'text', text: 'you' },
          ],
        },
      ],
      until: [],
      max_new_tokens: 3,
    },
    { ...head, prompts: null, output: 'x', finish_reason: 'stop', num_output_tokens: null },
  ];
  const rows = await opened(
    await written('verbs', [
      [0, ...answer],
      [1, ...text],
      [2, ...pair],
      [3, ...served],
    ]),
  );
  assert.deepEqual(rows.get('0')!.output!.ids, [111, 117, 116, 0]);
  assert.deepEqual([rows.get('1')!.prompts[0]!.text, rows.get('1')!.prompts[0]!.ids], ['whole', idsOf('whole')]);
  assert.deepEqual(
    rows.get('2')!.prompts.map((one) => one.text),
    ['a', 'b'],
  );
  assert.deepEqual([rows.get('3')!.prompts[0]!.text, rows.get('3')!.row.as_given], ['user: Hi you\n', true]);
});

test('a picture that several rows show stands there once, and a row without an answer has no line', async () => {
  const bytes = await sharp({ create: { width: 30, height: 20, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  const [, reply] = ranked('p');
  const ask: Ask = {
    verb: 'loglikelihood',
    prompt: [
      { type: 'image', bytes },
      { type: 'text', text: 'p' },
    ],
    choices: [],
  };
  const path = await written('pictures', [
    [0, ask, { ...reply, choices: [] } as Reply],
    [1, ask, { ...reply, choices: [] } as Reply],
  ]);
  const companion = await Companion.open(path, told);
  await companion.write({ index: 7 });
  companion.close();
  const { pictures, rows } = await readCompanion(path);
  assert.deepEqual([...pictures.keys()], [sha256(bytes)]);
  assert.deepEqual([...rows.keys()], ['0', '1']);
  const reader = new CompanionReader(path);
  assert.deepEqual(reader.row(rows.get('1')!).pictures, [sha256(bytes)]);
  const picture = reader.picture([...pictures.values()][0]!);
  assert.ok('data' in picture && picture.width === 30 && picture.height === 20);
  reader.close();
});
