/** The program that an answer makes of a prompt of Python. */

/** A fenced block of Markdown, of any language: what stands between its marks; an open one ends with the text. */
const FENCE = /^[ \t]*```[^`\n]*\n([\s\S]*?)(?:^[ \t]*```|(?![\s\S]))/gm;

/** An answer that goes on where the prompt ends: both in a row, nothing added, nothing taken away. */
export function completed(prompt: string, answer: string): string {
  return prompt + answer;
}

/**
 * An answer in words with code in it. The code is the first fenced block that defines `name`, else the first block, else the
 * whole answer. Where it defines the function it stands behind the prompt, whose imports and helpers it may use and whose
 * unfinished function it replaces; where it does not it goes on where the prompt ends.
 */
export function answered(prompt: string, answer: string, name: string): string {
  const defines = (code: string) =>
    new RegExp(`^def[ \\t]+${name.replace(/[^\w]/g, '\\$&')}[ \\t]*\\(`, 'm').test(code);
  const blocks = [...answer.matchAll(FENCE)].map(([, code]) => code!);
  const code = blocks.find(defines) ?? blocks[0] ?? answer;
  return completed(prompt, defines(code) ? `\n${code}` : code);
}
