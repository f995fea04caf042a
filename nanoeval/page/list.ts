/** The rows of a run: what is searched and filtered, and a list of which only the part in sight is drawn. */
import type { RefObject, VNode } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { PageList, RowStatus } from '../report/page_shape.ts';
import type { Primary } from '../types.ts';
import { FILTERS, type Filter, type Shown, type Sort } from './address.ts';
import { count, h, plain, Status } from './kit.ts';
import { countsOf, type Flips, idOf, shortOf, subjectOf } from './rows.ts';

/** Pixels of a row, the same for all. */
const ROW = 34;
/** Rows above and below what is in sight that are drawn too. */
const AROUND = 24;
/** Rows that are printed. */
const PRINTED = 500;

export interface ListProps {
  list: PageList;
  places: readonly number[];
  shown: Shown;
  primary: Primary;
  /** Predictions that are numbers are choices. */
  isChoice: boolean;
  flips: Flips | null;
  beside: PageList | null;
  printing: boolean;
  /** Place of the row that is opened; -1: none. */
  opened: number;
  open(place: number): void;
  go(change: Partial<Shown>): void;
}

/** The filters, each with its number of rows. */
export function Chips({ list, flips, shown, go }: Pick<ListProps, 'list' | 'flips' | 'shown' | 'go'>): VNode {
  const counts = countsOf(list, flips);
  const asked: Filter[] = FILTERS.filter((filter) => {
    if (['flipped', 'worse', 'better'].includes(filter)) return flips?.judged === true;
    return (
      filter === 'all' || counts[filter] > 0 || shown.filter === filter || filter === 'right' || filter === 'wrong'
    );
  });
  return h(
    'div',
    { class: 'chips', role: 'group', 'aria-label': 'filter' },
    asked.map((filter) =>
      h(
        'button',
        {
          type: 'button',
          class: `chip chip-${filter}`,
          'aria-pressed': String(shown.filter === filter),
          onClick: () => go({ filter: shown.filter === filter ? 'all' : filter }),
        },
        [filter, h('span', { class: 'chip-count' }, count(counts[filter]))],
      ),
    ),
  );
}

interface Column {
  name: string;
  sort?: Sort;
  text(place: number): string;
  class: string;
}

function columnsOf({ list, primary, isChoice, flips, beside }: ListProps): Column[] {
  const other = (place: number) => flips?.other[place] ?? -1;
  const columns: Column[] = [{ name: 'row', sort: 'id', class: 'c-id', text: (place) => idOf(list, place) }];
  if (list.subject !== undefined)
    columns.push({ name: 'subject', sort: 'subject', class: 'c-subject', text: (place) => subjectOf(list, place) });
  if (list.read !== undefined)
    columns.push({ name: 'read', class: 'c-read', text: (place) => shortOf(list.read?.[place], isChoice) });
  if (beside?.read !== undefined)
    columns.push({
      name: 'beside',
      class: 'c-read',
      text: (place) => (other(place) < 0 ? 'not there' : shortOf(beside.read?.[other(place)], isChoice)),
    });
  if (list.gold !== undefined)
    columns.push({ name: 'gold', class: 'c-gold', text: (place) => shortOf(list.gold?.[place], isChoice) });
  if (list.score?.some((score) => score !== null && score !== 0 && score !== 1) === true)
    columns.push({
      name: primary.name,
      sort: 'score',
      class: 'c-score',
      text: (place) => {
        const score = list.score?.[place];
        return score == null ? '' : plain(score, primary.unit);
      },
    });
  return columns;
}

const SHARES: Record<string, string> = {
  'c-id': 'minmax(4.5rem, 1.6fr)',
  'c-subject': 'minmax(4rem, 1.6fr)',
  'c-read': 'minmax(3rem, 1.4fr)',
  'c-gold': 'minmax(3rem, 1.2fr)',
  'c-score': 'minmax(4rem, 0.7fr)',
};

function Head({
  columns,
  shown,
  go,
  grid,
}: {
  columns: Column[];
  shown: Shown;
  go: ListProps['go'];
  grid: object;
}): VNode {
  const sorted = (sort: Sort | undefined) => sort !== undefined && sort === shown.sort;
  return h('div', { class: 'list-head', style: grid }, [
    h('span', null, ''),
    ...columns.map(({ name, sort, class: own }) =>
      sort === undefined
        ? h('span', { class: own }, name)
        : h(
            'button',
            {
              type: 'button',
              class: `sorter ${own}`,
              'aria-label': `sort by ${name}`,
              'aria-pressed': String(sorted(sort)),
              onClick: () => {
                // Up, down, and then the order of the data set again.
                if (!sorted(sort)) go({ sort, down: false });
                else if (!shown.down) go({ sort, down: true });
                else go({ sort: 'order', down: false });
              },
            },
            `${name}${sorted(sort) ? (shown.down ? ' ↓' : ' ↑') : ''}`,
          ),
    ),
  ]);
}

interface LineProps extends Pick<ListProps, 'list' | 'flips' | 'beside' | 'printing'> {
  columns: Column[];
  grid: object;
  place: number;
  /** Its place among the rows that are shown, and how many these are. */
  order: number;
  of: number;
  isAt: boolean;
  isOpen: boolean;
  pick(): void;
}

