/** JSON in an answer, held against a JSON Schema by ajv (drafts 2020-12, 2019-09 and 7, by `$schema`; 2020-12 without it). */
import { Ajv } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { strip } from '../text/python_text.ts';
import { excerpt, placeIn } from './reading.ts';
import { withinTime } from './within.ts';

/** A JSON Schema: a mapping, or `true` and `false`. */
export type JsonSchema = boolean | Record<string, unknown>;

/** Keywords that ajv does not know are errors, for they are slips of the pen; `format` says what a text is and is not checked. */
const OPTIONS = { strict: true, strictTypes: false, strictTuples: false, strictRequired: false } as const;

function compile(schema: JsonSchema) {
  const draft = typeof schema === 'object' && typeof schema.$schema === 'string' ? schema.$schema : '';
  const Draft = /draft-0[67]/.test(draft) ? Ajv : draft.includes('2019-09') ? Ajv2019 : Ajv2020;
  // One for each schema: two may have the same `$id`.
  return new Draft({ ...OPTIONS, validateFormats: false, logger: false }).compile(schema);
}

const compiled = new Map<string, ReturnType<typeof compile>>();

function validatorOf(schema: JsonSchema): ReturnType<typeof compile> {
  const key = JSON.stringify(schema);
  const known = compiled.get(key) ?? compile(schema);
  compiled.set(key, known);
  return known;
}

/** What is wrong with a schema, in one line; null where it can be used. Nothing is fetched: a `$ref` to another file is wrong. */
export function schemaFault(schema: JsonSchema): string | null {
  try {
    if (typeof schema === 'object' && schema.$async !== undefined) return '$async is not for answers';
    validatorOf(schema);
    return null;
  } catch (error) {
    return (error as Error).message.replaceAll(/\s+/g, ' ');
  }
}

/** The text inside of a Markdown code fence that is all of the answer; else the answer. */
function withoutFence(answer: string): string {
  return /^```(?:json)?[ \t]*\r?\n([\s\S]*?)\r?\n?```$/i.exec(strip(answer))?.[1] ?? answer;
}

/**
 * Why an answer is no JSON that the schema allows, with the place as a JSON pointer; null where it is. The whole answer has to
 * be JSON, or the inside of one code fence around it. Throws RowError when the schema's patterns take too long.
 */
export function jsonFailure(schema: JsonSchema, answer: string): string | null {
  const text = withoutFence(answer);
  const from = (offset: number) => answer.indexOf(text) + offset;
  const found = (offset: number) => `${placeIn(answer, from(offset))}: ${excerpt(answer, from(offset))}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const { message } = error as Error;
    if (strip(text) === '') return 'no JSON: the answer is empty';
    const at = /position (\d+)/.exec(message)?.[1];
    if (at !== undefined) return `no JSON at ${found(Number(at))}`;
    // Newer engines leave the position out of some messages.
    if (/end of JSON|unterminated/i.test(message))
      return `no JSON: it ends too soon, at ${placeIn(answer, from(text.length))}, in ${excerpt(text, Math.max(0, text.length - 24))}`;
    return `no JSON: ${excerpt(text)}`;
  }
  const validate = validatorOf(schema);
  const isValid = withinTime('the JSON schema', () => validate(value) as boolean);
  const [first] = validate.errors ?? [];
  if (isValid || first === undefined) return isValid ? null : 'the schema allows nothing here';
  const { instancePath: pointer, message = 'does not fit', params, keyword } = first;
  const more = keyword === 'enum' ? `: ${JSON.stringify(params.allowedValues)}` : '';
  const named = 'additionalProperty' in params ? `: ${JSON.stringify(params.additionalProperty)}` : '';
  return `${pointer === '' ? 'the whole value' : pointer}: ${message}${more}${named}, found ${excerpt(JSON.stringify(valueAt(value, pointer)))}`;
}

/** The value that a JSON pointer names. */
function valueAt(value: unknown, pointer: string): unknown {
  const keys = pointer.split('/').slice(1);
  return keys.reduce<unknown>(
    (inner, key) =>
      (inner as Record<string, unknown> | null)?.[key.replaceAll('~1', '/').replaceAll('~0', '~')] ?? null,
    value,
  );
}
