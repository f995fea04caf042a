/** All runs of a page beside each other: a line a checkpoint and a column a task where there are several of both, else a line a run. */
import type { VNode } from 'preact';
import type { Book, PageRun } from '../report/page_shape.ts';
import type { Shown } from './address.ts';
import { count, h, intervalOf, Meter, plain, Wide } from './kit.ts';
import { whyApart } from './pair.ts';

/** The primary metric; undefined where the run has none. */
export const primaryOf = ({ scores }: PageRun) => scores.metrics[scores.primary.name];

export interface BoardProps {
  book: Book;
  runs: readonly PageRun[];
  go(change: Partial<Shown>): void;
}

function Name({ run, go }: { run: PageRun; go: BoardProps['go'] }): VNode {
  if (run.error !== undefined) return h('span', null, run.name);
  if (run.page !== undefined) return h('a', { href: `${run.page}#run=${encodeURIComponent(run.name)}` }, run.name);
  return h('button', { type: 'button', class: 'link', onClick: () => go({ run: run.name, row: null }) }, run.name);
}

function Value({ run }: { run: PageRun }): VNode {
  if (run.error !== undefined) return h('span', { class: 'fault' }, run.error.split('\n', 1)[0]!);
  const estimate = primaryOf(run);
  if (estimate === undefined) return h('span', null, run.status);
  const { primary } = run.scores;
  return h('span', { class: 'value' }, [
    h('b', null, plain(estimate.value, primary.unit)),
    run.status === 'complete' ? null : h('span', { class: 'badge badge-bad' }, run.status),
  ]);
}

/** Runs that stand in one column: of one task, asked in the same way about the same rows. */
interface Column {
  task: string;
  runs: PageRun[];
  /** Why it is no column of the first one of the task. */
  why: string | null;
}

function columnsOf(runs: readonly PageRun[]): Column[] {
  const columns: Column[] = [];
  for (const run of runs) {
    const own = columns.filter(({ task }) => task === run.task);
    const fits =
      run.error === undefined
        ? own.find(({ runs: [first] }) => first !== undefined && whyApart(first, run) === null)
        : own[0];
    if (fits !== undefined) fits.runs.push(run);
    else
      columns.push({
        task: run.task,
        runs: [run],
        why: own[0]?.runs[0] === undefined ? null : whyApart(own[0].runs[0], run),
      });
  }
  return columns;
}

function best(column: Column): PageRun | null {
  const valid = column.runs.filter((run) => run.status === 'complete' && primaryOf(run) !== undefined);
  if (valid.length < 2) return null;
  const sign = valid[0]!.scores.primary.better === 'lower' ? -1 : 1;
  return valid.reduce((a, b) => (sign * primaryOf(b)!.value > sign * primaryOf(a)!.value ? b : a));
}

function Leaderboard({ runs, go }: BoardProps): VNode {
  const columns = columnsOf(runs);
  const models = [...new Set(runs.map(({ model }) => model))];
  const others = columns.filter(({ why }) => why !== null);
  return h('div', null, [
    h(
      Wide,
      { name: 'runs' },
      h('table', { class: 'numbers board' }, [
        h('caption', { class: 'unseen' }, 'checkpoints and tasks'),
        h(
          'thead',
          null,
          h('tr', null, [
            h('th', { scope: 'col' }, 'checkpoint'),
            ...columns.map(({ task, runs: [first], why }, i) =>
              h('th', { scope: 'col' }, [
                task,
                why === null ? null : h('sup', null, String(others.indexOf(columns[i]!) + 1)),
                h(
                  'small',
                  null,
                  ` ${first?.scores.primary.name ?? ''}${first?.scores.primary.better === 'lower' ? ' ↓' : ''}`,
                ),
              ]),
            ),
          ]),
        ),
        h(
          'tbody',
          null,
          models.map((model) =>
            h('tr', null, [
              h('th', { scope: 'row' }, model),
              ...columns.map((column) => {
                const own = column.runs.filter((run) => run.model === model);
                return h(
                  'td',
                  { class: own.includes(best(column)!) ? 'best' : '' },
                  own.map((run) =>
                    h('div', null, [
                      h(Value, { run }),
                      primaryOf(run) === undefined
                        ? null
                        : h('small', null, intervalOf(primaryOf(run)!, run.scores.primary.unit)),
                      h('small', null, h(Name, { run, go })),
                    ]),
                  ),
                );
              }),
            ]),
          ),
        ),
      ]),
    ),
    h(
      'p',
      { class: 'note' },
      'Small: 95 % interval. Bold frame: the best of its column, which need not be surely better: open a run and set another one beside it.',
    ),
    ...others.map(({ task, why }, i) => h('p', { class: 'note' }, `${i + 1}: ${task}: ${why}`)),
  ]);
}

function Lines({ runs, go }: BoardProps): VNode {
  const hasReference = runs.some(({ reference }) => reference !== undefined);
  const names = [
    'run',
    'metric',
    'value',
    '',
    '95 % interval',
    'n',
    'failed',
    ...(hasReference ? ['reported', 'source'] : []),
  ];
  return h(
    Wide,
    { name: 'runs' },
    h('table', { class: 'numbers board' }, [
      h('caption', { class: 'unseen' }, 'runs'),
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          names.map((name) =>
            h('th', { scope: 'col' }, name === '' ? h('span', { class: 'unseen' }, 'on a line') : name),
          ),
        ),
      ),
      h(
        'tbody',
        null,
        runs.map((run) => {
          const estimate = primaryOf(run);
          const { primary } = run.scores;
          const reported = run.reference?.[primary.name];
          return h('tr', null, [
            h('th', { scope: 'row' }, h(Name, { run, go })),
            h('td', null, primary.name),
            h('td', null, h(Value, { run })),
            h(
              'td',
              null,
              estimate !== undefined && primary.unit === 'share'
                ? h(Meter, { estimate, chance: primary.chance })
                : null,
            ),
            h('td', null, estimate === undefined ? '' : intervalOf(estimate, primary.unit)),
            h('td', null, estimate === undefined ? '' : count(estimate.n)),
            h('td', null, count(run.health.find(([name]) => name === 'failed')?.[1] ?? 0)),
            ...(hasReference
              ? [
                  h('td', null, typeof reported === 'number' ? plain(reported, primary.unit) : ''),
                  h('td', null, String(run.reference?.source ?? '')),
                ]
              : []),
          ]);
        }),
      ),
    ]),
  );
}

/** The table of all runs. */
export function Board(props: BoardProps): VNode {
  const { book, runs } = props;
  const isMany = new Set(runs.map(({ model }) => model)).size > 1;
  return h('section', { class: 'summary', 'aria-label': 'runs' }, [
    h('h2', null, isMany ? 'Leaderboard' : 'Runs'),
    h('div', { class: 'card' }, isMany ? h(Leaderboard, props) : h(Lines, props)),
    book.links === undefined || book.links.length === 0
      ? null
      : h('nav', { class: 'card', 'aria-label': 'pages' }, [
          h('h3', null, 'Rows, and runs side by side'),
          h(
            'ul',
            null,
            book.links.map(({ name, page }) => h('li', null, h('a', { href: page }, name))),
          ),
        ]),
  ]);
}
