/**
 * The YAML keys that every task shares: type, default and meaning in this one place. Error messages, the JSON Schema for
 * editors and the table of the README are made from it. A task adds its own keys in its file through `taskSchema`.
 */
import { z } from 'zod';
import { parseMoment } from '../text/strftime.ts';
import { BACKENDS, type BackendName, DEFAULT_BACKEND } from './backends.ts';
import { exportList } from './exports.ts';
import { show } from './messages.ts';
import { pathKey } from './paths.ts';
import { reportSection } from './report.ts';
import { sandboxSection } from './sandbox.ts';
import { serverKeys } from './server.ts';
import { type Subjects, subjectsKey } from './subjects.ts';

/** The dtype names of transformers.js, and the suffix of the file that each one names (`onnx/model<suffix>.onnx`). */
export const DTYPE_SUFFIX = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4: '_q4',
  q4f16: '_q4f16',
  bnb4: '_bnb4',
} as const;
export type Dtype = keyof typeof DTYPE_SUFFIX;

/** Graphs that may each have a dtype of their own, by the names of their files; `model` is a text checkpoint's decoder. */
export const GRAPHS = ['model', 'decoder_model_merged', 'embed_tokens', 'vision_encoder'] as const;
export type GraphName = (typeof GRAPHS)[number];
const dtype = z.enum(Object.keys(DTYPE_SUFFIX) as [Dtype, ...Dtype[]]);

const marked = (names: readonly string[]) => names.map((one) => `\`${one}\``).join(' ');
const name = (meaning: string) => z.string().min(1).describe(meaning);
const count = (meaning: string, least = 1) => z.int().min(least).describe(meaning);
const DATE = 'a date such as 2026-03-05, or 2026-03-05 14:30:00';
const share = (meaning: string) => z.number().min(0).max(1).describe(meaning);

/** The section `model`. */
export const modelSection = z
  .strictObject({
    model_id: pathKey("hub repository, or a local folder in the hub's layout; a server's name for its model"),
    revision: name('branch, tag or commit; the commit that it stood for is recorded').default('main'),
    backend: z
      .enum(Object.keys(BACKENDS) as [BackendName, ...BackendName[]])
      .default(DEFAULT_BACKEND)
      .describe(
        `what runs the model: ${Object.entries(BACKENDS)
          .map(([one, { about }]) => `\`${one}\`, ${about}`)
          .join('; ')}`,
      ),
    dtype: z
      .union([
        dtype,
        z.strictObject({
          model: dtype.optional(),
          decoder_model_merged: dtype.optional(),
          embed_tokens: dtype.optional(),
          vision_encoder: dtype.optional(),
        } satisfies Record<GraphName, unknown>),
      ])
      .default('fp32')
      .describe(
        `which exported file, named as transformers.js names them: ${marked(Object.keys(DTYPE_SUFFIX))}; or a mapping from graph (${marked(GRAPHS)}) to one of these, \`fp32\` for a graph that it leaves out`,
      ),
    onnx_file: name('a file inside the repository, instead of `dtype`').optional(),
    device: z
      .enum(['cpu', 'cuda', 'dml', 'coreml', 'webgpu'])
      .default('cpu')
      .describe("onnxruntime's execution provider; what is not there is an error, never a silent fallback"),
    is_vlm: z
      .boolean()
      .optional()
      .describe('from config.json, whose word counts; of a server: whether it takes pictures, `false` by default'),
    max_length: count(
      "context limit in tokens; the checkpoint's or the server's by default, more than that is an error",
    ).optional(),
    chat_template: z
      .boolean()
      .optional()
      .describe("render prompts through the checkpoint's chat template; `false` by default, `true` for VLMs"),
    enable_thinking: z
      .boolean()
      .optional()
      .describe('told to a chat template that asks for it (Qwen3, SmolLM3); the template decides without it'),
    template_date: z
      .string()
      .regex(/^\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2})?$/, { error: DATE, abort: true })
      .refine((text) => parseMoment(text) !== null, {
        error: ({ input }) => `${show(input)} is no day of the calendar. It has to be ${DATE}.`,
      })
      .optional()
      .describe(
        "what a chat template that asks for today's date is given, `2026-03-05` or `2026-03-05 14:30:00`; the day on which the run began by default",
      ),
    ...serverKeys,
  })
  .describe('the checkpoint');

/** The section `engine`, of the backend `onnx`. */
export const engineSection = z
  .strictObject({
    mode: z
      .enum(['auto', 'prefix_tree', 'naive'])
      .default('auto')
      .describe(
        '`auto`: every distinct prefix once, but rows alone and unshared on dynamic int8 graphs; `prefix_tree`: shared whatever the graph; `naive`: one full forward for each choice, batch 1',
      ),
    workers: count('processes that each hold the weights; one for every four cores by default').optional(),
    threads_per_worker: count("threads of one forward pass; the worker's share of the cores by default").optional(),
    kv_cache_mb: count('prefixes that each worker keeps between windows, in MB of keys and values', 0).default(512),
    decode_cache_mb: count('answers that each worker decodes side by side, in MB of keys and values').default(1024),
    batch_tokens: count('tokens of one forward pass, padding included; a longer row runs alone').default(768),
  })
  .describe('how it is computed; never changes a score beyond rounding');

