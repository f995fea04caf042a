import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { GrowingFile } from '../../nanoeval/run/growing_file.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('growing');
after(folder.remove);

test('whole lines come once, half of one when it is whole, and old ones by their places', () => {
  const path = join(folder.path, 'a.jsonl');
  const file = new GrowingFile(path);
  assert.deepEqual(file.next(), []);
  appendFileSync(path, 'one\ntw');
  const [one] = file.next();
  assert.equal(one!.line.toString(), 'one');
  assert.deepEqual(file.next(), []);
  appendFileSync(path, 'ö\n\nlast\n');
  const more = file.next();
  assert.deepEqual(
    more.map(({ line }) => line.toString()),
    ['twö', '', 'last'],
  );
  assert.deepEqual(
    [one!, ...more].map(({ place }) => file.at(place)),
    ['one', 'twö', '', 'last'],
  );
});

test('a line that is longer than a look takes comes whole', () => {
  const path = join(folder.path, 'long.jsonl');
  const long = 'x'.repeat(9e6);
  appendFileSync(path, `${long}\nnext\n`);
  const file = new GrowingFile(path);
  const lines: string[] = [];
  for (let found = file.next(); found.length > 0; found = file.next())
    lines.push(...found.map(({ line }) => line.toString()));
  assert.deepEqual(
    lines.map(({ length }) => length),
    [9e6, 4],
  );
});
