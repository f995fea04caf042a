/** A row opened: what was asked, what was said, what was read of it, and the verdict. */
import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { ChoiceScore } from '../questions.ts';
import { readSaid } from '../text/reasoning.ts';
import type { Detail, Prompt, Side } from './data.ts';
import { h, Part, plain, Said, Status, Wide } from './kit.ts';
import { PromptView } from './prompt.ts';
import { shortOf } from './rows.ts';
import { openPart } from './tokens.ts';

interface Known {
  detail: Detail;
  prompt: Prompt | null;
}

/** Unpacks a row; null while it is on its way. */
function useRow({ source, at, place }: Side): Known | { fault: string } | null {
  const [known, setKnown] = useState<{ of: string; row: Known | { fault: string } } | null>(null);
  const of = `${at} ${place}`;
  useEffect(() => {
    let isGone = false;
    Promise.all([source.detail(at, place), source.prompt(at, place)]).then(
      ([detail, prompt]) => isGone || setKnown({ of, row: { detail, prompt } }),
      (error: Error) => isGone || setKnown({ of, row: { fault: error.message } }),
    );
    return () => {
      isGone = true;
    };
  }, [source, of]);
  return known?.of === of ? known.row : null;
}

const logprob = (value: number) => value.toFixed(Math.abs(value) < 10 ? 4 : 2).replace('-', '−');

/** Every choice: its text, log-likelihood, lengths, and its share among the choices. */
function Choices({ detail, prompt }: { detail: Detail; prompt: Prompt | null }): VNode {
  const { choices = [], gold, prediction, options } = detail;
  const labels = (gold as { labels?: string[] } | null)?.labels;
  const most = Math.max(...choices.map((choice) => choice.logprob));
  const weights = choices.map((choice) => Math.exp(choice.logprob - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  const textOf = (i: number): string => {
    const part = prompt?.row.choices?.[i];
    if (part !== undefined) return openPart(part, prompt!.shared).text;
    return options?.[i] ?? labels?.[i % labels.length] ?? '';
  };
  const isGold = (i: number) => gold === i || (labels !== undefined && labels[i] === (gold as { label: string }).label);
  const isRead = (i: number) => prediction === i || (labels !== undefined && labels[i] === prediction);
  const per = (choice: ChoiceScore, of: number) => (of > 0 ? logprob(choice.logprob / of) : '');
  const head = ['', 'choice', 'log-likelihood', 'per token', 'per character', 'tokens', 'chars', 'share'];
  return h(
    Wide,
    { name: 'choices' },
    h('table', { class: 'numbers choices' }, [
      h('caption', { class: 'unseen' }, 'choices with their log-likelihoods in nats'),
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          head.map((name) => h('th', { scope: 'col' }, name === '' ? h('span', { class: 'unseen' }, 'which') : name)),
        ),
      ),
      h(
        'tbody',
        null,
        choices.map((choice, i) =>
          h('tr', { class: `${isRead(i) ? 'read' : ''}${isGold(i) ? ' gold' : ''}` }, [
            h('th', { scope: 'row' }, [
              shortOf(i, true),
              isGold(i) ? h('span', { class: 'tag tag-gold' }, 'gold') : null,
              isRead(i) ? h('span', { class: 'tag tag-read' }, 'read') : null,
            ]),
            h('td', { class: 'text' }, h('span', { class: 'said', dir: 'auto' }, textOf(i))),
            h('td', null, [
              logprob(choice.logprob),
              choice.is_greedy
                ? h('span', { class: 'greedy', title: 'every token was the most likely one' }, ' greedy')
                : null,
            ]),
            h('td', null, per(choice, choice.num_tokens)),
            h('td', null, per(choice, choice.num_chars)),
            h('td', null, choice.num_tokens),
            h('td', null, choice.num_chars),
            h('td', { class: 'share' }, [
              h('span', { class: 'share-bar', style: { width: `${((100 * weights[i]!) / sum).toFixed(1)}%` } }),
              h('span', { class: 'share-text' }, `${((100 * weights[i]!) / sum).toFixed(1)} %`),
            ]),
          ]),
        ),
      ),
    ]),
  );
}

