/**
 * What does an export lose, and what does it gain? Several variants of one checkpoint (fp32, fp16, q8, q4) side by side.
 *
 *     NANOEVAL_CONFIG=configs/variants_smollm2_135m.yaml npx tsx nanoeval/variants.ts
 *
 * Runs every task on every variant as a suite does (again: only what is missing), compares each with the first one row by row,
 * compares their distributions over the same tokens, and measures size, load time, speed and memory of each in a process of
 * its own. Writes variants.json, variants.md, flips.jsonl and a picture. Exit code: 1 where a variant has REGRESSED, is broken
 * or failed, 4 where one is not sure, 0 otherwise.
 */
import { basename, join } from 'node:path';
import { judge } from './compare/judge.ts';
import type { CompareResult } from './compare/result.ts';
import { parseConfig } from './config/check.ts';
import { type ConfigFile, readConfigFile } from './config/file.ts';
import { show } from './config/messages.ts';
import { TEXT_SOURCES, type VariantsConfig, variantsSchema } from './config/variants.ts';
import { openModelRepo } from './data/hub.ts';
import { openCheckpoint } from './model/checkpoint.ts';
import { EXIT, isProgram, type ProgramLog, placeError, runProgram } from './program.ts';
import { writeJson, writeWhole } from './run/files.ts';
import { type Entry, fitsFolder, NO_FOLDER, readEntries } from './suite/entries.ts';
import { exportSuite, runEntries, writeSuite } from './suite/outcomes.ts';
import { Interrupted, OutsideError, UserError } from './types.ts';
import { type Found, type Variant, wholeResult } from './variants/assemble.ts';
import { variantsChart } from './variants/chart.ts';
import { variantsMarkdown, variantsTable } from './variants/markdown.ts';
import type { VariantFlip, VariantsResult } from './variants/result.ts';
import { type VariantRuns, variantRuns } from './variants/sets.ts';
import { checkTokens, openVariantTokenizer, readWindows, type VariantFiles } from './variants/windows.ts';
import { type JobModel, type Measured, measure } from './variants/workers.ts';

const EXAMPLE = 'configs/variants_smollm2_135m.yaml';

/** Other programs' files get their own line. */
function refuseOthers(file: ConfigFile): void {
  const { task, tasks, models } = file.data;
  if (tasks === undefined && typeof task === 'string')
    throw file.error(['task'], `this is the file of one task. ${EXAMPLE} shows what this program reads.`);
  if (tasks !== undefined && models === undefined)
    throw file.error(['tasks'], `there are no variants. List them under \`models:\`, as ${EXAMPLE} does.`);
}

function checkConfig(file: ConfigFile, { distributions, suite }: VariantsConfig, entries: readonly Entry[]): void {
  const given = TEXT_SOURCES.filter((key) => distributions[key] !== undefined);
  if (given.length !== 1) {
    const found = given.length === 0 ? 'it names no texts' : `it names ${given.join(' and ')}`;
    throw file.error(['distributions'], `${found}. It would be one of: ${TEXT_SOURCES.join(', ')}.`);
  }
  if (suite.name !== undefined && !fitsFolder(suite.name))
    throw file.error(['suite', 'name'], `${show(suite.name)} ${NO_FOLDER}`);
  const exportOf = ({ config: { model } }: Entry) =>
    JSON.stringify([
      ...[model.backend, model.model_id, model.revision, model.dtype, model.onnx_file, model.device],
      ...[model.base_url, model.server],
    ]);
  const other = entries.find(
    (entry) => exportOf(entry) !== exportOf(entries.find(({ model }) => model === entry.model)!),
  );
  if (other !== undefined)
    throw placeError(
      new UserError('it names another export than the variant is. A task here says chat_template and the like alone.', {
        key: 'model',
      }),
      file,
      other.paths,
    );
  const saves = entries.find(({ config }) => config.run.save_baseline !== false);
  if (saves !== undefined)
    throw placeError(
      new UserError('a baseline is saved by a suite or a task, not here. Leave it out.', { key: 'run.save_baseline' }),
      file,
      saves.paths,
    );
}

