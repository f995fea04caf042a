/** The rows of a baseline: a head that names the fields, then one short line a row, small enough for a repository. */
import { checkFormat } from '../config/file.ts';
import { isReadingFault } from '../text/bytes.ts';
import { LineError, lineDecoder, readRawLines } from '../text/lines.ts';
import { FORMAT, UserError } from '../types.ts';
import { type Columns, type ComparedRow, TEXT_NUMBERS } from './columns.ts';

/** The first line of the file. */
interface Head {
  format: number;
  /** What stands where in a line. */
  fields: string[];
  metrics: string[];
  /** Metrics of parts of rows. */
  parts: string[];
  /** A line has the number of its subject here; 0 is the first. */
  subjects: string[];
}

const FIELDS = [
  'index',
  'id',
  'prompt',
  'prediction',
  'gold',
  'metrics',
  'choices',
  'subject',
  'draw',
  'text',
  'parts',
];

/** Significant digits of a metric of a row: a share of 0 or 1 is exact. */
const METRIC_DIGITS = 7;

/** Decimals of a log-likelihood: four are 5e-5 nats at most; where there are many choices fewer keep a line short. */
const choiceDecimals = (count: number): number => (count <= 4 ? 4 : count === 5 ? 3 : 2);

const rounded = (value: number, decimals: number): number => Number(value.toFixed(decimals));

/** The file's lines, each with its end. What a comparison reads of them is what it reads of the run, to the digits kept. */
export function* compactLines(columns: Columns): Generator<string> {
  const metrics = [...columns.metrics.keys()];
  const parts = [...columns.parts.keys()];
  const subjects = [...new Set(columns.subjects.filter((name) => name !== undefined))];
  const numbers = new Map(subjects.map((name, i) => [name, i]));
  const head: Head = { format: FORMAT, fields: FIELDS, metrics, parts, subjects };
  yield `${JSON.stringify(head)}\n`;
  const indices = columns.indices.array();
  const ends = columns.choiceEnds.array();
  const choices = columns.choices.array();
  const values = metrics.map((name) => columns.metrics.get(name)!.array());
  const partSums = parts.map((name) => [
    columns.parts.get(name)!.sums.array(),
    columns.parts.get(name)!.counts.array(),
  ]);
  const texts = TEXT_NUMBERS.map((name) => columns.texts[name].array());
  const hasTexts = texts[0]!.length === columns.length;
  for (let i = 0; i < columns.length; i += 1) {
    const own = choices.subarray(i === 0 ? 0 : ends[i - 1], ends[i]);
    const subject = columns.subjects[i];
    const id = columns.ids[i]!;
    const line: unknown[] = [
      indices[i],
      id === String(indices[i]) ? 0 : id,
      columns.prompts[i],
      // JSON has no undefined: 0 fields say that there is nothing to read.
      columns.predictions[i] === undefined ? [] : columns.predictions[i],
      columns.golds[i] ?? null,
      values.map((column) => (Number.isNaN(column[i]) ? null : Number(column[i]!.toPrecision(METRIC_DIGITS)))),
      Array.from(own, (logprob) => rounded(logprob, choiceDecimals(own.length))),
      subject === undefined ? null : numbers.get(subject),
      columns.draws[i] === '' ? null : columns.draws[i],
      hasTexts ? texts.map((column) => rounded(column[i]!, 6)) : null,
      parts.length > 0 ? partSums.map(([sums, counts]) => [sums![i], counts![i]]) : null,
    ];
    while (line.at(-1) === null) line.pop();
    yield `${JSON.stringify(line)}\n`;
  }
}

/**
 * Reads the file back, many rows at a time. Throws UserError with file and line (and `key`, the config's that names the baseline) for
 * what is no such line, and for another format.
 */
export async function* readCompact(path: string, key = 'baseline'): AsyncGenerator<ComparedRow[]> {
  const decode = lineDecoder();
  let head: Head | null = null;
  let number = 0;
  const refuse: Refuse = (what, cause) => new UserError(`${path}:${number}: ${what}`, { key, cause });
  try {
    for await (const lines of readRawLines(path)) {
      const rows: ComparedRow[] = [];
      for (const line of lines) {
        number += 1;
        const value = parsed(decode(number, line), refuse);
        if (head !== null) rows.push(rowOf(value, head, refuse));
        else {
          checkFormat(`${path}:${number}`, isMap(value) ? value.format : undefined, { key, remedy: AGAIN });
          head = headOf(value, refuse);
        }
      }
      yield rows;
    }
  } catch (cause) {
    if (cause instanceof LineError) throw new UserError(`${path}:${cause.number}: ${cause.message}.`, { key, cause });
    if (isReadingFault(cause)) throw new UserError(`${path}: cannot be read: ${cause.message}.`, { key, cause });
    throw cause;
  }
  if (head === null) throw new UserError(`${path}: empty. ${AGAIN}`, { key });
}

