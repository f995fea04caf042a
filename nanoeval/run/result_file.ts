/**
 * The result file for machines: what the runs of a suite, or a single run, came to on one checkpoint, in few fields and under a
 * name that says date, checkpoint and benchmarks. Everything in it follows from the runs' summaries, its date too.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelIdentity } from '../questions.ts';
import { writeJson } from './files.ts';
import type { Summary } from './outcome.ts';

/** A benchmark's line in the file. */
export interface BenchmarkResult {
  /** The task. */
  benchmark: string;
  /** Questions with a scored answer. */
  questions: number;
  /** Answers to each question: samples, times the seeds where all of them ask the same questions. */
  n_samples: number;
  /** The primary metric; a mean also where the summary has sums. */
  overall_score: number;
}

/** Holds these fields and no others; artifacts/README.md has the schema. */
export interface ResultFile {
  /** When the last of its runs ended, ISO 8601, UTC. */
  timestamp: string;
  /** The repository on the hub; null for a folder or a server. */
  repo_id: string | null;
  /** The graph that was run: its path in the repository, or on this machine; what a server calls the model. */
  model_path: string;
  /** `onnx`; the backend where it loads no file. */
  model_format: string;
  /** The graphics processors of the machine that ran it; null where the processor did. */
  gpu_info: string | null;
  /** By the name of the run: in a suite its entry's. */
  benchmarks: Record<string, BenchmarkResult>;
}

/** A run that may stand in a result file. */
export interface FinishedRun {
  name: string;
  /** What a suite of several checkpoints calls this one; null where there is one. */
  model: string | null;
  /** null: there is none, for `error`. */
  summary: Summary | null;
  error: string | null;
}

/** Result files by name, and the runs that stand in none, each with why. */
export interface Results {
  files: Map<string, ResultFile>;
  left: string[];
}

/** Why a run stands in no result file; null where it does. */
export function whyNot({ summary, error }: Pick<FinishedRun, 'summary' | 'error'>): string | null {
  if (summary === null) return error ?? 'it has no summary';
  const { status, faults, metrics, primary, selection } = summary;
  if (status === 'invalid') return `invalid: ${faults[0]}`;
  if (status === 'unscored') return 'it has predictions alone';
  if (selection.shard !== null && selection.shard !== undefined) return `it is shard ${selection.shard} of a run`;
  const value = metrics[primary.name]?.value;
  return value === undefined || !Number.isFinite(value) ? `its ${primary.name} is no number` : null;
}

function benchmarkOf({ task, health, metrics, primary, pooled = [], reduce, ...summary }: Summary): BenchmarkResult {
  const { samples_per_prompt = 1, seeds } = summary.scoring as { samples_per_prompt?: number; seeds?: number[] };
  // With `dataset.sample` each seed draws other questions.
  const repeats = summary.selection.sample == null ? (seeds?.length ?? 1) : 1;
  const { value, n } = metrics[primary.name]!;
  return {
    benchmark: task,
    questions: health.questions,
    n_samples: samples_per_prompt * repeats,
    overall_score: reduce === 'sum' && !pooled.includes(primary.name) ? value / n : value,
  };
}

/** What tells one checkpoint of the file from another, and says where it is. */
function checkpointOf({ label, backend, source }: ModelIdentity) {
  const { commit, files } = source as { commit?: string | null; files?: { path: string }[] };
  const graph = files?.[0]?.path;
  const onHub = commit != null;
  const path = graph === undefined ? label : onHub ? graph : join(label, graph);
  return { repo_id: onHub ? label : null, model_path: path, model_format: backend };
}

/** Of one checkpoint are runs of one name in the suite on the same weights: those have one key. The run has a summary. */
export function keyOf({ model, summary }: Pick<FinishedRun, 'model' | 'summary'>): string {
  const { label, variant, sha256, source } = summary!.model;
  const hashes = Array.isArray(source.files)
    ? (source.files as { sha256: string }[]).map((file) => file.sha256)
    : sha256;
  return JSON.stringify([model, label, variant, source.commit ?? null, hashes]);
}

/** Longest piece of a name, and longest list of benchmarks in it: all of a name has less than 255 bytes. */
const [LONGEST_PIECE, LONGEST_LIST] = [48, 80];

/** A piece of a name that every file system takes: letters, digits, `.`, `_` and `-` of ASCII. */
function piece(text: string, otherwise: string): string {
  const safe = text.normalize('NFKD').replace(/[^\w.-]+/g, '-');
  return safe.slice(0, LONGEST_PIECE).replace(/^[-.]+|[-.]+$/g, '') || otherwise;
}

