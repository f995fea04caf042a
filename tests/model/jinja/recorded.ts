/** Small made templates and their texts by transformers and jinja2: tests/fixtures/jinja, and how it was made. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Template } from '../../../nanoeval/model/jinja/template.ts';
import { TemplateError } from '../../../nanoeval/model/jinja/values.ts';
import { parseMoment, strftime } from '../../../nanoeval/text/strftime.ts';

interface Recorded {
  values: Record<string, unknown>;
  cases: Record<string, { template: string; text?: string; error?: string }[]>;
}
const { values, cases }: Recorded = JSON.parse(
  readFileSync(new URL('../../fixtures/jinja/recorded.json', import.meta.url), 'utf8'),
);
const moment = parseMoment('2026-03-05 14:30:09')!;

/** The text of a template for the values of the fixture. */
export const rendered = (template: string, more: Record<string, unknown> = {}): string =>
  new Template(template, { now: (format) => strftime(format, moment) }).render({ ...values, ...more });

/** Every recorded template of a group: the text that Python prints, and an error where Python raises one. */
export function testRecorded(group: string): void {
  test(`${group}: ${cases[group]!.length} templates give what Python gives`, () => {
    for (const { template, text, error } of cases[group]!) {
      if (text !== undefined) assert.equal(rendered(template), text, template);
      else assert.throws(() => rendered(template), TemplateError, `${template} raises ${error}`);
    }
  });
}
