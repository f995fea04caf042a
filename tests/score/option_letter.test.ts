/** Against the published script's own verdicts: fixtures/option_letter/README.md. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { letters } from '../../nanoeval/score/letters.ts';
import { officialLetter, plainLetter } from '../../nanoeval/score/option_letter.ts';
import { parsePythonLiteral } from '../../nanoeval/text/python_literal.ts';

const ANIMALS = ['cat', 'dog', 'USA flag', 'bird'];
/** Ten options whose texts stand in no reply below. */
const TEN = Array.from({ length: 10 }, (_, index) => `option text ${index}`);

function letterOf(reply: string, options: readonly string[]): string | null {
  const index = officialLetter(reply, options);
  return index === null ? null : letters(options.length)[index]!;
}

function check(cases: [reply: string, letter: string | null, options?: readonly string[]][]) {
  for (const [reply, letter, options = ANIMALS] of cases)
    assert.equal(letterOf(reply, options), letter, `${JSON.stringify(reply)} of ${JSON.stringify(options)}`);
}

test('the table of verdicts, benchmarks.md 5.3', () => {
  check([
    ['Answer: B', 'B'],
    ['Answer: $B', 'B'],
    ['The answer is (C).', 'C'],
    ['B.', 'B'],
    ['b', null],
    ['A dog and B cat', 'B'],
    ['I think it is USA today', 'A'],
    ['The animal shown here is clearly a dog indeed', 'B'],
    ['**Answer: D**', 'D'],
    ['So, the answer is B.\nAnswer:', 'B'],
    ['J. A dramatic scene', 'A', TEN],
  ]);
});

test('1. one letter behind the last label', () => {
  check([
    ['Answer:C', 'C'],
    ['Answer: **(C)**\n', 'C'],
    ['Answer: Cats', 'C'],
    ['Answer: B\nno, wait\nAnswer: D', 'D'],
    ['Answer: B\nAnswer: none', null], // none behind the last, and the first is no letter of the other steps
    ['Answer: B \nAnswer: none', 'B'],
    ['Answer: J', 'J', TEN],
    // Out of range: no letter here, nor in the steps behind.
    ['Answer: J', null],
    ['Answer: K', null, TEN],
    // Only this spelling of the label.
    ['Answer: $B$', 'B'],
    ['answer: $B$', null],
    ['ANSWER: $B$', null],
    ['Answer : $B$', null],
    // The label comes before brackets elsewhere.
    ['It is (A), surely. Answer: B', 'B'],
    ['Answer: B because (B) is a dog', 'B'],
    // Two letters: on to the other steps, over the whole reply.
    ['Answer: (A)C', 'A'],
    ['(D) it is. Answer: AB', 'D'],
    ['Answer: B or C', 'C'],
    ['Answer: AB', 'B', ['x', 'y']],
  ]);
});

test('2. letters in brackets, the rightmost', () => {
  check([
    ['(B)', 'B'],
    ['not (A) but (C)', 'C'],
    ['(C) rather than (A)', 'A'],
    ['(A) (B) (A)', 'A'],
    ['(b)', null],
    ['(E)', null],
    ['(E)', 'E', TEN],
    ['( B )', 'B'], // by step 3
    ['(B) and not A or C ', 'B'],
    ['f(A)=2', 'A'],
    // The strip leaves brackets alone.
    ['(B).', 'B'],
    ['!(B)!', 'B'],
  ]);
});

test('3. a letter with a blank behind it, whatever stands before', () => {
  check([
    ['B', 'B'],
    ['B!', 'B'],
    ['so B it is', 'B'],
    ['C and D', 'D'],
    ['D and C', 'C'],
    ['USA today', 'A'],
    ['USB and USA today', 'A'], // neither stands between blanks: the first
    ['VITAMIN C and the USA today', 'C'], // A matches, but only C stands between blanks
    ['A  B ', 'B'],
    ['B\nC', 'C'], // no blank behind B: C alone
    ['B\tis it', null],
    ['b it is', null],
    ['J it is', null],
    ['J it is', 'J', TEN],
    // The step is decided by those that it found: B. is not looked at.
    ['B. A dog', 'A'],
  ]);
});

