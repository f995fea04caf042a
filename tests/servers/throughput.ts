/**
 * Tokens a second that a real llama-server gives this client, lm-eval's and inspect_ai's: the same questions of GSM8K, the same
 * most tokens, as many at a time. Not part of `npm test`.
 *
 *     python -m venv peers && peers/bin/pip install 'lm_eval[api]' inspect_ai openai
 *     NANOEVAL_LLAMA_SERVER=build/bin/llama-server NANOEVAL_GGUF=model_f32.gguf NANOEVAL_PEERS_PYTHON=peers/bin/python \
 *       NANOEVAL_QUESTIONS=gsm8k_test.jsonl npx tsx tests/servers/throughput.ts
 *
 * NANOEVAL_QUESTIONS: JSON lines with `question`. Every client has a server of its own with four slots and one thread, just started;
 * all begin at the same time, so that whatever else the machine does it does to each of them. Each form of request (text, chat) is
 * measured NANOEVAL_ROUNDS times (3). Tokens are those that the server counts; the time is from the common start to the client's
 * last answer.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
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

/** A client that is ready to ask everything: `go` gives the seconds that it took, and `said` what it has to say of that. */
interface Ready {
  go(): Promise<number>;
  said?(): string;
}
type Client = (server: Served, form: Form) => Promise<Ready>;

/** This client, whose looks at the server before the first question are no part of it. */
const ours: Client = async (server, form) => {
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
  return {
    async go() {
      const began = performance.now();
      let count = 0;
      for await (const { content } of model.answer(asked(), signal)) if ('output' in content) count += 1;
      const seconds = (performance.now() - began) / 1000;
      await model.close();
      if (count !== prompts.length) throw new Error(`${count} of ${prompts.length} answers`);
      return seconds;
    },
    said: () => `${JSON.stringify(model.stats())}`,
  };
};

/** A Python client. */
function peer(name: string): Client {
  const script = fileURLToPath(new URL('throughput_peers.py', import.meta.url));
  return async (server, form) => {
    const args = [script, name, form, server.url, promptsPath, String(MOST_TOKENS), String(SLOTS)];
    const child = spawn(given('NANOEVAL_PEERS_PYTHON'), args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const said = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const)
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        said[stream] += text;
      });
    const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
    const failed = () => new Error(`${name}: ${said.stderr.slice(-2000)}`);
    while (!/^ready$/m.test(said.stdout)) {
      if (child.exitCode !== null) throw failed();
      await sleep(50);
    }
    return {
      async go() {
        child.stdin.end('go\n');
        await ended;
        const seconds = Number(/^seconds (\S+)$/m.exec(said.stdout)?.[1]);
        if (!(seconds > 0)) throw failed();
        return seconds;
      },
    };
  };
}

/** Tokens that the server has made since it was started. */
async function tokensOf(server: Served): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(/^llamacpp:tokens_predicted_total (\S+)$/m.exec(text)?.[1]);
}

const CLIENTS: Record<Form, Record<string, Client>> = {
  text: { nanoeval: ours, lm_eval: peer('lm_eval') },
  chat: { nanoeval: ours, lm_eval: peer('lm_eval'), inspect_ai: peer('inspect_ai') },
};
const found: Record<string, number[]> = {};

async function measure(form: Form, round: number): Promise<void> {
  const opened = await Promise.all(
    Object.entries(CLIENTS[form]).map(async ([name, client]) => {
      const args = ['-c', SLOTS * 1024, '--parallel', SLOTS, '-t', 1, '--metrics'];
      const server = await serveLlama(`throughput_${name}`, gguf, args);
      return { name, server, ready: await client(server, form), before: await tokensOf(server) };
    }),
  );
  await Promise.all(
    opened.map(async ({ name, server, ready, before }) => {
      const seconds = await ready.go();
      const tokens = (await tokensOf(server)) - before;
      server.kill('SIGTERM');
      await server.ended;
      const rate = tokens / seconds;
      console.log(
        `${round} ${form} ${name}: ${tokens} tokens in ${seconds.toFixed(2)} s, ${rate.toFixed(1)}/s ${ready.said?.() ?? ''}`,
      );
      const key = `${form} | ${name}`;
      found[key] = [...(found[key] ?? []), rate];
    }),
  );
}

for (let round = 0; round < ROUNDS; round += 1) for (const form of FORMS) await measure(form, round);
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
console.log('| form | client | tokens/s, median | all |\n| --- | --- | --: | --- |');
for (const [key, values] of Object.entries(found))
  console.log(`| ${key} | ${median(values).toFixed(1)} | ${values.map((value) => value.toFixed(1)).join(', ')} |`);
