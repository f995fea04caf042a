/** Golden cases: what is asked, what is refused, and what a run of the demo says, writes and ends with. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parse } from 'junit2json';
import type { ScoredRow } from '../nanoeval/questions.ts';
import { task } from '../nanoeval/run_golden.ts';
import type { Checks } from '../nanoeval/score/checks.ts';
import { UserError } from '../nanoeval/types.ts';
import { runHereWith } from './in_process.ts';
import { ask, askedBy, questionOf } from './requests.ts';
import { DEMO, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('golden');
after(folder.remove);

const model = (chat_template: boolean) => ({ model_id: 'a/b', chat_template });

test('the question is the prompt as it is, or one message of it, or the messages', async () => {
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'שלום 👍🏽?' },
  ];
  const rows = [
    { prompt: ' e\u0301 {x}\n', exact: '' },
    { id: 'two', prompt: 'b', contains: 'c', max_new_tokens: 5 },
  ];
  const [first, second] = await askedBy(task, {
    dataset: { rows },
    scoring: { max_new_tokens: 9 },
    model: model(false),
  });
  assert.deepEqual(questionOf(first!, 'generate_until'), {
    verb: 'generate_until',
    prompt: ' e\u0301 {x}\n',
    until: [],
    max_new_tokens: 9,
  });
  assert.deepEqual([first!.row.id, second!.row.id], ['0', 'two']);
  assert.equal(questionOf(second!, 'generate_until').max_new_tokens, 5);
  const chat = await askedBy(task, { dataset: { rows: [rows[0], { messages, exact: 'a' }] }, model: model(true) });
  assert.deepEqual(
    chat.map((one) => questionOf(one, 'generate_until').prompt),
    [[{ role: 'user', content: ' e\u0301 {x}\n' }], messages],
  );
  assert.equal(questionOf(chat[0]!, 'generate_until').max_new_tokens, 256);
});

test('what has to hold is gold, and the verdict follows from it and the saved answer alone', async () => {
  const rows = [{ prompt: 'a', contains: ['b', { text: 'C', ignore_case: true }], strip: true, match: 'any' }];
  const row = (await askedBy(task, { dataset: { rows } }))[0]!.row as ScoredRow<Checks>;
  assert.deepEqual(row.gold, {
    match: 'any',
    checks: [
      { kind: 'contains', strip: true, text: 'b' },
      { kind: 'contains', strip: true, text: 'C', ignore_case: true },
    ],
  });
  const saved = JSON.parse(JSON.stringify({ ...row, output: 'only c' })) as ScoredRow<Checks>;
  const recipe = {} as Parameters<typeof task.score>[1];
  const verdict = await task.score(saved, recipe);
  assert.deepEqual([verdict.correct, verdict.metrics], [1, { pass: 1 }]);
});

/** The message of a case that is refused. */
const BAD: [what: string, written: object, message: RegExp][] = [
  ['an unknown check', { prompt: 'a', contians: 'b' }, /contians: unknown key\. Did you mean "contains"\?/],
  [
    'no check',
    { prompt: 'a', strip: true },
    /no check\. Give it one of: contains, not_contains, exact, one_of, regex, /,
  ],
  ['both ways to ask', { prompt: 'a', messages: [{ role: 'user', content: 'b' }], exact: '' }, /both there\. Keep one/],
  ['nothing asked', { exact: 'a' }, /nothing is asked\. Give it a `prompt`, or `messages`\./],
  ['a number as text', { prompt: 'a', contains: 3 }, /contains: 3 is not a text or a section .* or a list\./],
  ['an empty text', { prompt: 'a', contains: '' }, /contains: the text is empty\./],
  ['no texts', { prompt: 'a', one_of: [] }, /one_of: the list is empty\./],
  [
    'a misspelt option',
    { prompt: 'a', exact: { text: 'b', stripp: true } },
    /exact\.stripp: unknown key\. Did you mean "strip"/,
  ],
  [
    'a misspelt option in a list',
    { prompt: 'a', contains: ['b', { txt: 'c' }] },
    /contains\[1\]\.txt: unknown key\. Did you mean "text"\?/,
  ],
  [
    'a bad regular expression',
    { prompt: 'a', regex: '(' },
    /regex: "\(" is no regular expression .* flag u: Unterminated group\./,
  ],
  ['one in a list', { prompt: 'a', regex: ['a', '\\8'] }, /regex\[1\]: "\\\\8" is no regular expression/],
  [
    'a bad schema',
    { prompt: 'a', json_schema: { typo: 1 } },
    /json_schema: no JSON schema: strict mode: unknown keyword: "typo"\./,
  ],
  ['a text as schema', { prompt: 'a', json_schema: '{}' }, /json_schema: "\{\}" is not a section/],
  ['a share of a token', { prompt: 'a', max_tokens: 0.5 }, /max_tokens: 0\.5 is not a whole number\./],
  [
    'an unknown role',
    { messages: [{ role: 'bot', content: 'a' }], exact: '' },
    /messages\[0\]\.role: "bot" is not one of: system, user, assistant/,
  ],
  ['a wrong word', { prompt: 'a', exact: '', match: 'some' }, /match: "some" is not one of: all, any\./],
];

describe('a case that is none is one line that names it', () => {
  const jsonl = join(folder.path, 'cases.jsonl');
  for (const [what, written, message] of BAD) {
    test(what, async () => {
      writeFileSync(
        jsonl,
        [
          { prompt: 'a', exact: '' },
          { id: 'bad', ...written },
        ]
          .map((row) => JSON.stringify(row))
          .join('\n'),
      );
      // In the last row of a file: the run ends before the first question.
      await assert.rejects(ask(task, { dataset: { path: jsonl } }).next(), (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, /^golden row 1 \(id bad\): /);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /\n/);
        return true;
      });
      // In the config itself: before the model is looked for.
      const yaml = `task: golden\nmodel: { model_id: no/such }\ndataset:\n  rows:\n    - { prompt: a, exact: "" }\n    - ${JSON.stringify(written)}\n`;
      const { code, stderr } = await runHereWith('run_golden', folder.path, yaml);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /^\S+run_golden\.yaml:6:\d+: dataset\.rows\[1\]/);
      assert.match(stderr, message);
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    });
  }
});

