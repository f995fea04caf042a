/**
 * Many tasks, one model block, the weights loaded once, one table.
 *
 *     NANOEVAL_SUITE=suites/suite_smoke.yaml npx tsx nanoeval/suite.ts
 *
 * A task of a suite takes the sections of a task file; what it says overrides what stands at the top. A task that
 * fails does not stop the others and makes the exit code 1. Run again, a suite computes only what is missing. With `models`
 * every task is asked of each of several checkpoints, and a table puts them beside each other;
 * with `gate` the last table says, in compare.ts's words, whether a later one is worse than the first, and so does the exit code.
 */
import { basename, join } from 'node:path';
import { parseConfig } from './config/check.ts';
import { type ConfigFile, readConfigFile } from './config/file.ts';
import { nearest, show } from './config/messages.ts';
import { manyModelsSchema, type SuiteConfig, suiteSchema, type TableConfig } from './config/suite.ts';
import { EXIT, isProgram, keepBaseline, placeError, runProgram } from './program.ts';
import { taskNames } from './run/task_files.ts';
import { type Entry, fitsFolder, NO_FOLDER, readEntries } from './suite/entries.ts';
import type { Outcome } from './suite/lines.ts';
import { allDo, exportSuite, faultsOf, runEntries, writeSuite } from './suite/outcomes.ts';
import { writeSuitePage } from './suite/suite_page.ts';
import { type Verdicts, writeVerdicts } from './suite/verdicts.ts';
import { Interrupted, type Log } from './types.ts';

function refuseTask(file: ConfigFile): void {
  if ('tasks' in file.data) return;
  if (typeof file.data.task !== 'string') return;
  const known = taskNames();
  const name = known.includes(file.data.task) ? file.data.task : (nearest(file.data.task, known) ?? '<task>');
  throw file.error(
    ['task'],
    `this is the file of one task. Run it with NANOEVAL_CONFIG=${file.path} npx tsx nanoeval/run_${name}.ts.`,
  );
}

/** The last table of a suite over several checkpoints whose file names a gate. */
async function verdictsOf(
  file: ConfigFile,
  suite: SuiteConfig,
  root: string,
  entries: readonly Entry[],
  outcomes: readonly Outcome[],
  log: Log,
): Promise<Verdicts | null> {
  if (!('models' in suite) || suite.gate === undefined) return null;
  const { gate, bootstrap, rows } = suite;
  const models = [...new Set(entries.flatMap(({ model }) => model ?? []))];
  try {
    return await writeVerdicts(root, outcomes, models, { gate, bootstrap, rows }, log);
  } catch (error) {
    throw placeError(error, file, (path) => [path]);
  }
}

if (isProgram(import.meta.url)) {
  await runProgram(async (log, signal) => {
    const file = readConfigFile('NANOEVAL_SUITE', process.env.NANOEVAL_SUITE, 'suites/suite_smoke.yaml');
    refuseTask(file);
    const suite: SuiteConfig = parseConfig(file, 'models' in file.data ? manyModelsSchema : suiteSchema);
    const name = suite.suite.name ?? basename(file.path).replace(/\.ya?ml$/, '');
    if (suite.suite.name !== undefined && !fitsFolder(suite.suite.name))
      throw file.error(['suite', 'name'], `${show(suite.suite.name)} ${NO_FOLDER}`);
    const root = suite.suite.output_root ?? join('artifacts/nanoeval/suites', name);
    const entries = await readEntries(file, suite, root);
    const outcomes = await runEntries(entries, file, log, signal, root);
    const { files, table, notes } = await writeSuite(
      root,
      name,
      entries,
      outcomes,
      'models' in suite ? null : (suite.suite as TableConfig),
    );
    const page = await writeSuitePage(root, name, outcomes);
    if (page !== null) files.push(page);
    log.print(table);
    const exported = signal.aborted ? null : await exportSuite(root, name, suite.suite.exports, outcomes);
    files.push(...(exported?.files ?? []));
    notes.push(...(exported?.notes ?? []));
    const judged = signal.aborted ? null : await verdictsOf(file, suite, root, entries, outcomes, log);
    if (judged !== null) {
      log.print(`\n${judged.table}`);
      files.push(...judged.files);
      notes.push(...judged.notes);
    }
    log.info(`written: ${files.join(' ')} and a folder for each task`);
    for (const note of notes) log.info(note);
    if (signal.aborted) throw new Interrupted();
    const faults = faultsOf(outcomes);
    const saves = entries.find(({ config }) => config.run.save_baseline !== false);
    if (saves !== undefined) {
      try {
        await keepBaseline(root, saves.config.run, faults, log);
      } catch (error) {
        throw placeError(error, file, saves.paths);
      }
    }
    return allDo(outcomes) ? (judged?.code ?? EXIT.done) : EXIT.invalid;
  });
}
