/** MMMU against lm-evaluation-harness 0.4.13 on rows of our own in its schema (fixtures/mmmu, README there). */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import type { ContentPart, Prediction, Prompt, ScoredRow } from '../nanoeval/questions.ts';
import { config, recipes, score, task } from '../nanoeval/run_mmmu.ts';
import { letters } from '../nanoeval/score/letters.ts';
import { parsePythonLiteral } from '../nanoeval/text/python_literal.ts';
import { runHereWith } from './in_process.ts';
import { type Asked, askedBy, imagesIn, questionOf } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const FIXTURES = fileURLToPath(new URL('fixtures/mmmu/', import.meta.url));
const ROWS = join(FIXTURES, 'rows/validation.jsonl');
const folder = temporaryFolder('mmmu');
after(folder.remove);

interface PublishedRow {
  id: string;
  question: string;
  options: string;
  answer: string;
  question_type: string;
  [column: string]: unknown;
}
interface Golden {
  id: string;
  context: string;
  shown: (number | null)[];
  until: string[];
  max_gen_toks: number;
}
const readLines = <T>(path: string): T[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const golden = readLines<Golden>(join(FIXTURES, 'mmmu_val.jsonl'));
const published = readLines<PublishedRow>(ROWS);
const byId = (id: string) => published.find((row) => row.id === id)!;
const fileOf = (row: PublishedRow, n: number) => (row[`image_${n}`] as { bytes: string }).bytes;
const optionsOf = (row: PublishedRow) => parsePythonLiteral(row.options) as string[];

const all = (settings: object = {}) => askedBy(task, { dataset: { path: ROWS }, ...settings });
const chat = { model: { model_id: 'a/b', chat_template: true } };

/** A message as the harness has it: the text, `<image>` where a picture stands. */
const textOf = (parts: readonly ContentPart[]) =>
  parts.map((part) => (part.type === 'text' ? part.text : '<image>')).join('');
const partsOf = (prompt: Prompt): ContentPart[] => {
  assert.ok(typeof prompt !== 'string', 'a prompt with pictures is no text');
  return prompt as ContentPart[];
};
const filesOf = (asked: Asked) => imagesIn(asked).map((bytes) => Buffer.from(bytes).toString('base64'));

test('prompts as the harness has them, byte for byte, and a picture at each mention, repeated ones again', async () => {
  const plain = await all();
  const conversations = await all(chat);
  let asked = 0;
  for (const { id, context, shown, until, max_gen_toks } of golden) {
    const [one, other] = [plain, conversations].map((found) => found.find(({ row }) => row.id === id)!);
    if (shown.includes(null)) continue;
    const { prompt, ...settings } = questionOf(one!, 'generate_until');
    assert.deepEqual(textOf(partsOf(prompt)), context, id);
    assert.deepEqual(
      filesOf(one!),
      shown.map((n) => fileOf(byId(id), n!)),
      id,
    );
    assert.deepEqual([settings.until, settings.max_new_tokens], [until, max_gen_toks]);
    const [message, ...others] = questionOf(other!, 'generate_until').prompt as { role: string; content: never }[];
    assert.deepEqual([message?.role, message?.content, others], ['user', prompt, []], id);
    asked += 1;
  }
  assert.equal(asked, golden.length - 1);
});

test("the authors' words: a line more behind the options, open questions the same", async () => {
  const official = readLines<Golden>(join(FIXTURES, 'official.jsonl'));
  const found = await all({ scoring: { recipe: 'official' } });
  for (const { id, context } of official) {
    const one = found.find(({ row }) => row.id === id)!;
    if (!('error' in one.row)) assert.equal(textOf(partsOf(questionOf(one, 'generate_until').prompt)), context, id);
  }
  const other = official.filter(({ context }, i) => context !== golden[i]!.context).map(({ id }) => id);
  const withOptions = published.filter(({ question_type }) => question_type !== 'open').map(({ id }) => id);
  assert.deepEqual(other, withOptions);
});

test('a picture that is named and not there fails its row alone', async () => {
  const failed = (await all()).flatMap(({ row }) => ('error' in row ? [[row.id, row.error]] : []));
  const message = 'the question shows 2 pictures, and the row lacks the one at place 2.';
  assert.deepEqual(failed, [['validation_Physics_9', { kind: 'image', message }]]);
});

test('a row carries domain, subject, kinds and gold; options where there are any', async () => {
  const told = (await all()).flatMap(({ row }) => {
    const { id, group, subject, tags, gold, options } = row as Prediction;
    return 'error' in row ? [] : [[id, group, subject, tags, gold, options?.length]];
  });
  assert.deepEqual(told.slice(0, 3), [
    ['validation_Art_1', 'art_and_design', 'Art', ['Paintings', 'multiple-choice'], 1, 4],
    ['validation_Math_19', 'science', 'Math', ['Diagrams', 'Geometric Shapes', 'multiple-choice'], 2, 3],
    [
      'validation_Chemistry_30',
      'science',
      'Chemistry',
      ['Chemical Structures', 'open'],
      { label: "['$MgS$', 'MgS']", listed: ['$MgS$', 'MgS'] },
      undefined,
    ],
  ]);
  assert.deepEqual(told.find(([id]) => id === 'validation_Computer_Science_2')?.slice(1), [
    'tech_and_engineering',
    'Computer_Science',
    ['Paintings', 'open'],
    { label: 'B' },
    undefined,
  ]);
  const unknown = published.filter(({ id }) => !told.some(([known]) => known === id)).map(({ id }) => id);
  assert.deepEqual(unknown, ['validation_Physics_9']);
  assert.ok(!told.some(([, group]) => group === 'unknown'), 'every subject has its domain');
});

test('subjects and domains are chosen by the ids of the rows', async () => {
  const ids = async (dataset: object) =>
    (await all({ dataset: { path: ROWS, ...dataset } })).map(({ row }) => row.id.replace('validation_', ''));
  assert.deepEqual(await ids({ subjects: 'Art_Theory' }), ['Art_Theory_3']);
  assert.deepEqual(await ids({ subjects: ['art_and_design', 'Math'] }), [
    'Art_1',
    'Math_19',
    'Math_15',
    'Art_Theory_3',
    'Music_8',
  ]);
  assert.deepEqual(await ids({ subjects: 'science', subset_size: 2 }), ['Math_19', 'Chemistry_30']);
});

test('columns of pictures that no row has may be left out; what is no row of MMMU is refused with its place', async () => {
  const bare = published
    .filter(({ id }) => id === 'validation_Art_1')
    .map((row) => Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)));
  assert.equal((await all({ dataset: { rows: bare } })).length, 1);
  const bad = (change: object) => all({ dataset: { rows: [{ ...bare[0], ...change }] } });
  await assert.rejects(bad({ question_type: 'essay' }), {
    message: 'mmmu row 0: question_type is "essay". It has to be multiple-choice or open.',
  });
  await assert.rejects(bad({ answer: 'E' }), {
    message: 'mmmu row 0 (id validation_Art_1): gold 4 is outside its 4 choices.',
  });
  await assert.rejects(bad({ options: '[]' }), /mmmu row 0: options is "\[\]"\. It has to be a list of texts/);
  await assert.rejects(bad({ image_1: 'a.png' }), /mmmu row 0: image_1 is "a\.png"\. It has to be a picture/);
});

