import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import sharp from 'sharp';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import { literalListField } from '../nanoeval/data/row.ts';
import type { ContentPart, Prediction, Prompt, ScoredRow, Verdict } from '../nanoeval/questions.ts';
import type { JournalRow } from '../nanoeval/run/journal.ts';
import { config, prompt, recipes, task } from '../nanoeval/run_mmmu_pro.ts';
import { letters } from '../nanoeval/score/letters.ts';
import { NO_HUB, startHub } from './data/hub_server.ts';
import { runHereWith } from './in_process.ts';
import { type Asked, askedBy, type Golden, goldensOf, imagesIn, questionOf } from './requests.ts';
import { ROOT, temporaryFolder } from './spawn.ts';

const GOLDEN = join(ROOT, 'tests/golden/mmmu_pro');
const SHARED = join(ROOT, '../shared');
const TINY = join(SHARED, 'models/tiny_smolvlm');
const DATA = join(SHARED, 'data/mmmu_pro');
const NO_TINY = existsSync(TINY) ? false : 'needs ../shared/models/tiny_smolvlm: a vision-language checkpoint';
const NO_DATA = existsSync(DATA) ? false : 'needs ../shared/data/mmmu_pro: its rows and recorded replies';
/** Rows of each config that are compared with transformers; NANOEVAL_TEST_ALL=1 takes all. */
const ROWS = process.env.NANOEVAL_TEST_ALL === '1' ? 60 : 4;

const folder = temporaryFolder('mmmu_pro');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const readLines = <T>(path: string): T[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

/** Room for the 1,024 tokens of an answer step by step. */
const all = (settings: object) => askedBy(task, settings, { max_length: 4096 });

interface PublishedRow {
  id: string;
  options: string;
  answer: string;
  [column: string]: unknown;
}
/** The row with what a caller changes; the others of the file stay out. */
function rowsFile(name: string, rows: object[]): string {
  const path = at(`${name}.jsonl`);
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  return path;
}
/** A prompt with the bytes of its pictures as plain ones: some are a Buffer's. */
const plain = (prompt: Prompt): unknown =>
  typeof prompt === 'string'
    ? prompt
    : prompt.map((part) => {
        if ('role' in part) return { ...part, content: plain(part.content as Prompt) };
        return part.type === 'image' ? { ...part, bytes: new Uint8Array(part.bytes) } : part;
      });
const invented = (form: 'standard' | 'vision') => readLines<PublishedRow>(join(GOLDEN, `${form}.jsonl`));

// ---------------------------------------------------------------- prompts

const goldens = goldensOf('mmmu_pro').map((golden: Golden) => ({
  ...golden,
  form: golden.context.includes('.vision.') ? ('vision' as const) : ('standard' as const),
  parts: JSON.parse(golden.text) as (string | number)[],
}));

test('every recipe has golden prompts of both forms', () => {
  assert.deepEqual(
    [...new Set(goldens.map(({ recipe, form }) => `${recipe} ${form}`))].sort(),
    Object.keys(recipes)
      .flatMap((recipe) => [`${recipe} standard`, `${recipe} vision`])
      .sort(),
  );
});

for (const { recipe, form, row: index, context, parts, texts, continuations } of goldens) {
  test(`golden prompt: ${context}`, async () => {
    const path = join(GOLDEN, `${form}.jsonl`);
    const dataset = { path, ...(form === 'vision' ? { subset_name: 'vision' } : {}) };
    const published = invented(form)[index]!;
    const pictures = parts
      .filter((part) => typeof part === 'number')
      .map((n) => {
        const { bytes } = published[form === 'vision' ? 'image' : `image_${n}`] as { bytes: string };
        return Buffer.from(bytes, 'base64');
      });
    let next = 0;
    const message = parts.map(
      (part): ContentPart =>
        typeof part === 'string'
          ? { type: 'text', text: part }
          : { type: 'image', bytes: new Uint8Array(pictures[next++]!) },
    );
    const text = parts.map((part) => (typeof part === 'string' ? part : '<picture>')).join('');
    const contexts = { true: `<user>${text}</user><assistant>`, false: text };
    for (const chat_template of [true, false]) {
      const asked = (await all({ model: { model_id: 'a/b', chat_template }, dataset, scoring: { recipe } }))[index]!;
      const { prompt, until, first_tokens } = questionOf(asked, 'generate_until');
      assert.deepEqual(plain(prompt), chat_template ? [{ role: 'user', content: message }] : message);
      const rendered = asked.context.replaceAll(/<picture \d+>/g, '<picture>');
      assert.equal(rendered, contexts[`${chat_template}`]);
      assert.deepEqual(
        imagesIn(asked).map((bytes) => Buffer.from(bytes).toString('base64')),
        pictures.map((bytes) => bytes.toString('base64')),
      );
      assert.deepEqual(
        first_tokens,
        continuations.flatMap((one) => [one.trim(), one]),
      );
      assert.deepEqual(until, []);
      const prediction = asked.row as Prediction;
      assert.deepEqual(prediction.options, texts);
      assert.equal(prediction.prompt_sha256, createHash('sha256').update(asked.context).digest('hex'));
      assert.deepEqual(
        prediction.image_sha256,
        pictures.map((bytes) => createHash('sha256').update(bytes).digest('hex')),
      );
    }
  });
}

test('columns of pictures that no row has are null: writers leave nulls out', async () => {
  const rows = invented('standard').map((row) =>
    Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)),
  );
  const most = Math.max(
    ...rows.flatMap((row) => Object.keys(row).map((key) => Number(/^image_(\d)$/.exec(key)?.[1] ?? 0))),
  );
  assert.ok(most < 7, `a row has ${most} pictures`);
  const settings = { scoring: { recipe: 'direct' } };
  const whole = await all({ ...settings, dataset: { path: join(GOLDEN, 'standard.jsonl') } });
  const bare = await all({ ...settings, dataset: { path: rowsFile('bare', rows) } });
  assert.deepEqual(
    bare.map(({ context }) => context),
    whole.map(({ context }) => context),
  );
  const none = rows.map(({ image_1: _, ...row }) => row);
  await assert.rejects(all({ ...settings, dataset: { path: rowsFile('none', none) } }), /has no column "image_1"/);
});

