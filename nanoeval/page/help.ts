/** The keys of the page. */
import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { h } from './kit.ts';

const KEYS: readonly [string, string][] = [
  ['j  ↓', 'next row'],
  ['k  ↑', 'row before'],
  ['Enter', 'open the row'],
  ['Esc', 'close what is open'],
  ['/', 'search'],
  ['Home  End', 'first row, last row'],
  ['?', 'these keys'],
];

export function Help({ close }: { close(): void }): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return h('dialog', { ref: dialog, onClose: close, 'aria-labelledby': 'keys' }, [
    h('h2', { id: 'keys' }, 'Keys'),
    h(
      'dl',
      { class: 'facts' },
      KEYS.map(([key, what]) => h('div', null, [h('dt', null, h('kbd', null, key)), h('dd', null, what)])),
    ),
    h(
      'p',
      { class: 'note' },
      'A click on a bar or on the name of a group shows its rows. The address names what is shown: copy it to share a row.',
    ),
    h('button', { type: 'button', onClick: close }, 'close'),
  ]);
}
