/** Checks of an answer: what a config says of them, and whether an answer passes, with what is wrong where. */
import { z } from 'zod';
import { show } from '../config/messages.ts';
import type { Prediction, Verdict } from '../questions.ts';
import { RowError } from '../types.ts';
import { type JsonSchema, jsonFailure, schemaFault } from './json_schema.ts';
import { excerpt, placeIn, type ReadOptions, readAs } from './reading.ts';
import { withinTime } from './within.ts';

/** A check as rows keep it: plain JSON. */
export type Check =
  | ({ kind: 'contains' | 'not_contains' | 'exact' | 'regex'; text: string } & ReadOptions)
  | ({ kind: 'one_of'; texts: string[] } & ReadOptions)
  | { kind: 'json_schema'; schema: JsonSchema }
  | { kind: 'max_tokens'; most: number };

/** What has to hold of an answer. */
export type Checks = {
  checks: Check[];
  /** Whether all of them have to, or one is enough. */
  match: 'all' | 'any';
};

// ---------------------------------------------------------------- what a config says

const options = {
  ignore_case: z.boolean().optional().describe('letters are the same in both cases'),
  strip: z.boolean().optional().describe('white space at the ends is none'),
  collapse_whitespace: z.boolean().optional().describe('any white space is one blank, and none at the ends'),
};

/** A text, a text with options of its own, or a list of both. */
const texts = (text: z.ZodString) => {
  const written = z.strictObject({ text, ...options });
  return z.union([text, written, z.array(z.union([text, written])).min(1)]).optional();
};

const pattern = z
  .string()
  .min(1)
  .refine((source) => patternFault(source) === null, {
    error: ({ input }) =>
      `${show(input)} is no regular expression of JavaScript with the flag u: ${patternFault(String(input))}.`,
  });

function patternFault(source: string): string | null {
  try {
    new RegExp(source, 'u');
    return null;
  } catch (error) {
    return (error as Error).message.replace(/^.*: /s, '').replaceAll(/\s+/g, ' ');
  }
}

/** Keys of a case that say what has to hold of its answer. */
export const checkKeys = {
  contains: texts(z.string().min(1)).describe('texts that stand in the answer'),
  not_contains: texts(z.string().min(1)).describe('texts that do not'),
  exact: z
    .union([z.string(), z.strictObject({ text: z.string(), ...options })])
    .optional()
    .describe('the whole answer'),
  one_of: z.array(z.string()).min(1).optional().describe('the whole answer is one of these'),
  regex: texts(pattern).describe('regular expressions of JavaScript (flag u) that match somewhere in the answer'),
  json_schema: z
    .union([z.record(z.string(), z.unknown()), z.boolean()])
    .refine((schema) => schemaFault(schema) === null, {
      error: ({ input }) => `no JSON schema: ${schemaFault(input as JsonSchema)}.`,
    })
    .optional()
    .describe('the answer is JSON that this schema allows'),
  max_tokens: z.int().min(1).optional().describe('the answer has so many tokens at most'),
  match: z
    .enum(['all', 'any'])
    .optional()
    .describe('whether all checks have to hold (the default) or one is enough; each text of a list is a check'),
  ...options,
};
type Written = z.infer<z.ZodObject<typeof checkKeys>>;
type WrittenTexts = NonNullable<Written['contains']>;

/** The checks of a case in the order of `checkKeys`; empty where it has none. */
export function checksOf(written: Written): Checks {
  const { ignore_case, strip, collapse_whitespace, match = 'all' } = written;
  const shared = defined({ ignore_case, strip, collapse_whitespace });
  const each = (kind: 'contains' | 'not_contains' | 'exact' | 'regex', found: WrittenTexts | undefined): Check[] =>
    (found === undefined ? [] : [found].flat()).map((one) => ({
      kind,
      ...shared,
      ...(typeof one === 'string' ? { text: one } : (defined(one) as { text: string })),
    }));
  const { one_of, json_schema, max_tokens } = written;
  return {
    match,
    checks: [
      ...each('contains', written.contains),
      ...each('not_contains', written.not_contains),
      ...each('exact', written.exact),
      ...(one_of === undefined ? [] : [{ kind: 'one_of' as const, ...shared, texts: one_of }]),
      ...each('regex', written.regex),
      ...(json_schema === undefined ? [] : [{ kind: 'json_schema' as const, schema: json_schema }]),
      ...(max_tokens === undefined ? [] : [{ kind: 'max_tokens' as const, most: max_tokens }]),
    ],
  };
}

function defined<T extends object>(record: T): Partial<T> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as Partial<T>;
}

// ---------------------------------------------------------------- what an answer does

/** What is judged of a generated row. */
type Answer = Pick<Prediction, 'output' | 'num_output_tokens'>;

