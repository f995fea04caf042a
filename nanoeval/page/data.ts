/** The rows of the runs on a page, unpacked when they are wanted: from the page itself, or from the server of a run under way. */
import type { FailedRow, ScoredRow } from '../questions.ts';
import {
  BLOCK_ROWS,
  type Book,
  type PageList,
  type PagePicture,
  type PageRow,
  type PageRun,
  type PageShared,
  type RowStatus,
} from '../report/page_shape.ts';
import { unpackNumbers } from '../text/varint.ts';

/** A row as it is opened. */
export type Detail = Partial<ScoredRow> & Partial<Pick<FailedRow, 'error'>>;

/** A row's prompt, and what it shares with others. */
export interface Prompt {
  row: PageRow;
  shared: PageShared;
}

export interface Source {
  list(run: number): Promise<PageList>;
  detail(run: number, place: number): Promise<Detail>;
  /** null: it was not kept. */
  prompt(run: number, place: number): Promise<Prompt | null>;
  picture(run: number, hash: string): PagePicture | null;
  /** Whether the answer or the prompt of each row of one block has a text; `null`: there is no such block. */
  search(run: number, block: number, text: string): Promise<number[] | null>;
}

/** A run and where its rows come from. */
export interface Held {
  run: PageRun;
  source: Source;
  /** Its place in its book. */
  at: number;
}

/** One run's part in a row. */
export interface Side extends Held {
  place: number;
  status: RowStatus;
}

/** Base64 and gzip undone. Throws where the text is damaged. */
export async function unpack(packed: string): Promise<string> {
  const letters = atob(packed);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i += 1) bytes[i] = letters.charCodeAt(i);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).text();
}

/** Blocks that stay unpacked. */
const KEPT = 12;

/** Rows that stand in a page. `blockOf`: the text of a block by its name; null where there is none. */
export function embedded(blockOf: (name: string) => string | null): Source {
  const known = new Map<string, Promise<unknown>>();
  const open = <T>(name: string): Promise<T | null> => {
    let block = known.get(name) as Promise<T | null> | undefined;
    if (block === undefined) {
      const packed = blockOf(name);
      block = packed === null ? Promise.resolve(null) : unpack(packed).then((text) => JSON.parse(text) as T);
    } else known.delete(name);
    // The latest one stands last; the oldest goes.
    known.set(name, block);
    for (const old of known.keys()) {
      if (known.size <= KEPT) break;
      if (!old.endsWith('-list') && !old.endsWith('-shared')) known.delete(old);
    }
    return block;
  };
  const rows = (run: number, block: number) => open<Detail[]>(`r${run}-rows-${block}`);
  const prompts = (run: number, block: number) => open<([number, PageRow] | null)[]>(`r${run}-prompts-${block}`);
  const shared = (run: number) => open<PageShared[]>(`r${run}-shared`);
  return {
    async list(run) {
      return (await open<PageList>(`r${run}-list`)) ?? { index: [], status: '', prompts: '' };
    },
    async detail(run, place) {
      return (await rows(run, Math.floor(place / BLOCK_ROWS)))?.[place % BLOCK_ROWS] ?? {};
    },
    async prompt(run, place) {
      const found = (await prompts(run, Math.floor(place / BLOCK_ROWS)))?.[place % BLOCK_ROWS] ?? null;
      return found === null ? null : { row: found[1], shared: (await shared(run))![found[0]]! };
    },
    picture(run, hash) {
      const [type, width, height, data] = blockOf(`r${run}-picture-${hash.slice(0, 16)}`)?.split(';') ?? [];
      return data === undefined ? null : { type: type!, width: Number(width), height: Number(height), data };
    },
    async search(run, block, text) {
      const details = await rows(run, block);
      if (details === null) return null;
      const asked = await prompts(run, block);
      const own = asked === null ? [] : ((await shared(run)) ?? []);
      return details.flatMap((detail, i) =>
        hasText(detail, asked?.[i] ?? null, own, text) ? [block * BLOCK_ROWS + i] : [],
      );
    },
  };
}

/** Looks in what was answered, in why it failed, and in what of the prompt is the row's own. `text` is in small letters. */
function hasText(
  { output, failure, error, options, prompt, prediction }: Detail,
  asked: [number, PageRow] | null,
  shared: readonly PageShared[],
  text: string,
): boolean {
  const said = [output, failure, error?.message, prediction, ...(options ?? []), ...[prompt ?? []].flat()];
  if (said.some((one) => typeof one === 'string' && one.toLowerCase().includes(text))) return true;
  if (asked === null) return false;
  const [file, row] = asked;
  const parts = [...row.prompts, ...(row.choices ?? [])];
  return parts.some((part) => ownText(part, shared[file]!).toLowerCase().includes(text));
}

function ownText(part: PageRow['prompts'][number], { texts }: PageShared): string {
  if (part.text !== undefined) return part.text;
  return unpackNumbers(part.ids ?? '')
    .map((id) => texts[id] ?? '')
    .join('');
}

/** Rows that come from the server of the run, which has the one run alone. */
export function served(
  address: string,
): Source & { more(from: number): Promise<PageList & { done: number; total: number }> } {
  const ask = async <T>(path: string): Promise<T> => {
    const response = await fetch(`${address}${path}`, { signal: AbortSignal.timeout(20_000) });
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    return (await response.json()) as T;
  };
  type Row = { detail: Detail; prompt: Prompt | null; pictures: Record<string, PagePicture> };
  const known = new Map<number, Promise<Row>>();
  const pictures = new Map<string, PagePicture>();
  const row = async (place: number): Promise<Row> => {
    if (!known.has(place)) {
      if (known.size > 500) known.clear();
      known.set(place, ask<Row>(`row?place=${place}`));
    }
    const found = await known.get(place)!;
    for (const [hash, picture] of Object.entries(found.pictures)) pictures.set(hash, picture);
    return found;
  };
  return {
    list: () => ask('rows?from=0'),
    more: (from) => ask(`rows?from=${from}`),
    detail: async (_run, place) => (await row(place)).detail,
    prompt: async (_run, place) => (await row(place)).prompt,
    picture: (_run, hash) => pictures.get(hash) ?? null,
    search: (_run, block, text) => ask(`search?block=${block}&text=${encodeURIComponent(text)}`),
  };
}

/** The book of the page: what is known before any row. */
export const readBook = (text: string): Book => JSON.parse(text) as Book;
