/** The page: what is shown follows from its address; keys; the runs it holds and those taken from other pages. */
import type { VNode } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { BLOCK_ROWS, type Book, type PageList, type RowStatus } from '../report/page_shape.ts';
import { addressOf, readAddress, type Shown, START } from './address.ts';
import { Beside } from './beside.ts';
import { Board } from './board.ts';
import type { Held, Side } from './data.ts';
import { Help } from './help.ts';
import { count, h } from './kit.ts';
import { Chips, List } from './list.ts';
import { flipsOf, whyApart } from './pair.ts';
import { RowView } from './row.ts';
import { idOf, keyOf, placeOf, placesOf, subjectOf } from './rows.ts';
import { Summary } from './summary.ts';
import { takePage } from './taken.ts';

/** Rows as they are there; changes while a run is under way. */
function useList(held: Held | null, version: number): PageList | null {
  const [known, setKnown] = useState<{ of: Held; list: PageList } | null>(null);
  useEffect(() => {
    if (held === null || held.run.error !== undefined || held.run.page !== undefined) return;
    let isGone = false;
    held.source.list(held.at).then(
      (list) => isGone || setKnown({ of: held, list }),
      () => undefined,
    );
    return () => {
      isGone = true;
    };
  }, [held, version]);
  return held !== null && known?.of === held ? known.list : null;
}

/** Places whose answers or prompts have a text; looked for block by block while the page goes on. */
function useSearch(
  held: Held | null,
  list: PageList | null,
  text: string,
): { found: ReadonlySet<number>; done: number } {
  const [state, setState] = useState<{ of: string; found: Set<number>; done: number }>({
    of: '',
    found: new Set(),
    done: 1,
  });
  const wanted = text.trim().toLowerCase();
  const of = `${held?.run.name}\n${wanted}`;
  useEffect(() => {
    if (held === null || list === null || wanted.length < 2) return;
    let isGone = false;
    const look = async () => {
      const blocks = Math.ceil(list.index.length / BLOCK_ROWS);
      const found = new Set<number>();
      for (let block = 0; block < blocks && !isGone; block += 1) {
        for (const place of (await held.source.search(held.at, block, wanted)) ?? []) found.add(place);
        if (!isGone && (block % 8 === 7 || block === blocks - 1))
          setState({ of, found: new Set(found), done: (block + 1) / blocks });
      }
    };
    // A search waits until nobody types.
    const timer = setTimeout(() => look().catch(() => undefined), 200);
    return () => {
      isGone = true;
      clearTimeout(timer);
    };
  }, [held, list, of]);
  if (wanted.length < 2) return { found: new Set(), done: 1 };
  return state.of === of ? state : { found: new Set(), done: 0 };
}

/** What the address says, and how to change it. */
function useAddress(): [Shown, (change: Partial<Shown>, silent?: boolean) => void] {
  const [shown, setShown] = useState(() => readAddress(location.hash));
  useEffect(() => {
    const read = () => setShown(readAddress(location.hash));
    addEventListener('hashchange', read);
    addEventListener('popstate', read);
    return () => {
      removeEventListener('hashchange', read);
      removeEventListener('popstate', read);
    };
  }, []);
  const go = (change: Partial<Shown>, silent = false) => {
    const next = { ...readAddress(location.hash), ...change };
    // What moves within a list leaves no trail behind.
    if (silent) history.replaceState(null, '', addressOf(next));
    else history.pushState(null, '', addressOf(next));
    setShown(next);
  };
  return [shown, go];
}

interface RowsProps {
  held: Held;
  all: readonly Held[];
  shown: Shown;
  go(change: Partial<Shown>, silent?: boolean): void;
  take(file: File): void;
  fault: string | null;
  printing: boolean;
  version: number;
}

/** How many rows are shown, and what chooses them. */
function Tools({
  list,
  count: shownCount,
  done,
  shown,
  go,
}: Pick<RowsProps, 'shown' | 'go'> & { list: PageList; count: number; done: number }): VNode[] {
  const { search, subject } = shown;
  const searching = done < 1 && search !== '' ? `, searching ${Math.round(100 * done)} %` : '';
  const option = (value: string, name: string, selected: boolean) => h('option', { value, selected }, name);
  const tools = [
    h('h2', null, [
      'Rows ',
      h('small', { 'aria-live': 'polite' }, `${count(shownCount)} of ${count(list.index.length)}${searching}`),
    ]),
    h('input', {
      type: 'search',
      class: 'search',
      value: search,
      placeholder: 'search ids, answers, prompts  ( / )',
      'aria-label': 'search ids, answers and prompts',
      onInput: (event: Event) => go({ search: (event.target as HTMLInputElement).value }, true),
    }),
  ];
  if (list.subjects === undefined) return tools;
  const onChange = (event: Event) => go({ subject: (event.target as HTMLSelectElement).value || null });
  return [
    ...tools,
    h('select', { 'aria-label': 'subject', class: 'subjects', onChange }, [
      option('', 'all subjects', subject === null),
      ...[...list.subjects].sort().map((name) => option(name, name, subject === name)),
    ]),
  ];
}

