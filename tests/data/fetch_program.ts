/**
 * One job of the data tests against the hub that an environment names, with the exit codes of NanoEval's programs: 2 a user can
 * mend it, 3 something outside failed, 130 interrupted, 70 a bug. Started by hand it is a program: argv[2] is the job as JSON,
 * what it found is printed as one JSON line.
 */
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { HttpLimits } from '../../nanoeval/data/http_limits.ts';
import { openModelRepo, openRepo } from '../../nanoeval/data/hub.ts';
import { openSplit, type SplitSpec } from '../../nanoeval/data/rows.ts';
import { Interrupted, type Log, OutsideError, UserError } from '../../nanoeval/types.ts';

/** What is opened and read: `{kind, id, revision, fetch: [paths], split: {...}, columns, limits, wholeFileBytes}`. */
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

/** What was found. */
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

/** Where a job's environment, its lines on stderr and its end come from. */
interface Place {
  env: NodeJS.ProcessEnv;
  say(line: string): void;
  signal?: AbortSignal;
}

async function run(job: Job, { env, say, signal }: Place): Promise<Done> {
  const done: Done = { progress: 0 };
  let begun = false;
  const log: Log = {
    info: say,
    progress: (progress) => {
      if (progress.done > 0 && !begun) say('bytes have come');
      begun ||= progress.done > 0;
      done.progress = (done.progress ?? 0) + 1;
    },
  };
  const options = { log, env, signal, limits: job.limits };
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

/** Does the job in this process. Never throws: an error is part of what is found, and decides the exit code. */
export async function doJob(job: Job, place: Place): Promise<{ exit: number; done: Done }> {
  try {
    return { exit: 0, done: await run(job, place) };
  } catch (error) {
    const { name, message, key } = error as Error & { key?: string };
    const exit =
      error instanceof UserError ? 2 : error instanceof OutsideError ? 3 : error instanceof Interrupted ? 130 : 70;
    if (exit === 70) place.say((error as Error).stack ?? String(error));
    return { exit, done: { error: { name, message, key } } };
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const abort = new AbortController();
  process.on('SIGINT', () => abort.abort());
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  const job = JSON.parse(process.argv[2] ?? '{}') as Job;
  const { exit, done } = await doJob(job, { env: process.env, say, signal: abort.signal });
  process.stdout.write(`${JSON.stringify(done)}\n`);
  process.exitCode = exit;
}