/** Makes the error for the line at hand. */
type Refuse = (what: string, cause?: unknown) => UserError;

const AGAIN = 'Save the baseline again.';

function parsed(line: string, refuse: Refuse): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw refuse(`not a JSON line: ${(cause as Error).message}.`, cause);
  }
}

const isMap = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');

function headOf(value: unknown, refuse: Refuse): Head {
  const head = (isMap(value) ? value : {}) as Partial<Head>;
  if (isTexts(head.metrics) && isTexts(head.parts) && isTexts(head.subjects) && String(head.fields) === String(FIELDS))
    return head as Head;
  throw refuse(`not the first line of a baseline's rows. ${AGAIN}`);
}

const isNumber = (value: unknown): boolean => Number.isFinite(value);

/** A list of the wanted length, if one is wanted, of which each entry fits. */
function isList(value: unknown, fits: (one: unknown) => boolean, length?: number): boolean {
  return Array.isArray(value) && (length === undefined || value.length === length) && value.every(fits);
}

/** An empty list stands for a row in which nothing is to be read. */
const isPrediction = (value: unknown): boolean =>
  value == null || typeof value === 'string' || isNumber(value) || isList(value, () => false);

/** Seed and sample. */
const DRAW = /^-?\d*\|\d*$/;

function rowOf(value: unknown, head: Head, refuse: Refuse): ComparedRow {
  const bad = () => refuse(`not a row of a baseline. ${AGAIN}`);
  if (!Array.isArray(value)) throw bad();
  const [index, id, prompt, prediction, gold, metrics, choices, subject, draw, text, parts] = value as [
    number,
    string | 0,
    string,
    [] | ComparedRow['prediction'],
    ComparedRow['gold'] | null,
    (number | null)[],
    number[] | null | undefined,
    number | null | undefined,
    string | null | undefined,
    number[] | null | undefined,
    [number, number][] | null | undefined,
  ];
  const isWhole =
    Number.isSafeInteger(index) &&
    index >= 0 &&
    (id === 0 || typeof id === 'string') &&
    typeof prompt === 'string' &&
    isPrediction(prediction) &&
    (gold == null || typeof gold === 'string' || isNumber(gold)) &&
    isList(metrics, (one) => one === null || isNumber(one), head.metrics.length) &&
    (choices == null || isList(choices, isNumber)) &&
    (subject == null || (typeof subject === 'number' && head.subjects[subject] !== undefined)) &&
    (draw == null || (typeof draw === 'string' && DRAW.test(draw))) &&
    (text == null || isList(text, isNumber, TEXT_NUMBERS.length)) &&
    (parts == null || isList(parts, (one) => isList(one, isNumber, 2), head.parts.length));
  if (!isWhole) throw bad();
  const [seed, sample] = (draw ?? '|').split('|');
  return {
    index,
    id: id === 0 ? String(index) : String(id),
    ...(seed ? { seed: Number(seed) } : {}),
    ...(sample ? { sample: Number(sample) } : {}),
    prompt,
    ...(subject == null ? {} : { subject: head.subjects[subject]! }),
    ...(Array.isArray(prediction) ? {} : { prediction: prediction ?? null }),
    ...(gold == null ? {} : { gold }),
    metrics: Object.fromEntries(
      head.metrics.flatMap((name, i) => (metrics[i] == null ? [] : [[name, metrics[i]!] as const])),
    ),
    ...(choices == null || choices.length === 0 ? {} : { choices }),
    ...(text == null
      ? {}
      : { text: Object.fromEntries(TEXT_NUMBERS.map((name, i) => [name, text[i]!])) as ComparedRow['text'] & object }),
    ...(parts == null
      ? {}
      : {
          parts: Object.fromEntries(
            head.parts.flatMap((name, i) => (parts[i]![1] > 0 ? [[name, parts[i]!] as const] : [])),
          ),
        }),
  };
}
