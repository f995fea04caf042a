/**
 * The language of a text, as langdetect 1.0.9 (Nakatani Shuyo's language-detection) tells it: which language's texts have the runs
 * of one to three characters that this one has. The profiles are those of the package langdetect. langdetect draws runs at
 * random until one language is near certain, another answer in another run where a text is short or in two languages; here all
 * runs count, and the answer is always the same.
 */
import { createRequire } from 'node:module';
import { isUpper } from '../../text/python_text.ts';

/** ISO 639-1 codes of the profiles. */
const LANGUAGES =
  'af ar bg bn cs da de el en es et fa fi fr gu he hi hr hu id it ja kn ko lt lv mk ml mr ne nl no pa pl pt ro ru sk sl so sq sv sw ta te th tl tr uk ur vi zh-cn zh-tw'.split(
    ' ',
  );
/** What a run counts in a language that does not have it (langdetect's `alpha / BASE_FREQ`). */
const UNSEEN = 0.5 / 10_000;
/** Of a longer text the beginning counts. */
const MOST_CHARACTERS = 10_000;
const LONGEST_RUN = 3;

/** Run -> by language how much likelier it makes it than a language without it. */
type Profiles = ReadonlyMap<string, readonly (readonly [language: number, gain: number])[]>;
interface Loaded {
  profiles: Profiles;
  /** Chinese characters that are counted as one: character -> the one. */
  alike: ReadonlyMap<string, string>;
}

function load(): Loaded {
  const require = createRequire(import.meta.url);
  const profiles = new Map<string, [number, number][]>();
  for (const [place, language] of LANGUAGES.entries()) {
    const { freq, n_words } = require(`langdetect/profiles/${language}.json`) as {
      freq: Record<string, number>;
      n_words: number[];
    };
    for (const [run, times] of Object.entries(freq)) {
      const of = n_words[[...run].length - 1];
      if (of === undefined) continue;
      const gains = profiles.get(run) ?? [];
      gains.push([place, Math.log((UNSEEN + times / of) / UNSEEN)]);
      profiles.set(run, gains);
    }
  }
  const groups = Object.values(require('langdetect/res/cjk.json') as Record<string, string>);
  return { profiles, alike: new Map(groups.flatMap((group) => [...group].map((char) => [char, group[0]!]))) };
}
let loaded: Loaded | undefined;

/** A character as profiles have it: a blank for what is no letter, one character for all of a script that has one language. */
function normalized(char: string, { alike }: Loaded): string {
  if (char < '\u0080') return /[A-Za-z]/.test(char) ? char : ' ';
  if (/[\u00a0\u00ab\u00b0\u00bb\u2000-\u206f]/.test(char)) return ' ';
  if (char === '\u0219') return '\u015f';
  if (char === '\u021b') return '\u0163';
  if (char === '\u06cc') return '\u064a';
  if (char >= '\u1ea0' && char <= '\u1eff') return '\u1ec3';
  if (char >= '\u3040' && char <= '\u309f') return '\u3042';
  if (char >= '\u30a0' && char <= '\u30ff') return '\u30a2';
  if (/[\u3100-\u312f\u31a0-\u31bf]/.test(char)) return '\u3105';
  if (char >= '\uac00' && char <= '\ud7af') return '\uac00';
  return alike.get(char) ?? char;
}

/** The text without addresses, and without Latin letters where most are others. */
function cleaned(text: string): string[] {
  const plain = text
    .replace(/https?:\/\/[-_.?&~;+=/#0-9A-Za-z]{1,2076}/g, ' ')
    .replace(/[-_.0-9A-Za-z]{1,64}@[-_0-9A-Za-z]{1,255}[-_.0-9A-Za-z]{1,255}/g, ' ')
    .replace(/[A-Za-zÂÊÔâêôĂăƠơƯư][\u0300\u0301\u0303\u0309\u0323]/g, (pair) => pair.normalize('NFC'));
  const chars = [...plain].slice(0, MOST_CHARACTERS);
  const latin = chars.filter((char) => char >= 'A' && char <= 'z').length;
  const others = chars.filter((char) => char >= '\u0300').length;
  return latin * 2 < others ? chars.filter((char) => char < 'A' || char > 'z') : chars;
}

/**
 * Runs of one to three characters of words, the blank before a word among them, each with how often it is there. A word in
 * capitals has none from its second letter on.
 */
function runsOf(text: string, known: Loaded): Map<string, number> {
  const runs = new Map<string, number>();
  let run = [' '];
  let inCapitals = false;
  for (const raw of cleaned(text)) {
    const char = normalized(raw, known);
    const before = run.at(-1)!;
    if (before === ' ') {
      run = [' '];
      inCapitals = false;
      if (char === ' ') continue;
    } else if (run.length >= LONGEST_RUN) run = run.slice(1);
    run.push(char);
    inCapitals = isUpper(char) && (inCapitals || isUpper(before));
    if (inCapitals) continue;
    for (let length = 1; length <= run.length; length += 1) {
      const part = run.slice(-length).join('');
      if (part !== ' ' && known.profiles.has(part)) runs.set(part, (runs.get(part) ?? 0) + 1);
    }
  }
  return runs;
}

/** The code of the language (`en`, `zh-cn`); null where the text has nothing to tell it by. */
export function languageOf(text: string): string | null {
  loaded ??= load();
  const runs = runsOf(text, loaded);
  if (runs.size === 0) return null;
  const gains = new Float64Array(LANGUAGES.length);
  for (const [run, times] of runs)
    for (const [language, gain] of loaded.profiles.get(run)!) gains[language]! += times * gain;
  return LANGUAGES[gains.indexOf(Math.max(...gains))]!;
}