/** The section `run`. */
export const runSection = z
  .strictObject({
    overwrite: z
      .boolean()
      .default(false)
      .describe('start afresh in a folder that has rows, instead of going on; the old folder is kept aside'),
    max_failed: share('share of rows that may fail; above it the run gives up and counts as invalid').default(0),
    max_unparsed: share('share of answers without a readable choice before the run counts as invalid').default(1),
    require: z
      .number()
      .optional()
      .describe(
        'what the primary metric has to reach (may not pass, where lower is better); a finished run that misses it ends with exit code 1; by default what the recipe asks for, which most do not',
      ),
    score: z.boolean().default(true).describe('`false`: predictions alone, to be scored by rescore.ts'),
    shard: z
      .string()
      .regex(/^[1-9]\d*\/[1-9]\d*$/, 'a share of the rows, `2/8`: the second of eight')
      .optional()
      .describe('`2/8`: the second of eight blocks of the rows; rescore.ts puts the folders together'),
    check_rows: count(
      'rows that are computed again at the end, each by itself; the summary says how far they are off',
      0,
    ).default(4),
    save_baseline: z
      .union([z.boolean(), z.literal('replace')])
      .default(false)
      .describe(
        '`true`: keep what compare.ts needs of a finished run for the current git branch; `replace`: in place of a baseline that was asked in another way too',
      ),
    baselines_dir: pathKey('folder of the baselines: `<branch>/<suite or task>` below it').default('baselines'),
    live: z
      .boolean()
      .default(false)
      .describe('show the rows so far on a page of this machine alone, whose address is printed; gone with the run'),
  })
  .describe('how the run goes about it');

/** `dataset.rows`; `row` is what a row holds where the task knows, so that an editor and the first look at a file do too. */
export const rowsKey = <T extends z.ZodType = z.ZodRecord<z.ZodString, z.ZodUnknown>>(row?: T) =>
  z
    .array(row ?? (z.record(z.string(), z.unknown()) as unknown as T))
    .min(1)
    .optional()
    .describe('the rows themselves, each a mapping from column to value, instead of the hub');