test('answers are as long as each recipe allows', async () => {
  const longest = { direct: 50, cot: 1024, direct_images_last: 50, cot_images_last: 1024, nanoeval: 8 };
  for (const [recipe, tokens] of Object.entries(longest)) {
    const dataset = { path: join(GOLDEN, 'standard.jsonl'), subset_size: 1 };
    const [one] = await all({ dataset, scoring: { recipe } });
    assert.equal(questionOf(one!, 'generate_until').max_new_tokens, tokens, recipe);
  }
  assert.equal(config.parse({ task: 'mmmu_pro', model: { model_id: 'a/b' } }).scoring.recipe, 'direct');
});

interface Question {
  id: string;
  form: 'standard_10' | 'standard_4' | 'vision';
  layout: 'after' | 'inline';
  gold: string;
  num_options: number;
  images: string[];
  messages: { role: string; content: ContentPart[] }[];
  source: string;
}

test("the prompts are those that transformers was asked: tiny_smolvlm's 65 questions", {
  skip: NO_TINY || NO_DATA,
}, () => {
  const { questions } = readJson(join(TINY, 'references.json')) as { questions: Question[] };
  const rows = readLines<Record<string, unknown>>(join(DATA, 'pro_tool21/data.jsonl'));
  const mixed = new Map(readLines<PublishedRow>(join(DATA, 'mix_data.jsonl')).map((row) => [row.id, row]));
  const counts: Record<string, number> = {};
  for (const { id, form, layout, num_options, images, messages, source } of questions) {
    const index = Number(/pro_tool21 row (\d+)/.exec(source)?.[1]);
    const row = rows[index]!;
    const from = source.startsWith('mix_data') ? { ...mixed.get(id)! } : row;
    const options = literalListField('mmmu_pro', { index, row: from }, 'options');
    assert.equal(options.length, num_options);
    const recipe = recipes[layout === 'after' ? 'direct_images_last' : 'direct']!;
    const { parts, shown } = prompt(recipe, form === 'vision' ? null : String(row.question), options);
    assert.deepEqual([{ role: 'user', content: parts }], messages, `${id} ${form} ${layout}`);
    if (form !== 'vision') {
      assert.deepEqual(
        shown.map((n) => basename(String(row[`image_${n}`]))),
        images.map((path) => basename(path)),
        `${id} ${form} ${layout}`,
      );
    }
    counts[`${form} ${layout}`] = (counts[`${form} ${layout}`] ?? 0) + 1;
  }
  assert.deepEqual(counts, {
    'standard_10 after': 10,
    'standard_10 inline': 10,
    'standard_4 after': 21,
    'standard_4 inline': 21,
    'vision after': 3,
  });
});

