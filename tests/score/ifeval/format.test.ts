/** Marks that a text has to have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FORMAT } from '../../../nanoeval/score/ifeval/format.ts';
import { compareRecorded, failureOf } from './recorded.ts';

test('formats: the verdicts of lm-evaluation-harness', () => {
  compareRecorded('detectable_format', 'detectable_content');
});

test('a failure says what is missing', () => {
  const of = (id: string, kwargs: Record<string, unknown>, text = 'a') => failureOf(`detectable_${id}`, kwargs, text);
  assert.equal(
    of('content:number_placeholders', { num_placeholders: 1 }),
    '0 placeholders in brackets, not at least 1',
  );
  assert.equal(of('content:postscript', { postscript_marker: 'P.S.' }), '"P.S." is not there');
  assert.equal(of('format:number_bullet_lists', { num_bullets: 0 }, '- a'), '1 bullet points, not 0');
  assert.equal(of('format:title', {}), 'no title in << and >>');
  assert.match(of('format:json_format', {}, '{"a"\n:}')!, /^no JSON: [^\n]+$/);
  const sections = { section_spliter: 'Day', num_sections: 2 };
  assert.equal(of('format:multiple_sections', sections, 'Day 1'), '1 sections with "Day" and a number, not at least 2');
});

test('marks are patterns of Python; one that is none is refused', () => {
  const refused = (id: string, kwargs: object) => !FORMAT[id]!.args.safeParse(kwargs).success;
  assert.ok(refused('detectable_content:postscript', { postscript_marker: '(' }));
  assert.ok(refused('detectable_format:multiple_sections', { section_spliter: '[', num_sections: 1 }));
  assert.ok(refused('detectable_format:number_bullet_lists', { num_bullets: 1.5 }));
});
