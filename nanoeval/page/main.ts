/** Where the page begins: what the book says is drawn at once, rows when the whole of the file is read. */
import { render } from 'preact';
import { App, type AppProps } from './app.ts';
import { embedded, type Held, readBook, type Source } from './data.ts';
import { h } from './kit.ts';
import { follow } from './live.ts';

const root = document.getElementById('app')!;
const book = readBook(document.getElementById('book')!.textContent ?? '');

/** Blocks stand behind the script: who asks for one waits until the file is read. */
function whenRead(source: Source): Source {
  const isRead = new Promise<void>((resolve) => {
    if (document.readyState !== 'loading') resolve();
    else document.addEventListener('DOMContentLoaded', () => resolve(), { once: true });
  });
  return { ...source, list: async (run) => isRead.then(() => source.list(run)) };
}

let props: AppProps = { book, held: [], printing: false, version: 0, state: null };
function draw(change: Partial<AppProps>): void {
  props = { ...props, ...change };
  render(h(App, props), root);
}

if (book.kind === 'live') follow(book, draw);
else {
  const source = whenRead(embedded((name) => document.getElementById(name)?.textContent ?? null));
  draw({ held: book.runs.map((run, at): Held => ({ run, source, at })) });
}

// The whole list is printed, as far as paper goes, and what is folded is opened.
addEventListener('beforeprint', () => draw({ printing: true }));
addEventListener('afterprint', () => draw({ printing: false }));