// ---------------------------------------------------------------- scores

interface Said {
  id: string;
  said: string;
  letter?: string | null;
  acc: 0 | 1;
  official?: 0 | 1;
}
const said = readLines<Said>(join(FIXTURES, 'said.jsonl'));
const verdictOn = ({ id, said: output }: Said, recipe: string) => {
  const row = byId(id);
  if (row.question_type !== 'open')
    return score({ output, options: optionsOf(row), gold: letters(26).indexOf(row.answer) }, recipes[recipe]!);
  const listed = row.answer.startsWith('[') ? { listed: parsePythonLiteral(row.answer) as string[] } : {};
  return score({ output, gold: { label: row.answer, ...listed } }, recipes[recipe]!);
};

test("options: the harness's letter on answers that were made up; where it would draw one, none and wrong", () => {
  const rows = said.filter(({ letter }) => letter !== undefined);
  assert.ok(rows.length > 60 && rows.some(({ letter }) => letter === null), `${rows.length} answers`);
  for (const row of rows) {
    const prediction = row.letter === null ? null : letters(26).indexOf(row.letter!);
    for (const recipe of Object.keys(recipes))
      assert.deepEqual(
        verdictOn(row, recipe),
        { prediction, correct: row.acc, metrics: { acc: row.acc } },
        JSON.stringify(row.said),
      );
  }
});