// ---------------------------------------------------------------- rows

test('a row carries its group, subject, kinds, gold and place; a picture holds no kinds', async () => {
  const standard = await all({ dataset: { path: join(GOLDEN, 'standard.jsonl') } });
  const told = ({ row }: Asked) => {
    const { id, index, group, subject, tags, gold } = row as Prediction;
    return [id, index, group, subject, tags, gold];
  };
  assert.deepEqual(standard.map(told), [
    ['invented_two_pictures', 0, 'science', 'Geography', ['Diagrams'], 1],
    ['invented_in_options', 1, 'art_and_design', 'Art', ['Icons and Symbols', 'Diagrams'], 0],
    ['invented_repeated', 2, 'art_and_design', 'Music', ['Sheet Music'], 1],
    ['invented_quotes', 3, 'science', 'Math', ['Other'], 2],
    ['invented_nested', 4, 'business', 'Accounting', ['Tables'], 1],
    ['invented_twelve_options', 5, 'tech_and_engineering', 'Computer_Science', [], 11],
  ]);
  const vision = await all({ dataset: { path: join(GOLDEN, 'vision.jsonl'), subset_name: 'vision' } });
  assert.deepEqual(vision.map(told), [
    ['invented_two_pictures', 0, 'science', 'Geography', undefined, 1],
    ['invented_nested', 1, 'business', 'Accounting', undefined, 1],
  ]);
});

test('subset_size counts the rows of the subjects asked for', async () => {
  const dataset = { path: join(GOLDEN, 'standard.jsonl') };
  const ids = async (more: object) => (await all({ dataset: { ...dataset, ...more } })).map(({ row }) => row.index);
  assert.deepEqual(await ids({ subset_size: 2 }), [0, 1]);
  assert.deepEqual(await ids({ subjects: ['art_and_design'] }), [1, 2]);
  assert.deepEqual(await ids({ subjects: ['Accounting', 'art_and_design'], subset_size: 2 }), [1, 2]);
  assert.deepEqual(
    await ids({ sample: 3 }),
    (await ids({ sample: 3 })).toSorted((a, b) => a - b),
  );
});

test('a row that cannot be a question fails with its place; the first one ends the run', async () => {
  const [row] = invented('standard');
  const list = 'It has to be a list of texts, as a list or written as a Python literal.';
  const table: [change: object, message: RegExp | string][] = [
    [{ options: '[]' }, `mmmu_pro row 1: options is "[]". ${list}`],
    [{ options: '[[]]' }, `mmmu_pro row 1: options is "[[]]". ${list}`],
    [{ options: null }, `mmmu_pro row 1: options is null. ${list}`],
    [{ options: "['a', 5]" }, `mmmu_pro row 1: options is "['a', 5]". ${list}`],
    [
      { options: "['a', 'b" },
      `mmmu_pro row 1: options is "['a', 'b". It has to be a Python list of texts (Python literal, character 7: the string that begins here has no closing '.).`,
    ],
    [{ options: '["a", b]' }, /^mmmu_pro row 1: options is .* character 7: the name b where a value was expected/],
    [{ answer: 'C' }, 'mmmu_pro row 1 (id invented_two_pictures): gold 2 is outside its 2 choices.'],
    [{ answer: 'b' }, 'mmmu_pro row 1 (id invented_two_pictures): gold -1 is outside its 2 choices.'],
    [{ answer: '' }, 'mmmu_pro row 1 (id invented_two_pictures): gold -1 is outside its 2 choices.'],
    [{ answer: 1 }, 'mmmu_pro row 1: answer is 1. It has to be a text.'],
    [{ id: null }, 'mmmu_pro row 1: id is null. It has to be a text.'],
    [{ question: null }, 'mmmu_pro row 1: question is null. It has to be a text.'],
    [{ img_type: 'Diagrams' }, /^mmmu_pro row 1: img_type is "Diagrams"\. /],
    [
      { image_2: 'images/a.png' },
      /^mmmu_pro row 1: image_2 is "images\/a\.png"\. It has to be a picture: \{ bytes, path \}/,
    ],
  ];
  for (const [i, [change, message]] of table.entries()) {
    const path = rowsFile(`stops-${i}`, [row!, { ...row, ...change }, row!]);
    const found = (await all({ dataset: { path } })).map((asked) => asked.row);
    const failed = found.find((one) => 'error' in one);
    assert.deepEqual(
      found.filter((one) => !('error' in one)).map(({ index }) => index),
      [0, 2],
    );
    assert.ok(failed !== undefined && 'error' in failed && failed.index === 1 && failed.error.kind === 'row');
    if (typeof message === 'string') assert.equal(failed.error.message, message);
    else assert.match(failed.error.message, message);
  }
  const [seen] = invented('vision');
  const path = rowsFile('stops-vision', [{ ...seen, options: '[]' }]);
  await assert.rejects(all({ dataset: { path, subset_name: 'vision' } }), {
    message: `mmmu_pro row 0: options is "[]". ${list}`,
  });
});

