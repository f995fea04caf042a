/**
 * Tokens a second that a real llama-server gives this client, lm-eval's and inspect_ai's: the same questions of GSM8K, the same
 * most tokens, as many at a time. Not part of `npm test`.
 *
 *     python -m venv peers && peers/bin/pip install 'lm_eval[api]' inspect_ai openai
 *     NANOEVAL_LLAMA_SERVER=build/bin/llama-server NANOEVAL_GGUF=model_f32.gguf NANOEVAL_PEERS_PYTHON=peers/bin/python \
 *       NANOEVAL_QUESTIONS=gsm8k_test.jsonl npx tsx tests/servers/throughput.ts
 *
 * NANOEVAL_QUESTIONS: JSON lines with `question`. Every client has a server that was just started, with four slots; each form of
 * request (text, chat) is measured NANOEVAL_ROUNDS times (3), the clients by turns. Tokens are those that the server counts; the
 * time is the client's own, from its first request to its last answer, without its start.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modelSection } from '../../nanoeval/config/keys.ts';
import { findServer } from '../../nanoeval/model/server/server.ts';
import type { Ask } from '../../nanoeval/questions.ts';
import type { Question } from '../../nanoeval/types.ts';
import { given, OUT, type Served, serveLlama } from './shared.ts';

const SLOTS = 4;
const ROWS = Number(process.env.NANOEVAL_ROWS ?? 40);
const ROUNDS = Number(process.env.NANOEVAL_ROUNDS ?? 3);
const MOST_TOKENS = 96;
const FORMS = ['text', 'chat'] as const;
type Form = (typeof FORMS)[number];

const gguf = given('NANOEVAL_GGUF').split(',')[0]!;
const questions = readFileSync(given('NANOEVAL_QUESTIONS'), 'utf8').trimEnd().split('\n').slice(0, ROWS);
const prompts = questions.map((line) => `Question: ${JSON.parse(line).question}\nAnswer:`);
mkdirSync(OUT, { recursive: true });
const promptsPath = join(OUT, 'throughput_prompts.json');
writeFileSync(promptsPath, JSON.stringify(prompts));

/** Asks everything; says `ready` before its first question, and gives the seconds from there. */
type Client = (server: Served, form: Form, ready: () => Promise<void>) => Promise<number>;

/** This client, whose looks at the server before the first question are no part of it. */
const ours: Client = async (server, form, ready) => {
  const settings = modelSection.parse({
    model_id: 'model',
    backend: 'llama_cpp',
    base_url: server.url,
    max_concurrency: SLOTS,
  });
  const { signal } = new AbortController();
  const found = await findServer(settings, { log: { info: () => {}, progress: () => {} }, signal, env: {} });
  const model = await found.load();
  const asked = async function* (): AsyncGenerator<Question<Ask>> {
    for (const [place, text] of prompts.entries()) {
      const prompt = form === 'text' ? text : [{ role: 'user' as const, content: text }];
      yield { place, content: { verb: 'generate_until', prompt, until: [], max_new_tokens: MOST_TOKENS } };
    }
  };
  await ready();
  const began = performance.now();
  let count = 0;
  for await (const { content } of model.answer(asked(), signal)) if ('output' in content) count += 1;
  const seconds = (performance.now() - began) / 1000;
  await model.close();
  if (count !== prompts.length) throw new Error(`${count} of ${prompts.length} answers`);
  return seconds;
};

/** A Python client. */
function peer(name: string): Client {
  const script = fileURLToPath(new URL('throughput_peers.py', import.meta.url));
  return (server, form) =>
    new Promise((resolve, reject) => {
      const args = [script, name, form, server.url, promptsPath, String(MOST_TOKENS), String(SLOTS)];
      const child = spawn(given('NANOEVAL_PEERS_PYTHON'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
      const said = { stdout: '', stderr: '' };
      for (const stream of ['stdout', 'stderr'] as const)
        child[stream].setEncoding('utf8').on('data', (text: string) => {
          said[stream] += text;
        });
      child.on('close', (code) => {
        const seconds = Number(/^seconds (\S+)$/m.exec(said.stdout)?.[1]);
        if (code === 0 && seconds > 0) resolve(seconds);
        else reject(new Error(`${name}: ${said.stderr.slice(-2000)}`));
      });
    });
}

/** Tokens that the server has made since it was started. */
async function tokensOf(server: Served): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(/^llamacpp:tokens_predicted_total (\S+)$/m.exec(text)?.[1]);
}

const clients: Record<string, Client> = { nanoeval: ours, lm_eval: peer('lm_eval'), inspect_ai: peer('inspect_ai') };
const found: Record<string, number[]> = {};
for (let round = 0; round < ROUNDS; round += 1) {
  for (const form of FORMS) {
    for (const [name, client] of Object.entries(clients)) {
      if (name === 'inspect_ai' && form === 'text') continue;
      const args = ['-c', SLOTS * 1024, '--parallel', SLOTS, '-t', 1, '--metrics'];
      const server = await serveLlama('throughput', gguf, args);
      let before = 0;
      const seconds = await client(server, form, async () => {
        before = await tokensOf(server);
      });
      const tokens = (await tokensOf(server)) - before;
      server.kill('SIGTERM');
      await server.ended;
      console.log(
        `${form} ${name}: ${tokens} tokens in ${seconds.toFixed(2)} s, ${(tokens / seconds).toFixed(1)} a second`,
      );
      const key = `${form} | ${name}`;
      found[key] = [...(found[key] ?? []), tokens / seconds];
    }
  }
}
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
console.log('| form | client | tokens/s, median | all |\n| --- | --- | --: | --- |');
for (const [key, values] of Object.entries(found))
  console.log(`| ${key} | ${median(values).toFixed(1)} | ${values.map((value) => value.toFixed(1)).join(', ')} |`);