/** `mmlu-hellaswag`; `mmlu-and-7-more` where that would be long. */
function listed(names: readonly string[]): string {
  const [first, ...others] = names.map((name) => piece(name, 'benchmark')) as [string, ...string[]];
  const all = [first, ...others].join('-');
  return all.length <= LONGEST_LIST || others.length === 0 ? all : `${first}-and-${others.length}-more`;
}

/** `2026-03-05_org_model_mmlu-hellaswag.json`; `suffix` tells two of one repository apart. */
function nameOf(file: ResultFile, { label }: ModelIdentity, suffix: string): string {
  const parts = label.split(/[/\\]+/).filter((part) => part !== '');
  const org = file.repo_id === null ? 'local' : parts.length > 1 ? piece(parts[0]!, 'hub') : 'hub';
  const model = piece(parts.at(-1) ?? '', 'model') + suffix;
  return `${file.timestamp.slice(0, 10)}_${org}_${model}_${listed(Object.keys(file.benchmarks))}.json`;
}

/** The result files of runs, one for each checkpoint, and what is left out. Pure. */
export function resultsOf(runs: readonly FinishedRun[]): Results {
  const left: string[] = [];
  const groups = new Map<string, FinishedRun[]>();
  for (const run of runs) {
    const why = whyNot(run);
    if (why === null) groups.set(keyOf(run), [...(groups.get(keyOf(run)) ?? []), run]);
    else left.push(`${run.model === null ? '' : `${run.model}/`}${run.name}: ${why}`);
  }
  const made = [...groups.values()].map((own) => {
    const summaries = own.map(({ summary }) => summary!);
    const { model } = summaries[0]!;
    const gpus = [...new Set(summaries.flatMap(({ host }) => host.gpu ?? []))];
    const file: ResultFile = {
      timestamp: summaries.map(({ timing }) => timing.finished).reduce((a, b) => (a > b ? a : b)),
      ...checkpointOf(model),
      gpu_info: gpus.length === 0 ? null : gpus.join('; '),
      benchmarks: Object.fromEntries(own.map(({ name, summary }) => [name, benchmarkOf(summary!)])),
    };
    return { file, model, called: own[0]!.model ?? model.variant };
  });
  const plain = made.map(({ file, model }) => nameOf(file, model, '').toLowerCase());
  const files = new Map<string, ResultFile>();
  for (const [i, { file, model, called }] of made.entries()) {
    const isAlone = plain.filter((name) => name === plain[i]).length === 1;
    const suffix = isAlone ? '' : `-${piece(called ?? '', String(i + 1))}`;
    let name = nameOf(file, model, suffix);
    const isTaken = () => [...files.keys()].some((other) => other.toLowerCase() === name.toLowerCase());
    for (let n = 2; isTaken(); n += 1) name = nameOf(file, model, `${suffix}-${n}`);
    files.set(name, file);
  }
  return { files, left };
}

const FIELDS = ['timestamp', 'repo_id', 'model_path', 'model_format', 'gpu_info', 'benchmarks'];

/** The result files that lie in a folder, by name. Files of other kinds are left alone, whatever they are called. */
export function resultFilesIn(folder: string): Map<string, ResultFile> {
  const found = new Map<string, ResultFile>();
  if (!existsSync(folder)) return found;
  for (const name of readdirSync(folder).filter((one) => /^\d{4}-\d{2}-\d{2}_.*\.json$/.test(one))) {
    let content: unknown;
    try {
      content = JSON.parse(readFileSync(join(folder, name), 'utf8'));
    } catch {
      // Of somebody else: ours are written whole.
      continue;
    }
    const keys = typeof content === 'object' && content !== null ? Object.keys(content) : [];
    if (keys.length === FIELDS.length && FIELDS.every((key) => keys.includes(key)))
      found.set(name, content as ResultFile);
  }
  return found;
}

/**
 * Writes the result files of a folder's runs in place of those of the same checkpoints that lie there: a folder has one for each,
 * of the runs that are in it. Returns their paths, and the lines that say which runs stand in none.
 */
export function writeResults(folder: string, runs: readonly FinishedRun[]): { files: string[]; notes: string[] } {
  const { files, left } = resultsOf(runs);
  for (const [name, file] of files) writeJson(join(folder, name), file);
  const isReplaced = (old: ResultFile) =>
    [...files.values()].some(({ repo_id, model_path }) => old.repo_id === repo_id && old.model_path === model_path);
  for (const [name, old] of resultFilesIn(folder))
    if (!files.has(name) && isReplaced(old)) rmSync(join(folder, name), { force: true });
  const what = files.size === 0 ? 'no result file is written:' : 'the result file leaves out';
  return { files: [...files.keys()].map((name) => join(folder, name)), notes: left.map((one) => `${what} ${one}`) };
}
