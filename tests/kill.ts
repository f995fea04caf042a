/**
 * Kills the demo suite at every moment of its life and goes on each time until it is done: no complete row may be lost,
 * none may come twice, and the files are those of a run that nobody touched. The same again with a suite that does nothing but
 * generate, greedy and drawn, killed while a batch of answers decodes.
 *
 *   npm run test:kill [-- --kills N --writes M --batches B --seed S]
 *
 * N runs from scratch are killed at moments spread evenly over an uninterrupted run's wall time, the i-th in the i-th of N
 * equal slices; M are killed in the middle of a write, by `NANOEVAL_TEST_KILL`; B are killed when a random number of a task's
 * rows has come and others are being decoded. Resumed runs are killed again now and then, up to three times in a row; every
 * fourth kill hits the whole process group, workers included. Ends with exit code 1 on any violation, and keeps the folder.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { isProgram } from '../nanoeval/program.ts';
import { rowKey } from '../nanoeval/run/journal.ts';
import { ROOT, temporaryFolder } from './spawn.ts';

export interface Plan {
  /** Runs that are killed at a moment of their wall time. */
  kills: number;
  /** Runs that are killed in the middle of a write. */
  writes: number;
  /** Runs that are killed when some rows of a task have come, and not all. */
  batches: number;
  seed: number;
  /** How likely a resumed run is killed too, each time. */
  again: number;
  /** A run before the one that is timed, to fill caches and to be compared with it. */
  warmUp: boolean;
  /** Tasks of a suite file. */
  tasks: readonly Section[];
  say(line: string): void;
}

/** A killed run. */
export interface Kill {
  /** Number of the run that was begun from scratch, from 0; writes come after kills. */
  run: number;
  /** 0 for the run from scratch, 1 for its first resumption, ... */
  again: number;
  /** The write hook's point, or null for a kill by the clock. */
  write: string | null;
  /** For a kill while a task's rows come: the task, how many had come, and how many there are. */
  batch: { task: string; rows: number; of: number } | null;
  group: boolean;
  /** Where on the uninterrupted run's time line, 0 to 1; null for resumed runs and writes. */
  place: number | null;
  /** What the run was at: `starting`, a task, `between` two or `ending`, and of a task what. */
  phase: string;
  stage: string;
  /** Bytes behind the last line end of a predictions.jsonl. */
  torn: number;
  /** Half a file under its temporary name: `<file> <bytes>`. */
  half: string[];
}

export interface Report {
  kills: Kill[];
  /** Runs that ended before they could be killed, and were begun anew. */
  redone: number;
  /** Rows that stood complete in a file at a kill and were looked for afterwards, each once a kill. */
  rowsLookedFor: number;
  /** Wall time of an uninterrupted run, in ms. */
  wall: number;
  /** The longest that a killed program's worker outlived it, in ms. */
  lingered: number;
  violations: string[];
  folder: string;
}

type Section = Record<string, unknown>;

/** The tasks of the demo suite. */
export function demoTasks(): Section[] {
  return (parse(readFileSync(join(ROOT, 'suites/suite_smoke.yaml'), 'utf8')) as { tasks: Section[] }).tasks;
}

/**
 * Tasks whose every row is generated, more answers than are decoded side by side (32): greedy ones behind a beginning that they
 * share, and several drawn ones to each prompt; they end at different lengths, so that others join a batch under way.
 */
export function generationTasks(): Section[] {
  const model = { chat_template: false };
  const lines = readFileSync(join(ROOT, 'nanoeval/demo/data/hellaswag/validation.jsonl'), 'utf8')
    .split('\n')
    .slice(0, 40);
  // The answer is nothing that the demo could know: what counts is that it goes on.
  const rows = lines.map((line) => ({ question: (JSON.parse(line) as { ctx: string }).ctx, answer: '#### 1' }));
  const { dataset } = demoTasks().find(({ task }) => task === 'rollout') as Section;
  const drawn = { temperature: 1.2, samples_per_prompt: 4, max_new_tokens: 24, until: [' is'] };
  return [
    { task: 'gsm8k', model, dataset: { rows }, scoring: { num_fewshot: 0, max_new_tokens: 24 } },
    { task: 'rollout', model, dataset, scoring: drawn },
  ];
}

