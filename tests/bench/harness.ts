/**
 * How long HellaSwag and MMLU with 5 shots take beside lm-evaluation-harness, on the same rows of the same weights in one run, and
 * what that comes to for all rows.
 *
 *   NANOEVAL_BENCH_MODEL=DIR NANOEVAL_BENCH_DATA=DIR npm run bench:harness -- --python PATH [--hellaswag 200] [--mmlu 20]
 *       [--subjects a,b] [--threads 2] [--batch 8] [--backends hf,onnxruntime]
 *
 * MODEL: a folder in the hub's layout, with model.safetensors beside onnx/. DATA: a folder with `hellaswag/*.jsonl` (query, choices,
 * gold) and `mmlu/{test,dev}/*.csv`. --mmlu: rows of each subject. Loading is counted here and not for the harness; so is writing what a run
 * writes is. The number of right rows has to be the same.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parse } from 'csv-parse/sync';
import { stringify } from 'yaml';
import type { Summary } from '../../nanoeval/run/outcome.ts';
import { ROOT } from '../spawn.ts';
import { table } from './tables.ts';

const { values: given } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    hellaswag: { type: 'string', default: '200' },
    mmlu: { type: 'string', default: '20' },
    subjects: {
      type: 'string',
      default:
        'abstract_algebra,anatomy,econometrics,high_school_biology,machine_learning,marketing,moral_disputes,nutrition,professional_psychology,virology',
    },
    threads: { type: 'string', default: '2' },
    batch: { type: 'string', default: '8' },
    backends: { type: 'string', default: 'hf,onnxruntime' },
  },
});
const LIMIT_MS = 60 * 60_000;
/** Rows of the published sets. */
const WHOLE = { hellaswag: 10_042, mmlu: 14_042 };
const [model, data] = [process.env.NANOEVAL_BENCH_MODEL, process.env.NANOEVAL_BENCH_DATA];
if (model === undefined || data === undefined)
  throw new Error('NANOEVAL_BENCH_MODEL and NANOEVAL_BENCH_DATA have to name folders.');
const folder = mkdtempSync(join(tmpdir(), 'nanoeval-harness-'));
const threads = Number(given.threads);
const subjects = given.subjects.split(',');
type Name = keyof typeof WHOLE;

interface Timed {
  seconds: number;
  rows: number;
  right: number;
  versions: string[];
}

/** By a program of this project, in a process of its own. */
function ours(name: Name): Timed {
  const output_dir = join(folder, name);
  const file = join(data!, 'hellaswag', readdirSync(join(data!, 'hellaswag')).find((one) => one.endsWith('.jsonl'))!);
  const dataset =
    name === 'hellaswag'
      ? { path: hellaswagRows(file), subset_size: Number(given.hellaswag) }
      : { path: mmluRows(), subset_size: Number(given.mmlu) };
  const config = {
    task: name,
    model: { model_id: model, dtype: 'fp32' },
    engine: { workers: 1, threads_per_worker: threads },
    dataset,
    report: { output_dir, save_plot: false },
    run: { check_rows: 0 },
  };
  const path = join(folder, `${name}.yaml`);
  writeFileSync(path, stringify(config));
  execFileSync('npx', ['tsx', join(ROOT, 'nanoeval', `run_${name}.ts`)], {
    cwd: ROOT,
    env: { ...process.env, NANOEVAL_CONFIG: path },
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: LIMIT_MS,
  });
  const { metrics, timing, tool } = JSON.parse(readFileSync(join(output_dir, 'summary.json'), 'utf8')) as Summary;
  const { value, n } = metrics.acc!;
  return { seconds: timing.seconds, rows: n, right: Math.round(value * n), versions: [JSON.stringify(tool)] };
}

/** Rows of the harness's own making in the columns that are published: our program makes the same of them again. */
function hellaswagRows(file: string): string {
  const path = join(folder, 'validation.jsonl');
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  const rows = lines.map((line, ind) => {
    const { query, choices, gold } = JSON.parse(line) as { query: string; choices: string[]; gold: number };
    const [activity_label, ...rest] = query.split(': ');
    const ctx = rest.join(': ');
    return { ind, activity_label, ctx, ctx_a: ctx, ctx_b: '', endings: choices, label: `${gold}`, source_id: 'a~b' };
  });
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

/** The authors' CSV files in the columns that are published, `dev` and `test` of the subjects. */
function mmluRows(): string {
  const path = join(folder, 'mmlu-rows');
  mkdirSync(path);
  for (const split of ['dev', 'test']) {
    const rows = subjects.flatMap((subject) =>
      (parse(readFileSync(join(data!, 'mmlu', split, `${subject}_${split}.csv`))) as string[][]).map(
        ([question, ...rest]) => ({ question, subject, choices: rest.slice(0, 4), answer: 'ABCD'.indexOf(rest[4]!) }),
      ),
    );
    writeFileSync(join(path, `${split}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  }
  return path;
}

function theirs(backend: string, name: Name): Timed {
  const file = join(data!, 'hellaswag', readdirSync(join(data!, 'hellaswag')).find((one) => one.endsWith('.jsonl'))!);
  const job = {
    backend,
    model,
    task: name,
    file,
    folder: join(data!, 'mmlu'),
    subjects,
    rows: Number(given[name]),
    threads,
    batch: Number(given.batch),
  };
  const script = fileURLToPath(new URL('harness.py', import.meta.url));
  const printed = execFileSync(given.python, [script], {
    input: JSON.stringify(job),
    encoding: 'utf8',
    timeout: LIMIT_MS,
    stdio: ['pipe', 'pipe', 'ignore'],
    maxBuffer: 1e9,
  });
  return JSON.parse(printed.trimEnd().split('\n').at(-1)!) as Timed;
}

try {
  const rows: string[][] = [];
  for (const name of ['hellaswag', 'mmlu'] as const) {
    if (Number(given[name]) === 0) continue;
    const own = ours(name);
    const line = (who: string, { seconds, rows: count, right }: Timed) => {
      const each = seconds / count;
      const minutes = (each * WHOLE[name]) / 60;
      rows.push([
        name === 'mmlu' ? 'MMLU, 5 shots' : 'HellaSwag',
        who,
        `${count}`,
        `${right}`,
        (1000 * each).toFixed(0),
        minutes.toFixed(0),
        (each / (own.seconds / own.rows)).toFixed(1),
      ]);
    };
    line('NanoEval', own);
    for (const backend of given.backends.split(',')) {
      const timed = theirs(backend, name);
      line(`lm-eval ${backend} (${timed.versions.join(', ')})`, timed);
      if (timed.rows !== own.rows || timed.right !== own.right)
        process.stderr.write(
          `${name}: ${own.right} of ${own.rows} right here, ${timed.right} of ${timed.rows} there\n`,
        );
    }
  }
  const heads = ['rows of', 'by', 'rows', 'right', 'ms a row', 'all rows, minutes', 'times ours'];
  process.stdout.write(`${table(heads, rows)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
