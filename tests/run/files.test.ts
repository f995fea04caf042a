/** Files that are whole or not there, whatever happens while they are written. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isKilledAt, openWhole, writeJson, writeWhole } from '../../nanoeval/run/files.ts';
import { OutsideError } from '../../nanoeval/types.ts';
import { ROOT } from '../spawn.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-files-'));
after(() => rmSync(folder, { recursive: true }));

test('a file is written whole, in folders that are made, and replaces the old one', () => {
  const path = join(folder, 'deep/er/a.json');
  writeJson(path, { a: 1 });
  writeJson(path, { b: [2, 'ü'] });
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), { b: [2, 'ü'] });
  assert.deepEqual(readdirSync(join(folder, 'deep/er')), ['a.json']);
});

test('a disk that refuses is an error with the path', () => {
  writeFileSync(join(folder, 'file'), '');
  assert.throws(
    () => writeWhole(join(folder, 'file/a'), 'x'),
    (error) => error instanceof OutsideError && error.message.includes('file/a'),
  );
});

test('a file that is written text by text is there when it is finished, and the old one stays when it is dropped', () => {
  const path = join(folder, 'texts/a.jsonl');
  const first = openWhole(path);
  for (const text of ['a\n', 'ü\n', 'x'.repeat(3 << 20)]) first.add(text);
  assert.equal(existsSync(path), false);
  first.finish();
  first.drop();
  assert.equal(readFileSync(path, 'utf8'), `a\nü\n${'x'.repeat(3 << 20)}`);
  const second = openWhole(path);
  second.add('other');
  second.drop();
  assert.equal(readFileSync(path, 'utf8').slice(0, 2), 'a\n');
  assert.deepEqual(readdirSync(join(folder, 'texts')), ['a.jsonl']);
  writeFileSync(join(folder, 'no_folder'), '');
  assert.throws(
    () => openWhole(join(folder, 'no_folder/a')),
    (error) => error instanceof OutsideError && error.message.includes('no_folder/a'),
  );
});

/** Writes two files in a process of its own, which the hook may end. */
function writeTwo(path: string, hook: string) {
  const code = `
import { writeWhole } from ${JSON.stringify(join(ROOT, 'nanoeval/run/files.ts'))};
writeWhole(${JSON.stringify(path)}, 'first\\n');
writeWhole(${JSON.stringify(path)}, 'second\\n');
`;
  return spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
    cwd: ROOT,
    env: { ...process.env, NANOEVAL_TEST_KILL: hook },
  });
}

test('a process that dies while it writes leaves the old file or the new one', () => {
  const cases: [string, string | null, string | null][] = [
    ['file:1', null, 'fir'],
    ['file:2', 'first\n', 'sec'],
    ['rename:1', null, 'first\n'],
    ['rename:2', 'first\n', 'second\n'],
    ['renamed:1', 'first\n', null],
    ['renamed:2', 'second\n', null],
    ['file:3', 'second\n', null],
  ];
  for (const [i, [hook, text, draft]] of cases.entries()) {
    const path = join(folder, `kill${i}`);
    const { signal, status, stderr } = writeTwo(path, hook);
    if (hook === 'file:3') assert.equal(status, 0, String(stderr));
    else assert.equal(signal, 'SIGKILL', `${hook}: ${stderr}`);
    const read = (name: string) => (existsSync(name) ? readFileSync(name, 'utf8') : null);
    assert.deepEqual([read(path), read(`${path}.new`)], [text, draft], hook);
  }
});

test('without the hook no point is one', () => {
  for (const point of ['row', 'file', 'rename', 'renamed'] as const) assert.ok(!isKilledAt(point));
});