test('a picture that is named and not there fails its row alone', async () => {
  const [row, , , , last] = invented('standard');
  const path = rowsFile('lacking', [row!, { ...row, image_1: null }, { ...row, question: '<image 9>' }, last!]);
  const found = (await all({ dataset: { path } })).map(({ row }) =>
    'error' in row ? [row.index, row.error] : [row.index],
  );
  const lacks = (count: number, place: number) => ({
    kind: 'image',
    message: `the question shows ${count} pictures, and the row lacks the one at place ${place}.`,
  });
  assert.deepEqual(
    found.toSorted((a, b) => Number(a[0]) - Number(b[0])),
    [[0], [1, lacks(2, 2)], [2, lacks(1, 1)], [3]],
  );
});

// ---------------------------------------------------------------- scores

const resolved = (scoring: object = {}) =>
  resolveRecipe(task, config.parse({ task: 'mmmu_pro', model: { model_id: 'a/b' }, scoring }));
/** A score here is known at once. */
const score = (...args: Parameters<typeof task.score>) => task.score(...args) as Verdict;
const prediction = (more: Partial<Prediction<number>>): Prediction<number> => ({
  task: 'mmmu_pro',
  id: 'validation_Math_7',
  index: 7,
  group: 'science',
  subject: 'Math',
  gold: 1,
  num_context_tokens: 9,
  truncated: false,
  prompt_sha256: '',
  ...more,
});

test('score: the answer as the official script reads it, and the likeliest letter', () => {
  const options = ['cat', 'dog', 'bird'];
  const first_logprobs = { A: -3, ' A': null, B: -2, ' B': -9, C: -2.5, ' C': -2.5 };
  for (const recipe of Object.keys(recipes)) {
    const verdict = (output: string, gold = 1) =>
      score(prediction({ output, options, first_logprobs, gold }), resolved({ recipe }));
    assert.deepEqual(verdict('B'), { prediction: 1, correct: 1, metrics: { acc: 1, letter_prob: 0 } });
    assert.deepEqual(Object.keys(verdict('B').metrics), ['acc', 'letter_prob']);
    assert.deepEqual(verdict('Answer: A', 2), { prediction: 0, correct: 0, metrics: { acc: 0, letter_prob: 1 } });
    // What the script would guess is wrong, and known to be no answer.
    assert.deepEqual(verdict('I cannot say', 2), { prediction: null, correct: 0, metrics: { acc: 0, letter_prob: 1 } });
    assert.deepEqual(verdict('').prediction, null);
    // A server that does not tell how likely first tokens are.
    const silent = score(prediction({ output: 'B', options, gold: 1 }), resolved({ recipe }));
    assert.deepEqual(silent.metrics, { acc: 1 });
    assert.deepEqual(verdict('D').prediction, null);
  }
});

