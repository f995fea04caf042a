/** Added tokens, found in a text before anything else is done to it (`tokenizers/src/tokenizer/added_vocabulary.rs`). */
import type { Model } from './bpe.ts';
import type { Normalize } from './normalizer.ts';

/** An entry of tokenizer.json's `added_tokens`. */
export interface AddedToken {
  id: number;
  content: string;
  /** Found only where no letter, digit or `_` is beside it. */
  single_word?: boolean;
  /** Takes the blanks before it. */
  lstrip?: boolean;
  /** Takes the blanks behind it. */
  rstrip?: boolean;
  /** Looked for in the normalised text. */
  normalized?: boolean;
  special?: boolean;
}

/** A part of a text: an added token's id, or text that has none (`id` undefined). */
export interface Section {
  text: string;
  id: number | undefined;
  /** Place in the text that was searched, in UTF-16 units. */
  start: number;
}

export interface AddedTokens {
  /** Cuts at the tokens that are looked for in the text as it stands. */
  inText(text: string): Section[];
  /** Cuts at those that are looked for in normalised text. */
  inNormalized(text: string): Section[];
  idOf(content: string): number | undefined;
  /** For decoding: of a token that is looked for in normalised text its normalised form. */
  tokenOf(id: number): string | undefined;
  isSpecial(content: string): boolean;
}

/** `list` has been checked by `checkShape`. */
export function openAddedTokens(list: readonly AddedToken[], model: Model, normalize: Normalize): AddedTokens {
  const ids = new Map<string, number>();
  const contents = new Map<number, string>();
  const plain = new Map<string, AddedToken>();
  const normalized = new Map<string, AddedToken>();
  let next = 0;
  for (const token of list) {
    if (token.content === '') continue;
    // The library does not read `id`: the model's id, else the next free one.
    const id = ids.get(token.content) ?? model.idOf(token.content) ?? Math.max(next, model.size);
    if (!ids.has(token.content)) next = Math.max(next, id + 1);
    ids.set(token.content, id);
    const seeks = (token.normalized ?? !token.special) ? normalize(token.content) : null;
    if (seeks === null) plain.set(token.content, { ...token, id });
    else normalized.set(seeks, { ...token, id });
    contents.set(id, seeks ?? token.content);
  }
  const special = new Set(list.filter((token) => token.special).map(({ content }) => content));
  return {
    inText: finder(plain),
    inNormalized: finder(normalized),
    idOf: (content) => ids.get(content),
    tokenOf: (id) => contents.get(id),
    isSpecial: (content) => special.has(content),
  };
}

const WORD = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]';
const ENDS_WITH_WORD = new RegExp(`${WORD}$`, 'u');
const STARTS_WITH_WORD = new RegExp(`^${WORD}`, 'u');
const BLANK = /^\p{White_Space}$/u;

/** Tokens by their next UTF-16 unit, and the token that ends here. */
interface Branch {
  token: AddedToken | undefined;
  next: Map<number, Branch>;
}

function branchesOf(tokens: ReadonlyMap<string, AddedToken>): Branch {
  const root: Branch = { token: undefined, next: new Map() };
  for (const [content, token] of tokens) {
    if (content === '') continue;
    let branch = root;
    for (let i = 0; i < content.length; i += 1) {
      const unit = content.charCodeAt(i);
      const next = branch.next.get(unit) ?? { token: undefined, next: new Map() };
      branch.next.set(unit, next);
      branch = next;
    }
    branch.token = token;
  }
  return root;
}

/** Places where a token may begin, by its first two units: of a run of blanks, say, not every single blank of a text. */
function beginnings(root: Branch): RegExp {
  const ways = [...root.next].map(([unit, { token, next }]) =>
    token === undefined ? `${escaped(unit)}(?=[${[...next.keys()].map(escaped).join('')}])` : escaped(unit),
  );
  return new RegExp(ways.join('|'), 'g');
}

/** Finds the leftmost and there the longest of the tokens, again and again. `tokens`: by the text that is looked for. */
function finder(tokens: ReadonlyMap<string, AddedToken>): (text: string) => Section[] {
  const root = branchesOf(tokens);
  if (root.next.size === 0) return (text) => (text === '' ? [] : [{ text, id: undefined, start: 0 }]);
  const begins = beginnings(root);

  /** The longest token that begins at a place, and where it ends. */
  function longestAt(text: string, at: number): { token: AddedToken; end: number } | undefined {
    let longest: { token: AddedToken; end: number } | undefined;
    let branch: Branch | undefined = root;
    for (let end = at; branch !== undefined; end += 1) {
      if (branch.token !== undefined) longest = { token: branch.token, end };
      branch = end < text.length ? branch.next.get(text.charCodeAt(end)) : undefined;
    }
    return longest;
  }

  return (text) => {
    const sections: Section[] = [];
    let done = 0;
    begins.lastIndex = 0;
    for (let found = begins.exec(text); found !== null; found = begins.exec(text)) {
      const longest = longestAt(text, found.index);
      if (longest === undefined) continue;
      const { token, end } = longest;
      begins.lastIndex = end;
      if (token.single_word && !standsAlone(text, found.index, end)) continue;
      const from = token.lstrip ? Math.max(done, blanksBefore(text, found.index)) : found.index;
      const to = token.rstrip ? blanksBehind(text, end) : end;
      if (done < from) sections.push({ text: text.slice(done, from), id: undefined, start: done });
      sections.push({ text: text.slice(from, to), id: token.id, start: from });
      done = to;
    }
    if (done < text.length) sections.push({ text: text.slice(done), id: undefined, start: done });
    return sections;
  };
}

function standsAlone(text: string, start: number, end: number): boolean {
  return !ENDS_WITH_WORD.test(lastCharacter(text.slice(0, start))) && !STARTS_WITH_WORD.test(text.slice(end, end + 2));
}

function lastCharacter(text: string): string {
  return Array.from(text.slice(-2)).at(-1) ?? '';
}

function blanksBefore(text: string, at: number): number {
  let start = at;
  while (start > 0 && BLANK.test(text[start - 1]!)) start -= 1;
  return start;
}

function blanksBehind(text: string, at: number): number {
  let end = at;
  while (end < text.length && BLANK.test(text[end]!)) end += 1;
  return end;
}

/** One UTF-16 unit in a regular expression. */
function escaped(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
