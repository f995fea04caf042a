/**
 * `run.live`: the page of a run under way, served to this machine alone. A random token stands in its address; other addresses and
 * other hosts' names get nothing, and of the disk only the run's own rows are read. It ends with the run, and keeps no process alive.
 * A failed row that is tried again stands there twice until the run ends.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describeTool } from '../report/host.ts';
import { type PageBlock, pageHtml } from '../report/page.ts';
import {
  BLOCK_ROWS,
  type Book,
  type PagePart,
  type PagePicture,
  type PageRow,
  type PageShared,
} from '../report/page_shape.ts';
import { COMPANION_FILE } from '../report/summary.ts';
import { unpackNumbers } from '../text/varint.ts';
import { FORMAT, OutsideError, type Primary } from '../types.ts';
import { CompanionIndex } from './companion_file.ts';
import { GrowingFile, type Place } from './growing_file.ts';
import { type JournalRow, rowKey } from './journal.ts';
import { detailOf, ListColumns } from './page_rows.ts';

/** What the page says of the run before its rows. */
export interface LiveRun {
  task: string;
  model: string;
  facts: [string, string][];
  primary: Primary;
  /** The run's folder, and the file of its rows there. */
  folder: string;
  predictions: string;
  /** Rows that it is to have. */
  total: number;
}

/** A page that is served. */
export interface Live {
  address: string;
  close(): void;
}

/** Rows that one answer holds. */
const MOST = 20_000;
/** Milliseconds that an open connection may be silent. */
const IDLE_MS = 30_000;

/** The rows so far. */
class Rows {
  readonly columns: ListColumns;
  private readonly predictions: GrowingFile;
  private readonly places: Place[] = [];
  private readonly companion: GrowingFile;
  private readonly index: CompanionIndex;

  constructor({ folder, predictions, primary }: LiveRun) {
    this.columns = new ListColumns(primary.name);
    this.predictions = new GrowingFile(join(folder, predictions));
    const path = join(folder, COMPANION_FILE);
    this.companion = new GrowingFile(path);
    this.index = new CompanionIndex(path);
  }

  /** Reads on where the last look ended. */
  look(): void {
    for (const { line, place } of this.predictions.next()) {
      this.columns.add(JSON.parse(line.toString('utf8')) as JournalRow);
      this.places.push(place);
    }
  }

  /** A row, its prompt and its pictures; null where there is none. */
  open(at: number): object | null {
    const place = this.places[at];
    if (place === undefined) return null;
    const row = JSON.parse(this.predictions.at(place)) as JournalRow;
    let more = this.companion.next();
    for (; more.length > 0; more = this.companion.next()) for (const one of more) this.index.take(one.line, one.place);
    const kept = this.index.rows.get(rowKey(row));
    const prompt = kept === undefined ? null : this.prompt(JSON.parse(this.companion.at(kept)) as PageRow);
    const pictures: Record<string, PagePicture> = {};
    for (const hash of prompt?.row.pictures ?? []) {
      const found = this.index.pictures.get(hash);
      if (found !== undefined) pictures[hash] = JSON.parse(this.companion.at(found)) as PagePicture;
    }
    return { detail: detailOf(row), prompt, pictures };
  }

  /** With as much of what rows share as it needs. */
  private prompt(row: PageRow): { row: PageRow; shared: PageShared } {
    const { text_heads, ids_heads, texts } = this.index.shared;
    const shared: PageShared = { text_heads: {}, ids_heads: {}, texts: {} };
    const take = ({ text_head, ids_head, ids }: PagePart) => {
      if (text_head !== undefined) shared.text_heads[text_head] = text_heads[text_head] ?? '';
      if (ids_head !== undefined) shared.ids_heads[ids_head] = ids_heads[ids_head] ?? '';
      const known = [ids ?? '', ids_head === undefined ? '' : (ids_heads[ids_head] ?? '')].flatMap(unpackNumbers);
      for (const id of known) if (texts[id] !== undefined) shared.texts[id] = texts[id];
    };
    for (const part of [...row.prompts, ...(row.choices ?? []), ...(row.output === undefined ? [] : [row.output])])
      take(part);
    return { row, shared };
  }

