import assert from 'node:assert/strict';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CompanionReader, readCompanion } from '../../nanoeval/run/companion_file.ts';
import { UserError } from '../../nanoeval/types.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('companion-file');
after(folder.remove);
const path = join(folder.path, 'page.jsonl');

test('what rows share is in memory, rows are read by their places, and of two lines of a row the later one counts', async () => {
  const row = (key: string, text: string) => JSON.stringify({ row: key, prompts: [{ text }] });
  const lines = [
    '{"format":2}',
    '{"texts":{"5":"ö"}}',
    '{"head":0,"text":"Begin"}',
    '{"head":0,"ids":"AQ=="}',
    row('1', 'äöü'),
    row('2|3|', 'b'),
    row('1', 'again'),
    '{"texts":{"6":"b"}}',
  ];
  writeFileSync(path, `${lines.join('\n')}\n{"row":"9","torn`);
  const { shared, rows, pictures } = await readCompanion(path);
  assert.deepEqual(shared, { text_heads: { 0: 'Begin' }, ids_heads: { 0: 'AQ==' }, texts: { 5: 'ö', 6: 'b' } });
  assert.deepEqual([[...rows.keys()], pictures.size], [['1', '2|3|'], 0]);
  const reader = new CompanionReader(path);
  assert.equal(reader.row(rows.get('1')!).prompts[0]!.text, 'again');
  assert.equal(reader.row(rows.get('2|3|')!).prompts[0]!.text, 'b');
  reader.close();
});

test('another format and a line that is none are told with the file', async () => {
  writeFileSync(path, '{"format":1}\n');
  await assert.rejects(
    readCompanion(path),
    (error) => error instanceof UserError && /page\.jsonl has format 1, and this version/.test(error.message),
  );
  writeFileSync(path, '{"format":2}\n');
  appendFileSync(path, 'no line\n');
  await assert.rejects(
    readCompanion(path),
    (error) => error instanceof UserError && /page\.jsonl:2: not a JSON line/.test(error.message),
  );
});
