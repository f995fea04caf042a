/** What an instruction is: the arguments that it takes, and why a text does not follow it. */
import { z } from 'zod';

/** One of IFEval's kinds of instruction. */
export interface Instruction {
  /** Its arguments, as `kwargs` of a row have them; keys of other instructions are left out. */
  args: z.ZodType;
  /** Why a text that is not blank does not follow it, in one line; null where it does. */
  failure(text: string, args: unknown): string | null;
}

/** An instruction from the shape of its arguments and its check. */
export function instruction<S extends z.ZodRawShape>(
  shape: S,
  failure: (text: string, args: z.infer<z.ZodObject<S>>) => string | null,
): Instruction {
  const args = z.object(shape);
  return { args, failure: (text, given) => failure(text, given as z.infer<z.ZodObject<S>>) };
}

/** A number of things: a whole number from 0. */
export const count = z.int().min(0);
export const text = z.string().min(1);

/** A text that `compile` makes a regular expression of (it throws where it cannot). */
export function pattern(compile: (source: string) => RegExp) {
  const compiles = (source: string) => {
    try {
      compile(source);
      return true;
    } catch {
      return false;
    }
  };
  return text.refine(compiles, { error: 'no regular expression of Python that is read here' });
}

/** How a count is compared. */
export const relation = z.enum(['less than', 'at least']);

/** Why a count is not as it has to be; null where it is. `things` follows the number: `words`. */
export function compared(found: number, how: z.infer<typeof relation>, wanted: number, things: string): string | null {
  const holds = how === 'less than' ? found < wanted : found >= wanted;
  return holds ? null : `${found} ${things}, not ${how} ${wanted}`;
}

/** The same for a count that has to be met. */
export function equal(found: number, wanted: number, things: string): string | null {
  return found === wanted ? null : `${found} ${things}, not ${wanted}`;
}