/** Looks every variant's files up, and fetches them, before the first one runs. */
async function findVariants(
  entries: readonly Entry[],
  file: ConfigFile,
  log: ProgramLog,
  signal: AbortSignal,
): Promise<Variant[]> {
  const variants: Variant[] = [];
  for (const entry of entries) {
    if (variants.some(({ name }) => name === entry.model)) continue;
    const { model } = entry.config;
    let files: VariantFiles | null = null;
    try {
      if (model.backend === 'onnx') {
        const repo = await openModelRepo(model.model_id, model.revision, { log, signal });
        files = { repo, checkpoint: await openCheckpoint(repo, model) };
      }
    } catch (error) {
      throw placeError(error, file, entry.paths);
    }
    variants.push({ name: entry.model!, entry, files });
  }
  return variants;
}

/** The windows that all variants see; they have to be the same tokens for each. */
async function openWindows(
  variants: readonly Variant[],
  file: ConfigFile,
  config: VariantsConfig,
  options: { log: ProgramLog; signal: AbortSignal },
) {
  const [reference] = variants as [Variant, ...Variant[]];
  if (reference.files === null)
    throw file.error(['models', 0], 'the reference has to be an ONNX export: a server shows no distributions.');
  const tokenizer = openVariantTokenizer(reference.files);
  const limit = Math.min(...variants.flatMap(({ files }) => files?.checkpoint.maxLength ?? []));
  const found = await readWindows(config.distributions, tokenizer, limit, options).catch((error) => {
    throw placeError(error, file, (path) => [path]);
  });
  for (const { files, entry } of variants.slice(1)) {
    try {
      if (files !== null) checkTokens(reference.files, files, found.texts);
    } catch (error) {
      throw placeError(error, file, entry.paths);
    }
  }
  return { ...found, tokenText: (id: number) => tokenizer.decode([id], true) };
}

type Windows = Awaited<ReturnType<typeof openWindows>>;

const jobModel = ({ files, entry }: Variant): JobModel | null => {
  if (files === null) return null;
  const { graphs, config, textConfig, preprocessor, processor } = files.checkpoint;
  return { files: { graphs, config, textConfig, preprocessor, processor }, settings: entry.config.model };
};

/** Cost and distributions of a variant; what goes wrong with it is one of its faults and stops no other. */
async function measureVariant(
  variant: Variant,
  reference: Variant,
  { windows }: Windows,
  config: VariantsConfig,
  log: ProgramLog,
  signal: AbortSignal,
): Promise<{ measured: Measured | null; fault: string | null }> {
  const job = jobModel(variant);
  if (job === null) return { measured: null, fault: null };
  const other = variant === reference ? null : jobModel(reference);
  const threads = reference.entry.config.engine.threads_per_worker;
  const label = `${variant.name}: windows`;
  const told = (done: number, total: number) => log.progress({ label, done, total, unit: 'rows' });
  const limit = config.distributions.broken_kl;
  try {
    return {
      measured: await measure({ variant: job, reference: other, windows, threads, limit }, told, signal),
      fault: null,
    };
  } catch (error) {
    if (!(error instanceof OutsideError || error instanceof UserError)) throw error;
    return { measured: null, fault: `it could not be measured: ${error.message}` };
  }
}

/** The runs of a variant beside the reference's; null where it has none that is whole. */
async function compareVariant(
  reference: VariantRuns,
  runs: VariantRuns,
  config: VariantsConfig,
  log: ProgramLog,
): Promise<CompareResult | null> {
  if (runs.set.runs.length === 0) return null;
  const has = ({ name }: { name: string }) => runs.set.runs.some((run) => run.name === name);
  const before = { ...reference.set, runs: reference.set.runs.filter(has) };
  const unused = { baselines_dir: '', report: { output_dir: '', save_plot: false } };
  return judge(before, runs.set, { ...config, ...unused }, log);
}