/** The answer; what was thought before it is not scored, and stands apart. */
function Answer({ detail }: { detail: Detail }): VNode {
  const { output = '', think_opened, prediction, finish_reason, num_output_tokens } = detail;
  const { answer } = readSaid(output, think_opened === true);
  const thoughts = output.slice(0, output.length - answer.length);
  const said = typeof prediction === 'string' && prediction !== '' ? answer.lastIndexOf(prediction) : -1;
  const note = `${num_output_tokens == null ? '' : `${num_output_tokens} tokens, `}${finish_reason === 'length' ? 'cut: no end within the limit' : 'ended by itself'}`;
  return h(Part, { title: 'answer', note }, [
    thoughts.trim() === ''
      ? null
      : h('details', { class: 'fold' }, [h('summary', null, 'thoughts (not scored)'), h(Said, { text: thoughts })]),
    answer === ''
      ? h('p', { class: 'note' }, 'The answer is empty.')
      : said < 0
        ? h(Said, { text: answer, class: 'box' })
        : h('div', { class: 'said box', dir: 'auto', tabIndex: 0 }, [
            answer.slice(0, said),
            h('mark', { title: 'this was read' }, String(prediction)),
            answer.slice(said + String(prediction).length),
          ]),
  ]);
}

function Verdict({ detail, side }: { detail: Detail; side: Side }): VNode {
  const { prediction, gold, metrics = {}, options, choices } = detail;
  const isChoice = options !== undefined || choices !== undefined;
  const short = (value: unknown): string =>
    typeof value === 'number'
      ? `${shortOf(value, isChoice)}${options?.[value] === undefined ? '' : `: ${options[value]}`}`
      : String(value);
  const { label, target } = (typeof gold === 'object' && gold !== null ? gold : {}) as {
    label?: string;
    target?: string;
  };
  const right = typeof gold === 'object' ? (label ?? target) : gold;
  return h('dl', { class: 'facts verdict' }, [
    h('div', null, [h('dt', null, 'verdict'), h('dd', null, h(Status, { of: side.status, words: true }))]),
    prediction === undefined
      ? null
      : h('div', null, [
          h('dt', null, 'read'),
          h('dd', { class: 'said', dir: 'auto' }, prediction === null ? 'nothing could be read' : short(prediction)),
        ]),
    right == null
      ? null
      : h('div', null, [h('dt', null, 'gold'), h('dd', { class: 'said', dir: 'auto' }, short(right))]),
    ...Object.entries(metrics).map(([name, value]) =>
      h('div', null, [
        h('dt', null, name),
        h('dd', null, plain(value, name === side.run.scores.primary.name ? side.run.scores.primary.unit : 'number')),
      ]),
    ),
  ]);
}

/** Numbers by name: classes, first tokens, a text's sums. */
function Numbers({ title, of }: { title: string; of: Record<string, number | null> }): VNode {
  return h(
    Part,
    { title },
    h(
      'dl',
      { class: 'facts many' },
      Object.entries(of).map(([name, value]) =>
        h('div', null, [
          h('dt', { class: 'said' }, JSON.stringify(name).slice(1, -1)),
          h('dd', null, value === null ? '–' : logprob(value)),
        ]),
      ),
    ),
  );
}

/** Texts that a blank tells apart. */
const inQuotes = (of: Record<string, number | null>) =>
  Object.fromEntries(Object.entries(of).map(([text, value]) => [`\u201c${text}\u201d`, value]));

function sums({ logprob: all, num_tokens, num_greedy, num_windows }: Detail): Record<string, number> {
  const found = { 'log-likelihood': all, tokens: num_tokens, 'most likely ones': num_greedy, windows: num_windows };
  return Object.fromEntries(Object.entries(found).filter((one): one is [string, number] => one[1] !== undefined));
}

