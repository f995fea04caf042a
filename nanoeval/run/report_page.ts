/** Runs as report.html: what their folders hold, with the charts as specs, written row block by row block. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { resolveRecipe } from '../config/recipe.ts';
import { chartSpec } from '../report/chart_spec.ts';
import { confusionSpec } from '../report/confusion.ts';
import { type Faces, FONT_FILES, readFace } from '../report/font.ts';
import { describeTool } from '../report/host.ts';
import { type PageBlock, packBlock, pageHtml } from '../report/page.ts';
import { BLOCK_ROWS, type Book, type PageChart, type PageRun } from '../report/page_shape.ts';
import type { Failure } from '../report/summary.ts';
import { COMPANION_FILE } from '../report/summary.ts';
import { FORMAT } from '../types.ts';
import { barsInput, type Charted, confusionInput } from './charts.ts';
import { type CompanionIndex, CompanionReader, readCompanion } from './companion_file.ts';
import { sharedTerms } from './comparison.ts';
import { writeStreamed } from './files.ts';
import { type JournalRow, rowKey } from './journal.ts';
import { notesOn } from './notes.ts';
import type { Summary } from './outcome.ts';
import { detailOf, ListColumns } from './page_rows.ts';
import type { SavedRun } from './saved_run.ts';

/** A run that a page shows. */
export interface PagedRun {
  name: string;
  /** Where its page.jsonl may lie: its folder, or those of its shards. */
  folders: readonly string[];
  summary: Summary;
  charted: Charted;
  batches(): AsyncGenerator<readonly JournalRow[]>;
  /** What a suite says of it. */
  model?: string;
  reference?: Record<string, number | string>;
  /** The page that has its rows, where this one is to have none. */
  page?: string;
}

/** A run of which there is nothing to show but why. */
export interface FailedRun {
  name: string;
  task: string;
  model?: string;
  error: string;
}

export type AnyRun = PagedRun | FailedRun;

/** A run as it lies on the disk, with its summary. */
export function pagedRun({ name, folders, task, config, record, batches }: SavedRun, summary: Summary): PagedRun {
  const charted = { task, config, record, recipe: resolveRecipe(task, config) };
  return { name, folders, summary, charted, batches };
}

const HOW =
  'Prompts, token ids and pictures of these rows were not kept. Set `report.page: true` in the config and make the run anew ' +
  '(`run.overwrite: true`): then page.jsonl keeps them.';

/** What the page says of a run before its rows. */
async function describe(run: AnyRun, faces: Faces, prompts: number): Promise<PageRun> {
  const { name, model = '' } = run;
  const none = { terms: {}, faults: [], facts: [], health: [], notes: [], charts: [], rows: 0, prompts: 0, how: '' };
  if ('error' in run) {
    const primary = { name: '', unit: 'share', better: 'higher', chance: null } as const;
    const scores = { primary, metrics: {}, groups: {}, subjects: {}, subject_groups: {} };
    return { name, model, task: run.task, status: 'failed', scores, error: run.error, ...none };
  }
  const { summary, charted } = run;
  const { primary, metrics, groups, subjects, subject_groups, tags, confusion, health } = summary;
  return {
    ...none,
    name,
    model: model || [summary.model.label, summary.model.variant].filter((part) => part != null).join(' '),
    task: summary.task,
    terms: sharedTerms(summary),
    status: summary.status,
    faults: summary.faults,
    scores: {
      primary,
      metrics,
      groups,
      subjects,
      subject_groups,
      ...(tags && { tags }),
      ...(confusion && { confusion }),
    },
    facts: factsOf(summary, charted),
    health: Object.entries(health).filter(([name, count]) => name === 'rows' || count > 0),
    notes: [...notesOn(withoutFailures(summary)), ...(summary.notes ?? []), ...summary.engine.remarks],
    charts: run.page === undefined ? chartsOf(summary, charted, faces) : [],
    rows: health.rows,
    prompts,
    how: prompts === 0 ? HOW : '',
    ...(run.reference === undefined ? {} : { reference: run.reference }),
    ...(run.page === undefined ? {} : { page: run.page }),
  };
}

/** The rows themselves say why they are wrong. */
const withoutFailures = ({
  failures: _f,
  ...summary
}: Summary): Summary & { failures?: { first: Failure[]; rows: number; of: number } } => summary;

/** The specs of the charts that the run's folder has as pictures; a metric that cannot be drawn has none. */
function chartsOf(summary: Summary, charted: Charted, faces: Faces): PageChart[] {
  const charts: PageChart[] = [];
  const { primary, metrics, confusion, health } = summary;
  const value = metrics[primary.name]?.value;
  if (value != null && Number.isFinite(value))
    charts.push({
      name: primary.name,
      spec: chartSpec(barsInput(charted, summary, health.rows - health.failed), faces),
    });
  if (confusion !== undefined)
    charts.push({ name: 'confusion', spec: confusionSpec(confusionInput(charted, confusion), faces) });
  return charts;
}

