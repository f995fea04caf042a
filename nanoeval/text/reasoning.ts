/** Answers of models that reason aloud before they answer. */

const END_OF_REASONING = '</think>';

/** What an answer says behind its reasoning: the text behind the last `</think>`, or all of it where there is none. */
export function withoutReasoning(text: string): string {
  const at = text.lastIndexOf(END_OF_REASONING);
  return at < 0 ? text : text.slice(at + END_OF_REASONING.length);
}
