/** Dates as Python's strftime writes them on Linux, in English whatever the machine's locale is. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Moment, momentOf, momentText, parseMoment, strftime } from '../../nanoeval/text/strftime.ts';

const { moments, texts }: { moments: number[][]; texts: Record<string, string[]> } = JSON.parse(
  readFileSync(new URL('../fixtures/jinja/strftime.json', import.meta.url), 'utf8'),
);
const days = moments.map(
  ([year, month, day, hour, minute, second]) => ({ year, month, day, hour, minute, second }) as Moment,
);

test(`${Object.keys(texts).length} formats give what Python gives`, () => {
  for (const [format, expected] of Object.entries(texts))
    for (const [i, text] of expected.entries())
      assert.equal(strftime(format, days[i]!), text, `${format} of ${momentText(days[i]!)}`);
});

test('names are English, whatever the locale', () => {
  const before = { ...process.env };
  try {
    Object.assign(process.env, { LC_ALL: 'de_DE.UTF-8', LANG: 'en_GB.UTF-8' });
    assert.equal(strftime('%d %b %Y, %B', parseMoment('2026-03-05')!), '05 Mar 2026, March');
    assert.equal(strftime('%b', parseMoment('2026-09-05')!), 'Sep');
  } finally {
    for (const name of ['LC_ALL', 'LANG']) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
});

test('seconds since 1970 depend on a time zone and are refused', () => {
  assert.throws(() => strftime('%s', days[0]!), /%s is not supported here/);
});

test('a date is read and written as a config has it; a day that no month has is none', () => {
  for (const text of ['2026-03-05', '2024-02-29 23:59:59']) assert.equal(momentText(parseMoment(text)!), text);
  assert.equal(momentText(parseMoment('2026-03-05 00:00:00')!), '2026-03-05');
  for (const text of [
    '2026-02-29',
    '2026-13-01',
    '2026-3-5',
    '5 March 2026',
    '2026-03-05 24:00:00',
    '2026-03-05T10:00:00',
    '',
  ])
    assert.equal(parseMoment(text), null, text);
  assert.equal(momentText(momentOf(new Date(2026, 2, 5, 4, 3, 2))), '2026-03-05 04:03:02');
});