test('4. a letter with a full stop', () => {
  check([
    ['B. dog', 'B'],
    ['the USA.\nB. dog', 'A'], // several, none between blanks: the first
    ['D. or\nC.x', 'C'],
    ['**B.** dog', 'B'],
    ['B: dog', null],
    ['B) dog', null],
    ['B, dog', null],
    ['b. dog', null],
  ]);
});

test('5. the text of an option in more than five words', () => {
  check([
    ['this is clearly a dog', null],
    ['this is most clearly a dog', 'B'],
    ['this is most clearly a DOG', 'B'],
    ['it is no dog but rather a cat', 'A'],
    ['it is no cat but rather a dog', 'B'],
    ['the flag of the usa flag family', 'C'],
    ['this shows something like a concatenation', 'A'], // part of a word
    ['this is most clearly a horse', null],
    // Ties of equal texts: the first.
    ['one two three four five same', 'A', ['same', 'same']],
    // An empty option is in every text, at its very end.
    ['one two three four five six', 'B', ['six', '', '']],
    ['one two three four five six', null, ['seven']],
    // Words are what Python's split() finds: U+001C and U+0085 part them, U+FEFF does not.
    ['a\u001cb\u0085c d e dog', 'B'],
    ['a\ufeffb c d e dog', null],
    ['a\u3000b\u2028c\nd\te\u00a0dog', 'B'],
    // Small letters as Python makes them.
    ['one two three four five ΟΔΥΣΣΕΥΣ', 'A', ['οδυσσευς']],
    ['one two three four five İSTANBUL', 'A', ['i\u0307stanbul']],
    ['one two three four five STRASSE', null, ['straße']],
    ['one two 😀 three four five a😀', 'B', ['four', '😀']],
  ]);
});

test('the marks go one kind after another, not as a set', () => {
  check([
    ['B.', 'B'],
    ["'B'", 'B'],
    ['B?!', 'B', ['x', 'y']], // "!" goes before "?": both are gone
    ['B!?', null, ['x', 'y']], // "!" is not at the end when its turn comes
    ['B;,', 'B'],
    ['B,;', null],
    ['B:.', 'B'],
    ["B.'", 'B'], // the full stop stays: step 4
    ['B...', 'B'],
    ['B"', null],
    ['B. ', 'B'], // a blank at the end saves the full stop
    ['B! ', null],
    ['...', null],
    ["',.!?;:'", null],
  ]);
});

test('no letter is null, never a guess', () => {
  check([
    ['', null],
    [' ', null],
    ['\n', null],
    ["I'm sorry, I can't help with that.", null],
    ['A', null, []],
    ['Answer: A', null, []],
    ['one two three four five six', null, []],
    ['А', null], // Cyrillic
    ['Ｂ', null], // full width
  ]);
});

test('every letter of every number of options', () => {
  for (let count = 1; count <= 26; count += 1) {
    const options = Array.from({ length: count }, (_, index) => `text ${index}`);
    for (const letter of letters(count)) {
      for (const form of ['X', ' X ', 'X.', '(X)', 'X. text', 'Answer: X', '**Answer: X**', "'X'"])
        assert.equal(letterOf(form.replace('X', letter), options), letter, `${form}, ${letter} of ${count}`);
    }
    const beyond = String.fromCharCode(65 + count);
    assert.equal(letterOf(`Answer: ${beyond}`, options), null, `${beyond} of ${count}`);
  }
});

test('a long reply is read at once', () => {
  const started = performance.now();
  assert.equal(letterOf(`${'.'.repeat(1_000_000)}x${'.'.repeat(1_000_000)}`, TEN), null);
  assert.equal(letterOf(`${'answer '.repeat(300_000)}`, TEN), null);
  assert.equal(letterOf(`${'(A) (B) '.repeat(300_000)}`, TEN), 'B');
  assert.ok(performance.now() - started < 5000);
});

interface Recorded {
  id: string;
  options: string;
  answer: string;
  response: string;
  pred_indexs: string;
  if_right: boolean;
}
const linesOf = <Row>(path: URL) =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);