function Line({
  list,
  flips,
  beside,
  printing,
  columns,
  grid,
  place,
  order,
  of,
  isAt,
  isOpen,
  pick,
}: LineProps): VNode {
  const there = flips?.other[place] ?? -1;
  const flip = flips?.of[place] ?? 0;
  return h(
    'div',
    {
      id: `row-${place}`,
      class: `line${isAt ? ' at' : ''}${flip > 0 ? ' better' : flip < 0 ? ' worse' : ''}`,
      role: 'option',
      'aria-selected': String(isOpen),
      'aria-posinset': order + 1,
      'aria-setsize': of,
      style: printing ? grid : { ...grid, top: `${order * ROW}px` },
      onClick: pick,
    },
    [
      h('span', { class: 'marks' }, [
        h(Status, { of: list.status[place] as RowStatus }),
        there >= 0 && beside !== null ? h(Status, { of: beside.status[there] as RowStatus }) : null,
      ]),
      ...columns.map(({ text, class: own }) =>
        h('span', { class: `cell ${own}`, dir: 'auto', title: text(place) }, text(place)),
      ),
    ],
  );
}

/** What of the list is in sight, in pixels; `at`, the row that is to be, comes into it. */
function useSight(box: RefObject<HTMLDivElement | null>, at: number, isOpened: boolean) {
  const [sight, setSight] = useState({ top: 0, height: 600 });
  const look = () => setSight({ top: box.current!.scrollTop, height: box.current!.clientHeight });
  useLayoutEffect(() => {
    look();
    const observer = new ResizeObserver(look);
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    const element = box.current!;
    if (at < 0) return;
    if (at * ROW < element.scrollTop) element.scrollTop = at * ROW;
    if ((at + 1) * ROW > element.scrollTop + element.clientHeight)
      element.scrollTop = (at + 1) * ROW - element.clientHeight;
  }, [at, isOpened]);
  return { ...sight, look };
}

/** Keys that move in the list: `move` to a place among the rows that are shown, `enter` opens the one at hand. */
function keysOf(at: number, count: number, page: number, move: (to: number) => void, enter: () => void) {
  const keys: Record<string, () => void> = {
    j: () => move(at + 1),
    k: () => move(at - 1),
    ArrowDown: () => move(at + 1),
    ArrowUp: () => move(at - 1),
    PageDown: () => move(at + page),
    PageUp: () => move(at - page),
    Home: () => move(0),
    End: () => move(count - 1),
    Enter: enter,
  };
  return (event: KeyboardEvent) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (act === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };
}

/** The list. Keys: j, k and the arrows move, Enter opens; Home, End, Page Up and Page Down as everywhere. */
export function List(props: ListProps): VNode {
  const { list, places, shown, flips, beside, printing, opened: openedPlace, open, go } = props;
  const box = useRef<HTMLDivElement>(null);
  const [cursor, setCursor] = useState(0);
  const of = places.length;
  const opened = useMemo(() => (openedPlace < 0 ? -1 : places.indexOf(openedPlace)), [places, openedPlace]);
  const at = Math.min(opened >= 0 ? opened : cursor, of - 1);
  const { top, height, look } = useSight(box, at, opened >= 0);
  useEffect(() => setCursor(0), [shown.filter, shown.search, shown.subject, shown.sort, shown.down, shown.run]);
  const move = (to: number) => {
    const next = Math.max(0, Math.min(of - 1, to));
    setCursor(next);
    if (opened >= 0 && places[next] !== undefined) open(places[next]);
  };
  const enter = () => places[at] !== undefined && open(places[at]);
  const onKeyDown = keysOf(at, of, Math.max(1, Math.floor(height / ROW) - 1), move, enter);

  const columns = columnsOf(props);
  const mark = beside === null ? '1.6rem' : '3.2rem';
  const grid = { gridTemplateColumns: [mark, ...columns.map((one) => SHARES[one.class])].join(' ') };
  const first = printing ? 0 : Math.max(0, Math.floor(top / ROW) - AROUND);
  const last = Math.min(of, printing ? PRINTED : Math.ceil((top + height) / ROW) + AROUND);
  const line = (order: number) => {
    const place = places[order]!;
    const pick = () => {
      setCursor(order);
      open(place);
    };
    const own = { list, flips, beside, printing, columns, grid, place, order, of, pick };
    return h(Line, { ...own, isAt: order === at, isOpen: order === opened, key: place });
  };
  const lines = Array.from({ length: Math.max(0, last - first) }, (_, i) => line(first + i));
  const style = printing ? {} : { height: `${of * ROW}px` };
  return h('div', { class: `list${printing ? ' printing' : ''}` }, [
    h(Head, { columns, shown, go, grid }),
    h(
      'div',
      {
        ref: box,
        class: 'lines',
        role: 'listbox',
        tabIndex: 0,
        'aria-label': `${count(of)} rows`,
        'aria-activedescendant': places[at] === undefined ? undefined : `row-${places[at]}`,
        onKeyDown,
        onScroll: look,
      },
      of === 0
        ? h('p', { class: 'empty', role: 'option', 'aria-selected': 'false' }, 'No row is like that.')
        : h('div', { class: 'all-lines', role: 'presentation', style }, lines),
    ),
    printing && of > PRINTED ? h('p', { class: 'note' }, `${count(of - PRINTED)} more rows stand in the page.`) : null,
  ]);
}