test('summarize: by group, subject and kind; chance is the mean of one in so many options', () => {
  const rows: ScoredRow<number>[] = [
    { acc: 1, options: ['a', 'b'], tags: ['Tables'] },
    { acc: 0, options: ['a', 'b', 'c', 'd'], tags: ['Tables', 'Maps'] },
  ].map(({ acc, options, tags }, index) => ({
    ...prediction({ index, options, tags }),
    prediction: 0,
    correct: acc as 0 | 1,
    metrics: { acc, letter_prob: 1 - acc },
  }));
  const scores = task.summarize(rows, resolved());
  assert.deepEqual(scores.primary, { name: 'acc', unit: 'share', better: 'higher', chance: 0.375 });
  assert.equal(scores.metrics.acc?.value, 0.5);
  assert.equal(scores.metrics.letter_prob?.value, 0.5);
  assert.equal(scores.subjects.Math?.acc?.n, 2);
  assert.deepEqual(
    Object.entries(scores.tags!).map(([tag, { acc }]) => [tag, acc?.value, acc?.n]),
    [
      ['Tables', 0.5, 2],
      ['Maps', 0, 1],
    ],
  );
});

/**
 * The verdicts that the authors stored: `right` without lucky guesses. One row's options are a list in a list; the script
 * sees one option there and guesses, here it is read (tests/score/option_letter.test.ts).
 */
const NESTED = 'validation_Accounting_29';
const RECORDED = [
  { name: 'standard10', right: 694, guessed: 6 },
  { name: 'vision', right: 726, guessed: 47 },
];
for (const { name, right, guessed } of RECORDED) {
  test(`score: 1,730 recorded replies, ${name}`, { skip: NO_DATA }, () => {
    const rows = readLines<PublishedRow & { response: string; if_right: boolean }>(
      join(DATA, `gpt4o_${name}_direct.jsonl`),
    );
    assert.equal(rows.length, 1730);
    const recipe = resolved();
    let found = 0;
    let unread = 0;
    for (const [index, row] of rows.entries()) {
      const options = literalListField('mmmu_pro', { index, row }, 'options');
      const gold = letters(26).indexOf(row.answer);
      assert.ok(gold >= 0 && gold < options.length, row.id);
      const verdict = score(prediction({ output: row.response, options, gold }), recipe);
      if (verdict.prediction === null) unread += 1;
      else if (row.id !== NESTED) assert.equal(verdict.correct === 1, row.if_right, row.id);
      found += verdict.correct!;
    }
    assert.deepEqual({ right: found, guessed: unread }, { right, guessed });
  });
}

test('all 1,730 published rows become questions, each with its pictures', { skip: NO_DATA }, async () => {
  // The recorded rows are the published ones without their pictures: every column gets one that tells its number.
  const columns = Object.fromEntries([1, 2, 3, 4, 5, 6, 7].map((n) => [`image_${n}`, { bytes: btoa(`picture ${n}`) }]));
  const rows = readLines<PublishedRow>(join(DATA, 'gpt4o_standard10_direct.jsonl'));
  const path = rowsFile(
    'all',
    rows.map((row) => ({ ...row, ...columns })),
  );
  const shown = { inline: 0, last: 0 };
  const repeating: number[] = [];
  const inline = await all({ dataset: { path } });
  const last = await all({ dataset: { path }, scoring: { recipe: 'direct_images_last' } });
  assert.equal(inline.length, 1730);
  const numbers = (asked: Asked) => imagesIn(asked).map((bytes) => Buffer.from(bytes).toString());
  const places = ({ context }: Asked) => context.split(/<picture \d+>/).length - 1;
  let disordered = 0;
  let inOptions = 0;
  for (const [i, one] of inline.entries()) {
    const row = one.row as Prediction;
    assert.ok(!('error' in one.row) && row.group !== 'unknown', row.id);
    const [first, official] = [numbers(one), numbers(last[i]!)];
    assert.ok(first.length > 0, row.id);
    assert.deepEqual([...new Set(official)], first, row.id);
    assert.equal(places(one), first.length, row.id);
    assert.equal(places(last[i]!), official.length, row.id);
    if (official.length > first.length) repeating.push(official.length);
    if (official.toSorted().join() !== official.join()) disordered += 1;
    if (/<image \d/.test(rows[i]!.options)) inOptions += 1;
    shown.inline += first.length;
    shown.last += official.length;
  }
  // benchmarks.md 5.1: 61 rows name them out of order, 66 in options, 4 repeat one, one of these has 35 references.
  assert.deepEqual([disordered, inOptions, repeating.length, Math.max(...repeating)], [61, 66, 4, 35]);
  assert.ok(shown.last > shown.inline);
});

