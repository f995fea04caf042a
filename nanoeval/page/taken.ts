/** Runs out of another report.html on this machine. Its text is searched for its blocks and never becomes a document. */
import type { PageRun } from '../report/page_shape.ts';
import { FORMAT } from '../types.ts';
import { embedded, type Held, readBook } from './data.ts';

/** Throws Error for a file that is no such page. `names`: those that are taken already. */
export async function takePage(file: File, names: readonly string[]): Promise<Held[]> {
  const page = await file.text();
  const text = blockIn(page, 'book');
  if (text === null) throw new Error(`${file.name}: not a report.html of NanoEval`);
  const source = embedded((name) => blockIn(page, name));
  const { format, runs } = readBook(text);
  if (format !== FORMAT) throw new Error(`${file.name}: another version of NanoEval wrote it (format ${format})`);
  const found = runs.map((run, at) => ({ run, source, at }));
  const whole = found.filter(({ run }) => run.error === undefined && run.page === undefined);
  if (whole.length === 0) throw new Error(`${file.name}: it holds no rows`);
  return whole.map((one) => ({ ...one, run: renamed(one.run, file.name, names) }));
}

/** A block by its name: base64 or JSON without a `<`, which ends at the next one. */
function blockIn(page: string, name: string): string | null {
  const mark = `" id="${name}">`;
  const at = page.indexOf(mark);
  return at < 0 ? null : page.slice(at + mark.length, page.indexOf('<', at));
}

/** Runs are told apart by their names. */
function renamed(run: PageRun, file: string, names: readonly string[]): PageRun {
  let name = names.includes(run.name) ? `${run.name} of ${file}` : run.name;
  for (let n = 2; names.includes(name); n += 1) name = `${run.name} of ${file} (${n})`;
  return { ...run, name };
}