/** Numbers in [0, 1) that depend on the seeds alone (mulberry32). */
function random(...seeds: number[]): () => number {
  let state = seeds.reduce((mixed, seed) => Math.imul(mixed ^ seed, 0x9e3779b1) + 0x6d2b79f5, 0x2545f491);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// ---------------------------------------------------------------- one process

/** Lines on stderr that tell where a run is; everything between two of them is timed from the first. */
const MARK =
  /^(?:\w+:$|model |\w+ +100 %|\w+: \d+ tokens asked|\w+: done|\w+: going on|written: |.*torn last line|.*left its lock)/;

interface Going {
  pid: number;
  marks: { at: number; line: string }[];
  /** How long it has run, in ms. */
  age(): number;
  stdout(): string;
  stderr(): string;
  kill(group: boolean): void;
  /** Its process is gone; its workers need not be. */
  exited: Promise<{ code: number | null; age: number }>;
  /** All that it said has been read. */
  closed: Promise<void>;
  /** Resolves at the n-th mark, or when it has exited. */
  reached(mark: number): Promise<void>;
}

/** The suite in a process group of its own. */
function launch(yaml: string, cache: string, hook: string | null): Going {
  const clean = Object.entries(process.env).filter(([name]) => !/^(HF_|NANOEVAL_|HUGGING|NODE_TEST)/.test(name));
  const begun = performance.now();
  const child = spawn(process.execPath, ['--import', 'tsx', join(ROOT, 'nanoeval/suite.ts')], {
    cwd: ROOT,
    detached: true,
    env: {
      ...Object.fromEntries(clean),
      NANOEVAL_SUITE: yaml,
      XDG_CACHE_HOME: cache,
      ...(hook === null ? {} : { NANOEVAL_TEST_KILL: hook }),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const age = () => performance.now() - begun;
  const marks: Going['marks'] = [];
  const waiting: { mark: number; go(): void }[] = [];
  const texts = { stdout: '', stderr: '' };
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    texts.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    texts.stderr += text;
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) if (MARK.test(line)) marks.push({ at: age(), line });
    for (const one of waiting) if (one.mark < marks.length) one.go();
  });
  const exited = new Promise<{ code: number | null; age: number }>((resolve, reject) => {
    child.on('error', reject).on('exit', (code) => resolve({ code, age: age() }));
  });
  const closed = new Promise<void>((resolve) => child.on('close', () => resolve()));
  return {
    pid: child.pid!,
    marks,
    age,
    stdout: () => texts.stdout,
    stderr: () => texts.stderr,
    kill(group) {
      try {
        process.kill(group ? -child.pid! : child.pid!, 'SIGKILL');
      } catch {
        // It had ended by itself; its exit code says so.
      }
    },
    exited,
    closed,
    reached: (mark) =>
      Promise.race([
        exited.then(() => undefined),
        new Promise<void>((go) => (mark < marks.length ? go() : waiting.push({ mark, go }))),
      ]),
  };
}

/** Waits until nothing of a process group is left. Returns how long that took in ms, or what is left after `limit`. */
async function groupGone(group: number, limit = 5_000): Promise<number | string> {
  const begun = performance.now();
  for (;;) {
    try {
      process.kill(-group, 0);
    } catch {
      return performance.now() - begun;
    }
    const took = performance.now() - begun;
    if (took > 500) {
      // A zombie waits for a lazy init, and is no process any more.
      const all = execFileSync('ps', ['-A', '-o', 'pgid=,stat=,pid=,ppid=,args='], { encoding: 'utf8' }).split('\n');
      const left = all.map((line) => line.trim().split(/\s+/)).filter((line) => line[0] === String(group));
      const living = left.filter((line) => !line[1]!.startsWith('Z'));
      if (living.length === 0) return took;
      if (took > limit) return living.map((line) => line.slice(2).join(' ')).join('; ');
    }
    await sleep(5);
  }
}

// ---------------------------------------------------------------- files

/** Every file under a folder, its path relative to it. */
function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const all = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return all.filter((path) => statSync(join(folder, path)).isFile()).sort();
}

interface Rows {
  rows: Map<string, string>;
  /** Bytes behind the last line end. */
  torn: number;
  faults: string[];
}

