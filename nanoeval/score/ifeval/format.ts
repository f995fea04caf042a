/** `detectable_format:*` and `detectable_content:*`: marks that a text has to have. */
import { parsePythonJson } from '../../text/python_json.ts';
import { pythonRegex } from '../../text/python_regex.ts';
import { strip } from '../../text/python_text.ts';
import { excerpt } from '../reading.ts';
import { withinTime } from '../within.ts';
import { compared, count, equal, type Instruction, instruction, pattern } from './instruction.ts';

const LINES = { multiline: true };
const PLACEHOLDER = pythonRegex('\\[.*?\\]');
const STAR_BULLET = pythonRegex('^\\s*\\*[^*].*$', LINES);
const DASH_BULLET = pythonRegex('^\\s*-.*$', LINES);
const HIGHLIGHT = /\*[^\n*]*\*/g;
const BOLD = /\*\*[^\n*]*\*\*/g;
const TITLE = /<<[^\n]+>>/g;

const ANSWERS = ['yes', 'no', 'maybe'].map((word) => `My answer is ${word}.`);
/** In this order, each once: what is left of one fence may be another. */
const FENCES = ['```json', '```Json', '```JSON', '```'];

const matches = (regex: RegExp, said: string) => said.match(regex) ?? [];
const withoutPrefix = (said: string, prefix: string) => (said.startsWith(prefix) ? said.slice(prefix.length) : said);

/** Without the fence around it, as the original takes it off. */
function unfenced(said: string): string {
  const inner = FENCES.reduce(withoutPrefix, strip(said));
  return strip(inner.endsWith('```') ? inner.slice(0, -3) : inner);
}

/** What marks a postscript in a text in lower case. */
function postscript(marker: string): RegExp {
  if (marker === 'P.P.S') return pythonRegex('\\s*p\\.\\s?p\\.\\s?s.*$', LINES);
  if (marker === 'P.S.') return pythonRegex('\\s*p\\.\\s?s\\..*$', LINES);
  return pythonRegex(`\\s*${marker.toLowerCase()}.*$`, LINES);
}

const section = (spliter: string) => pythonRegex(`\\s?${strip(spliter)}\\s?\\d+\\s?`);

export const FORMAT: Record<string, Instruction> = {
  'detectable_content:number_placeholders': instruction({ num_placeholders: count }, (said, { num_placeholders }) =>
    compared(matches(PLACEHOLDER, said).length, 'at least', num_placeholders, 'placeholders in brackets'),
  ),
  'detectable_content:postscript': instruction(
    { postscript_marker: pattern(postscript) },
    (said, { postscript_marker }) => {
      const regex = postscript(strip(postscript_marker));
      const found = withinTime(`the marker ${regex}`, () => regex.test(said.toLowerCase()));
      return found ? null : `${excerpt(postscript_marker)} is not there`;
    },
  ),
  'detectable_format:number_bullet_lists': instruction({ num_bullets: count }, (said, { num_bullets }) =>
    equal(matches(STAR_BULLET, said).length + matches(DASH_BULLET, said).length, num_bullets, 'bullet points'),
  ),
  'detectable_format:constrained_response': instruction({}, (said) =>
    ANSWERS.some((answer) => said.includes(answer)) ? null : `none of ${ANSWERS.join(' ')}`,
  ),
  'detectable_format:number_highlighted_sections': instruction(
    { num_highlights: count },
    (said, { num_highlights }) => {
      const single = matches(HIGHLIGHT, said).filter((found) => strip(found.replace(/^\*+|\*+$/g, '')) !== '');
      const double = matches(BOLD, said).filter((found) => strip(found.slice(2, -2)) !== '');
      return compared(single.length + double.length, 'at least', num_highlights, 'highlighted sections');
    },
  ),
  'detectable_format:multiple_sections': instruction(
    { section_spliter: pattern(section), num_sections: count },
    (said, { section_spliter, num_sections }) => {
      const regex = section(section_spliter);
      const found = withinTime(`the mark ${regex}`, () => matches(regex, said).length);
      return compared(found, 'at least', num_sections, `sections with ${excerpt(section_spliter)} and a number`);
    },
  ),
  'detectable_format:json_format': instruction({}, (said) => {
    try {
      parsePythonJson(unfenced(said));
      return null;
    } catch (error) {
      return `no JSON: ${(error as Error).message}`;
    }
  }),
  'detectable_format:title': instruction({}, (said) =>
    matches(TITLE, said).some((title) => strip(title.replace(/^<+/, '').replace(/>+$/, '')) !== '')
      ? null
      : 'no title in << and >>',
  ),
};
