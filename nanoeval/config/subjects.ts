/** `dataset.subjects`: names of subjects or of groups of them. */
import { z } from 'zod';
import { UserError } from '../types.ts';
import { nearest } from './messages.ts';

/** Group -> its subjects. */
export type SubjectGroups = Readonly<Record<string, readonly string[]>>;

/** That the rows of a benchmark have subjects: the runner selects by them. */
export interface Subjects {
  /** The column that names a row's subject. */
  column: string;
  /** The subject that a value of the column names, where it says more than that; the value itself where it is left out. */
  of?: (value: string) => string;
  groups: SubjectGroups;
  /** `dataset.subset_size` counts the rows of each subject in place of all rows. */
  subsetOfEach?: boolean;
}

/** The key `dataset.subjects` of a benchmark. */
export const subjectsKey = (groups: SubjectGroups) =>
  z
    .union([z.string(), z.array(z.string()).min(1)])
    .superRefine((asked, context) => {
      for (const [i, name] of [asked].flat().entries()) {
        const message = faultOfName(name, groups);
        if (message !== null) context.addIssue({ code: 'custom', message, path: Array.isArray(asked) ? [i] : [] });
      }
    })
    .optional()
    .describe(`subjects or groups of them (${Object.keys(groups).join(', ')}); all by default`);

/** Subject -> group. */
export function groupOfSubject(groups: SubjectGroups): Map<string, string> {
  return new Map(Object.entries(groups).flatMap(([group, subjects]) => subjects.map((subject) => [subject, group])));
}

/** Why a name stands neither for a subject nor for a group, with the nearest; null when it does. */
function faultOfName(name: string, groups: SubjectGroups): string | null {
  const known = [...Object.keys(groups), ...Object.values(groups).flat()];
  if (known.includes(name)) return null;
  const near = nearest(name, known);
  const hint = near === null ? `Groups are: ${Object.keys(groups).join(', ')}.` : `Did you mean "${near}"?`;
  return `"${name}" is neither a subject nor a group. ${hint}`;
}

/** The subjects that the config asks for; null for all. Throws UserError for a name that is neither, with the nearest. */
export function chosenSubjects(
  asked: string | readonly string[] | undefined,
  groups: SubjectGroups,
): Set<string> | null {
  if (asked === undefined) return null;
  const chosen = [asked].flat().flatMap((name) => {
    const fault = faultOfName(name, groups);
    if (fault !== null) throw new UserError(fault, { key: 'dataset.subjects' });
    return groups[name] ?? [name];
  });
  return new Set(chosen);
}

/** Names of subjects and groups that a config asks for; none where it asks for all or has no such key. */
export function askedSubjects(dataset: object): string[] {
  if (!('subjects' in dataset) || dataset.subjects === undefined) return [];
  return [dataset.subjects].flat().map(String);
}
