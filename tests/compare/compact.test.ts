/** The rows of a baseline: short lines, read back as they were. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type ComparedRow, comparedRow, readColumns } from '../../nanoeval/compare/columns.ts';
import { compactLines, readCompact } from '../../nanoeval/compare/compact.ts';
import { UserError } from '../../nanoeval/types.ts';
import { rankedRow } from '../planted_run.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('compact');
after(folder.remove);
let files = 0;

async function write(rows: readonly ComparedRow[]): Promise<{ path: string; lines: string[] }> {
  async function* all() {
    yield rows;
  }
  const lines = [...compactLines(await readColumns(all()))];
  files += 1;
  const path = join(folder.path, `rows${files}.jsonl`);
  writeFileSync(path, lines.join(''));
  return { path, lines };
}

async function read(path: string): Promise<ComparedRow[]> {
  const rows: ComparedRow[] = [];
  for await (const some of readCompact(path)) rows.push(...some);
  return rows;
}

const base = { prompt: 'abcdef012345', metrics: { acc: 1 } };
const KINDS: Record<string, ComparedRow[]> = {
  ranked: [0, 1, 2].map((i) => comparedRow(rankedRow(i, i, (i + 1) % 4), 'out')!),
  'with ids of their own': [
    { ...base, index: 4, id: 'q-4' },
    { ...base, index: 5, id: '05' },
  ],
  'with subjects': [
    { ...base, index: 0, id: '0', subject: 'law' },
    { ...base, index: 1, id: '1', subject: 'art' },
  ],
  'drawn answers': [
    { ...base, index: 0, id: '0', seed: 7, sample: 0, prediction: 'B' },
    { ...base, index: 0, id: '0', seed: 7, sample: 1, prediction: null },
    { ...base, index: 0, id: '0', sample: 0, prediction: 'C' },
  ],
  texts: [
    {
      ...base,
      index: 0,
      id: '0',
      metrics: { word_perplexity: 37.66102 },
      text: { logprob: -1234.567891, num_tokens: 400, num_greedy: 120, words: 300, bytes: 1500 },
    },
  ],
  parts: [
    { ...base, index: 0, id: '0', parts: { strict: [1, 3], loose: [2, 3] } },
    { ...base, index: 1, id: '1', parts: { strict: [0, 1] } },
  ],
  'golds of words': [{ ...base, index: 0, id: '0', gold: '42', prediction: '41' }],
};

for (const [kind, rows] of Object.entries(KINDS)) {
  test(`rows ${kind} are read back as they were`, async () => {
    assert.deepEqual(await read((await write(rows)).path), rows);
  });
}

test('a line of four choices, of five and of ten stays below 100 bytes', async () => {
  for (const count of [4, 5, 10]) {
    const rows = Array.from(
      { length: 20 },
      (_, i): ComparedRow => ({
        index: 10_000 + i,
        id: String(10_000 + i),
        prompt: 'abcdef012345',
        subject: 'law',
        prediction: 3,
        gold: 1,
        metrics: count === 10 ? { acc: 1 } : { acc_norm: 1, acc: 0, acc_bytes: 1, acc_token: 0 },
        choices: Array.from({ length: count }, (_, k) => (count === 10 ? -3.4567891 - k : -123.4567891 - k)),
      }),
    );
    const { lines } = await write(rows);
    const longest = Math.max(...lines.slice(1).map((line) => Buffer.byteLength(line)));
    assert.ok(longest <= 100, `${count} choices: ${longest} bytes`);
  }
});

test('log-likelihoods keep four decimals where there are four choices', async () => {
  const rows: ComparedRow[] = [{ ...base, index: 0, id: '0', choices: [-1.00004, -2.00006, -3, -123.45678] }];
  assert.deepEqual((await read((await write(rows)).path))[0]!.choices, [-1, -2.0001, -3, -123.4568]);
});

const BAD: [what: string, edit: (lines: string[]) => string[], message: RegExp][] = [
  ['an empty file', () => [], /rows\d+\.jsonl: empty\. Save the baseline again\.$/],
  ['a head of another format', ([, ...rest]) => ['{"format":1}\n', ...rest], /:1 has format 1, and this version/],
  ['a head that is none', ([, ...rest]) => ['{"format":2}\n', ...rest], /:1: not the first line of a baseline's rows/],
  ['a torn line', (lines) => [...lines.slice(0, -1), lines.at(-1)!.slice(0, 9)], /:4: not a JSON line: /],
  ['a line that is no row', (lines) => [...lines, '{"a":1}\n'], /:5: not a row of a baseline/],
  ['a row with fewer metrics', (lines) => [lines[0]!, '[0,0,"abc",1,1,[1]]\n'], /:2: not a row of a baseline/],
  [
    'a subject that is not named',
    (lines) => [lines[0]!, '[0,0,"abc",1,1,[1,1],[],4]\n'],
    /:2: not a row of a baseline/,
  ],
];

for (const [what, edit, message] of BAD) {
  test(`${what} is one line with its place`, async () => {
    const { path, lines } = await write(KINDS.ranked!);
    writeFileSync(path, edit(lines).join(''));
    await assert.rejects(read(path), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
  });
}
