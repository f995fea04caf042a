import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SharedHeads } from '../../nanoeval/text/shared_heads.ts';

/** Puts sequences through, and back together. */
function roundTrip(texts: readonly string[]) {
  const heads = new SharedHeads<string>();
  const known = new Map<number, string>();
  const rests = texts.map((text) => {
    const { head, rest, found } = heads.split(text);
    if (found !== null) known.set(head!, found);
    assert.equal((head === null ? '' : known.get(head)) + rest, text);
    return rest;
  });
  return { known, rests };
}

test('a header of many texts is stored once, and nothing is lost', () => {
  const header = (subject: string) => `Questions about ${subject}.\n${`${subject} is what? `.repeat(30)}`;
  const texts = ['anatomy', 'law'].flatMap((subject) =>
    Array.from({ length: 20 }, (_, i) => `${header(subject)}row ${i} of ${subject}`),
  );
  const { known, rests } = roundTrip(texts);
  assert.equal(known.size, 2);
  // The first of each subject cannot know.
  assert.ok(rests.filter((rest) => rest.length > 40).length <= 2, rests.map((rest) => rest.length).join());
});

test('texts in turn find their headers too; short and unlike texts have none', () => {
  const long = (name: string) => `${name} `.repeat(60);
  const turns = Array.from({ length: 24 }, (_, i) => `${long('abc'.charAt(i % 3))}${i}`);
  assert.equal(roundTrip(turns).known.size, 3);
  assert.equal(
    roundTrip(['short', 'short too', ...Array.from({ length: 9 }, (_, i) => String(i).repeat(300))]).known.size,
    0,
  );
});

test('a beginning ends where it had better: a line that goes on by chance is not cut', () => {
  const heads = new SharedHeads<string>((text, length) => text.lastIndexOf('\n', length - 1) + 1);
  const header = `${'x'.repeat(150)}\n`;
  heads.split(`${header}Question 17`);
  assert.deepEqual(heads.split(`${header}Question 19`), { head: 0, rest: 'Question 19', found: header });
  assert.deepEqual(new SharedHeads<string>(() => 0).split('y'.repeat(200)).head, null);
});

test('a pair of surrogates is not cut, and ids are split as texts are', () => {
  const same = 'x'.repeat(200);
  const { known } = roundTrip([`${same}\u{1f600}a`, `${same}\u{1f601}b`]);
  assert.deepEqual([...known.values()], [same]);
  const ids = new SharedHeads<readonly number[]>();
  const all = Array.from({ length: 150 }, (_, i) => i);
  ids.split([...all, 1]);
  assert.deepEqual(ids.split([...all, 2]), { head: 0, rest: [2], found: all });
  ids.add(7, [...all, 5, 5]);
  assert.deepEqual(ids.split([...all, 5, 5, 9]), { head: 7, rest: [9], found: null });
  assert.equal(ids.next, 8);
});
