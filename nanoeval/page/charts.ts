/** Charts from their Vega-Lite specs, drawn in the page by Vega without `eval`; the libraries are unpacked when the first one is seen. */
import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { PageChart } from '../report/page_shape.ts';
import { GRID, INK, SOFT_INK } from '../report/theme.ts';
import { unpack } from './data.ts';
import { h } from './kit.ts';

interface View {
  runAsync(): Promise<unknown>;
  finalize(): void;
  addEventListener(type: string, handler: (event: unknown, item: { datum?: { label?: unknown } } | null) => void): void;
}
interface Libraries {
  vega: {
    parse(spec: unknown, config: unknown, options: object): unknown;
    View: new (runtime: unknown, options: object) => View;
  };
  vegaLite: { compile(spec: unknown): { spec: unknown } };
  vegaInterpreter: unknown;
}

let libraries: Promise<Libraries> | null = null;

/** Runs the libraries' code, which the page's policy knows by its hash. */
function load(): Promise<Libraries> {
  libraries ??= (async () => {
    const packed = document.getElementById('charts')?.textContent;
    if (packed == null) throw new Error('the page is not whole: it has no charts');
    const script = document.createElement('script');
    script.textContent = await unpack(packed);
    document.head.append(script);
    return window as unknown as Libraries;
  })();
  return libraries;
}

/** Colours that the specs are made of, and what they are on a dark page. */
const DARK: Record<string, string> = {
  [INK]: '#e6eaf0',
  [SOFT_INK]: '#a9b4c2',
  [GRID]: '#333d4b',
  '#ffffff': '#171d26',
  '#b42318': '#ff9184',
};

/** A spec in the colours of the page, with the numbers of a bar under the pointer. */
export function dressed(spec: unknown, isDark: boolean): unknown {
  if (typeof spec === 'string') return isDark ? (DARK[spec.toLowerCase()] ?? spec) : spec;
  if (Array.isArray(spec)) return spec.map((one) => dressed(one, isDark));
  if (typeof spec !== 'object' || spec === null) return spec;
  const { name, data, ...rest } = spec as Record<string, unknown>;
  const own = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, dressed(value, isDark)]));
  // Data are numbers and texts of the run: no colour of ours.
  if (data !== undefined) own.data = data;
  if (name !== undefined) own.name = name;
  if (name === 'bar') {
    const tooltip = [
      { field: 'label', type: 'nominal', title: 'of' },
      { field: 'text', type: 'nominal', title: 'value' },
    ];
    own.encoding = { ...(own.encoding as object), tooltip };
  }
  return own;
}

const dark = () =>
  document.documentElement.dataset.theme === 'dark' ||
  (document.documentElement.dataset.theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);

/** One chart; `pick` is told the label of a bar that was clicked. */
export function Chart({ chart, theme, pick }: { chart: PageChart; theme: string; pick(label: string): void }): VNode {
  const place = useRef<HTMLDivElement>(null);
  const [fault, setFault] = useState<string | null>(null);
  useEffect(() => {
    let view: View | null = null;
    let isGone = false;
    const draw = async () => {
      const { vega, vegaLite, vegaInterpreter } = await load();
      if (isGone || place.current === null) return;
      const spec = dressed(chart.spec, dark());
      const runtime = vega.parse(vegaLite.compile(spec).spec, null, { ast: true });
      const refuse = () => Promise.reject(new Error('the page loads nothing'));
      view = new vega.View(runtime, {
        expr: vegaInterpreter,
        renderer: 'svg',
        container: place.current,
        loader: { load: refuse, sanitize: refuse },
      });
      view.addEventListener('click', (_event, item) => {
        if (typeof item?.datum?.label === 'string') pick(item.datum.label);
      });
      await view.runAsync();
      const svg = place.current?.querySelector('svg');
      svg?.setAttribute('aria-hidden', 'true');
    };
    draw().catch((error: Error) => setFault(error.message));
    return () => {
      isGone = true;
      view?.finalize();
      place.current?.replaceChildren();
    };
  }, [chart, theme]);
  return h('figure', { class: 'chart' }, [
    h('div', {
      ref: place,
      class: 'drawing',
      role: 'img',
      'aria-label': `chart of ${chart.name}; its numbers stand in the table`,
    }),
    fault === null ? null : h('p', { class: 'fault' }, `The chart cannot be drawn: ${fault}`),
  ]);
}
