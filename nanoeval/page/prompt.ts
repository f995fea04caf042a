/** The prompt of a row with the borders of its tokens, and its pictures; or what is missing and how to have it. */
import type { ComponentChildren, VNode } from 'preact';
import { useState } from 'preact/hooks';
import type { Detail, Prompt, Side } from './data.ts';
import { count, h, Part, Said } from './kit.ts';
import { type Opened, openPart, type Piece } from './tokens.ts';

/** Pieces that are drawn one by one; behind them the text goes on without borders. */
const MOST = 20_000;

/** Line breaks and blanks at the end of a line are seen. */
function Token({ piece, order }: { piece: Piece; order: number }): VNode {
  const { text, ids, times } = piece;
  const title = `token ${ids.join(', ')}${times === undefined ? '' : `, ${times} times`}`;
  const shown = text === '' ? '∅' : text.replaceAll('\n', '⏎\n');
  return h('span', { class: `token token-${order % 2}`, title }, times === undefined ? shown : `${shown} × ${times}`);
}

function Pieces({ pieces, from = 0 }: { pieces: readonly Piece[]; from?: number }): VNode {
  const rest = pieces.slice(MOST);
  return h('div', { class: 'said box tokens', dir: 'auto', tabIndex: 0 }, [
    ...pieces.slice(0, MOST).map((piece, i) => h(Token, { piece, order: from + i })),
    rest.map(({ text }) => text).join(''),
  ]);
}

/** What stands in many prompts is folded away: the row's own part is what one looks for. */
function folded(name: string, size: string, first: ComponentChildren, rest: ComponentChildren): ComponentChildren {
  return [h('details', { class: 'fold head' }, [h('summary', null, `${name} (${size})`), first]), rest];
}

function Body({ opened, byToken }: { opened: Opened; byToken: boolean }): VNode {
  const { pieces, text, shared } = opened;
  const name = 'beginning that other rows share';
  if (byToken && pieces !== null) {
    if (shared.pieces === 0) return h(Pieces, { pieces });
    const first = pieces.slice(0, shared.pieces);
    return h(
      'div',
      null,
      folded(
        name,
        `${count(first.length)} tokens`,
        h(Pieces, { pieces: first }),
        h(Pieces, { pieces: pieces.slice(shared.pieces), from: first.length }),
      ),
    );
  }
  if (shared.text === 0) return h(Said, { text, class: 'box' });
  const rest = h(Said, { text: text.slice(shared.text), class: 'box' });
  return h(
    'div',
    null,
    folded(name, `${count(shared.text)} characters`, h(Said, { text: text.slice(0, shared.text), class: 'box' }), rest),
  );
}

function Pictures({ hashes, side }: { hashes: readonly string[]; side: Side }): VNode {
  return h(
    Part,
    { title: hashes.length === 1 ? 'picture' : 'pictures', note: 'made small' },
    h(
      'div',
      { class: 'pictures' },
      hashes.map((hash, i) => {
        const picture = side.source.picture(side.at, hash);
        if (picture === null || 'left_out' in picture)
          return h(
            'p',
            { class: 'note' },
            `picture ${i + 1} was not kept${picture === null ? '' : `: ${picture.left_out}`}`,
          );
        const { type, width, height, data } = picture;
        return h('img', {
          src: `data:${type};base64,${data}`,
          width,
          height,
          alt: `picture ${i + 1} of the prompt`,
          loading: 'lazy',
        });
      }),
    ),
  );
}

/** A prompt that stands in the row itself (`report.save_prompts`). */
const savedIn = ({ prompt }: Detail): string[] => (prompt === undefined ? [] : ([prompt].flat() as string[]));

/** The prompts of a row. */
export function PromptView({ known, detail, side }: { known: Prompt | null; detail: Detail; side: Side }): VNode {
  const [byToken, setByToken] = useState(true);
  if (known === null) {
    const saved = savedIn(detail);
    if (saved.length > 0)
      return h(
        Part,
        { title: 'prompt' },
        saved.map((text) => h(Said, { text, class: 'box' })),
      );
    const why =
      side.run.how || 'The prompt of this row was not kept: it failed, or was asked before `report.page` was set.';
    return h(Part, { title: 'prompt' }, h('p', { class: 'note missing' }, why));
  }
  const { row, shared } = known;
  const opened = row.prompts.map((part) => openPart(part, shared));
  const hasTokens = opened.some(({ pieces }) => pieces !== null);
  const tokens = opened.reduce((sum, { ids }) => sum + (ids?.length ?? 0), 0);
  const output = row.output === undefined ? null : openPart(row.output, shared);
  return h('div', { class: 'prompts' }, [
    row.pictures === undefined ? null : h(Pictures, { hashes: row.pictures, side }),
    h(
      Part,
      { title: opened.length === 1 ? 'prompt' : 'prompts', note: tokens === 0 ? '' : `${count(tokens)} tokens` },
      [
        hasTokens
          ? h('label', { class: 'switch' }, [
              h('input', { type: 'checkbox', checked: byToken, onChange: () => setByToken(!byToken) }),
              ' token borders',
            ])
          : h(
              'p',
              { class: 'note' },
              'Borders of tokens are not known here: this backend does not say what its tokens read as.',
            ),
        row.as_given
          ? h('p', { class: 'note' }, 'As it was given: the server renders the conversation by itself.')
          : null,
        ...opened.map((one) =>
          h('div', { class: 'prompt' }, [
            one.isOther && byToken
              ? h(
                  'p',
                  { class: 'note' },
                  'The tokens are not the text letter by letter: pictures are written out, or it was cut or normalised.',
                )
              : null,
            h(Body, { opened: one, byToken }),
          ]),
        ),
      ],
    ),
    output?.pieces == null
      ? null
      : h(
          Part,
          { title: "the answer's tokens", note: count(output.ids!.length) },
          h(Pieces, { pieces: output.pieces }),
        ),
  ]);
}