test('cases that do not go together with the rest are refused at their place', async () => {
  const refused = (rows: object[], settings: object = {}) =>
    ask(task, { dataset: { rows }, model: model(false), ...settings }).next();
  const good = { prompt: 'a', exact: '' };
  await assert.rejects(refused([good, { messages: [{ role: 'user', content: 'b' }], exact: '' }]), {
    key: 'dataset.rows[1].messages',
    message: 'a conversation goes through a chat template. Set model.chat_template: true.',
  });
  await assert.rejects(refused([good, { prompt: 'a', max_tokens: 9 }], { scoring: { max_new_tokens: 9 } }), {
    key: 'dataset.rows[1].max_tokens',
    message: '9, and answers are cut at 9: it always holds. Lower it.',
  });
  await assert.rejects(refused([{ ...good, id: '1' }, good]), /golden row 1: id 1 is that of row 0 too\./);
  await assert.rejects(ask(task, {}).next(), { key: 'dataset', message: /^no rows\. Give them as dataset\.rows/ });
  const yaml = `task: golden\nmodel: { model_id: ${DEMO}, chat_template: false }\ndataset:\n  rows:\n    - prompt: a\n      exact: ""\n      max_tokens: 256\nreport: { output_dir: ${folder.path}/no }\n`;
  const { code, stderr } = await runHereWith('run_golden', folder.path, yaml.replace('\n      exact: ""', ''));
  assert.equal(code, 2, stderr);
  assert.match(stderr, /run_golden\.yaml:6:19: dataset\.rows\[0\]\.max_tokens: 256, and answers are cut at 256/);
});

test('a run of the demo: table of wrong cases, junit.xml and exit code 1, again when it is finished; rescored too', async () => {
  const out = join(folder.path, 'run');
  const yaml = (rest: string) => `task: golden
model: { model_id: ${DEMO}, chat_template: false }
engine: { workers: 1, threads_per_worker: 1 }
dataset:
  rows:
    - { id: good, prompt: The opposite of day is, contains: night }
    - { id: "bad, & <b>", prompt: The opposite of day is, exact: noon., not_contains: night }
scoring: { max_new_tokens: 4 }
run: { check_rows: 1${rest} }
report: { output_dir: ${out}, save_plot: false }
`;
  const first = await runHereWith('run_golden', folder.path, yaml(''));
  assert.equal(first.code, 1, first.stderr);
  const [scores, wrong] = first.stdout.split('\n\n');
  assert.match(scores!, /\| golden \| own +\| all +\| +2 \| pass +\| 0\.5000 \|/);
  assert.match(scores!, /\| check_pass \| 0\.3333 \|/);
  assert.deepEqual(
    wrong!
      .trimEnd()
      .split('\n')
      .slice(2)
      .map((line) =>
        line
          .split('|')
          .map((cell) => cell.trim())
          .slice(1, -1),
      ),
    [
      ['bad, & <b>', 'not_contains', '"night" is at 1:2: ..."night."'],
      ['bad, & <b>', 'exact', 'differs at 1:1: " night.", wanted "noon."'],
    ],
  );
  assert.match(first.stderr, /^1 of 2 rows are wrong; the first: bad, & <b>: not_contains: "night" is at 1:2/m);
  assert.match(first.stderr, /^FAILED: pass is 0\.5, and 1 at least is required \(run\.require\)$/m);
  const summary = () => JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8'));
  assert.deepEqual([summary().status, summary().faults, summary().failures.rows], ['complete', [], 1]);
  const xml = JSON.parse(JSON.stringify(await parse(readFileSync(join(out, 'junit.xml'), 'utf8'))));
  assert.deepEqual([xml.tests, xml.failures, xml.errors], [2, 1, 0]);
  const [good, bad] = xml.testsuite[0].testcase;
  assert.deepEqual([good.name, good.failure], ['good', undefined]);
  assert.equal(bad.name, 'bad, & <b>');
  assert.equal(bad.failure[0].message, 'not_contains: "night" is at 1:2: ..."night."');
  assert.match(bad.failure[0].inner, /\nexact: differs at 1:1: " night\.", wanted "noon\."$/);

  const again = await runHereWith('run_golden', folder.path, yaml(''));
  assert.deepEqual([again.code, again.stdout], [1, first.stdout]);
  assert.match(again.stderr, /golden: done, 2 rows/);
  const enough = await runHereWith('run_golden', folder.path, yaml(', require: 0.5'));
  assert.equal(enough.code, 0, enough.stderr);
  assert.doesNotMatch(enough.stderr, /FAILED/);

  const rescored = join(folder.path, 'rescored');
  const { code, stderr } = await runHereWith(
    'rescore',
    folder.path,
    `runs: ${out}\nreport: { output_dir: ${rescored}, save_plot: false }\n`,
  );
  assert.equal(code, 1, stderr);
  assert.match(stderr, /every score as it was/);
  const files = ['junit.xml', 'predictions.jsonl'];
  for (const name of files)
    assert.equal(readFileSync(join(rescored, 'run', name), 'utf8'), readFileSync(join(out, name), 'utf8'));
  await runHereWith('run_golden', folder.path, yaml(', overwrite: true'));
  assert.ok(existsSync(`${out}.old-1/junit.xml`));
});
