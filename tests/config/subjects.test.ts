import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askedSubjects, chosenSubjects, groupOfSubject, subjectsKey } from '../../nanoeval/config/subjects.ts';
import groups from '../../nanoeval/mmlu_subjects.json' with { type: 'json' };
import { UserError } from '../../nanoeval/types.ts';

test("MMLU's subjects: lm-eval's four categories (benchmarks.md 2.1)", () => {
  const sizes = Object.fromEntries(Object.entries(groups).map(([group, subjects]) => [group, subjects.length]));
  assert.deepEqual(sizes, { stem: 19, humanities: 13, social_sciences: 12, other: 13 });
  const all = Object.values(groups).flat();
  assert.equal(new Set(all).size, 57);
  const groupOf = groupOfSubject(groups);
  assert.equal(groupOf.size, 57);
  // The trap: Hendrycks files anatomy under other.
  assert.equal(groupOf.get('anatomy'), 'stem');
  assert.equal(groupOf.get('high_school_psychology'), 'social_sciences');
  assert.equal(groupOf.get('formal_logic'), 'humanities');
  assert.equal(groupOf.get('virology'), 'other');
  assert.equal(groupOf.get('alchemy'), undefined);
});

const small = { sums: ['algebra', 'geometry'], words: ['poetry'] };

test('names of subjects and of groups, alone or in a list', () => {
  assert.equal(chosenSubjects(undefined, small), null);
  assert.deepEqual(chosenSubjects('poetry', small), new Set(['poetry']));
  assert.deepEqual(chosenSubjects('sums', small), new Set(['algebra', 'geometry']));
  assert.deepEqual(chosenSubjects(['words', 'algebra'], small), new Set(['poetry', 'algebra']));
  assert.deepEqual(chosenSubjects(['sums', 'algebra'], small), new Set(['algebra', 'geometry']));
});

test('another name is an error with the nearest, or with the groups', () => {
  const message = (asked: string | string[]) => {
    try {
      chosenSubjects(asked, small);
    } catch (error) {
      assert.ok(error instanceof UserError);
      assert.equal(error.key, 'dataset.subjects');
      return error.message;
    }
    return 'accepted';
  };
  assert.equal(message(['sums', 'poerty']), '"poerty" is neither a subject nor a group. Did you mean "poetry"?');
  assert.equal(message('Poetry'), '"Poetry" is neither a subject nor a group. Did you mean "poetry"?');
  assert.equal(message('chemistry'), '"chemistry" is neither a subject nor a group. Groups are: sums, words.');
});

test('the schema refuses it already, and says which entry', () => {
  const key = subjectsKey(small);
  for (const good of [undefined, 'sums', ['poetry', 'sums']]) assert.equal(key.safeParse(good).success, true);
  for (const bad of [5, [], [5], {}]) assert.equal(key.safeParse(bad).success, false);
  const result = key.safeParse(['sums', 'x', 'poetry', 'y']);
  assert.deepEqual(
    result.error?.issues.map(({ path }) => path),
    [[1], [3]],
  );
});

test('the names that a config asks for; none where it asks for all or its task has no subjects', () => {
  assert.deepEqual(askedSubjects({}), []);
  assert.deepEqual(askedSubjects({ subjects: undefined }), []);
  assert.deepEqual(askedSubjects({ subjects: 'sums' }), ['sums']);
  assert.deepEqual(askedSubjects({ subjects: ['poetry', 'sums'] }), ['poetry', 'sums']);
});
