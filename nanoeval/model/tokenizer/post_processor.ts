/** The special tokens around a text (`tokenizers/src/processors`), for one text; pairs of texts are not asked for. */
import { UserError } from '../../types.ts';
import type { Part } from './normalizer.ts';

/** Puts the special tokens around a text's ids. */
export type Frame = (ids: readonly number[]) => number[];

type TemplatePart = { SpecialToken?: { id: string }; Sequence?: { id: string } };

/** The function of one post-processor. Throws UserError for a type that is not known. */
export function createFrame(part: Part, where: string): Frame {
  switch (part.type) {
    case 'Sequence': {
      const all = ((part.processors ?? []) as Part[]).map((one) => createFrame(one, where));
      return (ids) => all.reduce<number[]>((done, frame) => frame(done), [...ids]);
    }
    case 'ByteLevel':
      return (ids) => [...ids];
    case 'TemplateProcessing':
      return template(part, where);
    case 'BertProcessing':
    case 'RobertaProcessing': {
      const [[, sep], [, cls]] = [part.sep as [string, number], part.cls as [string, number]];
      return (ids) => [cls, ...ids, sep];
    }
    default:
      throw new UserError(
        `${where}: the post-processor ${JSON.stringify(part.type)} is not supported, and without it the tokens would be others.`,
      );
  }
}

function template(part: Part, where: string): Frame {
  const special = part.special_tokens as Record<string, { ids: number[] }>;
  const parts = (part.single as TemplatePart[]).map((one) => {
    if (one.SpecialToken === undefined) return null;
    const ids = special[one.SpecialToken.id]?.ids;
    if (ids === undefined) {
      throw new UserError(`${where}: the template's ${JSON.stringify(one.SpecialToken.id)} is not in special_tokens.`);
    }
    return ids;
  });
  return (ids) => parts.flatMap((one) => one ?? [...ids]);
}
