/**
 * A real llama-server beside an ONNX export of the same weights: log-likelihoods of HellaSwag and MMLU, answers to GSM8K, IFEval
 * and HumanEval. Not part of `npm test`.
 *
 *     pip download --no-deps --no-binary :all: llama-cpp-python && tar xf llama_cpp_python-*.tar.gz
 *     cmake -S llama_cpp_python-*\/vendor/llama.cpp -B build -DLLAMA_CURL=OFF && cmake --build build --target llama-server
 *     python vendor/llama.cpp/convert_hf_to_gguf.py CHECKPOINT --outtype f32 --outfile model_f32.gguf
 *     NANOEVAL_LLAMA_SERVER=build/bin/llama-server NANOEVAL_GGUF=model_f32.gguf,model_q4_0.gguf \
 *       NANOEVAL_ONNX=folder npx tsx tests/servers/llama_server.ts [scores|answers]
 *
 * The folder holds the checkpoint in the hub's layout; data sets come from the hub, or from HF_ENDPOINT. Files are written into
 * NANOEVAL_SERVERS_OUT (artifacts/servers by default); run again, it goes on. Answers are asked of the first GGUF file alone.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { start } from '../spawn.ts';

const given = (name: string): string => {
  const value = process.env[name];
  if (value === undefined || value === '')
    throw new Error(`${name} is not set: the head of this file says what it is.`);
  return value;
};
const command = given('NANOEVAL_LLAMA_SERVER');
const ggufs = given('NANOEVAL_GGUF').split(',');
const onnx = given('NANOEVAL_ONNX');
const out = process.env.NANOEVAL_SERVERS_OUT ?? 'artifacts/servers';

const served = (model: string) => ({
  name: basename(model, '.gguf'),
  model_id: basename(model, '.gguf'),
  backend: 'llama_cpp',
  // One slot and one thread: as many as leave room for this program, and the same answer each time.
  server: { command, model, args: ['-c', 2048, '--parallel', 1, '-t', 1] },
});
const local = { name: 'onnx', model_id: onnx, max_length: 2048 };
const run = { check_rows: 0 };
const report = { save_plot: false };
const task = (name: string, dataset: object, more: object = {}) => ({ task: name, dataset, run, report, ...more });

const SUITES: Record<string, { models: object[]; tasks: object[] }> = {
  scores: {
    models: [local, ...ggufs.map(served)],
    tasks: [task('hellaswag', { subset_size: 40 }), task('mmlu', { sample: 40 }, { scoring: { num_fewshot: 0 } })],
  },
  answers: {
    models: [local, served(ggufs[0]!)],
    tasks: [
      task('gsm8k', { subset_size: 20 }, { scoring: { num_fewshot: 0, max_new_tokens: 160 } }),
      task('ifeval', { subset_size: 20 }, { scoring: { max_new_tokens: 160 }, model: { chat_template: true } }),
      task('humaneval', { subset_size: 10 }, { scoring: { max_new_tokens: 160 }, sandbox: { enabled: true } }),
    ],
  },
};

interface Saved {
  id: string;
  correct?: number;
  output?: string;
  choices?: { logprob: number; num_tokens: number }[];
  error?: { message: string };
}

function rowsOf(suite: string, model: string, name: string): Saved[] {
  const path = join(out, suite, model, name, 'predictions.jsonl');
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const likeliest = (row: Saved) => {
  const values = row.choices!.map(({ logprob }) => logprob);
  return values.indexOf(Math.max(...values));
};

/** One line of the table: a served model's rows beside the export's. */
function compared(suite: string, model: string, name: string): string {
  const [ours, theirs] = [rowsOf(suite, 'onnx', name), rowsOf(suite, model, name)];
  const right = (rows: readonly Saved[]) => rows.filter(({ correct }) => correct === 1).length;
  const failed = theirs.filter(({ error }) => error !== undefined).length;
  const head = `| ${name} | ${model} | ${ours.length} | ${right(ours)} | ${right(theirs)} | ${failed} |`;
  if (ours[0]!.choices === undefined) {
    const same = ours.filter(({ output }, i) => output === theirs[i]!.output).length;
    return `${head} ${same} answers the same |`;
  }
  const apart = ours.flatMap((row, i) =>
    row.choices!.map(({ logprob, num_tokens }, j) => {
      const off = Math.abs(logprob - theirs[i]!.choices![j]!.logprob);
      return { off, perToken: off / num_tokens };
    }),
  );
  const mean = apart.reduce((sum, { perToken }) => sum + perToken, 0) / apart.length;
  const most = Math.max(...apart.map(({ off }) => off));
  const moved = ours.filter((row, i) => likeliest(row) !== likeliest(theirs[i]!)).length;
  return `${head} mean ${mean.toFixed(5)} nats a token, at most ${most.toFixed(4)} a choice; ${moved} other arg-max |`;
}

const asked = process.argv.slice(2);
const lines = [
  '| task | served | rows | right, ONNX | right, served | failed | apart |',
  '| --- | --- | --: | --: | --: | --: | --- |',
];
for (const [name, { models, tasks }] of Object.entries(SUITES)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  mkdirSync(out, { recursive: true });
  const path = join(out, `${name}.yaml`);
  writeFileSync(path, JSON.stringify({ suite: { name, output_root: join(out, name) }, models, tasks }));
  const endpoint = process.env.HF_ENDPOINT;
  const env = { NANOEVAL_SUITE: path, ...(endpoint === undefined ? {} : { HF_ENDPOINT: endpoint }) };
  const { code, stdout, stderr } = await start('suite', env).finished;
  process.stderr.write(stderr);
  console.log(stdout);
  if (code !== 0) throw new Error(`the suite ${name} ended with ${code}`);
  const names = models.map((one) => (one as { name: string }).name).filter((one) => one !== 'onnx');
  for (const { task: one } of tasks as { task: string }[])
    for (const model of names) lines.push(compared(name, model, one));
}
console.log(lines.join('\n'));
