/**
 * The child program of the data tests: does one job against the hub that the environment names, prints one JSON line,
 * and ends as NanoEval's programs do: 2 a user can mend it, 3 something outside failed, 130 interrupted, 70 a bug.
 *
 * argv[2] is the job as JSON: `{kind, id, revision, fetch: [paths], split: {...}, columns, limits, wholeFileBytes}`.
 */
import { createHash } from 'node:crypto';
import type { HttpLimits } from '../../nanoeval/data/http_limits.ts';
import { openModelRepo, openRepo } from '../../nanoeval/data/hub.ts';
import { openSplit, type SplitSpec } from '../../nanoeval/data/rows.ts';
import { Interrupted, type Log, OutsideError, UserError } from '../../nanoeval/types.ts';

export interface Job {
  kind?: 'model' | 'dataset';
  id?: string;
  revision?: string;
  model_id?: string;
  fetch?: string[];
  split?: Partial<SplitSpec>;
  columns?: string[];
  wanted?: number[];
  limits?: Partial<HttpLimits>;
  wholeFileBytes?: number;
}

/** What the program prints. */
export interface Done {
  commit?: string | null;
  files?: number;
  paths?: string[];
  numRows?: number;
  rows?: number;
  /** sha256 over the JSON of all rows read. */
  rowsHash?: string;
  splitFiles?: unknown[];
  progress?: number;
  error?: { name: string; message: string; key?: string | undefined };
}

function showBytes(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? createHash('sha256').update(value).digest('hex') : value;
}

async function run(job: Job, signal: AbortSignal): Promise<Done> {
  const done: Done = { progress: 0 };
  let begun = false;
  const log: Log = {
    info: (line) => process.stderr.write(`${line}\n`),
    progress: (progress) => {
      if (progress.done > 0 && !begun) process.stderr.write('bytes have come\n');
      begun ||= progress.done > 0;
      done.progress = (done.progress ?? 0) + 1;
    },
  };
  const options = { log, signal, limits: job.limits };
  const revision = job.revision ?? 'main';
  if (job.id !== undefined || job.model_id !== undefined) {
    const repo =
      job.model_id !== undefined
        ? await openModelRepo(job.model_id, revision, options)
        : await openRepo({ kind: job.kind ?? 'dataset', id: job.id ?? '', revision }, options);
    done.commit = repo.commit;
    done.files = repo.files.length;
    done.paths = await Promise.all((job.fetch ?? []).map((path) => repo.fetch(path)));
  }
  if (job.split !== undefined) {
    const spec = { dataset_id: '', revision, subset_name: null, split: 'test', path: null, ...job.split };
    const size = job.wholeFileBytes === undefined ? {} : { wholeFileBytes: job.wholeFileBytes };
    const split = await openSplit(spec, { ...options, ...size });
    const hash = createHash('sha256');
    done.numRows = await split.numRows();
    done.rows = 0;
    for await (const { index, row } of split.rows(job.columns ?? [], job.wanted)) {
      hash.update(`${index} ${JSON.stringify(row, showBytes)}\n`);
      done.rows++;
    }
    done.rowsHash = hash.digest('hex');
    done.splitFiles = split.files;
    done.commit = split.commit;
  }
  return done;
}

const abort = new AbortController();
process.on('SIGINT', () => abort.abort());
try {
  process.stdout.write(`${JSON.stringify(await run(JSON.parse(process.argv[2] ?? '{}') as Job, abort.signal))}\n`);
} catch (error) {
  const { name, message, key } = error as Error & { key?: string };
  process.stdout.write(`${JSON.stringify({ error: { name, message, key } })}\n`);
  const known =
    error instanceof UserError ? 2 : error instanceof OutsideError ? 3 : error instanceof Interrupted ? 130 : 70;
  if (known === 70) process.stderr.write(`${(error as Error).stack}\n`);
  process.exitCode = known;
}
