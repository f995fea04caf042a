/** The head of a run: its score, what else was measured, its health, its charts. */
import type { VNode } from 'preact';
import type { PageRun } from '../report/page_shape.ts';
import type { Estimate, Primary, Scores } from '../types.ts';
import { Chart } from './charts.ts';
import { count, h, intervalOf, Meter, plain, valueWith } from './kit.ts';

/** Unit of a metric beside the primary one: names of shares are known by what they measure. */
function unitOf(name: string, { value, ci95 }: Estimate, { primary }: Scores): Primary['unit'] {
  if (name === primary.name) return primary.unit;
  const isShare = [value, ...(ci95 ?? [])].every((one) => one >= 0 && one <= 1);
  return isShare && /acc|match|pass|exact|f1|share|precision|recall|mc|strict|loose|prob|extract|avg|maj/.test(name)
    ? 'share'
    : 'number';
}

function Score({ run }: { run: PageRun }): VNode | null {
  const { primary, metrics } = run.scores;
  const estimate = metrics[primary.name];
  if (estimate === undefined) return null;
  const reference = run.reference?.[primary.name];
  return h('div', { class: 'score' }, [
    h('div', { class: 'score-value' }, [
      plain(estimate.value, primary.unit),
      h('span', { class: 'score-name' }, primary.name),
    ]),
    h('div', { class: 'score-note' }, [
      estimate.ci95 === null ? 'no interval: too few rows' : `95 % interval ${intervalOf(estimate, primary.unit)}`,
      primary.chance === null ? '' : ` · chance ${plain(primary.chance, primary.unit)}`,
      primary.better === 'lower' ? ' · lower is better' : '',
      typeof reference === 'number' ? ` · reported ${plain(reference, primary.unit)}` : '',
    ]),
    primary.unit === 'share' ? h(Meter, { estimate, chance: primary.chance }) : null,
  ]);
}

function Metrics({ run }: { run: PageRun }): VNode | null {
  const { scores } = run;
  const all = Object.entries(scores.metrics);
  if (all.length === 0) return null;
  return h('table', { class: 'numbers' }, [
    h('caption', { class: 'unseen' }, 'metrics over all rows'),
    h(
      'thead',
      null,
      h(
        'tr',
        null,
        ['metric', 'value', '95 % interval', 'n'].map((name) => h('th', { scope: 'col' }, name)),
      ),
    ),
    h(
      'tbody',
      null,
      all.map(([name, estimate]) => {
        const unit = unitOf(name, estimate, scores);
        return h('tr', null, [
          h('th', { scope: 'row' }, name),
          h('td', null, valueWith(estimate, unit)),
          h('td', null, intervalOf(estimate, unit)),
          h('td', null, count(estimate.n)),
        ]);
      }),
    ),
  ]);
}

/** The primary metric of each group, subject and tag: what the chart shows, as numbers; a name filters the rows. */
function Parts({ run, pick }: { run: PageRun; pick(subject: string): void }): VNode | null {
  const { groups, subjects, subject_groups, tags = {}, primary } = run.scores;
  const line = (name: string, metrics: Record<string, Estimate>, level: string) => {
    const estimate = metrics[primary.name] ?? Object.values(metrics)[0];
    if (estimate === undefined) return [];
    return [
      h('tr', { class: level }, [
        h(
          'th',
          { scope: 'row' },
          level === 'tag' ? name : h('button', { type: 'button', class: 'link', onClick: () => pick(name) }, name),
        ),
        h('td', null, valueWith(estimate, primary.unit)),
        h('td', null, intervalOf(estimate, primary.unit)),
        h('td', null, count(estimate.n)),
      ]),
    ];
  };
  const lines = [
    ...Object.entries(groups).flatMap(([group, metrics]) => [
      ...line(group, metrics, 'group'),
      ...Object.entries(subjects).flatMap(([subject, own]) =>
        subject_groups[subject] === group ? line(subject, own, 'subject') : [],
      ),
    ]),
    ...Object.entries(tags).flatMap(([tag, metrics]) => line(tag, metrics, 'tag')),
  ];
  if (lines.length === 0) return null;
  return h('details', { class: 'fold' }, [
    h('summary', null, `${primary.name} by group`),
    h('table', { class: 'numbers' }, [
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          ['group', 'value', '95 % interval', 'n'].map((name) => h('th', { scope: 'col' }, name)),
        ),
      ),
      h('tbody', null, lines),
    ]),
  ]);
}

function Facts({ run }: { run: PageRun }): VNode {
  return h('details', { class: 'fold' }, [
    h('summary', null, 'what ran'),
    h(
      'dl',
      { class: 'facts' },
      run.facts.map(([name, value]) => h('div', null, [h('dt', null, name), h('dd', null, value)])),
    ),
  ]);
}

/** What stands above the rows. */
export function Summary({ run, theme, pick }: { run: PageRun; theme: string; pick(subject: string): void }): VNode {
  const isWhole = run.status === 'complete';
  return h('section', { class: 'summary', 'aria-label': 'summary' }, [
    h('div', { class: 'summary-head' }, [
      h('h2', null, run.name),
      h('p', { class: 'under' }, [run.model, isWhole ? null : h('span', { class: 'badge badge-bad' }, run.status)]),
    ]),
    ...run.faults.map((fault) => h('p', { class: 'fault' }, fault)),
    h('div', { class: 'summary-grid' }, [
      h('div', { class: 'card' }, [
        h(Score, { run }),
        h(
          'ul',
          { class: 'health', 'aria-label': 'rows' },
          run.health.map(([name, n]) => h('li', null, [h('b', null, count(n)), ` ${name}`])),
        ),
        h(Metrics, { run }),
        ...run.notes.map((note) => h('p', { class: 'note' }, note)),
        h(Parts, { run, pick }),
        h(Facts, { run }),
      ]),
      run.charts.length === 0
        ? null
        : h(
            'div',
            { class: 'card charts' },
            run.charts.map((chart) => h(Chart, { chart, theme, pick, key: chart.name })),
          ),
    ]),
  ]);
}