test("open questions: the harness's verdict on answers that were made up, and any of a list for the authors", () => {
  const rows = said.filter(({ official }) => official !== undefined);
  assert.ok(rows.length > 100, `${rows.length} answers`);
  for (const row of rows) {
    const what = `${row.id}: ${JSON.stringify(row.said)}`;
    assert.equal(verdictOn(row, 'lm_eval').correct, row.acc, what);
    assert.equal(verdictOn(row, 'official').correct, row.official, what);
  }
  assert.ok(
    rows.some(({ acc, official }) => acc !== official),
    'an answer on which they differ',
  );
});

test('what was read of an open answer is kept; of an empty one nothing was', () => {
  const read = (output: string) => score({ output, gold: { label: 'cat' } }, recipes.lm_eval!).prediction;
  assert.equal(read('It is a Cat.\nSo two'), 'a cat. | two');
  assert.equal(read(' \n'), null);
});

test('chance is that of the options; an open question has none', () => {
  const resolved = resolveRecipe(task, config.parse({ task: 'mmmu', model: { model_id: 'a/b' } }));
  const rows = [
    { gold: 0, options: ['a', 'b'], tags: ['multiple-choice'], acc: 1 },
    { gold: { label: 'x' }, tags: ['open'], acc: 0 },
  ].map(
    ({ acc, ...row }, index) =>
      ({ ...row, index, id: String(index), subject: 'Art', metrics: { acc } }) as unknown as ScoredRow<never>,
  );
  const { primary, metrics, tags } = task.summarize(rows, resolved);
  assert.deepEqual(primary, { name: 'acc', unit: 'share', better: 'higher', chance: 0.25 });
  assert.equal(metrics.acc?.value, 0.5);
  assert.deepEqual(
    Object.entries(tags!).map(([tag, { acc }]) => [tag, acc?.value]),
    [
      ['multiple-choice', 1],
      ['open', 0],
    ],
  );
});

test('the demo looks at the pictures and answers; a row without its picture fails, and the others count', async () => {
  const out = join(folder.path, 'demo');
  const yaml = `task: mmmu\nmodel: { model_id: ${DEMO} }\ndataset: { path: ${ROWS} }\nscoring: { max_new_tokens: 4 }\nrun: { max_failed: 0.1 }\nreport: { output_dir: ${out}/run, save_plot: false }\n`;
  const { code, stderr } = await runHereWith('run_mmmu', out, yaml);
  assert.equal(code, 0, stderr);
  const rows = readLines<ScoredRow>(join(out, 'run/predictions.jsonl'));
  assert.equal(rows.length, published.length);
  const answered = rows.filter(({ output }) => output !== undefined);
  assert.equal(answered.length, published.length - 1);
  for (const { id, image_sha256 = [] } of answered)
    assert.equal(image_sha256.length, golden.find((one) => one.id === id)!.shown.length, id);
  const { health, metrics } = JSON.parse(readFileSync(join(out, 'run/summary.json'), 'utf8'));
  assert.deepEqual([health.failed, metrics.acc.n], [1, answered.length]);
  assert.equal(health.unparsed, answered.filter(({ prediction }) => prediction === null).length);
});
