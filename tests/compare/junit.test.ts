/** junit.xml, as a reader of such files sees it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'junit2json';
import { type JunitCase, junitXml } from '../../nanoeval/compare/junit.ts';

const made = (name: string, suite: string, failure: string | null, text = ''): JunitCase => ({
  name,
  suite,
  failure,
  text,
});

test('suites, cases and failures are counted as they are', async () => {
  const xml = junitXml('nanoeval compare', [
    made('acc_norm', 'hellaswag', 'REGRESSED: acc_norm 0.5 -> 0.4', 'baseline 0.5\ncurrent 0.4'),
    made('acc', 'hellaswag', null, 'all well'),
    made('acc', 'mmlu', null),
  ]);
  const read = (await parse(xml)) as unknown as Record<string, never>;
  assert.deepEqual(JSON.parse(JSON.stringify(read)), {
    name: 'nanoeval compare',
    tests: 3,
    failures: 1,
    errors: 0,
    testsuite: [
      {
        name: 'hellaswag',
        tests: 2,
        failures: 1,
        errors: 0,
        skipped: 0,
        testcase: [
          {
            name: 'acc_norm',
            classname: 'nanoeval compare.hellaswag',
            time: 0,
            failure: [
              { message: 'REGRESSED: acc_norm 0.5 -> 0.4', type: 'REGRESSED', inner: 'baseline 0.5\ncurrent 0.4' },
            ],
          },
          { name: 'acc', classname: 'nanoeval compare.hellaswag', time: 0, 'system-out': ['all well'] },
        ],
      },
      {
        name: 'mmlu',
        tests: 1,
        failures: 0,
        errors: 0,
        skipped: 0,
        testcase: [{ name: 'acc', classname: 'nanoeval compare.mmlu', time: 0 }],
      },
    ],
  });
});

test('markup, quotes and characters that XML cannot hold come out as text', async () => {
  const nasty = 'a<b>&"c\' ]]> \u0000\u0008\u{FFFF} \u{1F600} \u00e9';
  const xml = junitXml(nasty, [made(nasty, nasty, `X: ${nasty}`, nasty)]);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is what is tested.
  assert.doesNotMatch(xml, /[\u0000-\u0008\uFFFF]/);
  const read = JSON.parse(JSON.stringify(await parse(xml)));
  const shown = 'a<b>&"c\' ]]> \uFFFD\uFFFD\uFFFD \u{1F600} \u00e9';
  const [suite] = read.testsuite;
  const [only] = suite.testcase;
  assert.deepEqual([read.name, suite.name, only.name], [shown, shown, shown]);
  assert.deepEqual([only.failure[0].message, only.failure[0].inner], [`X: ${shown}`, shown]);
});
