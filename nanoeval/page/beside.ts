/** Two runs side by side: which one is beside, what their difference is worth, what cannot be compared and why. */
import type { VNode } from 'preact';
import type { PageRun } from '../report/page_shape.ts';
import type { Shown } from './address.ts';
import { count, h } from './kit.ts';
import { ALLOWED, whyApart, worthOf } from './pair.ts';
import type { Flips } from './rows.ts';

const points = (share: number) => `${share < 0 ? '−' : '+'}${Math.abs(100 * share).toFixed(1)}`;

function Worth({ run, beside, flips }: { run: PageRun; beside: PageRun; flips: Flips }): VNode {
  const worth = worthOf(flips);
  const left =
    flips.left === 0
      ? null
      : h(
          'p',
          { class: 'note' },
          `${count(flips.left)} rows stand in one of the two alone, or were asked otherwise: they are left out.`,
        );
  if (worth === null)
    return h('div', null, [
      h('p', { class: 'note' }, 'Their rows are not right or wrong: none flips. Open a row to see both.'),
      left,
    ]);
  const { difference, interval, p, outcome } = worth;
  const isLower = run.scores.primary.better === 'lower';
  return h('div', { class: 'worth' }, [
    h('p', null, [
      h('b', { class: 'worth-value' }, `${points(difference)} points`),
      ` (95 % interval ${points(interval.low)} to ${points(interval.high)}) of ${run.name} over ${beside.name}, ${count(flips.n)} rows: `,
      h('b', null, `${count(flips.better)} better`),
      ', ',
      h('b', null, `${count(flips.worse)} worse`),
      `, McNemar p ${p < 0.001 ? '< 0.001' : p.toFixed(3)}. `,
      isLower
        ? null
        : h(
            'span',
            {
              class: `badge badge-${outcome.toLowerCase()}`,
              title: `as compare.ts has it, a drop of ${100 * ALLOWED} point allowed`,
            },
            outcome,
          ),
    ]),
    h(
      'p',
      { class: 'note' },
      'Right and wrong by row; the interval is for pairs (Tango, corrected for skewness). With several samples of a question compare.ts has the interval.',
    ),
    left,
  ]);
}

export interface BesideProps {
  run: PageRun;
  runs: readonly PageRun[];
  beside: PageRun | null;
  flips: Flips | null;
  go(change: Partial<Shown>): void;
  /** Takes the runs of another page on this machine. */
  take(file: File): void;
  fault: string | null;
}

/** The choice of a run to stand beside, and what comes of it. */
export function Beside({ run, runs, beside, flips, go, take, fault }: BesideProps): VNode {
  const others = runs.filter((other) => other !== run && other.error === undefined && other.page === undefined);
  const fits = others.filter((other) => whyApart(run, other) === null);
  const apart = others.filter((other) => whyApart(run, other) !== null && other.task === run.task);
  return h('div', { class: 'beside' }, [
    h('div', { class: 'beside-choice' }, [
      h('label', null, [
        'compare with ',
        h(
          'select',
          {
            onChange: (event: Event) => {
              const name = (event.target as HTMLSelectElement).value;
              go({ beside: name === '' ? null : name, ...(name === '' ? { filter: 'all' as const } : {}) });
            },
          },
          [
            h(
              'option',
              { value: '', selected: beside === null },
              fits.length === 0 ? 'no other run here' : 'no other run',
            ),
            ...fits.map((other) =>
              h(
                'option',
                { value: other.name, selected: other === beside },
                `${other.name}${other.model === '' || other.model === other.name ? '' : ` (${other.model})`}`,
              ),
            ),
          ],
        ),
      ]),
      h('label', { class: 'file' }, [
        'or with another report.html ',
        h('input', {
          type: 'file',
          accept: '.html',
          onChange: (event: Event) => {
            const [file] = (event.target as HTMLInputElement).files ?? [];
            if (file !== undefined) take(file);
          },
        }),
      ]),
    ]),
    fault === null ? null : h('p', { class: 'fault', role: 'alert' }, fault),
    ...apart.map((other) => h('p', { class: 'note' }, `${other.name}: ${whyApart(run, other)}`)),
    beside === null || flips === null ? null : h(Worth, { run, beside, flips }),
  ]);
}
