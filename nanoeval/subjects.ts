/** `dataset.subjects`: names of subjects or of groups of them. */
import { z } from 'zod';
import { nearest } from './config_file.ts';
import { UserError } from './types.ts';

/** Group -> its subjects. */
export type SubjectGroups = Readonly<Record<string, readonly string[]>>;

export const subjectsKey = (groups: SubjectGroups) =>
  z
    .union([z.string(), z.array(z.string()).min(1)])
    .optional()
    .describe(`subjects or groups of them (${Object.keys(groups).join(', ')}); all by default`);

/** Subject -> group. */
export function groupOfSubject(groups: SubjectGroups): Map<string, string> {
  return new Map(Object.entries(groups).flatMap(([group, subjects]) => subjects.map((subject) => [subject, group])));
}

/** The subjects that the config asks for; null for all. Throws UserError for a name that is neither, with the nearest. */
export function chosenSubjects(asked: string | string[] | undefined, groups: SubjectGroups): Set<string> | null {
  if (asked === undefined) return null;
  const known = [...Object.keys(groups), ...Object.values(groups).flat()];
  const chosen = [asked].flat().flatMap((name) => {
    if (known.includes(name)) return groups[name] ?? [name];
    const near = nearest(name, known);
    const hint = near === null ? `Groups are: ${Object.keys(groups).join(', ')}.` : `Did you mean "${near}"?`;
    throw new UserError(`"${name}" is neither a subject nor a group. ${hint}`, { key: 'dataset.subjects' });
  });
  return new Set(chosen);
}
