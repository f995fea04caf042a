/**
 * Our log-probabilities over exports of every exporter against PyTorch's.
 *
 *     npx tsx tests/families/exports.ts <folder> [part of a name ...]
 *
 * <folder> is as exports.py beside this file leaves it. Every sequence of an export's ref.jsonl is asked twice: each token
 * after the first as a request of its own (a question of many requests with shared prefixes, which is what the forms are
 * for), and the second half of the sequence as one request beside two other endings of the same length. One line each: the
 * form that `auto` took, largest difference of a token to PyTorch by sequences within and beyond a window of 16 tokens, the
 * largest difference between `auto` and `naive` over all requests, the export's own difference (onnxruntime, whole pass,
 * from graph.json), and below it what the engine remarks and the errors as a user would see them.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { modelSection } from '../../nanoeval/config/keys.ts';
import { openFolder } from '../../nanoeval/data/hub.ts';
import { openCheckpoint } from '../../nanoeval/model/checkpoint.ts';
import { type Engine, openEngine } from '../../nanoeval/model/engine/engine.ts';
import type { TokenQuestion } from '../../nanoeval/model/engine/prefix_tree.ts';
import { openWorker } from '../../nanoeval/model/engine/workers.ts';
import { RowError } from '../../nanoeval/types.ts';
import { each } from '../model/ask_one.ts';
import { requestOf } from '../model/token_questions.ts';

interface Reference {
  ids: number[];
  logprobs: number[];
}

/** Tokens of the windows of exports.py. */
const WINDOW = 16;
const MODES = ['auto', 'naive'] as const;

async function openExport(folder: string, mode: (typeof MODES)[number], lines: string[]): Promise<Engine> {
  const settings = modelSection.parse({ model_id: folder });
  const checkpoint = await openCheckpoint(await openFolder(folder, 'model'), settings);
  const { graphs, config, textConfig, preprocessor, processor } = checkpoint;
  const files = { graphs, config, textConfig, preprocessor, processor };
  const reopen = () => openWorker(files, settings, { mode, threads: 1 });
  const log = { info: (line: string) => lines.push(line), progress: () => {} };
  return openEngine([await reopen()], reopen, { batchTokens: 768, cacheBytes: 512e6, log });
}

/** Each token of a sequence, then the three endings of it. */
function questionsOf(references: readonly Reference[]): TokenQuestion[] {
  const tokens = references.map(({ ids }) => ids.slice(1).map((_, i) => requestOf(ids.slice(0, i + 2), 1)));
  const endings = references.map(({ ids }) => {
    const half = Math.ceil(ids.length / 2);
    const turned = [...ids.slice(0, half), ...ids.slice(half).reverse()];
    const other = [...ids.slice(0, half), ...ids.slice(half).map((id) => (id === 7 ? 8 : 7))];
    return [ids, turned, other].map((one) => requestOf(one, ids.length - half));
  });
  return [...tokens, ...endings].map((requests, place) => ({ place, requests }));
}

interface Scored {
  form: string;
  remarks: string[];
  /** By place: log-probabilities of the requests, or what was wrong. */
  found: (number[] | string)[];
}

async function scoreExport(folder: string, mode: (typeof MODES)[number], references: Reference[]): Promise<Scored> {
  const lines: string[] = [];
  const engine = await openExport(folder, mode, lines);
  const found: Scored['found'] = [];
  try {
    for await (const { place, scores } of engine.score(each(questionsOf(references)), new AbortController().signal))
      found[place] = scores instanceof RowError ? scores.message : scores.map(({ logprob }) => logprob);
  } finally {
    await engine.close();
  }
  return { form: engine.info.form, remarks: [...engine.info.remarks, ...lines], found };
}

/** Largest difference; NaN where nothing can be compared. */
function apart(pairs: readonly [number, number][]): string {
  if (pairs.length === 0) return '-';
  const largest = pairs.reduce((most, [a, b]) => Math.max(most, Math.abs(a - b)), 0);
  return pairs.some(([a, b]) => Number.isNaN(a - b)) ? 'NaN' : largest.toPrecision(2);
}

const zip = (a: number[] | string | undefined, b: number[] | string | undefined): [number, number][] =>
  Array.isArray(a) && Array.isArray(b) ? a.map((x, i) => [x, b[i]!]) : [];

/** What onnxruntime alone says of the graph, over sequences within the window and beyond it. */
function ownDifference(folder: string): string {
  const about = JSON.parse(readFileSync(join(folder, 'graph.json'), 'utf8'))['onnx/model.onnx'];
  if (about?.apart === undefined) return String(about?.whole_pass ?? 'no onnx/model.onnx').slice(0, 40);
  const most = (keep: (length: number) => boolean) =>
    Math.max(...Object.entries<number>(about.apart).flatMap(([length, d]) => (keep(Number(length)) ? [d] : [])));
  return `${most((n) => n <= WINDOW)} ${most((n) => n > WINDOW)}`;
}

async function report(folder: string, name: string): Promise<void> {
  const references: Reference[] = readFileSync(join(folder, 'ref.jsonl'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const scored = new Map<string, Scored>();
  const below: string[] = [];
  for (const mode of MODES) {
    try {
      scored.set(mode, await scoreExport(folder, mode, references));
    } catch (error) {
      below.push(`${mode}: ${error instanceof Error ? `${error.constructor.name}: ${error.message}` : error}`);
    }
  }
  const cells = MODES.flatMap((mode) => {
    const within = references.flatMap(({ ids, logprobs }, i) =>
      ids.length <= WINDOW ? zip(scored.get(mode)?.found[i], logprobs) : [],
    );
    const beyond = references.flatMap(({ ids, logprobs }, i) =>
      ids.length > WINDOW ? zip(scored.get(mode)?.found[i], logprobs) : [],
    );
    return [`${apart(within)} ${apart(beyond)}`];
  });
  const [auto, naive] = MODES.map((mode) => scored.get(mode)?.found ?? []);
  const between = apart(auto!.flatMap((one, i) => zip(one, naive![i])));
  console.log([name, scored.get('auto')?.form ?? 'not opened', ...cells, between, ownDifference(folder)].join(' | '));
  for (const mode of MODES) {
    const { remarks = [], found = [] } = scored.get(mode) ?? {};
    below.push(...remarks.map((remark) => `${mode}: ${remark}`));
    below.push(...new Set(found.filter((one) => typeof one === 'string').map((one) => `${mode}: row: ${one}`)));
  }
  for (const line of new Set(below)) console.log(`    ${line}`);
}

const [root, ...parts] = process.argv.slice(2);
if (root === undefined) throw new Error('the folder that exports.py wrote is wanted as the first argument');
console.log('export | form | auto to PyTorch: within, beyond 16 tokens | naive to PyTorch | auto to naive | export');
for (const name of readdirSync(root).sort()) {
  const folder = join(root, name);
  if (!existsSync(join(folder, 'ref.jsonl')) || (parts.length > 0 && !parts.some((part) => name.includes(part))))
    continue;
  await report(folder, name);
}
