/** JSON in an answer against a schema. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonFailure, schemaFault } from '../../nanoeval/score/json_schema.ts';

const schema = {
  type: 'object',
  properties: {
    city: { type: 'string' },
    'a/b': { type: 'integer' },
    items: { type: 'array', items: { enum: ['x', 'y'] } },
  },
  required: ['city'],
  additionalProperties: false,
};

test('an answer that fits, bare, with blanks around it or in a code fence', () => {
  const json = '{"city": "Zürich 👍", "items": ["x"]}';
  for (const answer of [json, `\n ${json} \n`, `\`\`\`json\n${json}\n\`\`\``, ` \`\`\`\n${json}\`\`\`\n`])
    assert.equal(jsonFailure(schema, answer), null, answer);
});

test('what does not fit is told with its JSON pointer and what stands there', () => {
  assert.equal(jsonFailure(schema, '{"city": 3}'), '/city: must be string, found "3"');
  assert.equal(jsonFailure(schema, '{"city": "a", "a/b": 1.5}'), '/a~1b: must be integer, found "1.5"');
  assert.equal(
    jsonFailure(schema, '{"city": "a", "items": ["x", "ö"]}'),
    '/items/1: must be equal to one of the allowed values: ["x","y"], found "\\"ö\\""',
  );
  assert.equal(jsonFailure(schema, '{}'), `the whole value: must have required property 'city', found "{}"`);
  assert.equal(
    jsonFailure(schema, '{"city": "a", "more": 1}'),
    'the whole value: must NOT have additional properties: "more", found "{\\"city\\":\\"a\\",\\"more\\":1}"',
  );
  assert.equal(jsonFailure(false, '1'), 'the whole value: boolean schema is false, found "1"');
  assert.equal(jsonFailure(true, 'null'), null);
});

test('what is no JSON is told with what stands there; an empty answer and one that was cut too', () => {
  assert.equal(jsonFailure(schema, ''), 'no JSON: the answer is empty');
  assert.equal(jsonFailure(schema, ' \n'), 'no JSON: the answer is empty');
  assert.equal(jsonFailure(schema, '```json\n\n```'), 'no JSON: the answer is empty');
  // How much of the place the engine tells depends on its version.
  assert.match(jsonFailure(schema, 'Sure: {"city": "a"}')!, /^no JSON(?: at 1:1)?: "Sure: \{\\"city\\": \\"a\\"\}"$/);
  assert.match(jsonFailure(schema, '```json\n{"city": nope}\n```')!, /^no JSON(?: at 2:1[0-2])?: .*"n?(?:ope|\{)/);
  assert.match(jsonFailure(schema, '{"city":')!, /^no JSON.*1:9/);
  // Python's constants are none.
  assert.match(jsonFailure(true, 'NaN')!, /^no JSON/);
});

test('a schema that cannot be used is told in one line: misspelt keywords, unknown files, no schema at all', () => {
  assert.equal(schemaFault(schema), null);
  assert.match(schemaFault({ requird: ['a'] })!, /unknown keyword: "requird"/);
  assert.match(schemaFault({ type: 'strng' })!, /type must be/);
  assert.match(schemaFault({ $ref: 'https://example.com/other.json' })!, /can't resolve reference/);
  assert.match(schemaFault({ pattern: '(' })!, /regular expression/i);
  assert.match(schemaFault({ $async: true })!, /\$async/);
  for (const fault of [{ requird: 1 }, { $ref: '#/no' }]) assert.doesNotMatch(schemaFault(fault)!, /\n/);
});

test('drafts by $schema, two schemas of one $id, and `format` as a remark', () => {
  const seven = { $schema: 'http://json-schema.org/draft-07/schema#', items: [{ type: 'integer' }] };
  assert.equal(schemaFault(seven), null);
  assert.equal(jsonFailure(seven, '["a"]'), '/0: must be integer, found "\\"a\\""');
  const newer = { $schema: 'https://json-schema.org/draft/2020-12/schema', prefixItems: [{ type: 'integer' }] };
  assert.equal(jsonFailure(newer, '["a"]'), '/0: must be integer, found "\\"a\\""');
  assert.match(schemaFault({ $schema: 'https://example.com/mine' })!, /no schema with key or ref/);
  assert.equal(schemaFault({ $id: 'https://a.b/c', type: 'string' }), null);
  assert.equal(schemaFault({ $id: 'https://a.b/c', type: 'number' }), null);
  assert.equal(jsonFailure({ type: 'string', format: 'date' }, '"not a date"'), null);
});
