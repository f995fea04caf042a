/**
 * IFEval's 25 instructions and the verdict on an answer, as the authors' `instruction_following_eval` (google-research) and
 * lm-evaluation-harness have it (Zhou et al. 2023, https://arxiv.org/abs/2311.07911).
 */
import { z } from 'zod';
import { readBy } from '../../config/check.ts';
import type { NamedVerdict, Verdict } from '../../questions.ts';
import { strip } from '../../text/python_text.ts';
import { RowError, UserError } from '../../types.ts';
import { FORMAT } from './format.ts';
import type { Instruction } from './instruction.ts';
import { KEYWORDS } from './keywords.ts';
import { LENGTH } from './length.ts';
import { WHOLE } from './whole.ts';

/** Name -> instruction. */
export const INSTRUCTIONS: Readonly<Record<string, Instruction>> = { ...KEYWORDS, ...LENGTH, ...FORMAT, ...WHOLE };

/** What an answer has to follow: names, and for each its arguments. */
export interface Instructions {
  instruction_id_list: string[];
  kwargs: Record<string, unknown>[];
}

/** The two columns of a row. */
export const instructionsShape = {
  instruction_id_list: z.array(z.enum(Object.keys(INSTRUCTIONS) as [string, ...string[]])).min(1),
  kwargs: z.array(z.record(z.string(), z.unknown())),
};

/**
 * The instructions of a row, each with the arguments that it takes; others, and nulls, are left out. Throws UserError with `where`
 * for arguments that are missing or of another kind.
 */
export function instructionsOf({ instruction_id_list, kwargs }: Instructions, where: string): Instructions {
  const [ids, given] = [instruction_id_list.length, kwargs.length];
  if (given !== ids)
    throw new UserError(`${where}: kwargs: ${given} of them for ${ids} instructions. Give each its own, {} for none.`);
  const read = instruction_id_list.map((id, place) => {
    const found = readBy(INSTRUCTIONS[id]!.args, kwargs[place]);
    if ('value' in found) return found.value as Record<string, unknown>;
    throw new UserError(`${where}: kwargs[${place}] of ${id}: ${found.key}: ${found.message}`);
  });
  return { instruction_id_list, kwargs: read };
}

/**
 * An answer as it is, and without its first line, its last one, and both, each also without asterisks: what a model says around
 * its answer, and its markup, are forgiven by the loose metrics.
 */
export function looseForms(answer: string): string[] {
  const lines = answer.split('\n');
  const cut = [lines.slice(1), lines.slice(0, -1), lines.slice(1, -1)].map((some) => strip(some.join('\n')));
  const forms = [answer, ...cut];
  return [...forms, ...forms.map((form) => form.replaceAll('*', ''))];
}

/**
 * The verdict: `prompt_level_*` are 1 where all instructions are followed; each instruction is a part, with `inst_level_*`. Strict:
 * by the answer as it is; loose: by one of its looser forms, each instruction by its own. Nothing blank follows any. Throws
 * RowError `gold` for instructions that are none, `time` for a keyword that takes seconds.
 */
export function verdictOn(answer: string, { instruction_id_list, kwargs }: Instructions): Verdict {
  const forms = [...new Set(looseForms(answer))];
  const parts = instruction_id_list.map((name, place): NamedVerdict & { strict: boolean; loose: boolean } => {
    const found = Object.hasOwn(INSTRUCTIONS, name) ? INSTRUCTIONS[name]! : null;
    if (found === null) throw new RowError('gold', `"${name}" is no instruction.`);
    const failureOf = (text: string) => (strip(text) === '' ? 'it is blank' : found.failure(text, kwargs[place]));
    const failure = failureOf(answer);
    const strict = failure === null;
    const loose = strict || forms.slice(1).some((form) => failureOf(form) === null);
    const metrics = { inst_level_strict_acc: Number(strict), inst_level_loose_acc: Number(loose) };
    return { name, strict, loose, metrics, ...(failure === null ? {} : { failure }) };
  });
  const correct = parts.every(({ strict }) => strict) ? 1 : 0;
  const loose = parts.every(({ loose }) => loose) ? 1 : 0;
  return {
    correct,
    metrics: { prompt_level_strict_acc: correct, prompt_level_loose_acc: loose },
    parts: parts.map(({ strict: _strict, loose: _loose, ...part }) => part),
  };
}
