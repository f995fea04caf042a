import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FONT_FILES, oneLine, readFace, widthOf, wrap } from '../../nanoeval/report/font.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanoeval-font-'));
after(() => rmSync(folder, { recursive: true }));

test("widths are the font file's own (advances of A, i, blank as fontTools 4.68.0 has them, 1/2048 em)", async () => {
  const face = await readFace(FONT_FILES.regular);
  const units = (text: string) => Math.round(widthOf(face, text, 2048));
  assert.deepEqual([units('A'), units('i'), units(' ')], [1413, 496, 576]);
  assert.ok(widthOf(await readFace(FONT_FILES.bold), 'Aim', 12) > widthOf(face, 'Aim', 12));
  assert.equal(widthOf(face, '你', 10), 10);
});

test('what is no TrueType font is refused', async () => {
  const path = join(folder, 'a.ttf');
  writeFileSync(path, 'wOF2....................');
  await assert.rejects(readFace(path), /no TrueType header/);
  await assert.rejects(readFace(join(folder, 'none.ttf')), /none\.ttf: the chart's font cannot be read/);
});

test('long lines break between parts, long parts behind a separator, and nothing is lost', async () => {
  const face = await readFace(FONT_FILES.regular);
  assert.deepEqual(wrap(['model', 'lm_eval', 'n = 4'], 1000, face, 12), ['model · lm_eval · n = 4']);
  const path = `/models/${'checkpoint-of-ours/'.repeat(6)}final`;
  const lines = wrap([path, 'lm_eval'], 200, face, 12);
  assert.ok(lines.length > 2 && lines.every((line) => widthOf(face, line, 12) <= 200));
  assert.equal(lines.join('').replace(' · ', ''), `${path}lm_eval`);
  assert.equal(oneLine('a\nb\tc'), 'a b c');
});