/** The rows of a run, and those of the one beside it. */
function useRows({ held, all, shown, version }: Pick<RowsProps, 'held' | 'all' | 'shown' | 'version'>) {
  const other =
    all.find((one) => one.run.name === shown.beside && one !== held && whyApart(held.run, one.run) === null) ?? null;
  const list = useList(held, version);
  const besideList = useList(other, 0);
  const flips = useMemo(
    () => (list === null || besideList === null ? null : flipsOf(list, besideList)),
    [list, besideList],
  );
  const { found, done } = useSearch(held, list, shown.search);
  const { filter, subject, search, sort, down } = shown;
  const places = useMemo(
    () => (list === null ? [] : placesOf(list, { filter, subject, search, sort, down }, flips, found)),
    [list, filter, subject, search, sort, down, flips, found],
  );
  return { other, list, besideList, flips, done, places };
}

function Rows(props: RowsProps): VNode {
  const { held, all, shown, go, take, fault, printing } = props;
  const { run } = held;
  const { other, list, besideList, flips, done, places } = useRows(props);
  const opened = list === null || shown.row === null ? -1 : placeOf(list, shown.row);
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    // A link to a row leads to it.
    if (shown.row !== null && list !== null) box.current?.scrollIntoView({ block: 'start' });
  }, [list === null]);
  if (list === null)
    return h('section', { class: 'rows', ref: box, id: 'rows' }, h('p', { class: 'note' }, 'unpacking the rows …'));
  const open = (place: number) => go({ row: keyOf(list, place) }, shown.row !== null);
  const step = (by: number) => {
    const order = places.indexOf(opened);
    const next = places[order < 0 ? 0 : order + by];
    if (next !== undefined) open(next);
  };
  const close = () => {
    go({ row: null });
    box.current?.querySelector<HTMLElement>('.lines')?.focus();
  };
  const side = (one: Held, of: PageList, place: number): Side => ({
    ...one,
    place,
    status: of.status[place] as RowStatus,
  });
  const there = opened >= 0 && flips !== null ? flips.other[opened]! : -1;
  const isChoice = list.gold?.some((gold) => typeof gold === 'number') === true;
  const { primary } = run.scores;
  return h('section', { class: `rows${opened >= 0 ? ' opened' : ''}`, ref: box, id: 'rows', 'aria-label': 'rows' }, [
    h('div', { class: 'tools' }, [
      ...Tools({ list, count: places.length, done, shown, go }),
      h(Chips, { list, flips, shown, go }),
      h(Beside, { run, runs: all.map((one) => one.run), beside: other?.run ?? null, flips, go, take, fault }),
    ]),
    h('div', { class: 'panes' }, [
      h(List, { list, places, shown, primary, isChoice, flips, beside: besideList, printing, opened, open, go }),
      opened < 0
        ? null
        : h(RowView, {
            title: idOf(list, opened),
            subject: subjectOf(list, opened),
            side: side(held, list, opened),
            beside: other === null || besideList === null || there < 0 ? null : side(other, besideList, there),
            step,
            close,
          }),
    ]),
    shown.row !== null && opened < 0 ? h('p', { class: 'fault' }, `There is no row ${shown.row}.`) : null,
  ]);
}

const THEMES = ['auto', 'light', 'dark'] as const;

export interface AppProps {
  book: Book;
  held: readonly Held[];
  printing: boolean;
  /** Counts up when rows have come. */
  version: number;
  /** What is said of a run under way. */
  state: string | null;
}

/** Keys of the whole page; those of the list are led to it from wherever one is. */
function useKeys(
  shown: Shown,
  go: (change: Partial<Shown>) => void,
  isHelping: boolean,
  help: (is: boolean) => void,
): void {
  const onKey = (event: KeyboardEvent) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === 'Escape') {
      if (isHelping) help(false);
      else if (target instanceof HTMLInputElement) target.blur();
      else if (shown.row !== null) go({ row: null });
      return;
    }
    if (target instanceof HTMLInputElement || target instanceof HTMLSelectElement) return;
    if (key === '?') help(!isHelping);
    else if (key === '/') document.querySelector<HTMLElement>('.search')?.focus();
    else if (key === 'j' || key === 'k' || key === 'Enter') {
      if (key === 'Enter' && target instanceof HTMLElement && target.closest('button, a, summary') !== null) return;
      const lines = document.querySelector<HTMLElement>('.lines');
      lines?.focus();
      lines?.dispatchEvent(new KeyboardEvent('keydown', { key }));
    } else return;
    event.preventDefault();
  };
  useEffect(() => {
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  });
}

