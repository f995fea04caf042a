/** Each kind of check, passing and failing, with the place where it failed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { type Check, checkKeys, checksOf, failureOf, verdictOf } from '../../nanoeval/score/checks.ts';
import { RowError } from '../../nanoeval/types.ts';

const why = (check: Check, output: string, num_output_tokens: number | null = 3) =>
  failureOf(check, { output, num_output_tokens });
const text = (kind: 'contains' | 'not_contains' | 'exact' | 'regex', wanted: string, rest: object = {}): Check => ({
  kind,
  text: wanted,
  ...rest,
});

test('contains', () => {
  assert.equal(why(text('contains', 'Paris'), 'It is Paris.'), null);
  assert.equal(why(text('contains', 'Paris'), 'The capital is Lyon.'), '"Paris" is not in "The capital is Lyon."');
  assert.equal(why(text('contains', 'Paris'), ''), '"Paris" is not in the empty answer');
  assert.equal(
    why(text('contains', 'Paris'), 'in paris'),
    '"Paris" is not in "in paris" (but for case: ignore_case: true)',
  );
  assert.equal(why(text('contains', 'Paris', { ignore_case: true }), 'in PARIS'), null);
  assert.equal(
    why(text('contains', 'New York'), 'New\n York'),
    '"New York" is not in "New\\n York" (but for white space: collapse_whitespace: true)',
  );
  assert.equal(why(text('contains', 'New York', { collapse_whitespace: true }), 'New\n York'), null);
  assert.equal(why(text('contains', '👍🏽'), 'ok 👍🏽'), null);
  assert.equal(why(text('contains', 'שלום'), 'אמר שלום'), null);
  // Composed and decomposed letters are other letters.
  assert.equal(why(text('contains', 'caf\u00e9'), 'cafe\u0301'), '"caf\u00e9" is not in "cafe\u0301"');
});

test('not_contains tells where it stands, in the answer as it was given', () => {
  assert.equal(why(text('not_contains', 'Lyon'), 'Paris'), null);
  assert.equal(why(text('not_contains', 'Lyon'), ''), null);
  assert.equal(why(text('not_contains', 'Lyon'), 'Paris,\nnot Lyon.'), '"Lyon" is at 2:5: ..."Lyon."');
  assert.equal(
    why(text('not_contains', 'lyon', { ignore_case: true, collapse_whitespace: true }), ' ß👍  \r\n LYON'),
    '"lyon" is at 2:2: ..."LYON"',
  );
});

test('exact tells the first place that differs', () => {
  assert.equal(why(text('exact', 'Paris'), 'Paris'), null);
  assert.equal(why(text('exact', ''), ''), null);
  assert.equal(why(text('exact', ''), 'a'), 'goes on at 1:1: "a", wanted its end there');
  assert.equal(why(text('exact', 'Paris'), ''), 'the answer is empty, wanted "Paris"');
  assert.equal(why(text('exact', 'a\nbcd'), 'a\nbxd'), 'differs at 2:2: ..."xd", wanted ..."cd"');
  assert.equal(why(text('exact', 'Paris'), 'Par'), 'ends at 1:4, wanted ..."is" there');
  assert.equal(why(text('exact', 'Paris'), 'Paris is'), 'goes on at 1:6: ..." is", wanted its end there');
  assert.equal(
    why(text('exact', 'Paris'), ' Paris'),
    'differs at 1:1: " Paris", wanted "Paris" (but for white space: strip: true)',
  );
  assert.equal(
    why(text('exact', 'a b'), 'a  b'),
    'differs at 1:3: ..." b", wanted ..."b" (but for white space: collapse_whitespace: true)',
  );
  assert.equal(
    why(text('exact', 'paris'), 'Paris'),
    'differs at 1:1: "Paris", wanted "paris" (but for case: ignore_case: true)',
  );
  assert.equal(why(text('exact', 'paris', { ignore_case: true, strip: true }), ' Paris\n'), null);
  assert.equal(
    why(text('exact', 'caf\u00e9'), 'cafe\u0301'),
    'differs at 1:4: ..."e\u0301", wanted ..."\u00e9" (alike but for their Unicode forms: composed, decomposed)',
  );
  // Two emoji that share their first unit differ as a whole.
  assert.equal(why(text('exact', 'a👍'), 'a👎'), 'differs at 1:2: ..."👎", wanted ..."👍"');
});

test('one_of', () => {
  const check: Check = { kind: 'one_of', texts: ['yes', 'Yes.'], strip: true };
  assert.equal(why(check, ' Yes.'), null);
  assert.equal(why(check, 'no'), '"no" is none of "yes", "Yes."');
  assert.equal(why(check, ''), 'the empty answer is none of "yes", "Yes."');
  assert.equal(why({ ...check, ignore_case: true }, 'YES'), null);
});

test('regex matches somewhere, with the flag u', () => {
  assert.equal(why(text('regex', '^\\p{L}+$'), 'Öl'), null);
  assert.equal(why(text('regex', '^.$'), '👍'), null);
  assert.equal(why(text('regex', '^\\d+$'), 'a 1'), '/^\\d+$/u matches nothing in "a 1"');
  assert.equal(why(text('regex', 'x'), ''), '/x/u matches nothing in the empty answer');
  assert.equal(why(text('regex', '^$'), ''), null);
  assert.equal(why(text('regex', '^PARIS$', { ignore_case: true, strip: true }), ' Paris '), null);
});

test('max_tokens, and a model that counts none', () => {
  const check: Check = { kind: 'max_tokens', most: 3 };
  assert.equal(why(check, 'a b c', 3), null);
  assert.equal(why(check, '', 0), null);
  assert.equal(why(check, 'a b c d', 4), '4 tokens, 3 at most');
  assert.throws(() => why(check, 'a', null), RowError);
});

test('json_schema', () => {
  const check: Check = { kind: 'json_schema', schema: { type: 'integer' } };
  assert.equal(why(check, ' 7\n'), null);
  assert.equal(why(check, '"7"'), 'the whole value: must be integer, found "\\"7\\""');
});

test('all checks have to hold, or with `any` one; each is a part under its kind', () => {
  const checks = [text('contains', 'a'), text('contains', 'b')];
  const answer = { output: 'only a', num_output_tokens: 2 };
  const part = (value: number, failure?: string) => ({
    name: 'contains',
    metrics: { check_pass: value },
    ...(failure === undefined ? {} : { failure }),
  });
  const parts = [part(1), part(0, '"b" is not in "only a"')];
  assert.deepEqual(verdictOf({ checks, match: 'all' }, answer), { correct: 0, metrics: { pass: 0 }, parts });
  assert.deepEqual(verdictOf({ checks, match: 'any' }, answer), { correct: 1, metrics: { pass: 1 }, parts });
  const none = verdictOf({ checks, match: 'any' }, { ...answer, output: '' });
  assert.deepEqual([none.correct, none.metrics], [0, { pass: 0 }]);
});

test('what is written: texts, texts with options of their own, lists of both; options of the case for the rest', () => {
  const schema = z.strictObject(checkKeys);
  const written = schema.parse({
    contains: ['a', { text: 'b', ignore_case: false }],
    not_contains: 'c',
    exact: { text: '', strip: true },
    one_of: ['d'],
    regex: '^e',
    json_schema: { type: 'object' },
    max_tokens: 4,
    ignore_case: true,
  });
  assert.deepEqual(checksOf(written), {
    match: 'all',
    checks: [
      { kind: 'contains', ignore_case: true, text: 'a' },
      { kind: 'contains', ignore_case: false, text: 'b' },
      { kind: 'not_contains', ignore_case: true, text: 'c' },
      { kind: 'exact', ignore_case: true, text: '', strip: true },
      { kind: 'one_of', ignore_case: true, texts: ['d'] },
      { kind: 'regex', ignore_case: true, text: '^e' },
      { kind: 'json_schema', schema: { type: 'object' } },
      { kind: 'max_tokens', most: 4 },
    ],
  });
  assert.deepEqual(checksOf(schema.parse({ match: 'any' })), { match: 'any', checks: [] });
});
