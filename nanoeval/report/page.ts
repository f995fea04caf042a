/**
 * report.html put together: one file without a network, whose script is known by its hash and whose data are texts that no
 * browser runs. Rows are packed in blocks, which the page unpacks when it shows them.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Book } from './page_shape.ts';

const pack = promisify(gzip);

/** What the page is built of; made by `npm run page` but for the charts' libraries, which come from their packages. */
interface Assets {
  script: string;
  style: string;
  charts: string;
  licences: string;
}

let known: Assets | null = null;

/** Reads the files once. Throws Error for one that is missing: the package is not whole. */
function assets(): Assets {
  if (known !== null) return known;
  const built = fileURLToPath(new URL('../page/built/', import.meta.url));
  const read = (path: string) => readFileSync(path, 'utf8');
  const require = createRequire(import.meta.url);
  const folder = (name: string) => dirname(require.resolve(name));
  const licence = (name: string) => `${name}\n\n${read(join(folder(name), '..', 'LICENSE'))}`;
  // Each of the libraries puts itself into a global name, in this order.
  const charts = [
    read(join(folder('vega'), 'vega.min.js')),
    read(join(folder('vega-lite'), 'vega-lite.min.js')),
    read(join(built, 'interpreter.js')),
  ].map((code) => code.replace(/^\/\/# sourceMappingURL=.*$/gm, ''));
  known = {
    script: read(join(built, 'page.js')),
    style: read(join(built, 'page.css')),
    charts: charts.join('\n'),
    licences: [licence('vega'), licence('vega-lite'), licence('vega-interpreter'), read(join(built, 'LICENSES'))].join(
      '\n\n',
    ),
  };
  return known;
}

const hashOf = (code: string) => `'sha256-${createHash('sha256').update(code).digest('base64')}'`;

/** What the page may load: its own script, the charts' libraries once they are unpacked, pictures that stand in it. */
function policy({ script, charts }: Assets, live: boolean): string {
  return [
    "default-src 'none'",
    `script-src ${hashOf(script)} ${hashOf(charts)}`,
    // Charts have their colours in style attributes.
    "style-src 'unsafe-inline'",
    'img-src data:',
    ...(live ? ["connect-src 'self'"] : []),
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}

/** One of the texts in the page, by its name. */
export interface PageBlock {
  name: string;
  /** Base64. */
  data: string;
}

/** A text packed (gzip) as a block. */
export async function packBlock(name: string, text: string): Promise<PageBlock> {
  return { name, data: (await pack(text, { level: 7 })).toString('base64') };
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: string) => text.replace(/[&<>"]/g, (one) => ENTITIES[one]!);
/** JSON that cannot end the element it stands in. */
const inert = (value: unknown) =>
  JSON.stringify(value).replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
/** Base64 and nothing else; names are ours. */
const element = ({ name, data }: PageBlock) => `<script type="text/plain" id="${name}">${data}</script>\n`;

/**
 * The page, piece by piece: the script stands before the blocks, so that what the book says is seen before they are read.
 * `live`: the rows come from the server that the page comes from.
 */
export async function* pageHtml(
  book: Book,
  blocks: AsyncIterable<PageBlock>,
  live = false,
): AsyncGenerator<string, void, undefined> {
  const own = assets();
  yield `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy(own, live)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${escaped(book.title)}</title>
<style>${own.style}</style>
</head>
<body>
<div id="app"></div>
<noscript>${escaped(book.title)}: this page needs JavaScript. The same numbers stand in summary.json and metrics.csv.</noscript>
<script type="application/json" id="book">${inert(book)}</script>
<script>${own.script}</script>
`;
  for await (const block of blocks) yield element(block);
  yield element(await packBlock('charts', own.charts));
  yield element(await packBlock('licences', own.licences));
  yield '</body>\n</html>\n';
}
