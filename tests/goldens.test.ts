/**
 * Whole runs against lm-evaluation-harness, row for row: the demo checkpoint through its `hf` backend (fixtures/goldens,
 * README there) and, where ../shared has them, the harness's rows on the larger checkpoint.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ScoredRow } from '../nanoeval/questions.ts';
import { sha256File } from '../nanoeval/text/hash.ts';
import { runHereWith } from './in_process.ts';
import { DEMO, ROOT, temporaryFolder } from './spawn.ts';

const GOLDENS = fileURLToPath(new URL('fixtures/goldens/', import.meta.url));
const folder = temporaryFolder('goldens');
after(folder.remove);

interface GoldenRow {
  /** Row in the data file; within the subject for MMLU. */
  doc_id: number;
  subject?: string;
  gold: number;
  loglikelihoods: number[];
  is_greedy: number[];
  context_tokens: number;
  continuation_tokens: number[];
  prompt_sha256: string;
  acc: number;
  acc_norm?: number;
}

const readLines = <T>(path: string): T[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);

/** The config that a golden was made with, for our program. */
const RUNS: Record<string, { task: string; yaml: string }> = {
  hellaswag_0shot: { task: 'hellaswag', yaml: 'dataset: { path: nanoeval/demo/data/hellaswag, subset_size: 40 }' },
  mmlu_0shot: {
    task: 'mmlu',
    yaml: 'dataset: { path: nanoeval/demo/data/mmlu, subset_size: 5 }\nscoring: { num_fewshot: 0 }',
  },
  mmlu_5shot: { task: 'mmlu', yaml: 'dataset: { path: nanoeval/demo/data/mmlu, subset_size: 5 }' },
  mmlu_0shot_chat: {
    task: 'mmlu',
    yaml: 'dataset: { path: nanoeval/demo/data/mmlu, subset_size: 5 }\nscoring: { num_fewshot: 0 }',
  },
};

test('every golden has a run, and every golden file names the program and the checkpoint that made it', async () => {
  const files = readdirSync(GOLDENS);
  assert.deepEqual(
    files
      .filter((file) => file.endsWith('.jsonl'))
      .map((file) => file.slice(0, -6))
      .sort(),
    Object.keys(RUNS).sort(),
  );
  const checkpoint = await sha256File(join(ROOT, DEMO, 'onnx/decoder_model_merged.onnx'));
  for (const name of Object.keys(RUNS)) {
    const head = JSON.parse(readFileSync(join(GOLDENS, `${name}.head.json`), 'utf8'));
    assert.match(head.harness, /^lm-evaluation-harness \d/);
    assert.equal(
      head.model_onnx_sha256,
      checkpoint,
      `${name}: the goldens belong to another demo checkpoint: make both anew`,
    );
  }
});

describe("the demo's rows as lm-evaluation-harness scores them", { concurrency: 2 }, () => {
  for (const [name, { task, yaml }] of Object.entries(RUNS)) {
    test(name, async () => {
      const golden = readLines<GoldenRow>(join(GOLDENS, `${name}.jsonl`));
      const out = join(folder.path, name);
      mkdirSync(out);
      // The demo sees: its template is the default.
      const chat = name.endsWith('chat') ? '' : ', chat_template: false';
      const { code, stderr } = await runHereWith(
        `run_${task}`,
        out,
        `task: ${task}\nmodel: { model_id: ${DEMO}${chat} }\n${yaml}\nreport: { output_dir: ${out}/run, save_plot: false }\n`,
      );
      assert.equal(code, 0, stderr);
      const rows = readLines<ScoredRow>(join(out, 'run/predictions.jsonl'));
      assert.equal(rows.length, golden.length);
      let largest = 0;
      for (const [i, want] of golden.entries()) {
        const row = rows[i]!;
        assert.equal(row.prompt_sha256, want.prompt_sha256, `row ${i}: another prompt`);
        assert.deepEqual([row.subject, row.gold], [want.subject, want.gold]);
        assert.equal(row.num_context_tokens, want.context_tokens);
        assert.deepEqual(
          row.choices?.map((choice) => choice.num_tokens),
          want.continuation_tokens,
        );
        assert.deepEqual(
          row.choices?.map((choice) => (choice.is_greedy ? 1 : 0)),
          want.is_greedy,
        );
        for (const [k, choice] of (row.choices ?? []).entries()) {
          const difference = Math.abs(choice.logprob - want.loglikelihoods[k]!);
          assert.ok(difference <= 1e-3, `row ${i} choice ${k}: ${choice.logprob} and ${want.loglikelihoods[k]}`);
          largest = Math.max(largest, difference);
        }
        assert.equal(row.metrics.acc, want.acc, `row ${i}`);
        if (want.acc_norm !== undefined) assert.equal(row.metrics.acc_norm, want.acc_norm, `row ${i}`);
      }
      assert.ok(Number.isFinite(largest));
      const head = JSON.parse(readFileSync(join(GOLDENS, `${name}.head.json`), 'utf8'));
      const summary = JSON.parse(readFileSync(join(out, 'run/summary.json'), 'utf8'));
      for (const [metric, value] of Object.entries(head.aggregate as Record<string, unknown>)) {
        if (typeof value === 'number') assert.ok(Math.abs(summary.metrics[metric].value - value) < 1e-9, metric);
      }
      assert.ok(existsSync(join(out, 'run/summary.json')));
    });
  }
});
