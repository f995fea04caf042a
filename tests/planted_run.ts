/** Folders of runs that nobody made: rows from numbers, with the record and the summary that such a run has. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { resolveRecipe } from '../nanoeval/config/recipe.ts';
import type { FailedRow, ScoredRow } from '../nanoeval/questions.ts';
import { fingerprintOf, type RunRecord } from '../nanoeval/run/record.ts';
import { loadTask } from '../nanoeval/run/task_files.ts';
import { withSamples } from '../nanoeval/score/samples.ts';
import { FORMAT } from '../nanoeval/types.ts';

export interface Planted {
  /** `hellaswag` by default. */
  task?: string;
  rows: readonly (ScoredRow | FailedRow)[];
  model?: string;
  /** Changes the record before it is written. */
  record?: (record: RunRecord) => void;
  /** Changes the summary before it is written; null: the run is not finished. */
  summary?: ((summary: Record<string, unknown>) => void) | null;
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** The log-likelihoods of the choices of a row that prefers one of them. */
export const choicesFor = (prediction: number, count = 4, sharp = 2) =>
  Array.from({ length: count }, (_, i) => ({
    logprob: i === prediction ? -10 : -10 - sharp,
    num_tokens: 5,
    is_greedy: false,
    num_chars: 20,
    num_bytes: 20,
  }));

/** A ranked row: what is right, what was chosen. */
export function rankedRow(index: number, gold: number, prediction: number, more: Partial<ScoredRow> = {}): ScoredRow {
  const right = prediction === gold ? 1 : 0;
  return {
    task: 'hellaswag',
    id: String(index),
    index,
    gold,
    choices: choicesFor(prediction),
    num_context_tokens: 10,
    truncated: false,
    prompt_sha256: sha256(`prompt ${index}`),
    prediction,
    correct: right,
    metrics: { acc_norm: right, acc: right },
    ...more,
  };
}

/** Writes the folder of a run. Returns its path. */
export async function plantRun(folder: string, planted: Planted): Promise<string> {
  const { task: name = 'hellaswag', rows, model = 'made/full' } = planted;
  const task = await loadTask(name);
  const config = task.config.parse({ task: name, model: { model_id: model }, report: { output_dir: folder } });
  const recipe = resolveRecipe(task, config);
  const identity = {
    task: name,
    version: 4,
    recipe: {
      name: recipe.name,
      strategy: recipe.strategy,
      num_fewshot: 0,
      chat_template: false,
      sha256: sha256(name),
    },
    model: {
      label: model,
      variant: 'fp32',
      backend: 'onnx',
      max_length: 512,
      is_vlm: false,
      chat_template_sha256: null,
      sha256: sha256(model),
      source: { model_id: model, commit: sha256(model).slice(0, 40) },
    },
    dataset: {
      dataset_id: 'made/rows',
      revision: 'main',
      commit: 'a'.repeat(40),
      subset_name: null,
      split: 'test',
      num_rows: rows.length,
      files: [],
    },
    shots: null,
    selection: { subset_size: null, sample: null, subjects: null, seed: null, shard: null },
    scoring: { primary: recipe.primary, temperature: 0, seed: null },
    engine: { mode: 'auto' },
    run: { score: true, save_prompts: false, save_tokens: false },
  };
  const host = { platform: 'made' } as unknown as RunRecord['host'];
  const tool = { name: 'nanoeval' } as unknown as RunRecord['tool'];
  const record: RunRecord = { format: FORMAT, fingerprint: fingerprintOf(identity), ...identity, config, tool, host };
  planted.record?.(record);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'run.json'), JSON.stringify(record));
  writeFileSync(join(folder, 'predictions.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  if (planted.summary === null) return folder;
  const scored = rows.filter((row): row is ScoredRow => !('error' in row));
  const { config: _config, engine: _engine, run: _run, shots: _shots, ...own } = record;
  const summary: Record<string, unknown> = {
    ...own,
    status: 'complete',
    faults: [],
    ...withSamples(task.summarize(scored, recipe), scored),
    health: {
      rows: rows.length,
      questions: scored.length,
      failed: rows.length - scored.length,
      unparsed: 0,
      truncated: 0,
      empty: 0,
    },
    engine: { remarks: [] },
    determinism: null,
  };
  planted.summary?.(summary);
  writeFileSync(join(folder, 'summary.json'), JSON.stringify(summary));
  return folder;
}

/** Writes the folder of a suite over runs that were planted below it. */
export function plantSuite(folder: string, name: string, tasks: readonly Record<string, unknown>[]): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'suite_summary.json'), JSON.stringify({ format: FORMAT, suite: name, tasks }));
  return folder;
}