const TEXT_ONLY = join(SHARED, 'hub/datasets/local/MMMU_Pro_text_only');
for (const subset_name of ['standard (10 options)', 'standard (4 options)']) {
  test(`all 1,730 rows of ${subset_name} are read; without pictures each fails, none is asked`, {
    skip: !existsSync(TEXT_ONLY) && 'needs ../shared/hub: MMMU-Pro without its pictures',
  }, async () => {
    const asked = await all({ dataset: { path: TEXT_ONLY, subset_name } });
    assert.equal(asked.length, 1730);
    for (const { row, question } of asked) {
      assert.ok('error' in row && row.error.kind === 'image', row.id);
      assert.match(row.error.message, /^the question shows \d+ pictures, and the row lacks the one at place 1\.$/);
      assert.equal(question, null);
    }
  });
}

// ---------------------------------------------------------------- whole runs

const yamlOf = (out: string, dataset: string, rest = '') =>
  `task: mmmu_pro\nmodel: { model_id: ${TINY} }\ndataset: { ${dataset} }\nreport: { output_dir: ${at(out, 'run')}, save_plot: false }\n${rest}`;

async function runIn(out: string, yaml: string, env: Record<string, string> = {}) {
  mkdirSync(at(out), { recursive: true });
  const finished = await runHereWith('run_mmmu_pro', at(out), yaml, env);
  const rows = existsSync(at(out, 'run/predictions.jsonl'))
    ? readLines<JournalRow>(at(out, 'run/predictions.jsonl'))
    : [];
  return { ...finished, rows, json: (name: string) => readJson(at(out, 'run', name)) };
}

/** 16 : 1, so that it is few tiles; every pixel another. */
async function wide(seed: number): Promise<Buffer> {
  const raw = Uint8Array.from({ length: 128 * 8 * 3 }, (_, i) => (i * i * 31 + i * seed) % 251);
  return sharp(raw, { raw: { width: 128, height: 8, channels: 3 } })
    .png()
    .toBuffer();
}

/** Of PNG chunks; Node 20 has none (zlib.crc32 is of 22). */
function crc32(bytes: Uint8Array): number {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum;
}

/** A picture whose header claims 20,000 x 20,000 pixels. */
function bomb(png: Buffer): Buffer {
  const bytes = Buffer.from(png);
  bytes.writeUInt32BE(20_000, 16);
  bytes.writeUInt32BE(20_000, 20);
  bytes.writeInt32BE(crc32(bytes.subarray(12, 29)), 29);
  return bytes;
}

