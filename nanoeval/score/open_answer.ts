/**
 * From a generated answer to an open question to what may be its answer: key texts and numbers, held against the gold. The
 * rules of MMMU's published script, as lm-evaluation-harness has them too.
 */
import { pythonFloat, round2 } from '../text/python_number.ts';
import { pythonRegex } from '../text/python_regex.ts';
import { codePoints, strip } from '../text/python_text.ts';

/** The tail of a line behind the last of such a word may be the answer; an equals sign counts in the last line alone. */
const INDICATORS = ['could be ', 'so ', 'is ', 'thus ', 'therefore ', 'final ', 'answer ', 'result '];
const TRIVIAL = [':', ',', '.', '!', '?', ';', "'"];

/** Numbers with commas, in scientific notation, and plain ones: whatever any of the three finds. */
const NUMBERS = [
  '-?\\b\\d{1,3}(?:,\\d{3})+\\b',
  '-?\\d+(?:\\.\\d+)?[eE][+-]?\\d+',
  '-?(?:\\d+\\.\\d+|\\.\\d+|\\d+\\b)(?![eE][+-]?\\d+)(?![,\\d])',
].map((source) => pythonRegex(source));

/**
 * The parts of an answer that may be what was asked for: of each line the shortest text behind the last of an indicator;
 * all of the answer where no line has one. In lower case, without outer blanks and full stops.
 */
export function keyTexts(answer: string): string[] {
  const whole = strip(answer)
    .replace(/^\.+|(?<!\.)\.+$/g, '')
    .toLowerCase();
  const lines = whole.split('\n');
  const keys = lines.flatMap((line, i) => {
    let shortest = '';
    for (const indicator of i < lines.length - 1 ? INDICATORS : [...INDICATORS, '=']) {
      if (!line.includes(indicator)) continue;
      const tail = strip(line.slice(line.lastIndexOf(indicator) + indicator.length));
      // An empty tail is as good as none, and the next one takes its place.
      if (shortest === '' || codePoints(tail) < codePoints(shortest)) shortest = tail;
    }
    return shortest === '' || TRIVIAL.includes(shortest) ? [] : [shortest];
  });
  return keys.length > 0 ? keys : [whole];
}

/** A number rounded to hundredths; else the text in lower case, a single character with a blank before it, and behind it. */
function normalized(text: string): (string | number)[] {
  const number = pythonFloat(strip(text).replaceAll(',', ''));
  if (number !== null) return [round2(number)];
  const plain = strip(text).toLowerCase();
  return codePoints(plain) === 1 ? [` ${plain}`, `${plain} `] : [plain];
}

/**
 * Whether an answer holds one of the golds: a number as one of the numbers in its key texts, a text within one of them: `cat`
 * is in `concatenate`.
 */
export function holdsGold(keys: readonly string[], golds: readonly string[]): boolean {
  const numbers = keys.flatMap((key) => NUMBERS.flatMap((pattern) => key.match(pattern) ?? []));
  const said = [...keys, ...numbers].flatMap(normalized);
  const texts = said.filter((one) => typeof one === 'string');
  return golds
    .flatMap(normalized)
    .some((gold) =>
      typeof gold === 'number' ? said.some((one) => one === gold) : texts.some((text) => text.includes(gold)),
    );
}
