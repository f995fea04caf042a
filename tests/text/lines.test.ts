import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { LineError, readLines, readRawLines } from '../../nanoeval/text/lines.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-lines-'));
after(() => rmSync(folder, { recursive: true }));

async function linesOf(content: string | Uint8Array): Promise<[number, string][]> {
  const path = join(folder, 'a.txt');
  writeFileSync(path, content);
  const lines: [number, string][] = [];
  for await (const line of readLines(path)) lines.push(line);
  return lines;
}

test('lines end at a line feed alone, with or without a carriage return, the last one with or without an end', async () => {
  assert.deepEqual(await linesOf('a\n\r\nb\u2028c\rd\r\ne'), [
    [1, 'a'],
    [2, ''],
    [3, 'b\u2028c\rd'],
    [4, 'e'],
  ]);
  assert.deepEqual(await linesOf('a\n'), [[1, 'a']]);
  assert.deepEqual(await linesOf(''), []);
});

test('a line longer than a read, and a character across two reads, stay whole', async () => {
  const long = `x${'é'.repeat(300_000)}`;
  assert.deepEqual(await linesOf(`${long}\n😀\n`), [
    [1, long],
    [2, '😀'],
  ]);
});

test('a line that is not UTF-8 is told with its number', async () => {
  await assert.rejects(
    linesOf(Uint8Array.of(97, 10, 0xff, 10)),
    (error) => error instanceof LineError && error.number === 2,
  );
});

test('raw lines are the same bytes, of the whole file or of its start', async () => {
  const path = join(folder, 'raw.txt');
  const content = `one\n\ntwo\r\n${'é'.repeat(300_000)}\nlast`;
  writeFileSync(path, content);
  const read = async (size?: number) => {
    const lines: string[] = [];
    for await (const some of readRawLines(path, size)) lines.push(...some.map((line) => Buffer.from(line).toString()));
    return lines;
  };
  assert.deepEqual(await read(), content.split('\n'));
  assert.deepEqual(await read(8), ['one', '', 'two']);
  assert.deepEqual(await read(10), ['one', '', 'two\r']);
  assert.deepEqual(await read(0), []);
});