async function writeFiles(
  root: string,
  result: VariantsResult,
  flips: readonly VariantFlip[],
  plot: boolean,
): Promise<string[]> {
  const at = (name: string) => join(root, name);
  writeWhole(
    at('flips.jsonl'),
    flips.map((flip) => `${JSON.stringify(flip)}\n`),
  );
  writeWhole(at('variants.md'), variantsMarkdown(result, flips, 'flips.jsonl'));
  const files = ['flips.jsonl', 'variants.md'];
  const input = plot ? variantsChart(result) : null;
  if (input !== null) {
    // Vega is the slowest import of all; only a report that draws waits for it.
    const { drawScatter } = await import('./report/chart.ts');
    const { png, svg } = await drawScatter(input);
    writeWhole(at('variants.png'), png);
    writeWhole(at('variants.svg'), svg);
    files.push('variants.png', 'variants.svg');
  }
  // Last: where it is, all others are.
  writeJson(at('variants.json'), result);
  return ['variants.json', ...files].map(at);
}

/** Compares what was run (`runs`: of each variant), and measures. */
async function lookAt(
  variants: readonly Variant[],
  runs: readonly VariantRuns[],
  windows: Windows,
  config: VariantsConfig,
  { log, signal }: { log: ProgramLog; signal: AbortSignal },
): Promise<Found[]> {
  const [reference] = variants as [Variant, ...Variant[]];
  const found: Found[] = [];
  for (const [i, variant] of variants.entries()) {
    const own = runs[i]!;
    const compared = variant === reference ? null : await compareVariant(runs[0]!, own, config, log);
    found.push({ variant, runs: own, compared, measured: null, fault: null });
  }
  for (const one of found)
    Object.assign(one, await measureVariant(one.variant, reference, windows, config, log, signal));
  return found;
}

async function report(file: ConfigFile, config: VariantsConfig, log: ProgramLog, signal: AbortSignal): Promise<number> {
  const name = config.suite.name ?? basename(file.path).replace(/\.ya?ml$/, '');
  const root = config.suite.output_root ?? join('artifacts/nanoeval/variants', name);
  const entries = await readEntries(file, config, root);
  checkConfig(file, config, entries);
  const variants = await findVariants(entries, file, log, signal);
  const windows = await openWindows(variants, file, config, { log, signal });
  const { tokens, texts } = windows.source;
  if (tokens < config.distributions.tokens)
    log.info(
      `distributions: ${tokens} tokens are all that ${texts} texts have, of ${config.distributions.tokens} asked`,
    );
  const outcomes = await runEntries(entries, file, log, signal, root);
  const suite = await writeSuite(root, name, entries, outcomes);
  if (signal.aborted) throw new Interrupted();
  const exported = await exportSuite(root, name, config.suite.exports, outcomes);
  const runs: VariantRuns[] = [];
  for (const { name: variant } of variants)
    runs.push(await variantRuns(outcomes, variant, root, config.rows === 'common'));
  if (runs[0]!.faults.length > 0) {
    for (const fault of runs[0]!.faults) log.info(`the reference ${variants[0]!.name}: ${fault}`);
    log.info('nothing can be compared with it (exit code 1)');
    return EXIT.invalid;
  }
  const found = await lookAt(variants, runs, windows, config, { log, signal }).catch((error) => {
    throw placeError(error, file, (path) => [path]);
  });
  const { result, flips } = wholeResult(name, found, windows, config);
  const files = await writeFiles(root, result, flips, config.report.save_plot);
  log.print(variantsTable(result));
  for (const { name: variant, broken, faults } of result.variants) {
    if (broken !== null) log.info(`${variant} is broken: ${broken.reasons.join('; ')}`);
    if (broken?.row != null) log.info(`${variant}: ${broken.row.of} row ${broken.row.index}: ${broken.row.shows}`);
    for (const fault of faults) log.info(`${variant}: ${fault}`);
  }
  log.info(`written: ${[...files, ...suite.files, ...exported.files].join(' ')} and a folder for each variant`);
  for (const note of [...suite.notes, ...exported.notes]) log.info(note);
  log.info(`${result.verdict} (exit code ${result.exit_code})`);
  return result.exit_code;
}

if (isProgram(import.meta.url)) {
  await runProgram(async (log, signal) => {
    const file = readConfigFile('NANOEVAL_CONFIG', process.env.NANOEVAL_CONFIG, EXAMPLE);
    refuseOthers(file);
    return report(file, parseConfig(file, variantsSchema), log, signal);
  });
}
