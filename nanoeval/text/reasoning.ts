/** Answers of models that think before they answer, between `<think>` and `</think>`. */
import { lstrip, strip } from './python_text.ts';

const [BEGIN, END] = ['<think>', '</think>'];

/** An answer taken apart. */
export interface Said {
  /**
   * What was said behind the last `</think>`, without the blanks that part the two; all of it where nothing was thought. Thoughts
   * that never end (they were cut) say nothing: the empty text.
   */
  answer: string;
  /** Whether it thinks: not at all (or nothing but blanks), before it answers, or to its end. */
  thoughts: 'none' | 'ended' | 'cut';
}

/** Whether an answer to this prompt begins within thoughts, since its end (that of a chat template, say) has opened them. */
export function opensThoughts(prompt: string): boolean {
  return strip(prompt).endsWith(BEGIN);
}

/** Takes an answer apart. `opened`: the prompt opened the thoughts. */
export function readSaid(output: string, opened = false): Said {
  const end = output.lastIndexOf(END);
  if (end < 0) {
    const isThought = opened || strip(output).startsWith(BEGIN);
    return isThought ? { answer: '', thoughts: 'cut' } : { answer: output, thoughts: 'none' };
  }
  const thoughts = output.slice(0, end).replaceAll(BEGIN, '').replaceAll(END, '');
  return { answer: lstrip(output.slice(end + END.length)), thoughts: strip(thoughts) === '' ? 'none' : 'ended' };
}