/** All options, out of lists in lists too. */
const flat = (options: string) => (parsePythonLiteral(options) as unknown[]).flat(Number.POSITIVE_INFINITY) as string[];
/** As many as the script counts: a list in the list is one option to it, of which its step 5 would make an error. */
const outer = (options: string) => (parsePythonLiteral(options) as unknown[]).map(String);

/** One question's options are a list in a list. The script sees one option, and its random letter of one is A. */
const NESTED = 'validation_Accounting_29';

const rows = linesOf<Recorded & { file: string; letter: string | null }>(
  new URL('../fixtures/option_letter/rows.jsonl', import.meta.url),
);

test(`${rows.length} recorded replies are read as the published script reads them`, () => {
  assert.ok(rows.length >= 40);
  for (const row of rows) {
    assert.equal(letterOf(row.response, flat(row.options)), row.letter, `${row.file} ${row.id}`);
    if (row.letter === null || row.id === NESTED) continue;
    assert.equal(row.letter, row.pred_indexs, `${row.file} ${row.id}`);
    assert.equal(row.letter === row.answer, row.if_right, `${row.file} ${row.id}`);
  }
});

/**
 * benchmarks.md 5.3. `guessed` rows have no letter, and `luck` is how many of the script's guesses were right. Flattening
 * changes one row: `NESTED`, guessed wrong by the script, is read.
 */
const FILES = [
  { name: 'standard10', right: 694, guessed: 7, luck: 0, nested: { letter: 'C', right: false } },
  { name: 'vision', right: 725, guessed: 48, luck: 9, nested: { letter: 'B', right: true } },
];

for (const { name, right, guessed, luck, nested } of FILES) {
  const path = new URL(`../../../shared/data/mmmu_pro/gpt4o_${name}_direct.jsonl`, import.meta.url);
  test(`${name}: all 1,730 recorded verdicts but those guessed`, { skip: !existsSync(path) }, (t) => {
    const recorded = linesOf<Recorded>(path);
    assert.equal(recorded.length, 1730);
    const read = recorded.map((row) => ({ ...row, letter: letterOf(row.response, outer(row.options)) }));
    const found = read.filter(({ letter }) => letter !== null);
    const missed = read.filter(({ letter }) => letter === null);
    const different = found.filter(
      ({ letter, pred_indexs, answer, if_right }) => letter !== pred_indexs || (letter === answer) !== if_right,
    );
    assert.deepEqual(different, []);
    const counts = {
      right: found.filter(({ letter, answer }) => letter === answer).length,
      guessed: missed.length,
      luck: missed.filter(({ if_right }) => if_right).length,
    };
    assert.deepEqual(counts, { right, guessed, luck });

    const changed = read.filter((row) => letterOf(row.response, flat(row.options)) !== row.letter);
    assert.deepEqual(
      changed.map(({ id, letter, pred_indexs, if_right }) => [id, letter, pred_indexs, if_right]),
      [[NESTED, null, 'A', false]],
    );
    const [row] = changed;
    const letter = letterOf(row!.response, flat(row!.options));
    assert.deepEqual({ letter, right: letter === row!.answer }, nested);
    t.diagnostic(
      `${name}: ${right}/1730 right and ${guessed} without a letter as the script counts options; ` +
        `flattened ${right + Number(nested.right)}/1730 and ${guessed - 1}; stored ${right + luck}`,
    );
  });
}

test('plain: without a label, and a letter stands in brackets or between blanks', () => {
  const options = ['a red door', 'the sea', 'two dogs'];
  const table: [reply: string, index: number | null][] = [
    ['B', 1],
    ['(B).', 1],
    ['(A), no, (C)', 2],
    ['B or A', 0],
    ['A dog and B', 1],
    ['USA flag', null],
    ['B)', null],
    ['B. It is', null],
    ['Answer: B', 1],
    ['Answer:B', null],
    ['D', null],
    ['I can see the sea and A', 0],
    ['I can see that it is THE SEA.', 1],
    ['it is the sea', null],
    ['', null],
  ];
  for (const [reply, index] of table) assert.equal(plainLetter(reply, options), index, JSON.stringify(reply));
});
