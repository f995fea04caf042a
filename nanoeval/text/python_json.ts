/**
 * JSON as Python's `json` writes and reads it: `NaN`, `Infinity` and `-Infinity` are values (they stand in rows and in
 * config.json of checkpoints), and whole numbers keep all their digits.
 */
import { randomUUID } from 'node:crypto';

/** What `JSON.parse` refuses or rounds; a text without it needs no second look. May be found inside strings too. */
const SPECIAL = /NaN|Infinity|\d{16}/;
/** What matters outside of strings. Nothing is found that hangs on other letters: `NaNs` stays what it is. */
const TOKEN = /"|(?<![\w.+-])-?(?:Infinity|NaN)(?!\w)|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const IS_KEY = /[ \t\r\n]*:/y;

/**
 * The value of a JSON text, as Python's `json.loads` reads it. Linear in the length of the text.
 *
 * `long` says what whole numbers beyond 2^53 - 1 are: their digits as a `text`, as in a row from Parquet, or the nearest
 * `number`, as in settings, where they stand for "no limit".
 *
 * @throws SyntaxError of one line that says what is no JSON, for every text that cannot be read
 */
export function parsePythonJson(text: string, long: 'text' | 'number' = 'text'): unknown {
  if (!SPECIAL.test(text)) return parse(text);
  if (long === 'number') {
    // A large vocabulary has the word NaN in it, and nothing else that is special.
    try {
      return JSON.parse(text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  const nan = `NaN-${randomUUID()}`;
  const plain = inPlainJson(text, nan, long);
  try {
    return plain.includes(nan) ? parse(plain, (_, value) => (value === nan ? Number.NaN : value)) : parse(plain);
  } catch (error) {
    throw new SyntaxError((error as Error).message.replaceAll(nan, 'NaN'), { cause: error });
  }
}

function parse(text: string, revive?: (key: string, value: unknown) => unknown): unknown {
  try {
    return JSON.parse(text, revive);
  } catch (cause) {
    // The message quotes the text, line ends and all. What is nested too deep for a reviver is a RangeError.
    throw new SyntaxError((cause as Error).message.replace(/\s+/g, ' '), { cause });
  }
}

/** The text in JSON proper: a text for what is not a number, a number that overflows for infinity, digits in quotes. */
function inPlainJson(text: string, nan: string, long: 'text' | 'number'): string {
  const parts: string[] = [];
  let from = 0;
  TOKEN.lastIndex = 0;
  for (let found = TOKEN.exec(text); found !== null; found = TOKEN.exec(text)) {
    const [token] = found;
    const end = token === '"' ? endOfString(text, found.index) : TOKEN.lastIndex;
    TOKEN.lastIndex = end;
    const said = token === '"' || isKey(text, end) ? token : inPlace(token, nan, long);
    if (said === token) continue;
    parts.push(text.slice(from, found.index), said);
    from = end;
  }
  parts.push(text.slice(from));
  return parts.join('');
}

/** Index behind the closing quote of the string that begins at `start`; the end of the text where there is none. */
function endOfString(text: string, start: number): number {
  let at = start;
  for (;;) {
    at = text.indexOf('"', at + 1);
    if (at < 0) return text.length;
    let slashes = 0;
    while (text[at - 1 - slashes] === '\\') slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
}

/** Whether a colon follows: keys are strings, and a number in quotes must not become one. */
function isKey(text: string, end: number): boolean {
  IS_KEY.lastIndex = end;
  return IS_KEY.test(text);
}

function inPlace(token: string, nan: string, long: 'text' | 'number'): string {
  if (token === 'NaN') return `"${nan}"`;
  if (token.endsWith('Infinity')) return token.startsWith('-') ? '-1e999' : '1e999';
  const isLong = long === 'text' && /^-?[1-9]\d{15,}$/.test(token) && !Number.isSafeInteger(Number(token));
  return isLong ? `"${token}"` : token;
}