/** The complete rows of a predictions.jsonl by their keys. */
function readRows(path: string): Rows {
  const found: Rows = { rows: new Map(), torn: 0, faults: [] };
  if (!existsSync(path)) return found;
  const bytes = readFileSync(path);
  const end = bytes.lastIndexOf(10) + 1;
  found.torn = bytes.length - end;
  const lines = bytes.subarray(0, end).toString('utf8').split('\n').slice(0, -1);
  for (const [i, line] of lines.entries()) {
    try {
      const row = JSON.parse(line) as { index: number; error?: unknown };
      if (typeof row.index !== 'number' || row.error !== undefined) throw new Error(`not a scored row: ${line}`);
      const key = rowKey(row);
      if (found.rows.has(key)) found.faults.push(`${path}:${i + 1}: row ${key} twice`);
      found.rows.set(key, line);
    } catch (error) {
      found.faults.push(`${path}:${i + 1}: ${(error as Error).message}`);
    }
  }
  return found;
}

/** What may differ between two runs: clocks, folders, counters of the engine, and the checkout of who works meanwhile. */
const OTHERWISE = new Set(['timing', 'timestamp', 'started', 'engine', 'determinism', 'tool', 'host', 'output_dir']);
/** The date of a result file is the day on which its runs ended. */
const undated = (path: string) => path.replace(/^\d{4}-\d{2}-\d{2}_/, '');
const comparable = (text: string): string =>
  JSON.stringify(
    JSON.parse(text, (key, value) => (OTHERWISE.has(key) ? undefined : value)),
    null,
    1,
  );

/** Everything in which a finished folder differs from the uninterrupted run's. */
function compareFolders(folder: string, reference: string): string[] {
  const [ours, theirs] = [folder, reference].map((one) => new Map(filesIn(one).map((path) => [undated(path), path])));
  const faults = [
    ...[...ours!].filter(([name]) => !theirs!.has(name)).map(([, path]) => `${path} was left`),
    ...[...theirs!].filter(([name]) => !ours!.has(name)).map(([, path]) => `${path} is missing`),
  ];
  if (filesIn(folder).length > ours!.size) faults.push('a result file is there under two dates');
  for (const [name, path] of theirs!) {
    const own = ours!.get(name);
    if (own === undefined) continue;
    const [a, b] = [readFileSync(join(folder, own)), readFileSync(join(reference, path))];
    const same = path.endsWith('.json') ? comparable(a.toString()) === comparable(b.toString()) : a.equals(b);
    if (!same) faults.push(`${path} differs from ${join(reference, path)}`);
  }
  const suite = join(folder, 'suite_summary.json');
  if (!existsSync(suite)) return faults;
  for (const { name, summary } of (JSON.parse(readFileSync(suite, 'utf8')) as { tasks: Section[] }).tasks) {
    const own = readFileSync(join(folder, String(name), 'summary.json'), 'utf8');
    if (JSON.stringify(summary) !== JSON.stringify(JSON.parse(own)))
      faults.push(`suite_summary.json has another summary of ${name} than its folder`);
  }
  return faults;
}

// ---------------------------------------------------------------- the test

/** What a run was at when it was killed: from what it had said, and from the bytes that came to its rows. */
function phaseOf(marks: Going['marks'], grown: (task: string) => boolean, tasks: readonly string[]): [string, string] {
  let [phase, stage] = ['starting', ''];
  for (const { line } of marks) {
    const head = /^(\w+):$/.exec(line)?.[1];
    const name = /^(\w+)(?::| )/.exec(line)?.[1];
    if (head !== undefined) [phase, stage] = [head, 'opening'];
    else if (/tokens asked|: done/.test(line)) [phase, stage] = [name === tasks.at(-1) ? 'ending' : 'between', ''];
    else if (/100 %/.test(line)) stage = 'report';
  }
  if (stage === 'opening' && grown(phase)) stage = 'rows';
  return [phase, stage];
}

/** Longest time between a row that was waited for and the kill, in ms. */
const DELAY = 40;

