/**
 * How large the page of a long run is, what it takes to write, and how soon a browser shows it: MMLU with 5 shots, all of its rows,
 * with all prompts and token ids; log-likelihoods are drawn.
 *
 *     NANOEVAL_BENCH_MODEL=<a folder with tokenizer.json> NANOEVAL_BENCH_DATA=<a folder with mmlu/{test,dev}/*.csv> \
 *       npm run bench:page [-- <rows, by default all of the test split; more are the same ones again>]
 *
 * The run is made by the runner itself, by a model that tokenises and asks nobody. The page is then written by view.ts in a process
 * of its own, whose time and largest memory are what is printed; the browser is Debian's chromium.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parse } from 'csv-parse/sync';
import { type Tokenizer, tokenizerOf } from '../../nanoeval/model/tokenizer.ts';
import type { Ask, Loglikelihood, Model, Reply } from '../../nanoeval/questions.ts';
import type { Models } from '../../nanoeval/run/models.ts';
import { runTask } from '../../nanoeval/run/run.ts';
import { loadTask } from '../../nanoeval/run/task_files.ts';
import { identityOf } from '../canned_model.ts';
import { CHROMIUM, openBrowser } from '../page/browser.ts';
import { seeded } from './rows.ts';

const { NANOEVAL_BENCH_MODEL: checkpoint, NANOEVAL_BENCH_DATA: data } = process.env;
if (checkpoint === undefined || data === undefined)
  throw new Error('NANOEVAL_BENCH_MODEL and NANOEVAL_BENCH_DATA: see the head of this file.');
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LETTERS = ['A', 'B', 'C', 'D'];

/** MMLU's rows of one split as the hub has them. */
function rowsOf(split: string): object[] {
  const folder = join(data!, 'mmlu', split);
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const subject = name.slice(0, -`_${split}.csv`.length);
      const table = parse(readFileSync(join(folder, name)), { relax_quotes: true }) as string[][];
      return table.map(([question, ...rest]) => ({
        question,
        subject,
        choices: rest.slice(0, 4),
        answer: LETTERS.indexOf(rest[4]!),
      }));
    });
}

/** A model that has tokens and draws the rest. */
function drawingModel(tokenizer: Tokenizer): Model {
  const random = seeded(1);
  const reply = (ask: Ask): Reply => {
    if (ask.verb !== 'loglikelihood' || typeof ask.prompt !== 'string')
      throw new Error('MMLU ranks letters behind texts');
    const { prompt } = ask;
    const choices = ask.choices.map(({ continuation }): Loglikelihood => {
      const pair = tokenizer.encodePair(prompt, continuation);
      return {
        logprob: -5 * random(),
        num_tokens: pair.continuation.length,
        is_greedy: false,
        tokens: { prompt: pair.context, output: pair.continuation },
      };
    });
    return { choices, prompts: [prompt], num_context_tokens: choices[0]!.tokens!.prompt.length, truncated: false };
  };
  return {
    identity: identityOf({ label: 'drawn' }),
    can: { verbs: ['loglikelihood'], images: false, chat: false },
    engine: { form: 'tree' },
    remarks: [],
    stats: () => ({}),
    async *answer(questions) {
      for await (const { place, content, done } of questions) if (!done) yield { place, content: reply(content) };
    },
    renderChat: () => Promise.reject(new Error('no template')),
    countTokens: async (prompt) => tokenizer.encode(String(prompt)).length,
    tokenTexts: (ids) => tokenizer.texts(ids),
    close: async () => {},
  };
}