/** `dataset.columns`: what the task calls its columns, and what they are called in the rows where that is another name. */
export const columnsKey = <N extends string>(columns: Record<N, string>) => {
  const names = Object.keys(columns) as N[];
  const shape = Object.fromEntries(names.map((one) => [one, name(columns[one]).optional()]));
  return z
    .strictObject(shape as Record<N, z.ZodOptional<z.ZodString>>)
    .optional()
    .describe(
      `which columns hold what, each by that name by default: ${names.map((one) => `\`${one}\`, ${columns[one]}`).join('; ')}`,
    );
};

/** Stands in `dataset.dataset_id` where no published data set does: rows come from `dataset.rows` or `dataset.path`. */
export const OWN_ROWS: DatasetDefaults = { dataset_id: 'own_rows', subset_name: 'default', split: 'test' };

/** Where a task's rows come from unless the file says otherwise. */
export interface DatasetDefaults {
  dataset_id: string;
  subset_name: string;
  split: string;
}

/** What a task adds to the keys that all tasks have. */
export interface OwnKeys<D extends z.ZodRawShape, S extends z.ZodRawShape, X extends z.ZodRawShape> {
  dataset?: D;
  scoring?: S;
  /** Whole sections. */
  sections?: X;
  /** Its rows have subjects: `dataset.subjects` chooses among them. */
  subjects?: Subjects;
}

/** What a strategy asks of the model, for the table of keys. A task's own strategy needs no entry. */
const STRATEGIES: Readonly<Record<string, string>> = {
  rank_ll: 'the most likely choice',
  gen_letter: 'a letter read from a greedy answer',
  rolling_ll: 'how likely every token of a text is',
};

/**
 * The schema of one task's YAML. `own` are keys of its own; the recipes give the allowed values.
 * Sections are strict: an unknown key is an error. Defaults are filled in, so the parsed value is the resolved config.
 */
export function taskSchema<
  const D extends z.ZodRawShape = Record<never, never>,
  const S extends z.ZodRawShape = Record<never, never>,
  const X extends z.ZodRawShape = Record<never, never>,
>(
  task: string,
  source: DatasetDefaults,
  recipes: Readonly<Record<string, { strategies: object }>>,
  own: OwnKeys<D, S, X> = {},
) {
  return z.strictObject({
    task: z.literal(task).describe('the `run_<task>.ts` that reads the file'),
    model: modelSection,
    engine: engineSection.prefault({}),
    // Every own key has a default or is optional, which the compiler cannot see through the generic.
    dataset: datasetSection(source, own).prefault({} as never),
    scoring: scoringSection(task, recipes, own.scoring ?? ({} as S)).prefault({} as never),
    ...(own.sections ?? ({} as X)),
    run: runSection.prefault({}),
    report: reportSection(task).prefault({}),
  });
}

function datasetSection<D extends z.ZodRawShape>(
  source: DatasetDefaults,
  own: OwnKeys<D, z.ZodRawShape, z.ZodRawShape>,
) {
  const { subjects } = own;
  const first = subjects?.subsetOfEach ? 'first n rows of each subject' : 'first n rows';
  return z
    .strictObject({
      dataset_id: name('hub data set').default(source.dataset_id),
      revision: name('branch, tag or commit of the data set').default('main'),
      subset_name: name('config of the data set').default(source.subset_name),
      split: name('split of the data set').default(source.split),
      path: pathKey(
        'local `.parquet`, `.jsonl`, `.json`, `.csv`, `.txt` (a row `{text}` a file) or a folder of them, instead of the hub',
      ).optional(),
      rows: rowsKey(),
      subset_size: count(first).optional(),
      sample: count('n rows drawn with `scoring.seed` over the whole split, order kept').optional(),
      ...(subjects === undefined ? {} : { subjects: subjectsKey(subjects.groups) }),
      ...(own.dataset ?? ({} as D)),
    })
    .describe('the rows');
}

function scoringSection<S extends z.ZodRawShape>(
  task: string,
  recipes: Readonly<Record<string, { strategies: object }>>,
  own: S,
) {
  const strategies = [...new Set(Object.values(recipes).flatMap((recipe) => Object.keys(recipe.strategies)))];
  const meanings = strategies.map((one) => `\`${one}\`${STRATEGIES[one] ? `: ${STRATEGIES[one]}` : ''}`);
  return z
    .strictObject({
      recipe: z
        .enum(Object.keys(recipes))
        .default('lm_eval' in recipes ? 'lm_eval' : (Object.keys(recipes)[0] ?? ''))
        .describe('prompt, normalisation, shots and averaging under one name'),
      strategy: z
        .enum(strategies, strategies.length === 1 ? { error: `${task} is scored in this way alone` } : undefined)
        .default(strategies[0] ?? 'rank_ll')
        .describe(meanings.join('; ')),
      num_fewshot: count("worked examples before the question; the recipe's by default", 0).optional(),
      normalize_by_length: z
        .boolean()
        .optional()
        .describe(
          "which of the recorded metrics is primary: the length-normalised one or not; the recipe's by default",
        ),
      max_new_tokens: count("length limit of a generated answer; the recipe's by default").optional(),
      temperature: z
        .number()
        .min(0)
        .max(100)
        .default(0)
        .describe('of generated answers: 0 takes the most likely token, above 0 tokens are drawn'),
      top_p: z
        .number()
        .gt(0)
        .max(1)
        .default(1)
        .describe('tokens are drawn from the most likely ones that together reach this probability'),
      samples_per_prompt: count('answers drawn for each row').default(1),
      seed: count('draws `dataset.sample` and answers; never touches few-shot examples', 0).default(123),
      seeds: z
        .array(count('seed', 0))
        .min(1)
        .optional()
        .describe(
          'several seeds in place of `seed`: the run is repeated with each, and the summary says how far they differ',
        ),
      reduce: z
        .enum(['mean', 'sum', 'none'])
        .default('mean')
        .describe(
          "what the summary says of the rows' scores: their mean, their sum, or (`none`) each by itself in scores.csv",
        ),
      ...own,
    })
    .describe('how rows become scores');
}

/** The parsed config of any task: what `task.ts` and the layers below look at. */
export type TaskConfig = z.infer<ReturnType<typeof taskSchema<Record<never, never>, Record<never, never>>>>;
export type ModelSettings = z.infer<typeof modelSection>;
export type EngineSettings = z.infer<typeof engineSection>;

/** What rescore.ts reads: run folders, and how their rows are to be scored. */
export const rescoreSchema = z.strictObject({
  runs: z
    .union([pathKey('folder'), z.array(pathKey('folder')).min(1)])
    .describe('run folders, or patterns that stand for them (`artifacts/nanoeval/*`)'),
  scoring: z
    .strictObject({
      recipe: name('another recipe with the same prompt; the one that the run was made with by default').optional(),
      normalize_by_length: z.boolean().optional().describe('which of the metrics is primary, as in a task file'),
    })
    .prefault({}),
  sandbox: sandboxSection.prefault({}),
  report: z
    .strictObject({
      output_dir: pathKey('where the scores go; the runs stay as they are').default('artifacts/nanoeval/rescored'),
      save_plot: z.boolean().default(true).describe('draw the charts too'),
      exports: exportList("in each run's folder of scores; what its own config asks for by default").optional(),
    })
    .prefault({}),
});
export type RescoreConfig = z.infer<typeof rescoreSchema>;
