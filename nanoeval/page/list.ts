/** The rows of a run: what is searched and filtered, and a list of which only the part in sight is drawn. */
import type { VNode } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { PageList, RowStatus } from '../report/page_shape.ts';
import type { Primary } from '../types.ts';
import { FILTERS, type Filter, type Shown, type Sort } from './address.ts';
import { count, h, plain, Status } from './kit.ts';
import type { Flips } from './pair.ts';
import { countsOf, idOf, keyOf, shortOf, subjectOf } from './rows.ts';

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

/** The list. Keys: j, k and the arrows move, Enter opens; Home, End, Page Up and Page Down as everywhere. */
export function List(props: ListProps): VNode {
  const { list, places, shown, flips, beside, printing, open, go } = props;
  const box = useRef<HTMLDivElement>(null);
  const [{ top, height }, setSight] = useState({ top: 0, height: 600 });
  const [cursor, setCursor] = useState(0);
  const opened = shown.row === null ? -1 : places.findIndex((place) => keyOf(list, place) === shown.row);
  const at = Math.min(opened >= 0 ? opened : cursor, places.length - 1);

  useLayoutEffect(() => {
    const element = box.current!;
    const look = () => setSight({ top: element.scrollTop, height: element.clientHeight });
    look();
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  // The row that a link names, or to which a key moved, comes into sight.
  useLayoutEffect(() => {
    const element = box.current!;
    if (at < 0) return;
    if (at * ROW < element.scrollTop) element.scrollTop = at * ROW;
    if ((at + 1) * ROW > element.scrollTop + element.clientHeight)
      element.scrollTop = (at + 1) * ROW - element.clientHeight;
  }, [at, opened >= 0]);
  useEffect(() => setCursor(0), [shown.filter, shown.search, shown.subject, shown.sort, shown.down, shown.run]);

  const move = (to: number) => {
    const next = Math.max(0, Math.min(places.length - 1, to));
    setCursor(next);
    if (opened >= 0 && places[next] !== undefined) open(places[next]);
  };
  const page = Math.max(1, Math.floor(height / ROW) - 1);
  const keys: Record<string, () => void> = {
    j: () => move(at + 1),
    k: () => move(at - 1),
    ArrowDown: () => move(at + 1),
    ArrowUp: () => move(at - 1),
    PageDown: () => move(at + page),
    PageUp: () => move(at - page),
    Home: () => move(0),
    End: () => move(places.length - 1),
    Enter: () => places[at] !== undefined && open(places[at]),
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = keys[event.key];
    if (act === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };

  const columns = columnsOf(props);
  const mark = beside === null ? '1.6rem' : '3.2rem';
  const grid = { gridTemplateColumns: [mark, ...columns.map((one) => SHARES[one.class])].join(' ') };
  const first = printing ? 0 : Math.max(0, Math.floor(top / ROW) - AROUND);
  const last = printing
    ? Math.min(places.length, PRINTED)
    : Math.min(places.length, Math.ceil((top + height) / ROW) + AROUND);
  const line = (order: number) => {
    const place = places[order]!;
    const there = flips?.other[place] ?? -1;
    const flip = flips?.of[place] ?? 0;
    return h(
      'div',
      {
        key: place,
        id: `row-${place}`,
        class: `line${order === at ? ' at' : ''}${flip > 0 ? ' better' : flip < 0 ? ' worse' : ''}`,
        role: 'option',
        'aria-selected': String(order === opened),
        'aria-posinset': order + 1,
        'aria-setsize': places.length,
        style: printing ? grid : { ...grid, top: `${order * ROW}px` },
        onClick: () => {
          setCursor(order);
          open(place);
        },
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
  };
  return h('div', { class: `list${printing ? ' printing' : ''}` }, [
    h(Head, { columns, shown, go, grid }),
    h(
      'div',
      {
        ref: box,
        class: 'lines',
        role: 'listbox',
        tabIndex: 0,
        'aria-label': `${count(places.length)} rows`,
        'aria-activedescendant': places[at] === undefined ? undefined : `row-${places[at]}`,
        onKeyDown,
        onScroll: () => setSight({ top: box.current!.scrollTop, height: box.current!.clientHeight }),
      },
      places.length === 0
        ? h('p', { class: 'empty', role: 'option', 'aria-selected': 'false' }, 'No row is like that.')
        : h(
            'div',
            { class: 'all-lines', role: 'presentation', style: printing ? {} : { height: `${places.length * ROW}px` } },
            Array.from({ length: Math.max(0, last - first) }, (_, i) => line(first + i)),
          ),
    ),
    printing && places.length > PRINTED
      ? h('p', { class: 'note' }, `${count(places.length - PRINTED)} more rows stand in the page.`)
      : null,
  ]);
}
