/** The last table of a suite that names a gate: later checkpoints beside the first one, through the real program, over fake servers. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { runHereWith } from '../in_process.ts';
import { answer, answerTo, type Fake, fakeServer, rendered } from '../model/server/fake_server.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('verdicts');
after(folder.remove);

const ROWS = 60;
const prompts = Array.from({ length: ROWS }, (_, i) => `row ${i}`);
const rows = prompts.map((prompt) => ({ prompt, target: answerTo(JSON.stringify(prompt)).trim() }));

/** A server that is wrong in every `nth` of its answers. */
async function server(t: TestContext, kind: 'vllm' | 'llama.cpp', nth: number): Promise<Fake> {
  return fakeServer(t, {
    kind,
    fault: ({ path, body }, response) => {
      const row = /row (\d+)/.exec(body?.messages?.[0]?.content ?? '');
      if (path !== '/v1/chat/completions' || row === null || Number(row[1]) % nth !== 0) return undefined;
      const choices = [{ message: { content: 'wrong' }, finish_reason: 'stop' }];
      answer(response, 200, { model: 'toy', choices, usage: { prompt_tokens: 1, completion_tokens: 1 } });
      return true;
    },
  });
}

let count = 0;
async function suite(models: object[], more: object = { gate: { max_drop: 0.02 } }, others: object[] = []) {
  count += 1;
  const place = join(folder.path, `${count}`);
  const task = { task: 'rollout', dataset: { rows }, scoring: { max_new_tokens: 16 }, report: { save_plot: false } };
  const config = {
    suite: { name: 's', output_root: join(place, 'out') },
    model: { model_id: 'toy', chat_template: true },
    run: { check_rows: 0 },
    models,
    tasks: [task, ...others],
    ...more,
  };
  const finished = await runHereWith('suite', place, JSON.stringify(config));
  const file = (name: string) => readFileSync(join(place, 'out', name), 'utf8');
  return { ...finished, file };
}
const of = (name: string, { url, options }: Fake) => ({
  name,
  backend: options.kind === 'vllm' ? 'vllm' : 'llama_cpp',
  base_url: url,
});

test('each later checkpoint has its verdicts, the exit code is that of the worst; a chat’s rows pair over two kinds of server', async (t) => {
  const [full, same, bad] = [
    await server(t, 'vllm', 61),
    await server(t, 'llama.cpp', 61),
    await server(t, 'llama.cpp', 3),
  ];
  const models = [of('full', full), of('same', same), of('q4', bad)];
  const { code, stdout, stderr, file } = await suite(models);
  assert.equal(code, 1, stderr);
  const last = stdout.slice(stdout.indexOf('same against full'));
  assert.match(last, /^same against full\n\n.*\n.*\n\| HELD +\| rollout +\| acc/);
  assert.match(last, /\nq4 against full\n\n.*\n.*\n\| REGRESSED +\| rollout +\| acc/);
  assert.match(stderr, /^same against full: HELD$/m);
  assert.match(stderr, /^q4 against full: REGRESSED$/m);
  const { reference, checkpoints } = JSON.parse(file('verdicts.json'));
  assert.equal(reference, 'full');
  const of_ = checkpoints.map((one: { model: string; result: { verdict: string; exit_code: number } }) => [
    one.model,
    one.result.verdict,
    one.result.exit_code,
  ]);
  assert.deepEqual(of_, [
    ['same', 'HELD', 0],
    ['q4', 'REGRESSED', 1],
  ]);
  assert.match(file('verdicts.md'), /^## HELD[\s\S]*\n## REGRESSED/);
  const saved = file('same/rollout/predictions.jsonl').split('\n', 1)[0]!;
  assert.ok(rendered([{ role: 'user', content: 'row 0' }]).length > 0 && JSON.parse(saved).prompt_sha256.length === 64);
  const quiet = await suite(models.slice(0, 2), {});
  assert.equal(quiet.code, 0, quiet.stderr);
  assert.doesNotMatch(quiet.stdout, /against full/);
});

test('a metric that is not there has its line in the file; a checkpoint without a whole task is not compared', async (t) => {
  const [full, same] = [await server(t, 'vllm', 61), await server(t, 'llama.cpp', 61)];
  const wrong = await suite([of('full', full), of('same', same)], { gate: { metrics: ['accuracy'] } });
  assert.equal(wrong.code, 2, wrong.stderr);
  assert.match(wrong.stderr.trimEnd().split('\n').at(-1)!, /suite\.yaml:1:\d+: gate\.metrics.*accuracy/);
  await same.close();
  const alone = await suite([of('full', full), of('gone', same)]);
  assert.equal(alone.code, 1, alone.stderr);
  assert.match(alone.stderr, /^gone against full: no task is whole both here and of full: nothing is compared$/m);
  assert.deepEqual(JSON.parse(alone.file('verdicts.json')).checkpoints, [
    {
      model: 'gone',
      result: null,
      reason: 'no task is whole both here and of full: nothing is compared',
      left_out: ['rollout'],
    },
  ]);
  assert.match(alone.file('verdicts.md'), /^## Not compared\n\ngone against full: no task is whole/);
});

test('a task that failed is named, and the others are compared; a gate that names it stops no other checkpoint', async (t) => {
  const full = await server(t, 'vllm', 61);
  const failing = await fakeServer(t, {
    kind: 'vllm',
    fault: ({ path, body }, response) => {
      const isLate = /late/.test(body?.messages?.[0]?.content ?? '');
      if (path !== '/v1/chat/completions' || !isLate) return undefined;
      answer(response, 400, { error: { message: 'no' } });
      return true;
    },
  });
  const late = { task: 'rollout', name: 'late', dataset: { rows: [{ prompt: 'late', target: 'x' }] } };
  const models = [of('full', full), of('partly', failing), of('same', full)];
  const more = { gate: { max_drop: 0.02 } };
  const one = await suite(models, more, [late]);
  assert.equal(one.code, 1, one.stderr);
  assert.match(one.stderr, /^partly: nothing is said of late: not whole both here and of full$/m);
  assert.match(one.stderr, /^partly against full: UNDERPOWERED$/m);
  assert.match(one.file('verdicts.md'), /nothing is said of late/);
  const named = await suite(models, { gate: { max_drop: { 'rollout.acc': 0.02, 'late.acc': 0.02 } } }, [late]);
  assert.equal(named.code, 1, named.stderr);
  assert.match(named.stderr, /^partly against full: "late\.acc" is not a metric of both runs\./m);
  assert.match(named.stderr, /^same against full: (HELD|UNDERPOWERED)$/m);
});