/**
 * Why an answer does not pass a check, and where, in one line; null where it does. Places are `line:column` of the answer as
 * it was given, in characters from 1. Throws RowError `time` for a pattern that takes seconds and `tokens` where nobody
 * counted them.
 */
export function failureOf(check: Check, { output = '', num_output_tokens = null }: Answer): string | null {
  switch (check.kind) {
    case 'contains':
      return find(output, check) === null
        ? `${excerpt(check.text)} is not in ${said(output)}${nearMiss(check, (other) => find(output, other) !== null)}`
        : null;
    case 'not_contains': {
      const at = find(output, check);
      return at === null ? null : `${excerpt(check.text)} is at ${placeIn(output, at)}: ${excerpt(output, at)}`;
    }
    case 'exact':
      return exactFailure(output, check);
    case 'one_of': {
      const { text } = readAs(output, check);
      if (check.texts.some((one) => readAs(one, check).text === text)) return null;
      return `${said(output)} is none of ${check.texts.map((one) => excerpt(one, 0, 24)).join(', ')}`;
    }
    case 'regex': {
      const regex = new RegExp(check.text, check.ignore_case ? 'iu' : 'u');
      const { text } = readAs(output, { ...check, ignore_case: false });
      return withinTime(`the regular expression ${regex}`, () => regex.test(text))
        ? null
        : `${regex} matches nothing in ${said(output)}`;
    }
    case 'json_schema':
      return jsonFailure(check.schema, output);
    case 'max_tokens':
      if (num_output_tokens === null) throw new RowError('tokens', 'nobody says how many tokens the answer has.');
      return num_output_tokens <= check.most ? null : `${num_output_tokens} tokens, ${check.most} at most`;
  }
}

const said = (output: string) => (output === '' ? 'the empty answer' : excerpt(output));

type TextCheck = ReadOptions & { text: string };

/** Where the text begins in the answer; null where it is not there. */
function find(output: string, check: TextCheck): number | null {
  const answer = readAs(output, check);
  const at = answer.text.indexOf(readAs(check.text, check).text);
  return at < 0 ? null : answer.places[at]!;
}

/** What makes the difference where nothing but case, white space or Unicode's forms does. */
function nearMiss(check: TextCheck, passes: (other: TextCheck) => boolean): string {
  if (!check.collapse_whitespace && passes({ ...check, collapse_whitespace: true }))
    return ` (but for white space: ${!check.strip && passes({ ...check, strip: true }) ? 'strip' : 'collapse_whitespace'}: true)`;
  if (!check.ignore_case && passes({ ...check, ignore_case: true })) return ' (but for case: ignore_case: true)';
  return '';
}

function exactFailure(output: string, check: TextCheck): string | null {
  const [answer, wanted] = [readAs(output, check), readAs(check.text, check)];
  if (answer.text === wanted.text) return null;
  const isEqual = (other: TextCheck) => readAs(output, other).text === readAs(check.text, other).text;
  const form =
    output.normalize() === check.text.normalize() ? ' (alike but for their Unicode forms: composed, decomposed)' : '';
  const hint = form || nearMiss(check, isEqual);
  // The first character that differs, never in the middle of one.
  let at = 0;
  while (at < answer.text.length && answer.text[at] === wanted.text[at]) at += 1;
  if (at > 0 && /[\ud800-\udbff]/.test(answer.text[at - 1]!)) at -= 1;
  const [here, there] = [answer.places[at]!, wanted.places[at] ?? check.text.length];
  if (output === '') return `the answer is empty, wanted ${excerpt(check.text)}${hint}`;
  const place = placeIn(output, here);
  if (at === answer.text.length) return `ends at ${place}, wanted ${excerpt(check.text, there)} there${hint}`;
  if (at === wanted.text.length) return `goes on at ${place}: ${excerpt(output, here)}, wanted its end there${hint}`;
  return `differs at ${place}: ${excerpt(output, here)}, wanted ${excerpt(check.text, there)}${hint}`;
}

/** The verdict of all checks on an answer: `pass` of the row, `check_pass` of each check under the name of its kind. */
export function verdictOf({ checks, match }: Checks, answer: Answer): Verdict {
  const parts = checks.map((check) => {
    const failure = failureOf(check, answer);
    const metrics = { check_pass: failure === null ? 1 : 0 };
    return { name: check.kind, metrics, ...(failure === null ? {} : { failure }) };
  });
  const holds = ({ failure }: (typeof parts)[number]) => failure === undefined;
  const correct = (match === 'any' ? parts.some(holds) : parts.every(holds)) ? 1 : 0;
  return { correct, metrics: { pass: correct }, parts };
}