/** What identifies a run, in words. */
function factsOf(summary: Summary, { config }: Charted): [string, string][] {
  const { model, dataset, recipe, timing, tool, host, engine, selection, scoring } = summary;
  const commit = (hash: unknown) => (typeof hash === 'string' ? ` @${hash.slice(0, 10)}` : '');
  const chosen = Object.entries({ ...selection, seed: null }).filter(([, value]) => value != null);
  const drawn = scoring.temperature as number;
  const all: [string, string | null][] = [
    ['model', `${model.label}${commit(model.source.commit)}`],
    ['variant', model.variant ?? null],
    ['backend', `${model.backend}${typeof engine.form === 'string' ? `, ${engine.form}` : ''}`],
    ['window', model.max_length === null ? null : `${model.max_length.toLocaleString('en-US')} tokens`],
    [
      'data set',
      `${dataset.dataset_id}${dataset.subset_name === null ? '' : `, ${dataset.subset_name}`}, ${dataset.split}${commit(dataset.commit)}`,
    ],
    [
      'selection',
      chosen.length === 0 ? null : chosen.map(([key, value]) => `${key} ${JSON.stringify(value)}`).join(', '),
    ],
    [
      'recipe',
      `${recipe.name}, ${recipe.strategy}, ${recipe.num_fewshot}-shot${recipe.chat_template ? ', chat template' : ''}`,
    ],
    ['sampling', drawn > 0 ? `temperature ${drawn}, top_p ${scoring.top_p}` : null],
    ['started', `${timing.started.slice(0, 16).replace('T', ' ')} UTC`],
    ['took', `${timing.seconds.toFixed(1)} s, ${timing.rows_per_second.toFixed(1)} rows/s`],
    ['machine', `${host.cpu}, ${host.cores} cores, ${host.platform}`],
    ['tool', `${tool.name} ${tool.version}${commit(tool.git_commit)}`],
    ['folder', config.report.output_dir],
    ['fingerprint', summary.fingerprint.slice(0, 16)],
  ];
  return all.filter((fact): fact is [string, string] => fact[1] !== null);
}

/** The files that keep the prompts of a run, opened. */
async function openCompanions(
  folders: readonly string[],
): Promise<{ file: CompanionIndex; reader: CompanionReader }[]> {
  const opened: { file: CompanionIndex; reader: CompanionReader }[] = [];
  for (const folder of folders) {
    const path = join(folder, COMPANION_FILE);
    if (existsSync(path)) opened.push({ file: await readCompanion(path), reader: new CompanionReader(path) });
  }
  return opened;
}

type Companions = Awaited<ReturnType<typeof openCompanions>>;

/** The blocks of one run: rows in blocks, what they share, pictures, and at last the list. `at`: its place in the book. */
async function* blocksOf(run: PagedRun, at: number, companions: Companions): AsyncGenerator<PageBlock> {
  const columns = new ListColumns(run.summary.primary.name);
  let details: object[] = [];
  let prompts: string[] = [];
  let block = 0;
  const shown = new Set<string>();
  async function* flush(): AsyncGenerator<PageBlock> {
    if (details.length === 0) return;
    yield packBlock(`r${at}-rows-${block}`, JSON.stringify(details));
    if (companions.length > 0) yield packBlock(`r${at}-prompts-${block}`, `[${prompts.join(',')}]`);
    [details, prompts] = [[], []];
    block += 1;
  }
  for await (const rows of run.batches()) {
    for (const row of rows) {
      columns.add(row);
      details.push(detailOf(row));
      const { line, pictures } = promptOf(
        companions,
        rowKey(row),
        'image_sha256' in row ? (row.image_sha256 ?? []) : [],
        shown,
      );
      prompts.push(line);
      for (const { name, data } of pictures) yield { name: `r${at}-picture-${name}`, data };
      if (details.length === BLOCK_ROWS) yield* flush();
    }
  }
  yield* flush();
  const shared = companions.map(({ file }) => file.shared);
  if (shared.length > 0) yield packBlock(`r${at}-shared`, JSON.stringify(shared));
  yield packBlock(`r${at}-list`, JSON.stringify(columns.list()));
}

/** A row's line of page.jsonl with the number of its file, `null` without one; and its pictures that are not in the page yet. */
function promptOf(companions: Companions, key: string, hashes: readonly string[], shown: Set<string>) {
  const found = companions.findIndex(({ file }) => file.rows.has(key));
  if (found === -1) return { line: 'null', pictures: [] };
  const { file, reader } = companions[found]!;
  const pictures: PageBlock[] = [];
  for (const hash of hashes) {
    const place = file.pictures.get(hash);
    if (place === undefined || shown.has(hash)) continue;
    shown.add(hash);
    const picture = reader.picture(place);
    if ('data' in picture)
      pictures.push({
        name: hash.slice(0, 16),
        data: `${picture.type};${picture.width};${picture.height};${picture.data}`,
      });
  }
  return { line: `[${found},${reader.line(file.rows.get(key)!)}]`, pictures };
}

/**
 * Writes a page over runs: `report.html` of one, of a suite, of many. Returns its path. Throws OutsideError where it cannot be written,
 * UserError for a page.jsonl or rows that cannot be read.
 */
export async function writePage(
  path: string,
  { kind, title, runs, links }: { kind: Book['kind']; title: string; runs: readonly AnyRun[]; links?: Book['links'] },
): Promise<string> {
  const faces: Faces = { regular: await readFace(FONT_FILES.regular), bold: await readFace(FONT_FILES.bold) };
  const tool = describeTool();
  const companions: Companions[] = [];
  const described: PageRun[] = [];
  try {
    for (const run of runs) {
      companions.push('error' in run || run.page !== undefined ? [] : await openCompanions(run.folders));
      described.push(
        await describe(
          run,
          faces,
          companions.at(-1)!.reduce((sum, { file }) => sum + file.rows.size, 0),
        ),
      );
    }
    const book: Book = {
      format: FORMAT,
      kind,
      title,
      written: new Date().toISOString(),
      tool: `${tool.name} ${tool.version}`,
      runs: described,
      ...(links === undefined ? {} : { links }),
    };
    const blocks = async function* () {
      for (const [at, run] of runs.entries())
        if (!('error' in run) && run.page === undefined) yield* blocksOf(run, at, companions[at]!);
    };
    await writeStreamed(path, pageHtml(book, blocks()));
  } finally {
    for (const { reader } of companions.flat()) reader.close();
  }
  return path;
}