async function makeRun(folder: string, count: number | null): Promise<void> {
  const rows = rowsOf('test');
  const wanted = Array.from({ length: count ?? rows.length }, (_, i) => rows[i % rows.length]!);
  mkdirSync(join(folder, 'data'), { recursive: true });
  const lines = (all: readonly object[]) => all.map((row) => `${JSON.stringify(row)}\n`).join('');
  writeFileSync(join(folder, 'data/test.jsonl'), lines(wanted));
  writeFileSync(join(folder, 'data/dev.jsonl'), lines(rowsOf('dev')));
  const read = (name: string) => JSON.parse(readFileSync(join(checkpoint!, name), 'utf8')) as Record<string, unknown>;
  const tokenizer = tokenizerOf(
    {
      tokenizerJson: read('tokenizer.json'),
      tokenizerConfig: read('tokenizer_config.json'),
      specialTokens: {},
    },
    'tokenizer.json',
  );
  const model = drawingModel(tokenizer);
  const { identity, can } = model;
  const models: Models = {
    find: async () => ({ identity, can, engine: {}, load: async () => model }),
    open: async () => model,
    close: async () => {},
  };
  const task = await loadTask('mmlu');
  const config = task.config.parse({
    task: 'mmlu',
    model: { model_id: checkpoint },
    dataset: { path: join(folder, 'data') },
    run: { check_rows: 0 },
    report: { output_dir: join(folder, 'run'), page: true },
  });
  const log = { info: (line: string) => console.log(line), progress: () => {} };
  await runTask(task, config, models, log, new AbortController().signal);
}

const asked = process.argv[2];
const folder = mkdtempSync(join(tmpdir(), 'nanoeval-page-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
let started = performance.now();
await makeRun(folder, asked === undefined ? null : Number(asked));
console.log(`the run: ${((performance.now() - started) / 1000).toFixed(1)} s`);
const mb = (path: string) => (statSync(path).size / 1e6).toFixed(2);
for (const name of ['predictions.jsonl', 'page.jsonl', 'report.html'])
  console.log(`${name}: ${mb(join(folder, 'run', name))} MB`);

writeFileSync(
  join(folder, 'view.yaml'),
  JSON.stringify({ folders: join(folder, 'run'), report: { output_dir: join(folder, 'view') } }),
);
const telling = [
  "process.on('exit', () => {",
  '  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();',
  '  const seconds = ((userCPUTime + systemCPUTime) / 1e6).toFixed(2);',
  "  process.stderr.write('processor ' + seconds + ' s, largest memory ' + (maxRSS / 1024).toFixed(0) + ' MiB\\n');",
  '});',
];
const tell = `data:text/javascript,${encodeURIComponent(telling.join('\n'))}`;
started = performance.now();
const written = spawnSync(process.execPath, ['--import', 'tsx', '--import', tell, 'nanoeval/view.ts'], {
  cwd: ROOT,
  env: { ...process.env, NANOEVAL_CONFIG: join(folder, 'view.yaml') },
  encoding: 'utf8',
});
console.log(`${written.stderr.trim()}\nview.ts: ${((performance.now() - started) / 1000).toFixed(2)} s`);
const page = join(folder, 'view/report_mmlu.html');
console.log(`report_mmlu.html: ${mb(page)} MB`);

if (existsSync(CHROMIUM)) {
  const browser = await openBrowser();
  try {
    for (let round = 0; round < 3; round += 1) {
      const tab = await browser.newPage();
      started = performance.now();
      await tab.goto(pathToFileURL(page).href, { waitUntil: 'commit' });
      await tab.waitForSelector('.score-value');
      const seen = performance.now() - started;
      await tab.waitForSelector('.line');
      const listed = performance.now() - started;
      const paint = await tab.evaluate(
        () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null,
      );
      const at = performance.now();
      await tab.locator('.line').nth(3).click();
      await tab.waitForSelector('.prompts');
      console.log(
        `first contentful paint ${paint?.toFixed(0)} ms; score seen ${seen.toFixed(0)} ms, rows ${listed.toFixed(0)} ms, a row opened ${(performance.now() - at).toFixed(0)} ms`,
      );
      await tab.close();
    }
  } finally {
    await browser.close();
  }
}
