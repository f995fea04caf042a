/** Classification of one's own texts: what is asked, what is refused, and runs of the demo and of a head. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Prediction, ScoredRow } from '../nanoeval/questions.ts';
import type { Summary } from '../nanoeval/run/outcome.ts';
import { task } from '../nanoeval/run_classification.ts';
import type { ClassGold } from '../nanoeval/score/classification.ts';
import { runHereWith } from './in_process.ts';
import { ask, askedBy, questionOf } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('classification');
after(folder.remove);

const row = { review: 'e\u0301 👍🏽 {text}', mood: 'bad' };
const columns = { text: 'review', label: 'mood' };
const dataset = { rows: [row], columns, labels: { good: 'wonderful', bad: 'terrible שלום' } };
const goldOf = ({ row }: { row: object }) => (row as Prediction<ClassGold>).gold;

test('the words byte for byte: text in its template, the words of each label behind a blank in plain text alone', async () => {
  const template = 'Review: {text}\nMood:';
  const [plain] = await askedBy(task, { dataset: { ...dataset, template } });
  const { prompt, choices } = questionOf(plain!, 'loglikelihood');
  assert.equal(prompt, 'Review: e\u0301 👍🏽 {text}\nMood:');
  assert.deepEqual(choices, [
    { text: 'wonderful', continuation: ' wonderful' },
    { text: 'terrible שלום', continuation: ' terrible שלום' },
  ]);
  assert.deepEqual(goldOf(plain!), { label: 'bad', labels: ['good', 'bad'] });
  const [chat] = await askedBy(task, { dataset, model: { model_id: 'a/b', chat_template: true } });
  const asked = questionOf(chat!, 'loglikelihood');
  assert.deepEqual(asked.prompt, [{ role: 'user', content: row.review }]);
  assert.equal(asked.choices[0]!.continuation, 'wonderful');
  const [own] = await askedBy(task, { dataset: { ...dataset, delimiter: '\n' } });
  assert.equal(questionOf(own!, 'loglikelihood').choices[0]!.continuation, '\nwonderful');
});

test('calibrated: each label again behind the same words around the text without content', async () => {
  const template = 'A: {text} B: {text_pair} C:';
  const rows = [{ ...row, text_pair: 'zwei' }];
  const [found] = await askedBy(task, { dataset: { ...dataset, rows, template }, scoring: { calibration: 'N/A' } });
  const { prompt, choices } = questionOf(found!, 'loglikelihood');
  assert.equal(prompt, 'A: e\u0301 👍🏽 {text} B: zwei C:');
  assert.deepEqual(
    choices.map(({ continuation, prompt: own }) => [continuation, own]),
    [
      [' wonderful', undefined],
      [' terrible שלום', undefined],
      [' wonderful', 'A: N/A B: N/A C:'],
      [' terrible שלום', 'A: N/A B: N/A C:'],
    ],
  );
  const [empty] = await askedBy(task, { dataset, scoring: { calibration: '' } });
  assert.equal(questionOf(empty!, 'loglikelihood').choices[2]!.prompt, '');
});

test('labels may come with each row, and a number is a label of these digits or else a place', async () => {
  const rows = [
    { text: '', label: 'b', among: ['a', 'b'] },
    { text: 'x', label: 2, among: "['a', 'b', 'c']" },
    { text: 'y', label: 2, among: ['1', '2'] },
  ];
  const found = await askedBy(task, { dataset: { rows, columns: { labels: 'among' } } });
  assert.deepEqual(found.map(goldOf), [
    { label: 'b', labels: ['a', 'b'] },
    { label: 'c', labels: ['a', 'b', 'c'] },
    { label: '2', labels: ['1', '2'] },
  ]);
  assert.equal(questionOf(found[0]!, 'loglikelihood').prompt, '');
});

test('a head is given the texts as they stand, with its own classes or the names that rows have for them', async () => {
  const head = { can: { verbs: ['classify' as const], labels: ['LABEL_0', 'LABEL_1'] } };
  const scoring = { strategy: 'head' };
  const rows = [{ text: 'e\u0301 👍🏽', second: '', label: 1 }];
  const [one] = await askedBy(task, { dataset: { rows }, scoring }, head);
  assert.deepEqual(one!.question, { verb: 'classify', text: 'e\u0301 👍🏽' });
  assert.deepEqual(goldOf(one!), { label: 'LABEL_1', labels: ['LABEL_0', 'LABEL_1'] });
  const named = {
    rows: [{ ...rows[0], label: 'yes' }],
    columns: { text_pair: 'second' },
    labels: { yes: 'LABEL_1', no: 'LABEL_0' },
  };
  const [pair] = await askedBy(task, { dataset: named, scoring }, head);
  assert.deepEqual(pair!.question, { verb: 'classify', text: 'e\u0301 👍🏽', pair: '' });
  assert.deepEqual(goldOf(pair!), { label: 'yes', labels: ['no', 'yes'] });
  await assert.rejects(ask(task, { dataset, scoring }).next(), /classification asks for classify, and canned/);
});

const BAD: [row: object, message: string][] = [
  [{ label: 'c' }, 'label is "c". It has to be one of: a, b.'],
  [{ label: 2 }, 'label is 2. It has to be one of: a, b.'],
  [{ label: null }, 'label is null. It has to be one of: a, b.'],
  [{ label: true }, 'label is true. It has to be one of: a, b.'],
  [{ text: 7 }, 'text is 7. It has to be a text.'],
  [{ text_pair: null }, 'text_pair is null. It has to be a text.'],
];
test('a row that is none is refused by number: the first ends the run, a later one fails', async () => {
  const good = { text: 't', text_pair: 'u', label: 'a', own: ['a', 'b'] };
  const refused = async (bad: object, message: string, more: object) => {
    await assert.rejects(ask(task, { dataset: { rows: [bad, good], ...more } }).next(), { message });
    const found = await askedBy(task, { dataset: { rows: [good, bad], ...more } });
    const errors = found.flatMap((one) => ('error' in one.row ? [one.row.error.message] : []));
    assert.deepEqual(errors, [message.replace('row 0', 'row 1')]);
  };
  const keys = { labels: ['a', 'b'], template: '{text} {text_pair}' };
  for (const [change, message] of BAD) await refused({ ...good, ...change }, `classification row 0: ${message}`, keys);
  const own = { columns: { labels: 'own' } };
  const alone = 'classification row 0: own has 1. It has to be two labels at least.';
  await refused({ ...good, own: ['a'] }, alone, own);
  await refused({ ...good, own: ['a', 'a'] }, 'classification row 0: own has "a" twice. Labels have to differ.', own);
});

const read = (path: string) => readFileSync(path, 'utf8');
const rowsOf = (out: string) =>
  read(join(out, 'predictions.jsonl'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ScoredRow<ClassGold>);
const summaryOf = (out: string): Summary => JSON.parse(read(join(out, 'summary.json')));

test('a calibrated run of the demo: scores of each label, the matrix as a table and a picture, one prefix without content', async () => {
  const out = join(folder.path, 'run');
  const { code, stdout, stderr } = await runHereWith(
    'run_classification',
    folder.path,
    `task: classification
model: { model_id: ${DEMO}, chat_template: false }
engine: { workers: 1, threads_per_worker: 1 }
dataset:
  labels: [night, dry]
  template: "The opposite of {text} is"
  rows:
    - { text: day, label: night }
    - { text: wet, label: dry }
    - { text: "", label: 1 }
scoring: { calibration: N/A }
run: { check_rows: 3 }
report: { output_dir: ${out} }
`,
  );
  assert.equal(code, 0, stderr);
  assert.match(stdout, /\| macro_f1 +\| /);
  const { confusion, tags, pooled, primary, determinism, engine } = summaryOf(out);
  assert.deepEqual(confusion!.labels, ['night', 'dry']);
  assert.equal(
    read(join(out, 'confusion.csv')),
    `gold,night,dry\nnight,${confusion!.counts[0]}\ndry,${confusion!.counts[1]}\n`,
  );
  assert.ok(existsSync(join(out, 'confusion.png')) && existsSync(join(out, 'confusion.svg')));
  assert.deepEqual(Object.keys(tags!.night!), ['precision', 'recall', 'f1', 'support']);
  assert.ok(pooled!.includes('macro_f1') && primary.chance === 0.5);
  assert.deepEqual([determinism!.rows, determinism!.flips], [3, 0]);
  for (const { choices, prediction, gold } of rowsOf(out)) {
    const left = [0, 1].map((i) => choices![i]!.logprob - choices![i + 2]!.logprob);
    assert.equal(prediction, gold.labels[left[0]! >= left[1]! ? 0 : 1]);
  }
  // 3 rows ask the text without content 6 times; its words run once for the window, and once for each checked row.
  const asked = engine.tokens_asked as number;
  assert.ok((engine.tokens_run as number) < asked / 2, `${engine.tokens_run} of ${asked}`);
});

test('a head: verdicts of transformers, a run that goes on where it stopped, and a row that fails', async () => {
  const at = new URL('fixtures/classification/', import.meta.url);
  const { rows } = JSON.parse(readFileSync(new URL('head.json', at), 'utf8'));
  const data = join(folder.path, 'nli.jsonl');
  const out = join(folder.path, 'head');
  const written = rows.map(({ text, pair, label }: Record<string, string | null>) => ({
    text,
    pair: pair ?? '',
    label,
  }));
  const lines = (all: object[]) => all.map((one) => `${JSON.stringify(one)}\n`).join('');
  writeFileSync(data, lines([...written, { text: 'x', pair: '', label: 'maybe' }]));
  const yaml = `task: classification
model: { model_id: ${fileURLToPath(new URL('head', at))} }
engine: { threads_per_worker: 1 }
dataset: { path: ${data}, columns: { text_pair: pair } }
scoring: { strategy: head }
run: { max_failed: 0.1, check_rows: 20 }
report: { output_dir: ${out}, save_plot: false }
`;
  const first = await runHereWith('run_classification', folder.path, yaml);
  assert.equal(first.code, 0, first.stderr);
  assert.match(
    first.stderr,
    /label is "maybe"\. It has to be one of: entailment, neutral, contradiction\.|1 of 14 rows could not be scored/,
  );
  const whole = rowsOf(out);
  for (const [i, { logprobs, label, length }] of rows.entries()) {
    const { label_logprobs, prediction, correct, truncated } = whole[i]!;
    const off = Math.max(...logprobs.map((wanted: number, k: number) => Math.abs(wanted - label_logprobs![k]!)));
    assert.ok(off <= 1e-4, `row ${i}: ${off}`);
    assert.deepEqual([prediction, correct, truncated], [label, 1, length > 24]);
  }
  const { health, metrics, determinism, confusion } = summaryOf(out);
  assert.equal(metrics.acc!.value, 1);
  assert.deepEqual(
    [health.failed, health.truncated],
    [1, rows.filter(({ length }: { length: number }) => length > 24).length],
  );
  assert.deepEqual(determinism, { rows: 13, largest_difference: 0, flips: 0, flipped: [] });
  assert.deepEqual(confusion!.labels, ['entailment', 'neutral', 'contradiction']);
  assert.ok(existsSync(join(out, 'confusion.csv')) && !existsSync(join(out, 'confusion.png')));
  const before = read(join(out, 'predictions.jsonl'));
  writeFileSync(join(out, 'predictions.jsonl'), before.split('\n').slice(0, 5).join('\n').concat('\n'));
  const again = await runHereWith('run_classification', folder.path, yaml);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(read(join(out, 'predictions.jsonl')), before);
  assert.equal(summaryOf(out).timing.rows_computed, 9);
});
