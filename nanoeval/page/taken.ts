/** Runs out of another report.html on this machine. Its text is read and never becomes a part of this page. */
import type { PageRun } from '../report/page_shape.ts';
import type { Held } from './app.ts';
import { embedded, readBook } from './data.ts';

/** Throws Error for a file that is no such page. `names`: those that are taken already. */
export async function takePage(file: File, names: readonly string[]): Promise<Held[]> {
  // A document of its own, in which nothing runs.
  const other = new DOMParser().parseFromString(await file.text(), 'text/html');
  const text = other.getElementById('book')?.textContent;
  if (text == null) throw new Error(`${file.name}: not a report.html of NanoEval`);
  const source = embedded((name) => other.getElementById(name)?.textContent ?? null);
  const found = readBook(text).runs.map((run, at) => ({ run, source, at }));
  const whole = found.filter(({ run }) => run.error === undefined && run.page === undefined);
  if (whole.length === 0) throw new Error(`${file.name}: it holds no rows`);
  return whole.map((one) => ({ ...one, run: renamed(one.run, file.name, names) }));
}

/** Runs are told apart by their names. */
function renamed(run: PageRun, file: string, names: readonly string[]): PageRun {
  let name = names.includes(run.name) ? `${run.name} of ${file}` : run.name;
  for (let n = 2; names.includes(name); n += 1) name = `${run.name} of ${file} (${n})`;
  return { ...run, name };
}
