/**
 * Our ids against those of PyPI tokenizers, over whole tokenizers and over the small ones of tests/fixtures/tokenizers.
 *
 *     TOKENIZER_FAMILIES=<folder> npx tsx tests/families/tokenizers.ts [name ...]
 *
 * <folder>/texts.jsonl and <folder>/<name>/{tokenizer.json, tokenizer_config.json, ids.jsonl} are as
 * tokenizer_reference.py leaves them; without the folder only the small tokenizers are gone through. One line each: texts
 * with other ids (plain, with special tokens), with another decoded text (without, with special tokens), errors and the
 * first difference. Ends with 1 when anything differs.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { openTokenizer, type Tokenizer } from '../../nanoeval/model/tokenizer.ts';

/** What the reference says of one text; absent parts are not compared. */
interface Reference {
  plain?: number[];
  special?: number[];
  decoded?: string;
  kept?: string;
  /** The ids that `kept` was decoded from; `plain` where absent. */
  keptIds?: number[];
  error?: string;
}

interface MadeCase {
  tokenizer: object;
  ids?: number[][];
  special?: number[][];
  decoded?: string[];
  kept?: string[];
  sequences?: { ids: number[]; decoded: string; kept: string }[];
}

const read = (file: string | URL) => JSON.parse(readFileSync(file, 'utf8'));
const lines = (file: string) => readFileSync(file, 'utf8').split('\n').filter(Boolean);
const brief = (value: unknown) => JSON.stringify(value)?.slice(0, 90);

/** One line on a tokenizer; true when nothing differs. */
function compare(name: string, open: () => Tokenizer, texts: readonly string[], wanted: readonly Reference[]): boolean {
  const started = performance.now();
  let tokenizer: Tokenizer;
  try {
    tokenizer = open();
  } catch (error) {
    console.log(`${name}: not opened: ${brief(String(error))}`);
    return false;
  }
  const count = { plain: 0, special: 0, decoded: 0, kept: 0, error: 0 };
  let first = '';
  const differs = (what: keyof typeof count, text: string, got: unknown, right: unknown) => {
    count[what] += 1;
    first ||= ` first: ${what} of ${brief(text)}: ${brief(got)}, right ${brief(right)}`;
  };
  wanted.forEach((reference, i) => {
    const text = texts[i] ?? '';
    const check = (what: 'plain' | 'special' | 'decoded' | 'kept', get: () => unknown) => {
      const right = reference[what];
      if (right === undefined) return;
      try {
        const got = get();
        if (JSON.stringify(got) !== JSON.stringify(right)) differs(what, text, got, right);
      } catch (error) {
        differs('error', text, String(error), right);
      }
    };
    check('plain', () => tokenizer.encodePlain(text));
    // `encode` gives no second BOS to a text that brings its own: that is ours, not the reference's.
    const bos = tokenizer.special.bos_token;
    if (bos === undefined || !text.startsWith(bos)) check('special', () => tokenizer.encode(text));
    const ids = reference.plain;
    if (ids !== undefined) {
      check('decoded', () => tokenizer.decode(ids));
      check('kept', () => tokenizer.decode(reference.keptIds ?? ids, true));
    }
  });
  const bad = Object.entries(count).filter(([, n]) => n > 0);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const said = bad.length === 0 ? 'equal' : bad.map(([what, n]) => `${what} ${n}`).join(', ');
  console.log(`${name}: ${said} of ${wanted.length} (${seconds} s)${first}`);
  return bad.length === 0;
}

function wholeTokenizers(folder: string, names: readonly string[]): boolean[] {
  const texts = lines(`${folder}/texts.jsonl`).map((line) => JSON.parse(line) as string);
  const all = readdirSync(folder).filter((name) => existsSync(`${folder}/${name}/ids.jsonl`));
  return all
    .filter((name) => names.length === 0 || names.includes(name))
    .sort()
    .map((name) => {
      const at = `${folder}/${name}`;
      const config = existsSync(`${at}/tokenizer_config.json`) ? read(`${at}/tokenizer_config.json`) : {};
      const wanted = lines(`${at}/ids.jsonl`).map((line) => JSON.parse(line) as Reference);
      return compare(name, () => openTokenizer(read(`${at}/tokenizer.json`), config), texts, wanted);
    });
}

function smallTokenizers(): boolean[] {
  const folder = new URL('../fixtures/tokenizers/', import.meta.url);
  const texts = read(new URL('texts.json', folder)) as string[];
  const parts = readdirSync(folder).filter((file) => file.endsWith('.json') && file !== 'texts.json');
  return parts.flatMap((file) =>
    Object.entries(read(new URL(file, folder)) as Record<string, MadeCase>).map(([name, made]) => {
      const of = { ...made, special: made.special ?? made.ids, kept: made.kept ?? made.decoded };
      const encoded = (made.ids ?? []).map((plain, i) => ({
        plain,
        special: of.special?.[i],
        decoded: of.decoded?.[i],
        kept: of.kept?.[i],
        keptIds: of.special?.[i],
      }));
      const sequences = (made.sequences ?? []).map(({ ids, decoded, kept }) => ({ ids, decoded, kept }));
      const label = `${file.slice(0, -5)}: ${name}`;
      const open = () => openTokenizer(made.tokenizer, {});
      return sequences.length > 0
        ? compareDecoded(label, open, sequences)
        : compare(label, open, texts, encoded as Reference[]);
    }),
  );
}

/** As `compare`, for lists of ids that no text stands behind. */
function compareDecoded(
  name: string,
  open: () => Tokenizer,
  sequences: readonly { ids: number[]; decoded: string; kept: string }[],
): boolean {
  let bad = 0;
  let first = '';
  try {
    const tokenizer = open();
    for (const { ids, decoded, kept } of sequences) {
      let got: string[];
      try {
        got = [tokenizer.decode(ids), tokenizer.decode(ids, true)];
      } catch (error) {
        got = [String(error)];
      }
      if (got[0] === decoded && got[1] === kept) continue;
      bad += 1;
      first ||= ` first: ${brief(ids)}: ${brief(got)}, right ${brief([decoded, kept])}`;
    }
  } catch (error) {
    bad = sequences.length;
    first = ` not opened: ${brief(String(error))}`;
  }
  console.log(`${name}: ${bad === 0 ? 'equal' : `decoded ${bad}`} of ${sequences.length}${first}`);
  return bad === 0;
}

const folder = process.env.TOKENIZER_FAMILIES;
const names = process.argv.slice(2);
const equal = folder === undefined ? [] : wholeTokenizers(folder, names);
if (names.length === 0) equal.push(...smallTokenizers());
console.log(`${equal.filter(Boolean).length} of ${equal.length} tokenizers equal`);
process.exitCode = equal.every(Boolean) ? 0 : 1;
