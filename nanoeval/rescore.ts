/**
 * Scores again what was predicted before: no model, no data set, no network.
 *
 *     NANOEVAL_CONFIG=configs/rescore.yaml npx tsx nanoeval/rescore.ts
 *
 * Reads the rows of run folders, gives each today's verdict (or that of another recipe with the same prompt), and prints
 * what every rule that the rows allow would have said. The runs stay as they are; scores go to `report.output_dir`, where
 * each run has a folder of its own with rows, summary, table and chart, and the shards of one run are put together.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { parseConfig } from './config/check.ts';
import { type ConfigFile, readConfigFile } from './config/file.ts';
import { type RescoreConfig, rescoreSchema, type TaskConfig } from './config/keys.ts';
import { type ResolvedRecipe, resolveRecipe } from './config/recipe.ts';
import { EXIT, isProgram, type ProgramLog, placeError, runProgram } from './program.ts';
import type { Prediction } from './questions.ts';
import { markdownTable } from './report/table.ts';
import { type Compared, compareRuns, comparisonCsv, comparisonMarkdown } from './run/comparison.ts';
import { withExports } from './run/exports.ts';
import { writeAll, writeJson, writeWhole } from './run/files.ts';
import { inParallel } from './run/in_parallel.ts';
import { checkFolder, finishJournal, type JournalRow, readJournal } from './run/journal.ts';
import { notesOn } from './run/notes.ts';
import { type RunResult, type Summary, writeReport } from './run/outcome.ts';
import { describeRecipe, fingerprintOf, type RunRecord } from './run/record.ts';
import { writeResults } from './run/result_file.ts';
import { findRuns, readRuns, recipeDifferences, type SavedRun } from './run/saved_run.ts';
import { type SlimRow, slimRow, Tally } from './run/tally.ts';
import { scoredRow, withoutThoughts } from './run/verdict.ts';
import { openRuleScores, type RuleScore } from './score/rules.ts';
import { FORMAT, type Log, OutsideError, UserError } from './types.ts';

/** A score that is not what the run's row says. */
interface Changed {
  id: string;
  index: number;
  seed?: number;
  sample?: number;
  metric: string;
  stored: number | null;
  now: number | null;
}

interface Rescored {
  run: SavedRun;
  recipe: ResolvedRecipe;
  result: RunResult;
  rules: RuleScore[];
  changed: Changed[];
  /** What its exports leave out. */
  notes: string[];
}

/** The recipe that the rows are scored with. Throws UserError where they were asked in other words. */
function recipeFor(
  { task, config }: SavedRun,
  { scoring }: RescoreConfig,
): { config: TaskConfig; recipe: ResolvedRecipe } {
  const asked = scoring.recipe ?? config.scoring.recipe;
  if (!(asked in task.recipes)) {
    const names = Object.keys(task.recipes).join(', ');
    throw new UserError(`"${asked}" is not a recipe of ${task.name}. It has: ${names}.`, { key: 'scoring.recipe' });
  }
  const other = recipeDifferences(task, config.scoring.recipe, asked);
  if (other.length > 0) {
    throw new UserError(
      `"${asked}" asks in other words than "${config.scoring.recipe}", which the rows were made with (${other.join(', ')}): that needs the model.`,
      { key: 'scoring.recipe' },
    );
  }
  const { normalize_by_length = config.scoring.normalize_by_length } = scoring;
  const own = scoring.recipe === undefined ? normalize_by_length : scoring.normalize_by_length;
  const merged = { ...config, scoring: { ...config.scoring, recipe: asked, normalize_by_length: own } };
  return { config: merged, recipe: resolveRecipe(task, merged) };
}