  /** Places of a block's rows whose line has the text, in whatever case; null behind the last block. */
  search(block: number, text: string): number[] | null {
    const first = block * BLOCK_ROWS;
    if (!(first >= 0 && first < this.places.length)) return null;
    const wanted = JSON.stringify(text).slice(1, -1).toLowerCase();
    const places = this.places.slice(first, first + BLOCK_ROWS);
    return places.flatMap((place, i) => (this.predictions.at(place).toLowerCase().includes(wanted) ? [first + i] : []));
  }
}

/** The run as its page has it before the first row. */
function bookOf({ task, model, facts, primary }: LiveRun): Book {
  const { name, version } = describeTool();
  const scores = { primary, metrics: {}, groups: {}, subjects: {}, subject_groups: {} };
  const none = { terms: {}, faults: [], health: [], notes: [], charts: [], rows: 0, prompts: 0 };
  const how = 'Prompts are kept with `report.page: true` alone.';
  const run = { ...none, name: task, model, task, status: 'under way', scores, facts, how };
  return {
    format: FORMAT,
    kind: 'live',
    title: `${task}: ${model}`,
    written: new Date().toISOString(),
    tool: `${name} ${version}`,
    runs: [run],
  };
}

const HEADERS = {
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cross-origin-resource-policy': 'same-origin',
} as const;

const same = (a: string, b: string) => {
  const [one, other] = [Buffer.from(a), Buffer.from(b)];
  return one.length === other.length && timingSafeEqual(one, other);
};

/** Serves the page. Throws OutsideError where no port can be had. */
export async function openLive(run: LiveRun): Promise<Live> {
  const token = randomBytes(18).toString('base64url');
  const rows = new Rows(run);
  const book = bookOf(run);
  async function* none(): AsyncGenerator<PageBlock> {}

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { port } = server.address() as AddressInfo;
    const end = (status: number, type = 'text/plain', body = '') => {
      response.writeHead(status, { ...HEADERS, 'content-type': `${type}; charset=utf-8` });
      response.end(request.method === 'HEAD' ? '' : body);
    };
    const json = (value: object | null) => end(value === null ? 404 : 200, 'application/json', JSON.stringify(value));
    // A name that leads here by somebody else's DNS is not this page's.
    const { host } = request.headers;
    if (host !== `127.0.0.1:${port}` && host !== `localhost:${port}`) return end(403);
    if (request.method !== 'GET' && request.method !== 'HEAD') return end(405);
    const [pathname = '', query = ''] = (request.url ?? '').split('?', 2);
    const searchParams = new URLSearchParams(query);
    const [, given = '', what, ...others] = pathname.split('/');
    if (!same(given, token) || what === undefined || others.length > 0) return end(404);
    const number = (name: string) => Number.parseInt(searchParams.get(name) ?? '', 10);
    if (what === '') {
      let html = '';
      for await (const piece of pageHtml(book, none(), true)) html += piece;
      return end(200, 'text/html', html);
    }
    rows.look();
    if (what === 'rows') {
      const from = number('from');
      if (!(from >= 0)) return end(404);
      return json({
        ...rows.columns.list(from, from + MOST),
        done: rows.columns.length >= run.total,
        total: run.total,
      });
    }
    if (what === 'row') return json(rows.open(number('place')));
    if (what === 'search') return json(rows.search(number('block'), searchParams.get('text') ?? '') ?? []);
    end(404);
  };

  const server = createServer(
    { requestTimeout: IDLE_MS, headersTimeout: IDLE_MS, keepAliveTimeout: 5_000 },
    (request, response) => {
      answer(request, response).catch((error) => {
        // A file that was moved meanwhile, say: the run goes on, and who asked is told.
        if (response.headersSent) return response.destroy();
        response.writeHead(500, { ...HEADERS, 'content-type': 'text/plain; charset=utf-8' });
        response.end(`${(error as Error).message}\n`);
      });
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new OutsideError(`run.live: no port of 127.0.0.1 can be had: ${cause.message}.`, { cause })),
    );
    server.listen(0, '127.0.0.1', resolve);
  });
  server.unref();
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}/${token}/`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