/** Runs of other pages that were set beside, and why one could not be. */
function useTaken(held: readonly Held[], shown: Shown, go: (change: Partial<Shown>) => void) {
  const [taken, setTaken] = useState<Held[]>([]);
  const [fault, setFault] = useState<string | null>(null);
  const all = [...held, ...taken];
  const own = held.filter(({ run }) => run.page === undefined && run.error === undefined);
  const current = all.find(({ run }) => run.name === shown.run) ?? (held.length === 1 ? (own[0] ?? null) : null);
  const take = async (file: File): Promise<void> => {
    const names = all.map(({ run }) => run.name);
    const found = await takePage(file, names);
    setTaken([...taken, ...found]);
    if (current === null) return;
    const fits = found.find(({ run }) => whyApart(current.run, run) === null);
    if (fits === undefined) throw new Error(`${file.name}: ${whyApart(current.run, found[0]!.run)}`);
    setFault(null);
    go({ beside: fits.run.name });
  };
  return {
    all,
    own,
    current,
    fault,
    take: (file: File) => void take(file).catch((error: Error) => setFault(error.message)),
  };
}

/** The choice among several runs. */
function Runs({
  own,
  current,
  go,
}: {
  own: readonly Held[];
  current: Held | null;
  go(change: Partial<Shown>): void;
}): VNode {
  const onChange = (event: Event) => go({ ...START, run: (event.target as HTMLSelectElement).value });
  return h('nav', { 'aria-label': 'runs' }, [
    h('button', { type: 'button', 'aria-pressed': String(current === null), onClick: () => go(START) }, 'all runs'),
    own.length === 0
      ? null
      : h('select', { 'aria-label': 'run', onChange }, [
          current === null ? h('option', { value: '', selected: true, disabled: true }, 'one run') : null,
          ...own.map(({ run }) => h('option', { value: run.name, selected: run === current?.run }, run.name)),
        ]),
  ]);
}

/** The whole page. */
export function App({ book, held, printing, version, state }: AppProps): VNode {
  const [shown, go] = useAddress();
  const [isHelping, setHelping] = useState(false);
  const [theme, setTheme] = useState<(typeof THEMES)[number]>('auto');
  const { all, own, current, fault, take } = useTaken(held, shown, go);
  useLayoutEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  const system = useDark();
  useKeys(shown, go, isHelping, setHelping);
  const pick = (subject: string) => go({ subject });
  const turn = () => setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!);
  const colours = { auto: '◐ auto', light: '☀ light', dark: '☾ dark' }[theme];
  return h('div', { class: 'page' }, [
    h('header', { class: 'top' }, [
      h('h1', null, book.title),
      state === null ? null : h('span', { class: 'badge badge-live', role: 'status' }, state),
      held.length > 1 ? h(Runs, { own, current, go }) : null,
      h('span', { class: 'space' }),
      h(
        'button',
        { type: 'button', 'aria-label': `colours: ${theme}`, title: 'colours of the page', onClick: turn },
        colours,
      ),
      h('button', { type: 'button', onClick: () => setHelping(true), 'aria-label': 'keys (?)' }, '?'),
    ]),
    h(
      'main',
      null,
      current === null
        ? h(Board, { book, runs: held.map(({ run }) => run), go })
        : [
            h(Summary, { run: current.run, theme: `${theme}${system}`, pick, key: current.run.name }),
            h(Rows, { held: current, all, shown, go, take, fault, printing, version, key: `${current.run.name} rows` }),
          ],
    ),
    h(
      'footer',
      { class: 'foot' },
      `${book.tool} · ${book.written.slice(0, 16).replace('T', ' ')} UTC · this page loads nothing from anywhere`,
    ),
    isHelping ? h(Help, { close: () => setHelping(false) }) : null,
  ]);
}

/** Whether the system is dark, as it changes. */
function useDark(): boolean {
  const query = useMemo(() => matchMedia('(prefers-color-scheme: dark)'), []);
  const [isDark, setDark] = useState(query.matches);
  useEffect(() => {
    const look = () => setDark(query.matches);
    query.addEventListener('change', look);
    return () => query.removeEventListener('change', look);
  }, [query]);
  return isDark;
}
