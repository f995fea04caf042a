/** The special tokens around a text or a pair of texts (`tokenizers/src/processors`). */
import { UserError } from '../../types.ts';
import type { Part } from './normalizer.ts';

/** Ids, and for each of them which text it is of: what `token_type_ids` are. */
export interface Framed {
  ids: number[];
  types: number[];
}

/** Puts the special tokens around the ids of a text, or of two. */
export type Frame = (first: readonly number[], second?: readonly number[]) => Framed;

type TemplatePart = { SpecialToken?: { id: string; type_id?: number }; Sequence?: { id: string; type_id?: number } };

const of = (ids: readonly number[], type: number): Framed => ({ ids: [...ids], types: ids.map(() => type) });

const joined = (parts: readonly Framed[]): Framed => ({
  ids: parts.flatMap(({ ids }) => ids),
  types: parts.flatMap(({ types }) => types),
});

/** No special tokens: the second text follows the first. */
export const bare: Frame = (first, second = []) => joined([of(first, 0), of(second, 1)]);

/** The function of one post-processor. Throws UserError for a type that is not known. */
export function createFrame(part: Part, where: string): Frame {
  switch (part.type) {
    case 'Sequence': {
      const all = ((part.processors ?? []) as Part[]).filter(({ type }) => type !== 'ByteLevel');
      const [head = bare, ...rest] = all.map((one) => createFrame(one, where));
      // What the first one has put together is one text for the others.
      return (first, second) => rest.reduce((done, frame) => frame(done.ids), head(first, second));
    }
    case 'ByteLevel':
      return bare;
    case 'TemplateProcessing':
      return template(part, where);
    case 'BertProcessing':
    case 'RobertaProcessing': {
      const [[, sep], [, cls]] = [part.sep as [string, number], part.cls as [string, number]];
      const isBert = part.type === 'BertProcessing';
      return (first, second) => {
        const head = of([cls, ...first, sep], 0);
        if (second === undefined) return head;
        return joined([head, isBert ? of([...second, sep], 1) : of([sep, ...second, sep], 0)]);
      };
    }
    default:
      throw new UserError(
        `${where}: the post-processor ${JSON.stringify(part.type)} is not supported, and without it the tokens would be others.`,
      );
  }
}

function template(part: Part, where: string): Frame {
  const special = part.special_tokens as Record<string, { ids: number[] }>;
  const read = (written: readonly TemplatePart[]) =>
    written.map(({ SpecialToken, Sequence }) => {
      const type = SpecialToken?.type_id ?? Sequence?.type_id ?? 0;
      if (SpecialToken === undefined) return { text: Sequence?.id === 'B' ? 1 : 0, type };
      const ids = special[SpecialToken.id]?.ids;
      if (ids === undefined)
        throw new UserError(`${where}: the template's ${JSON.stringify(SpecialToken.id)} is not in special_tokens.`);
      return { ids, type };
    });
  const single = read(part.single as TemplatePart[]);
  // Older files may lack it: the library's own default is both texts as they are.
  const pair = part.pair === undefined ? null : read(part.pair as TemplatePart[]);
  return (first, second) => {
    if (second !== undefined && pair === null) return bare(first, second);
    const parts = second === undefined ? single : pair!;
    return joined(parts.map(({ ids, text, type }) => of(ids ?? [first, second ?? []][text!]!, type)));
  };
}