/** Verdict by verdict into a folder of its own, and what every rule says on the way. */
async function rescore(run: SavedRun, folder: string, asked: RescoreConfig, signal: AbortSignal): Promise<Rescored> {
  const started = new Date();
  const { config: merged, recipe } = recipeFor(run, asked);
  const { save_plot, exports = merged.report.exports } = asked.report;
  const report = { ...merged.report, output_dir: folder, save_plot: save_plot && merged.report.save_plot, exports };
  // What may run here is said here, not by whoever made the run; where nothing is run the section is unknown.
  const allowed = run.task.scorer === undefined ? {} : { sandbox: asked.sandbox };
  const config = { ...merged, report, run: { ...merged.run, score: true }, ...allowed };
  const scorer = (await run.task.scorer?.(config)) ?? null;
  let rules = openRuleScores();
  const changed: Changed[] = [];
  mkdirSync(folder, { recursive: true });
  const path = join(folder, report.predictions_filename);
  const file = openSync(`${path}.new`, 'w');
  let slim: SlimRow[] = [];
  let failed = false;
  try {
    let lines: string[] = [];
    const flush = () => {
      try {
        writeAll(file, Buffer.from(lines.join('')), 'file');
      } catch (cause) {
        throw new OutsideError(`${path} could not be written: ${(cause as Error).message}.`, { cause });
      }
      lines = [];
    };
    const score = async (row: JournalRow) => ({
      row,
      now: 'error' in row ? row : await scoredRow(run.task, plain(row), recipe, config),
    });
    for await (const { row, now } of inParallel(run.rows(), scorer?.atOnce ?? 1, score, true)) {
      signal.throwIfAborted();
      if (!('error' in row)) note(row, now, changed);
      if ('error' in now) failed = true;
      else rules.add(withoutThoughts(now));
      slim.push(slimRow(now));
      lines.push(`${JSON.stringify(now)}\n`);
      if (lines.length === 1000) flush();
    }
    flush();
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
  // A failed row may have been mended further down.
  if (failed || !run.complete) {
    slim = (await finishJournal(path, slimRow)).kept;
    // The rules want the samples of a row together.
    rules = openRuleScores();
    for await (const row of readJournal(path)) if (!('error' in row)) rules.add(withoutThoughts(row));
  }
  const tally = new Tally();
  for (const row of slim) tally.add(row);
  const record = { ...recordOf(run, config, recipe), ...(scorer === null ? {} : { scored_with: [scorer.about] }) };
  writeJson(join(folder, 'run.json'), { ...record, rescored_from: run.folders });
  const old = oldSummary(run);
  const reported = { task: run.task, config, recipe, record, model: { remarks: old.remarks } };
  const halved_passes = run.record.computed?.halved_passes ?? 0;
  const spent = { started, stats: { halved_passes }, determinism: old.determinism, computed: 0 };
  const written = await writeReport(reported, tally, spent);
  const asks = report.exports.length > 0;
  const { result, notes } = run.complete
    ? await withExports(run.task, config, recipe, written)
    : { result: written, notes: asks ? ['nothing is exported: its run is not finished'] : [] };
  return { run, recipe, result, rules: rules.scores, changed, notes };
}

/** The run's record with the recipe that its rows are scored with now. */
function recordOf({ record }: SavedRun, config: TaskConfig, recipe: ResolvedRecipe): RunRecord {
  if (recipe.name === record.recipe.name && recipe.primary === record.scoring.primary) return { ...record, config };
  const scoring = { ...record.scoring, primary: recipe.primary };
  const changed = { ...record, config, scoring, recipe: describeRecipe(recipe, record.recipe.chat_template) };
  return { ...changed, fingerprint: fingerprintOf(changed) };
}

/** A row without its verdict. */
function plain(row: Exclude<JournalRow, { error: unknown }>): Prediction {
  const { prediction: _p, correct: _c, metrics: _m, parts: _v, failure: _f, ...rest } = row;
  return rest;
}

/** The metrics of a row and of its parts; a part's with its place and name, for names may come twice. */
function metricsOf({ metrics = {}, parts = [] }: Exclude<JournalRow, { error: unknown }>): Record<string, number> {
  const inside = parts.flatMap((part, i) =>
    Object.entries(part.metrics).map(
      ([metric, value]) => [`${metric} of part ${i + 1} (${part.name})`, value] as const,
    ),
  );
  return { ...metrics, ...Object.fromEntries(inside) };
}

function note(row: Exclude<JournalRow, { error: unknown }>, now: JournalRow, changed: Changed[]): void {
  // A run without verdicts has nothing to differ from.
  if (row.metrics === undefined) return;
  const { id, index, seed, sample } = row;
  const which = { id, index, ...(seed === undefined ? {} : { seed }), ...(sample === undefined ? {} : { sample }) };
  const before = metricsOf(row);
  const today = 'error' in now ? {} : metricsOf(now);
  for (const metric of new Set([...Object.keys(before), ...Object.keys(today)])) {
    const [stored, value] = [before[metric] ?? null, today[metric] ?? null];
    if (stored !== value) changed.push({ ...which, metric, stored, now: value });
  }
}

/** What of the run's own summary does not follow from its rows. */
function oldSummary({ folders, config }: SavedRun) {
  const path = join(folders[0]!, config.report.summary_filename);
  const none: Pick<Summary, 'determinism'> & { remarks: string[] } = { remarks: [], determinism: null };
  if (!existsSync(path)) return none;
  try {
    const { engine, determinism = null } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Summary>;
    return { remarks: engine?.remarks ?? [], determinism };
  } catch {
    // Torn by hand: nothing of the scores depends on it.
    return none;
  }
}

/** One line for the metric of each run, and one for each rule that its rows allow. */
function ruleTable(all: readonly Rescored[]): string {
  const four = (share: number | null | undefined) => share?.toFixed(4) ?? '-';
  const rows = all.flatMap(({ run, recipe, result, rules }) => {
    const own = result.scores?.metrics[recipe.primary];
    const head = [run.name, recipe.primary, `of the recipe ${recipe.name}`, four(own?.value), four(own?.stderr)];
    const others = rules
      .filter(({ impossible, rows: count }) => impossible === null && count > 0)
      .map(({ rule, of, right, rows: count, stderr, unread }) => [
        run.name,
        rule,
        of,
        four(right! / count),
        four(stderr),
        String(unread),
      ]);
    return [[...head, String(result.summary.health.unparsed)], ...others];
  });
  const right = { align: 'right' } as const;
  const columns = [
    { name: 'run' },
    { name: 'rule' },
    { name: 'what it reads' },
    { name: 'score', ...right },
    { name: '± stderr', ...right },
    { name: 'unread', ...right },
  ];
  return markdownTable({ columns, rows });
}

/** Rules that the rows of each run do not allow, by the reason. */
function impossibleRules(all: readonly Rescored[]): string[] {
  return all.flatMap(({ run, rules }) => {
    const byReason = new Map<string, string[]>();
    for (const { rule, impossible } of rules)
      if (impossible !== null) byReason.set(impossible, [...(byReason.get(impossible) ?? []), rule]);
    return [...byReason].map(([reason, names]) => `${run.name}: impossible: ${names.join(', ')}: ${reason}`);
  });
}

/** Changed scores that are named on stderr; all stand in rescored.json. */
const NAMED = 10;

function sayChanges({ run, changed, result }: Rescored, log: Log): void {
  const rows = new Set(changed.map(({ index, seed, sample }) => `${index}|${seed}|${sample}`)).size;
  log.info(
    `${run.name}: ${result.summary.health.rows} rows, ${rows === 0 ? 'every score as it was' : `${rows} with another score`}`,
  );
  for (const { id, index, metric, stored, now } of changed.slice(0, NAMED))
    log.info(`  row ${index} (id ${id}): ${metric} ${stored ?? 'none'} -> ${now ?? 'none'}`);
  if (changed.length > NAMED) log.info(`  and ${changed.length - NAMED} more in rescored.json`);
}

/** Folder names under the output folder: the run's, made different where two are alike. */
function folderNames(runs: readonly SavedRun[]): string[] {
  const used = new Set<string>();
  return runs.map(({ name }) => {
    let own = name;
    for (let n = 2; used.has(own); n += 1) own = `${name}-${n}`;
    used.add(own);
    return own;
  });
}

/** The runs stay as they are: what is written goes to no folder that is read, and what was written is no run. */
function checkApart(runs: readonly SavedRun[], root: string): void {
  checkFolder(join(root, 'rescored.json'));
  const inside = runs
    .flatMap(({ folders }) => folders)
    .find((folder) => resolve(folder) === resolve(root) || resolve(folder).startsWith(resolve(root) + sep));
  if (inside !== undefined)
    throw new UserError(`${root} is where the scores go, and ${inside} is a run in it. Name another folder.`, {
      key: 'report.output_dir',
    });
}

/** Writes what is said of all runs together. Returns the files, what to print, and what is to be said. `names`: of their folders. */
function writeTables(root: string, done: readonly Rescored[], names: readonly string[]) {
  const at = (name: string) => join(root, name);
  const table = ruleTable(done);
  const tables = compareRuns(done.map(({ run, result }): Compared => ({ name: run.name, summary: result.summary })));
  const impossible = impossibleRules(done);
  writeWhole(at('rescored.md'), `# Scores by rule\n\n${table}\n${impossible.map((line) => `- ${line}\n`).join('')}`);
  writeWhole(at('comparison.md'), comparisonMarkdown(tables));
  writeWhole(at('comparison.csv'), comparisonCsv(tables));
  writeJson(at('rescored.json'), {
    format: FORMAT,
    runs: done.map(({ run, recipe, rules, changed, result }) => ({
      name: run.name,
      folders: run.folders,
      task: run.task.name,
      recipe: recipe.name,
      primary: result.summary.primary,
      scores: result.scores?.metrics ?? null,
      rules,
      changed,
    })),
  });
  const finished = done.map(({ run: { complete }, result: { summary } }, i) => ({
    name: names[i]!,
    model: null,
    summary: complete ? summary : null,
    error: complete ? null : 'its run is not finished',
  }));
  const results = writeResults(root, finished);
  const files = ['rescored.md', 'rescored.json', 'comparison.md', 'comparison.csv'].map(at);
  return { files: [...files, ...results.files], table, notes: [...impossible, ...results.notes] };
}

async function rescoreAll(
  file: ConfigFile,
  asked: RescoreConfig,
  log: ProgramLog,
  signal: AbortSignal,
): Promise<number> {
  const root = asked.report.output_dir;
  const done: Rescored[] = [];
  let names: string[] = [];
  try {
    const runs = await readRuns(await findRuns(asked.runs));
    checkApart(runs, root);
    names = folderNames(runs);
    for (const [i, run] of runs.entries()) {
      if (!run.complete) log.info(`${run.name}: unfinished, its rows so far are scored`);
      const one = await rescore(run, join(root, names[i]!), asked, signal);
      sayChanges(one, log);
      for (const line of [...notesOn(one.result.summary, one.result.shortfall), ...one.notes])
        log.info(`${run.name}: ${line}`);
      done.push(one);
    }
  } catch (error) {
    throw placeError(error, file, (path) => [path]);
  }
  const { files, table, notes } = writeTables(root, done, names);
  log.print(table);
  for (const line of notes) log.info(line);
  log.info(`written: ${files.join(' ')} and a folder for each run`);
  const doesDo = ({ result }: Rescored) => result.summary.faults.length === 0 && result.shortfall === null;
  return done.every(doesDo) ? EXIT.done : EXIT.invalid;
}

if (isProgram(import.meta.url)) {
  await runProgram(async (log, signal) => {
    const file = readConfigFile('NANOEVAL_CONFIG', process.env.NANOEVAL_CONFIG, 'configs/rescore.yaml');
    return rescoreAll(file, parseConfig(file, rescoreSchema), log, signal);
  });
}
