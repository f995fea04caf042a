/** Whole templates: globals of transformers, and what is refused by name when a template is read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Template } from '../../../nanoeval/model/jinja/template.ts';
import { Unsupported } from '../../../nanoeval/model/jinja/values.ts';
import { rendered, testRecorded } from './recorded.ts';

testRecorded('template');

const open = (source: string) => new Template(source, { now: () => 'now' });

test('what jinja2 has and this program lacks is refused by name when the template is read, wherever it stands', () => {
  const lacking: [string, RegExp][] = [
    ['{% if false %}{{ x | pprint }}{% endif %}', /the filter "pprint" is not supported here/],
    ['{% macro m() %}{{ x | urlize }}{% endmacro %}', /the filter "urlize"/],
    ["{{ 'a'.encode('utf-8') }}", /the method "encode"/],
    ["{% include 'x' %}", /the tag "include"/],
    ['{% block a %}{% endblock %}', /the tag "block"/],
    ['{{ lipsum() }}', /the function "lipsum"/],
    ['{{ 123456789012345678901 }}', /beyond 2\^53/],
    ["{{ '\\N{BULLET}' }}", /the escape/],
  ];
  for (const [source, message] of lacking)
    assert.throws(
      () => open(source),
      (error) => error instanceof Unsupported && message.test(error.message),
      source,
    );
});

test('what is found only while a template is rendered fails there, and prints nothing else', () => {
  const failing: [string, RegExp][] = [
    ['{{ 9007199254740991 + 1 }}', /beyond 2\^53/],
    ["{{ ('<' | safe) + 'x' }}", /marked as safe/],
    ["{{ '%e' % 1.5 }}", /the format "e"/],
    ['{{ words | select }}', /printing a generator/],
  ];
  for (const [source, message] of failing) assert.throws(() => rendered(source), message, source);
});

test('a template can be rendered many times, and keeps nothing of the time before', () => {
  const template = open(
    '{% set n = (n or 0) + 1 %}{{ n }}{% set ns = namespace(a=[]) %}{{ ns.a }}{{ strftime_now("%Y") }}',
  );
  for (let i = 0; i < 3; i += 1) assert.equal(template.render({ n: null }), '1[]now');
});