/** Kills, resumes and compares as planned. The folder stays where something was violated. */
export async function killTest(plan: Plan): Promise<Report> {
  const { kills, writes, batches, seed, again, warmUp, tasks, say } = plan;
  const { path: folder, remove } = temporaryFolder('kill');
  const cache = join(folder, 'cache');
  const names = tasks.map(({ name, task }) => String(name ?? task));
  const report: Report = {
    kills: [],
    redone: 0,
    rowsLookedFor: 0,
    wall: 0,
    lingered: 0,
    violations: [],
    folder,
  };
  const prepare = (name: string) => {
    const home = join(folder, name);
    rmSync(home, { recursive: true, force: true });
    mkdirSync(home, { recursive: true });
    const yaml = join(home, 'suite.yaml');
    const suite = {
      suite: { name: 'kill', output_root: join(home, 'out') },
      model: { model_id: 'nanoeval/demo/checkpoint' },
      engine: { threads_per_worker: 1, workers: 1 },
      run: { overwrite: false },
      tasks,
    };
    writeFileSync(yaml, `${JSON.stringify(suite, null, 2)}\n`);
    return { home, yaml, out: join(home, 'out') };
  };

  const references = [];
  for (const name of warmUp ? ['warm', 'reference'] : ['reference']) {
    const place = prepare(name);
    const run = launch(place.yaml, cache, null);
    const { code, age } = await run.exited;
    await run.closed;
    if (code !== 0) throw new Error(`the uninterrupted run ended with ${code}:\n${run.stderr()}`);
    references.push({ ...place, wall: age, marks: run.marks, stdout: run.stdout() });
  }
  const reference = references.at(-1)!;
  for (const fault of compareFolders(references[0]!.out, reference.out))
    report.violations.push(`two uninterrupted runs: ${fault}`);
  report.wall = reference.wall;
  const line = [0, ...reference.marks.map(({ at }) => at), reference.wall];
  const most = {
    row: names.reduce((sum, name) => sum + readRows(join(reference.out, name, 'predictions.jsonl')).rows.size, 0),
    // Every file but for the rows is written whole, and the rows once more where they are sorted.
    file: filesIn(reference.out).length,
  };
  say(
    `an uninterrupted run takes ${(reference.wall / 1000).toFixed(2)} s and has ${most.row} rows, ${most.file} files`,
  );

  /** How much slower than the reference the machine is now. */
  let pace = 1;
  /** Kills at the moment `place` (0 to 1) of the uninterrupted run's time line, told by the marks that the run passes. */
  const killAt = async (run: Going, place: number, group: boolean): Promise<number | null> => {
    const target = place * reference.wall;
    const last = line.findLastIndex((at) => at <= target);
    if (last > 0) {
      await run.reached(last - 1);
      pace = Math.min(4, Math.max(0.5, run.age() / line[last]!));
    }
    await Promise.race([sleep(Math.max(0, (target - line[last]!) * pace)), run.exited]);
    const seen = run.marks.length;
    const since = (run.age() - (run.marks.at(-1)?.at ?? 0)) / pace;
    run.kill(group);
    const { code } = await run.exited;
    return code === null ? Math.min(line[seen]! + since, line[seen + 1] ?? reference.wall) / reference.wall : null;
  };

  const rowsOf = (out: string, name: string) => readRows(join(out, name, 'predictions.jsonl')).rows.size;
  const counts = new Map(names.map((name) => [name, rowsOf(reference.out, name)]));
  /** Kills a moment after the `rows`-th row of a task has come. Nothing where the run ends before. */
  const killWithin = async (
    run: Going,
    out: string,
    aim: { task: string; rows: number },
    delay: number,
    group: boolean,
  ) => {
    let isOver = false;
    run.exited.finally(() => {
      isOver = true;
    });
    while (!isOver && rowsOf(out, aim.task) < aim.rows) await sleep(2);
    if (!isOver) await Promise.race([sleep(delay), run.exited]);
    run.kill(group);
  };

  const POINTS = ['row', 'file', 'rename', 'renamed'] as const;
  /** The largest number of a point that occurs, as far as it is known. */
  const highest = { row: most.row, file: most.file, rename: most.file, renamed: most.file };

  for (let i = 0; i < kills + writes + batches; i += 1) {
    const draw = random(seed, i);
    const slice = draw();
    const resumedKills = [draw(), draw()].filter((chance) => chance < again).length;
    const isWrite = i >= kills && i < kills + writes;
    const isBatch = i >= kills + writes;
    /** Some of a task's rows, not all of them, and more than have come. */
    const aimAt = (out: string) => {
      const open = names.filter((name) => rowsOf(out, name) < counts.get(name)! - 1);
      const task = open[Math.floor(draw() * open.length)];
      if (task === undefined) return null;
      const [from, to] = [rowsOf(out, task) + 1, counts.get(task)! - 1];
      return { task, rows: from + Math.floor(draw() * (to - from + 1)) };
    };
    const point = POINTS[(i - kills) % POINTS.length];
    const violate = (what: string) => report.violations.push(`run ${i}: ${what}`);
    const place = prepare(`run-${i}`);
    const known = new Map(names.map((name) => [name, new Map<string, string>()]));
    const runs: { run: Going; torn: Map<string, number> }[] = [];
    const lingering: Promise<void>[] = [];
    const pathOf = (name: string) => join(place.out, name, 'predictions.jsonl');
    const sizeOf = (name: string) => (existsSync(pathOf(name)) ? statSync(pathOf(name)).size : 0);
    const before = report.violations.length;

    /** Reads what a killed run left, and remembers its complete rows. */
    const look = (
      run: Going,
      sizes: Map<string, number>,
      aim: { task: string } | null,
      kill: Omit<Kill, 'phase' | 'stage' | 'torn' | 'half' | 'batch'>,
    ) => {
      const [phase, stage] = phaseOf(run.marks, (name) => sizeOf(name) !== (sizes.get(name) ?? 0), names);
      const torn = new Map<string, number>();
      for (const name of names) {
        const found = readRows(pathOf(name));
        for (const fault of found.faults) violate(fault);
        if (found.torn > 0) torn.set(name, found.torn);
        const rows = known.get(name)!;
        for (const [key, text] of rows)
          if (found.rows.get(key) !== text) violate(`${name}: row ${key} was lost or changed at kill ${kill.again}`);
        for (const [key, text] of found.rows) rows.set(key, text);
        report.rowsLookedFor += found.rows.size;
      }
      const news = filesIn(place.out).filter((path) => path.endsWith('.new'));
      const half = news.map((path) => `${path.slice(0, -4)} ${statSync(join(place.out, path)).size}`);
      const sum = [...torn.values()].reduce((a, b) => a + b, 0);
      const batch =
        aim === null ? null : { task: aim.task, rows: rowsOf(place.out, aim.task), of: counts.get(aim.task)! };
      report.kills.push({ ...kill, batch, phase, stage, torn: sum, half });
      runs.push({ run, torn });
      lingering.push(
        groupGone(run.pid).then((left) => {
          if (typeof left === 'string') violate(`still running after the kill: ${left}`);
          else report.lingered = Math.max(report.lingered, left);
        }),
      );
    };

    // The first kill.
    for (let tries = 0; ; tries += 1) {
      if (tries === 8) {
        violate('ended before it could be killed, eight times');
        break;
      }
      const group = !isWrite && i % 4 === 3;
      const aim = isBatch ? aimAt(place.out) : null;
      const round = Math.floor((i - kills) / POINTS.length);
      const rounds = Math.max(1, Math.ceil(writes / POINTS.length));
      const n = isWrite
        ? 1 + Math.min(highest[point!] - 1, Math.floor(((round + slice) / rounds) * highest[point!]))
        : 0;
      const hook = isWrite ? `${point}:${n}` : null;
      const run = launch(place.yaml, cache, hook);
      if (aim !== null) await killWithin(run, place.out, aim, draw() * DELAY, group);
      const at = isWrite || isBatch ? null : await killAt(run, Math.max(0, (i + slice) / kills - tries * 0.005), group);
      const { code } = await run.exited;
      if (code === null) {
        look(run, new Map(), aim, { run: i, again: 0, write: hook, group, place: at });
        break;
      }
      await run.closed;
      if (code !== 0) {
        violate(`a run from scratch ended with ${code}:\n${run.stderr()}`);
        break;
      }
      if (isWrite) highest[point!] = Math.min(highest[point!], n - 1);
      report.redone += 1;
      prepare(`run-${i}`);
    }

    // Kills of resumed runs, and the run that ends.
    for (let k = 1; report.violations.length === before; k += 1) {
      const isLast = k > resumedKills;
      const group = (i + k) % 4 === 3;
      const sizes = new Map(names.map((name) => [name, sizeOf(name)]));
      const hook = !isLast && isWrite && draw() < 0.5 ? `${POINTS[k % 4]}:${1 + Math.floor(draw() * 12)}` : null;
      const aim = !isLast && isBatch ? aimAt(place.out) : null;
      const run = launch(place.yaml, cache, hook);
      if (aim !== null) await killWithin(run, place.out, aim, draw() * DELAY, group);
      else if (!isLast && hook === null) {
        const left = reference.wall * (1 - (report.kills.at(-1)?.place ?? 0.5)) + line[1]!;
        await Promise.race([sleep(draw() * left * pace), run.exited]);
        run.kill(group);
      }
      const { code } = await run.exited;
      if (code === null) {
        look(run, sizes, aim, { run: i, again: k, write: hook, group: group && hook === null, place: null });
        continue;
      }
      await run.closed;
      runs.push({ run, torn: new Map() });
      if (code !== 0) violate(`the resumed run ended with ${code}:\n${run.stderr()}`);
      else if (run.stdout() !== reference.stdout)
        violate(`another table than the uninterrupted run's:\n${run.stdout()}`);
      break;
    }
    if (report.violations.length === before) {
      for (const fault of compareFolders(place.out, reference.out)) violate(fault);
      for (const name of names) {
        const { rows, torn, faults } = readRows(pathOf(name));
        for (const fault of faults) violate(fault);
        if (torn > 0) violate(`${name}: ${torn} torn bytes at the end`);
        for (const [key, text] of known.get(name)!)
          if (rows.get(key) !== text) violate(`${name}: row ${key} was lost or changed`);
      }
    }
    await Promise.all(lingering);
    const gone = await groupGone(runs.at(-1)?.run.pid ?? 0);
    if (runs.length > 0 && typeof gone === 'string') violate(`still running after the end: ${gone}`);
    for (const fault of tornTold(runs, pathOf, names)) violate(fault);
    if (report.violations.length === before) rmSync(place.home, { recursive: true });
    else say(report.violations.slice(before).join('\n'));
    if (i % 10 === 9) say(`${i + 1} of ${kills + writes + batches} runs, ${report.kills.length} kills`);
  }
  if (report.violations.length === 0) remove();
  return report;
}