describe('pictures that cannot be shown', { skip: NO_TINY, concurrency: 1 }, () => {
  const FAILS: Record<string, RegExp> = {
    corrupt: /^the picture cannot be decoded: /,
    text: /^the picture is of no known format \(\d+ bytes\)\. Read are JPEG, PNG, WebP and GIF\.$/,
    truncated: /^the picture cannot be decoded: /,
    bomb: /^the picture has 20000 x 20000 = 400 million pixels\. At most 100 million are decoded\.$/,
    missing: /^the question shows 2 pictures, and the row lacks the one at place 2\.$/,
    svg: /^the picture is a file of SVG, XML or HTML, which is not read\. /,
    literal: /^the prompt says <image> 2 times and has 1 pictures\.$/,
  };
  const GOOD = ['good_first', 'good_last'];

  before(async () => {
    const good = await wide(7);
    const corrupt = Buffer.from(good);
    corrupt[Math.floor(good.length / 2)]! ^= 16;
    const files: Record<string, Buffer> = {
      good_first: good,
      corrupt,
      text: Buffer.from('This is no picture at all.'),
      truncated: good.subarray(0, Math.floor(good.length / 2)),
      bomb: bomb(good),
      missing: good,
      svg: Buffer.from(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
      ),
      literal: good,
      good_last: await wide(11),
    };
    const asked: Record<string, string> = {
      missing: 'Which of <image 1> and <image 2>?',
      literal: 'What does <image> mean in <image 1>?',
    };
    const rows = Object.entries(files).map(([id, bytes], i) => ({
      id,
      question: asked[id] ?? `What is this? <image 1>${i}`,
      options: "['one', 'two', 'three']",
      ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7].map((n) => [`image_${n}`, null])),
      image_1: { bytes: bytes.toString('base64'), path: `${id}.png` },
      img_type: "['Diagrams']",
      answer: 'ABC'[i % 3],
      subject: 'Art',
    }));
    mkdirSync(at('damaged'));
    writeFileSync(at('damaged/test.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  });

  function checkRows(rows: JournalRow[], summary: Record<string, never>): void {
    assert.deepEqual(
      rows.map(({ id, index }) => [id, index]),
      ['good_first', ...Object.keys(FAILS), 'good_last'].map((id, index) => [id, index]),
    );
    for (const row of rows) {
      const message = FAILS[row.id];
      if (message === undefined) {
        assert.ok(!('error' in row), JSON.stringify(row));
        continue;
      }
      assert.ok('error' in row, row.id);
      assert.deepEqual(Object.keys(row), ['task', 'id', 'index', 'error']);
      assert.equal(row.error.kind, 'image');
      assert.match(row.error.message, message, row.id);
    }
    const { health, metrics, groups, tags } = summary as Record<string, Record<string, never>>;
    const scored = rows.filter((row): row is ScoredRow => !('error' in row));
    assert.deepEqual(
      scored.map(({ id }) => id),
      GOOD,
    );
    assert.deepEqual([health!.rows, health!.failed], [9, 7]);
    // Failed rows are no wrong answers: nothing is divided by them.
    const acc = metrics!.acc as unknown as { value: number; n: number };
    assert.equal(acc.n, 2);
    assert.equal(acc.value, scored.reduce((sum, { metrics }) => sum + metrics.acc!, 0) / 2);
    for (const part of [groups!.art_and_design, tags!.Diagrams] as unknown as Record<string, { n: number }>[])
      assert.equal(part.acc?.n, 2);
  }

  test('max_failed 1: the run ends well, its failed rows counted and left out of the scores', async () => {
    const { code, stderr, rows, json } = await runIn(
      'lenient',
      yamlOf('lenient', `path: ${at('damaged')}`, 'scoring: { max_new_tokens: 4 }\nrun: { max_failed: 1 }\n').replace(
        ', save_plot: false',
        '',
      ),
    );
    assert.equal(code, 0, stderr);
    assert.match(stderr, /7 of 9 rows could not be scored\n/);
    const summary = json('summary.json');
    assert.equal(summary.status, 'complete');
    checkRows(rows, summary);
    // Kinds of picture stand in the table, and not among the bars.
    assert.match(readFileSync(at('lenient/run/metrics.csv'), 'utf8'), /^Diagrams,letter_prob,[\d.]+,[\d.]*,2$/m);
    const chart = readFileSync(at('lenient/run/accuracy.svg'), 'utf8');
    assert.ok(chart.includes('art_and_design') && !chart.includes('Diagrams'));
  });

  test('by default the same run is invalid, with everything written', async () => {
    const { code, stderr, rows, json } = await runIn(
      'strict',
      yamlOf('strict', `path: ${at('damaged')}`, 'scoring: { max_new_tokens: 4 }\n'),
    );
    assert.equal(code, 1, stderr);
    assert.match(
      stderr,
      /INVALID: 7 of 9 rows failed, more than run\.max_failed 0; the first: row 1 \(id corrupt\): the picture cannot be decoded: [^\n]*\n$/,
    );
    const summary = json('summary.json');
    assert.equal(summary.status, 'invalid');
    checkRows(rows, summary);
  });

  test('a dtype for each graph is what runs, and stands in run.json', async () => {
    const path = rowsFile('one', [readLines<PublishedRow>(at('damaged/test.jsonl'))[0]!]);
    const yaml = yamlOf('mapped', `path: ${path}`, 'scoring: { max_new_tokens: 2 }\n').replace(
      ' }\n',
      ', dtype: { decoder_model_merged: q8, vision_encoder: fp16 } }\n',
    );
    const { code, stderr, rows, json } = await runIn('mapped', yaml);
    assert.equal(code, 0, stderr);
    assert.equal(rows.length, 1);
    const run = json('run.json');
    assert.deepEqual(run.config.model.dtype, { decoder_model_merged: 'q8', vision_encoder: 'fp16' });
    assert.equal(run.model.source.dtype, run.model.variant);
    assert.match(run.model.variant, /decoder_model_merged.*q8.*vision_encoder.*fp16/);
    assert.deepEqual(
      run.model.source.files
        .map(({ path }: { path: string }) => path)
        .filter((path: string) => path.endsWith('.onnx'))
        .sort(),
      ['onnx/decoder_model_merged_quantized.onnx', 'onnx/embed_tokens.onnx', 'onnx/vision_encoder_fp16.onnx'],
    );
    assert.equal(run.model.is_vlm, true);
    assert.equal(run.recipe.chat_template, true);
  });
});

// ---------------------------------------------------------------- transformers

interface Reference {
  config: string;
  id: string;
  index: number;
  num_options: number;
  num_tokens: number;
  letter_plain: { letter: string; gap: number };
  letter_space: { letter: string; gap: number };
  logits_plain: number[];
  logits_space: number[];
  greedy_text: string;
  greedy_gaps: number[];
}
const references = readLines<Reference>(join(ROOT, 'tests/fixtures/mmmu_pro/references.jsonl'));
/** Below it rounding decides (fixtures/mmmu_pro/README.md). */
const CLOSE = 0.02;

const CONFIGS: [name: string, subset_name: string][] = [
  ['standard10', 'standard (10 options)'],
  ['standard4', 'standard (4 options)'],
  ['vision', 'vision'],
];

describe('letters, probabilities and answers of transformers', { skip: NO_HUB || NO_TINY, concurrency: 1 }, () => {
  for (const [name, subset_name] of CONFIGS) {
    test(name, async (t) => {
      const wanted = references.filter(({ config }) => config === name).slice(0, ROWS);
      assert.ok(wanted.length > 0);
      const hub = await startHub(t, []);
      const dataset = `subset_name: "${subset_name}", subset_size: ${wanted.length}`;
      const { code, stderr, rows } = await runIn(name, yamlOf(name, dataset, 'scoring: { max_new_tokens: 8 }\n'), {
        HF_ENDPOINT: hub.url,
        HF_HOME: hub.home,
      });
      assert.equal(code, 0, stderr);
      assert.equal(rows.length, wanted.length);
      let largest = 0;
      let texts = 0;
      let compared = 0;
      for (const [i, reference] of wanted.entries()) {
        const row = rows[i] as ScoredRow;
        assert.deepEqual([row.id, row.index], [reference.id, reference.index]);
        assert.ok(!('error' in row), JSON.stringify(row));
        assert.equal(row.num_context_tokens, reference.num_tokens, row.id);
        const names = letters(reference.num_options);
        assert.deepEqual(
          Object.keys(row.first_logprobs!),
          names.flatMap((name) => [name, ` ${name}`]),
          row.id,
        );
        const found = ['', ' '].map((blank) => names.map((name) => row.first_logprobs![blank + name]!));
        const logits = [reference.logits_plain, reference.logits_space];
        // Logits and log-probabilities differ by one number, the same for every token.
        const shift = found[0]![0]! - logits[0]![0]!;
        for (const form of [0, 1]) {
          for (const [k, logit] of logits[form]!.slice(0, reference.num_options).entries()) {
            const difference = Math.abs(found[form]![k]! - logit - shift);
            assert.ok(difference <= 1e-2, `${row.id}, option ${k}: ${difference}`);
            largest = Math.max(largest, difference);
          }
          const { letter, gap } = [reference.letter_plain, reference.letter_space][form]!;
          if (gap <= CLOSE) continue;
          compared += 1;
          assert.equal(letters(26)[found[form]!.indexOf(Math.max(...found[form]!))], letter, row.id);
        }
        if (Math.min(...reference.greedy_gaps) <= CLOSE) continue;
        texts += 1;
        assert.equal(row.output, reference.greedy_text, row.id);
      }
      assert.ok(compared > wanted.length && texts > wanted.length / 2, `${compared} letters, ${texts} answers`);
      t.diagnostic(
        `${name}: ${wanted.length} rows, ${compared} letters and ${texts} answers equal, largest difference ${largest.toExponential(1)}`,
      );
    });
  }
});
