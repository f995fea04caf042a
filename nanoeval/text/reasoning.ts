/** Answers of models that think before they answer, between `<think>` and `</think>`. */
import { lstrip, strip } from './python_text.ts';

const [BEGIN, END] = ['<think>', '</think>'];

/**
 * What was said behind the last `</think>`, without the blanks that part the two; all of it where nothing was thought. An answer
 * that begins to think and never ends (it was cut) says nothing: the empty text.
 */
export function withoutReasoning(output: string): string {
  const end = output.lastIndexOf(END);
  if (end >= 0) return lstrip(output.slice(end + END.length));
  return strip(output).startsWith(BEGIN) ? '' : output;
}