/** Each torn line is told by the run that drops it, with its bytes. */
function tornTold(
  runs: readonly { run: Going; torn: Map<string, number> }[],
  pathOf: (name: string) => string,
  names: readonly string[],
): string[] {
  const faults: string[] = [];
  for (const name of names) {
    let torn = 0;
    for (const [i, { run, torn: after }] of runs.entries()) {
      const told = run.stderr().match(/^.*: a torn last line of \d+ bytes is dropped$/gm) ?? [];
      const own = told.find((text) => text.startsWith(`${pathOf(name)}: `));
      if (own !== undefined && own !== `${pathOf(name)}: a torn last line of ${torn} bytes is dropped`)
        faults.push(`${torn} bytes were torn, and the next run said: ${own}`);
      // A run that is killed before it comes to the file leaves the line as it is.
      if (own === undefined && torn > 0 && (after.get(name) ?? 0) !== torn)
        faults.push(`${name}: ${torn} torn bytes are gone, and run ${i} did not say so`);
      torn = after.get(name) ?? 0;
    }
  }
  return faults;
}

// ---------------------------------------------------------------- the report

const BINS = 10;

/** Text tables of where the kills fell and what they tore. */
export function reportText(report: Report): string {
  const { kills, wall, violations } = report;
  const timed = kills.filter(({ place }) => place !== null);
  const written = kills.filter(({ write }) => write !== null);
  const aimed = kills.filter(({ batch }) => batch !== null);
  const resumed = kills.filter(({ again, write, batch }) => again > 0 && write === null && batch === null);
  const within = aimed.filter(({ batch }) => batch!.rows < batch!.of).length;
  const lines = [
    `${kills.length} kills: ${timed.length} of runs from scratch at a moment of their wall time, ${resumed.length} of resumed runs, ` +
      `${written.length} in the middle of a write, ${aimed.length} while a task's rows came (${within} with some still to come); ${kills.filter(({ group }) => group).length} of the whole process group`,
    `an uninterrupted run: ${(wall / 1000).toFixed(2)} s; begun anew because the run was faster than the kill: ${report.redone}`,
    `${report.rowsLookedFor} complete rows at kills, all looked for; the longest that a worker outlived its program: ${report.lingered.toFixed(0)} ms`,
    '',
    'where the kills of runs from scratch fell, in tenths of the wall time:',
  ];
  for (let bin = 0; bin < BINS; bin += 1) {
    const n = timed.filter(({ place }) => Math.min(BINS - 1, Math.floor(place! * BINS)) === bin).length;
    const from = ((bin * wall) / BINS / 1000).toFixed(2);
    const to = (((bin + 1) * wall) / BINS / 1000).toFixed(2);
    lines.push(`  ${from}-${to} s  ${String(n).padStart(3)}  ${'#'.repeat(n)}`);
  }
  for (const { run, again, batch, group } of aimed)
    lines.push(
      `  run ${run}, kill ${again}: ${batch!.task} had ${batch!.rows} of ${batch!.of} rows${group ? ', the whole group' : ''}`,
    );
  lines.push('', 'what the runs were at:', '  phase                scratch  resumed  writes');
  const phases = [...new Set(kills.map(({ phase, stage }) => `${phase} ${stage}`.trim()))].sort();
  for (const phase of phases) {
    const of = (some: readonly Kill[]) => some.filter((one) => `${one.phase} ${one.stage}`.trim() === phase).length;
    const counts = [of(timed), of(resumed), of(written)].map((n, i) => String(n).padStart([7, 9, 8][i]!)).join('');
    lines.push(`  ${phase.padEnd(20)} ${counts}`);
  }
  const torn = kills.filter((kill) => kill.torn > 0);
  const bytes = torn.map((kill) => kill.torn).sort((a, b) => a - b);
  lines.push(
    '',
    `torn last lines: ${torn.length}${torn.length === 0 ? '' : `, of ${bytes[0]} to ${bytes.at(-1)} bytes`}`,
    '  run  kill  at            bytes torn off, or half-written files beside the whole ones',
  );
  for (const kill of kills.filter(({ write, torn: sum, half }) => write !== null || sum > 0 || half.length > 0)) {
    const what = [...(kill.torn > 0 ? [`${kill.torn} bytes of a row`] : []), ...kill.half.map((one) => `${one} bytes`)];
    const at = (kill.write ?? 'clock').padEnd(12);
    lines.push(
      `  ${String(kill.run).padStart(3)}  ${String(kill.again).padStart(4)}  ${at}  ${what.join(', ') || 'nothing'}`,
    );
  }
  lines.push('', `violations: ${violations.length}`, ...violations);
  if (violations.length > 0) lines.push(`kept: ${report.folder}`);
  return `${lines.join('\n')}\n`;
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new Error(`--${name} ${text} is not a count`);
  return value;
}

if (isProgram(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '100' },
      writes: { type: 'string', default: '20' },
      batches: { type: 'string', default: '40' },
      seed: { type: 'string', default: '0' },
    },
  });
  const begun = performance.now();
  const say = (text: string) => process.stderr.write(`${((performance.now() - begun) / 1000).toFixed(0)} s: ${text}\n`);
  const shared = { seed: count('seed', values.seed), again: 0.3, warmUp: true, say };
  const [kills, writes] = [count('kills', values.kills), count('writes', values.writes)];
  const batches = count('batches', values.batches);
  const parts = [
    { name: 'the demo suite', plan: { kills, writes, batches: 0, tasks: demoTasks() } },
    {
      name: 'answers decoded side by side',
      plan: { kills: 0, writes: Math.ceil(batches / 10), batches, tasks: generationTasks() },
    },
  ];
  for (const { name, plan } of parts.filter(({ plan: own }) => own.kills + own.writes + own.batches > 0)) {
    const report = await killTest({ ...shared, ...plan });
    process.stdout.write(`${name}\n\n${reportText(report)}\n`);
    if (report.violations.length > 0) process.exitCode = 1;
  }
}