/** What one run said of the row. */
function Said1({ side, known }: { side: Side; known: Known }): VNode {
  const { detail, prompt } = known;
  const { error, failure, parts = [], choices, output, first_logprobs, label_logprobs, truncated } = detail;
  const labels = (detail.gold as { labels?: string[] } | null)?.labels;
  return h('div', { class: 'side' }, [
    error === undefined ? h(Verdict, { detail, side }) : h('p', { class: 'fault' }, `${error.kind}: ${error.message}`),
    failure === undefined ? null : h(Part, { title: 'why it is wrong' }, h(Said, { text: failure })),
    truncated ? h('p', { class: 'note' }, 'The input was longer than the window and lost tokens.') : null,
    choices === undefined
      ? null
      : h(Part, { title: 'choices', note: 'log-likelihoods in nats' }, h(Choices, { detail, prompt })),
    output === undefined ? null : h(Answer, { detail }),
    detail.logprob === undefined ? null : h(Numbers, { title: 'text', of: sums(detail) }),
    label_logprobs === undefined
      ? null
      : h(Numbers, {
          title: 'classes',
          of: Object.fromEntries(label_logprobs.map((value, i) => [labels?.[i] ?? String(i), value])),
        }),
    first_logprobs === undefined
      ? null
      : h(Numbers, { title: 'first token of the answer', of: inQuotes(first_logprobs) }),
    parts.length === 0
      ? null
      : h(
          Part,
          { title: 'parts' },
          h(
            'ul',
            { class: 'checks' },
            parts.map((part) =>
              h('li', null, [
                h('b', null, part.name),
                ` ${Object.entries(part.metrics)
                  .map(([name, value]) => `${name} ${plain(value, 'number')}`)
                  .join(', ')}`,
                part.failure === undefined ? null : h(Said, { text: part.failure }),
              ]),
            ),
          ),
        ),
    h('details', { class: 'fold' }, [
      h('summary', null, 'the row as it is stored'),
      h('pre', { class: 'said box', tabIndex: 0 }, JSON.stringify(detail, null, 1)),
    ]),
  ]);
}

function OneSide({ side, named }: { side: Side; named: boolean }): VNode {
  const known = useRow(side);
  if (known === null) return h('p', { class: 'note' }, 'unpacking …');
  if ('fault' in known) return h('p', { class: 'fault' }, `The row cannot be read: ${known.fault}`);
  return h('div', null, [named ? h('h3', { class: 'side-name' }, side.run.name) : null, h(Said1, { side, known })]);
}

export interface RowProps {
  title: string;
  subject: string;
  side: Side;
  beside: Side | null;
  step(by: number): void;
  close(): void;
}

/** The opened row; with a run beside it both verdicts, and the prompt once. */
export function RowView({ title, subject, side, beside, step, close }: RowProps): VNode {
  const known = useRow(side);
  const [isCopied, setCopied] = useState(false);
  useEffect(() => setCopied(false), [side.place]);
  const copy = () => {
    const done = () => setCopied(true);
    navigator.clipboard?.writeText(location.href).then(done, () => undefined);
  };
  return h('article', { class: 'row', 'aria-label': `row ${title}`, tabIndex: -1 }, [
    h('header', { class: 'row-head' }, [
      h('h3', { class: 'said', dir: 'auto' }, [
        h(Status, { of: side.status }),
        ` ${title}`,
        subject === '' ? null : h('small', null, ` ${subject}`),
      ]),
      h('div', { class: 'buttons' }, [
        h(
          'button',
          { type: 'button', onClick: () => step(-1), 'aria-label': 'row before (k)', title: 'row before (k)' },
          '↑',
        ),
        h(
          'button',
          { type: 'button', onClick: () => step(1), 'aria-label': 'next row (j)', title: 'next row (j)' },
          '↓',
        ),
        h('button', { type: 'button', onClick: copy }, isCopied ? 'copied' : 'copy link'),
        h(
          'button',
          { type: 'button', class: 'close', onClick: close, 'aria-label': 'close (Esc)', title: 'close (Esc)' },
          '×',
        ),
      ]),
    ]),
    h('div', { class: beside === null ? 'sides' : 'sides two' }, [
      h(OneSide, { side, named: beside !== null, key: 'own' }),
      beside === null ? null : h(OneSide, { side: beside, named: true, key: 'beside' }),
    ]),
    known === null || 'fault' in known
      ? null
      : h(PromptView, { known: known.prompt, detail: known.detail, side, key: `${side.at} ${side.place}` }),
  ]);
}
