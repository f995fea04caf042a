/** What the page shows, as the part of its address behind `#`: links name a run, a row, a filter. */

export const FILTERS = ['all', 'right', 'wrong', 'unparsed', 'failed', 'flipped', 'worse', 'better'] as const;
export type Filter = (typeof FILTERS)[number];

export const SORTS = ['order', 'score', 'id', 'subject'] as const;
export type Sort = (typeof SORTS)[number];

export interface Shown {
  /** The run whose rows are shown; null: the first one, or the table of all runs. */
  run: string | null;
  /** The run beside it. */
  beside: string | null;
  /** The row that is opened, by its key. */
  row: string | null;
  filter: Filter;
  subject: string | null;
  search: string;
  sort: Sort;
  down: boolean;
}

export const START: Shown = {
  run: null,
  beside: null,
  row: null,
  filter: 'all',
  subject: null,
  search: '',
  sort: 'order',
  down: false,
};

const oneOf = <T extends string>(values: readonly T[], text: string | null, preset: T): T =>
  values.includes(text as T) ? (text as T) : preset;

/** Reads `#run=a&row=3&filter=wrong`. What it does not know is left out. */
export function readAddress(hash: string): Shown {
  const found = new URLSearchParams(hash.replace(/^#/, ''));
  return {
    run: found.get('run'),
    beside: found.get('beside'),
    row: found.get('row'),
    filter: oneOf(FILTERS, found.get('filter'), 'all'),
    subject: found.get('subject'),
    search: found.get('search') ?? '',
    sort: oneOf(SORTS, found.get('sort'), 'order'),
    down: found.get('down') === '1',
  };
}

/** The address of what is shown, without what is as at the start. */
export function addressOf(shown: Shown): string {
  const parts = new URLSearchParams();
  for (const key of ['run', 'beside', 'row', 'filter', 'subject', 'search', 'sort'] as const) {
    const value = shown[key];
    if (value !== null && value !== START[key]) parts.set(key, value);
  }
  if (shown.down) parts.set('down', '1');
  return `#${parts}`;
}
