/**
 * The samples of lm-evaluation-harness 0.4.13 (`samples_<task>_<date>.jsonl`, its `SampleResult`): a line for each row and
 * filter. What a row does not hold is null: the data set's own row and its hash, continuations, and prompts unless
 * `report.save_prompts` keeps them.
 */
import type { ScoredRow } from '../../questions.ts';
import { sha256 } from '../../text/hash.ts';
import type { ExportedRun } from './exported.ts';
import { generationKwargs } from './lm_eval.ts';
import type { Names } from './lm_eval_names.ts';

/** A number as Python's `repr` writes a float: shortest digits that read back the same, `1.0`, `1e-07`. Finite. */
export function pythonFloat(value: number): string {
  const [digits, power] = value.toExponential().split('e') as [string, string];
  const exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 16))
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  const plain = Object.is(value, -0) ? '-0' : String(value);
  return plain.includes('.') ? plain : `${plain}.0`;
}

const pythonBool = (value: boolean) => (value ? 'True' : 'False');

/** A number, or a list of them, as JSON with a point in each: readers that infer a column's type see floats from the first row on. */
const asFloats = (value: number | readonly number[]): string =>
  typeof value === 'number' ? pythonFloat(value) : `[${value.map(pythonFloat).join(', ')}]`;

/** Gold as the harness has a target: as text. */
export function targetOf(gold: unknown): string | null {
  if (gold === undefined || gold === null) return null;
  return typeof gold === 'string' || typeof gold === 'number' || typeof gold === 'boolean'
    ? String(gold)
    : JSON.stringify(gold);
}

/** Requests of the row, and what the model said to each; the harness's `resps` are lists of repeats. */
function repliesOf({ choices, output, logprob, label_logprobs }: ScoredRow): (string | string[])[] {
  if (choices !== undefined) return choices.map((one) => [pythonFloat(one.logprob), pythonBool(one.is_greedy)]);
  if (output !== undefined) return [output];
  if (label_logprobs !== undefined) return label_logprobs.map(pythonFloat);
  return logprob === undefined ? [] : [pythonFloat(logprob)];
}

/** `gen_args_<i>`: context and continuation of a choice, prompt and settings of an answer, a text. */
function argumentsOf(row: ScoredRow, run: ExportedRun, count: number): Record<string, Record<string, unknown>> {
  const { prompt } = row;
  const kwargs = generationKwargs(run);
  const contextOf = (i: number) => (typeof prompt === 'object' ? (prompt[i] ?? null) : (prompt ?? null));
  const verb = run.recipe.verb;
  const rest = (): Record<string, unknown> => {
    if (kwargs !== null) return { arg_1: kwargs };
    return verb === 'loglikelihood' ? { arg_1: null } : {};
  };
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`gen_args_${i}`, { arg_0: contextOf(i), ...rest() }]),
  );
}

/** Values of the row by our names: its own metrics, those of its parts as lists, those of texts with the count they are by. */
function valuesOf(row: ScoredRow, names: Names): Map<string, number | number[]> {
  const values = new Map<string, number | number[]>();
  for (const [name, value] of Object.entries(row.metrics)) {
    const weight = names.weight(name);
    const count = weight === null ? undefined : (row.gold as Record<string, number>)[weight];
    const only = row.choices?.length === 1 && names.isLoglikelihood(name) ? row.choices[0]!.logprob : value;
    values.set(name, count === undefined || row.logprob === undefined ? only : [row.logprob, count]);
  }
  for (const { metrics } of row.parts ?? [])
    for (const [name, value] of Object.entries(metrics)) {
      const list = values.get(name);
      if (Array.isArray(list)) list.push(value);
      else values.set(name, [value]);
    }
  return values;
}

/** What the filter made of the replies: what was read under the primary metric's, the reply as it is under none. */
function filteredOf(row: ScoredRow, replies: (string | string[])[], filter: string, isPrimary: boolean) {
  if (row.output === undefined) return replies;
  if (row.prediction !== undefined) return [isPrimary && row.prediction !== null ? String(row.prediction) : null];
  return filter === 'none' ? replies : [null];
}

/** The lines of a scored row, and the task whose file they belong into. Pure. */
export function sampleLines(row: ScoredRow, run: ExportedRun, names: Names): { task: string; lines: string[] } {
  const { id, index, subject, group, tags, options, seed, sample } = row;
  const replies = repliesOf(row);
  const target = targetOf(row.gold);
  const byFilter = new Map<string, { metric: string; ours: string; value: number | number[] }[]>();
  const primary = names.metric(run.recipe.primary).filter;
  for (const [ours, value] of valuesOf(row, names)) {
    const { metric, filter } = names.metric(ours);
    byFilter.set(filter, [...(byFilter.get(filter) ?? []), { metric, ours, value }]);
  }
  const lines = [...byFilter].map(([filter, metrics]) => {
    const head = {
      doc_id: index,
      doc: {
        id,
        ...(subject === undefined ? {} : { subject }),
        ...(group === undefined ? {} : { group }),
        ...(tags === undefined ? {} : { tags }),
        ...(options === undefined ? {} : { options }),
      },
      target,
      arguments: argumentsOf(row, run, replies.length),
      resps: replies.map((reply) => [reply]),
      filtered_resps: filteredOf(row, replies, filter, filter === primary),
      filter,
      metrics: metrics.map(({ metric }) => metric),
      doc_hash: null,
      prompt_hash: row.prompt_sha256,
      target_hash: target === null ? null : sha256(target),
      ...(seed === undefined ? {} : { seed }),
      ...(sample === undefined ? {} : { sample }),
    };
    const values = metrics.map(({ metric, value }) => `,${JSON.stringify(metric)}:${asFloats(value)}`);
    return `${JSON.stringify(head).slice(0, -1)}${values.join('')}}\n`;
  });
  return { task: subject === undefined ? names.task : names.subject(subject), lines };
}
