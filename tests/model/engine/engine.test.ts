/**
 * The engine and its lanes: over an executor whose answers are known, whatever falls over; and whole runs of the demo.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Answer } from '../../../nanoeval/model/engine/sheets.ts';
import { WorkerGone } from '../../../nanoeval/model/engine/workers.ts';
import type { ScoredRow } from '../../../nanoeval/questions.ts';
import { OutsideError } from '../../../nanoeval/types.ts';
import { runHereWith } from '../../in_process.ts';
import { DEMO, ROOT, runWith, temporaryFolder } from '../../spawn.ts';
import { folderWith, tokenizerJson } from '../fixtures.ts';
import { direct, each, gather, manyQuestions, never, open, recorded, underHeader } from '../hash_engine.ts';
import { heldBytes } from '../hash_executor.ts';
import { draws } from '../token_questions.ts';
import { TOY_CONFIG, toyDecoder } from '../toy_decoder.ts';

for (const form of ['tree', 'batched', 'single', 'whole', 'alone', 'naive'] as const) {
  test(`${form}: the answers are those of each input by itself, whatever the lanes and the caches`, async () => {
    const questions = [...manyQuestions(1, 150, 700), ...manyQuestions(2, 50, 40)].map((q, place) => ({ ...q, place }));
    const expected = direct(questions);
    for (const [lanes, cacheBytes] of [
      [1, 0],
      [1, 3000],
      [1, 1e9],
      [3, 0],
      [3, 1e9],
    ] as const) {
      const { engine, executors, rest } = open({ form, lanes, cacheBytes });
      assert.deepEqual(await gather(engine.score(each(questions), never)), expected);
      await rest();
      for (const executor of executors) assert.ok(heldBytes(executor) <= cacheBytes, `${heldBytes(executor)} bytes`);
      await engine.close();
      assert.ok(executors.every(({ closed }) => closed));
    }
  });
}

test('statistics add up', async () => {
  const questions = manyQuestions(6, 90);
  const { engine } = open();
  await gather(engine.score(each(questions), never));
  const inputs = questions.flatMap(({ requests }) => requests.map(({ input }) => input));
  const { tokens_asked, tokens_distinct, tokens_run, tokens_padded, passes, halved_passes } = engine.stats;
  assert.equal(
    tokens_asked,
    inputs.reduce((sum, input) => sum + input.length, 0),
  );
  const prefixes = new Set(inputs.flatMap((input) => Array.from(input, (_, i) => input.slice(0, i + 1).join())));
  assert.equal(tokens_distinct, prefixes.size);
  assert.ok(tokens_run >= tokens_distinct && tokens_run < tokens_asked);
  assert.ok(tokens_padded >= tokens_run && passes > 0);
  assert.equal(halved_passes, 0);
});

// ---------------------------------------------------------------- what falls over

test('a process that ends is replaced, its caches are made again and the answers are complete', async () => {
  const questions = [...underHeader(60, 100), ...manyQuestions(12, 90, 300)].map((q, place) => ({ ...q, place }));
  for (const lanes of [1, 2]) {
    for (const every of [3, 10, 31]) {
      let passes = 0;
      let deaths = 0;
      const before = () => {
        passes += 1;
        if (passes % every !== 0 || deaths === 4) return;
        deaths += 1;
        throw new WorkerGone('SIGKILL');
      };
      const { engine, executors, rest } = open({ lanes, before, cacheBytes: 1e6 });
      assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions), `every ${every}`);
      assert.equal(executors.length, lanes + deaths, 'each death starts one process');
      assert.ok(deaths > 0);
      await rest();
      await engine.close();
      const open_ = executors.filter(({ closed }) => !closed);
      assert.equal(open_.length, deaths, 'those that ended and no other are left unclosed');
    }
  }
});

test('what was kept goes with the process', async () => {
  const questions = underHeader(150);
  const others = manyQuestions(23, 5);
  let dies = false;
  const before = () => {
    if (!dies) return;
    dies = false;
    throw new WorkerGone('SIGKILL');
  };
  const { engine, executors, rest } = open({ before, cacheBytes: 1e6 });
  for (let turn = 0; turn < 3; turn += 1) {
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions));
    await rest();
    assert.equal(executors.at(-1)!.caches.size, 1);
    dies = true;
    assert.deepEqual(await gather(engine.score(each(others), never)), direct(others));
  }
  assert.equal(executors.length, 4);
});

test('a process that ends again and again ends the stream with a reason', async () => {
  const before = () => {
    throw new WorkerGone('SIGKILL');
  };
  const { engine } = open({ before, batchTokens: 1 });
  await assert.rejects(gather(engine.score(each(manyQuestions(5, 100)), never)), OutsideError);
});

test('any other error ends the stream with it, after what was under way', async () => {
  const questions = manyQuestions(14, 200, 700);
  for (const lanes of [1, 3]) {
    let passes = 0;
    const broken = new Error('broken');
    const before = () => {
      passes += 1;
      if (passes === 12) throw broken;
    };
    const { engine, executors, rest } = open({ lanes, before });
    const answers: Answer[] = [];
    await assert.rejects(gather(engine.score(each(questions), never), answers), (error) => error === broken);
    const expected = direct(questions);
    for (const { place, scores } of answers) assert.deepEqual(scores, expected.get(place));
    await rest();
    for (const { caches } of executors) assert.equal(caches.size, 0, 'no cache is left behind');
  }
});

test('an abort ends the stream with its reason after what was under way; nothing more starts', async () => {
  const questions = manyQuestions(15, 400, 700);
  for (const form of ['tree', 'whole', 'naive'] as const) {
    for (const lanes of [1, 2]) {
      const stop = new AbortController();
      const reason = new Error('enough');
      let started = 0;
      let startedAtStop = 0;
      const before = () => {
        started += 1;
      };
      const { engine, executors, rest } = open({ form, lanes, before });
      const answers: Answer[] = [];
      const take = async () => {
        for await (const answer of engine.score(each(questions), stop.signal)) {
          answers.push(answer);
          if (answers.length !== 5) continue;
          startedAtStop = started;
          stop.abort(reason);
        }
      };
      await assert.rejects(take(), (error) => error === reason);
      assert.ok(answers.length >= 5 && answers.length < questions.length, `${answers.length} answers`);
      const expected = direct(questions);
      for (const { place, scores } of answers) assert.deepEqual(scores, expected.get(place));
      await rest();
      assert.ok(started <= startedAtStop + lanes * 30, 'what waited at an executor, with what leads to it');
      for (const { caches } of executors) assert.equal(caches.size, 0, 'no cache is left behind');
    }
  }
  const stopped = AbortSignal.abort(new Error('before it began'));
  const { engine } = open();
  await assert.rejects(gather(engine.score(each(questions), stopped)), /before it began/);
  assert.equal(engine.stats.passes, 0);
});

test('a consumer that goes away leaves nothing under way, and the source is closed', async () => {
  for (const form of ['tree', 'whole', 'naive'] as const) {
    const { engine, executors, rest } = open({ form, lanes: 2 });
    let [read, closed] = [0, false];
    const source = async function* () {
      try {
        for (const question of manyQuestions(16, 1200, 700)) {
          read += 1;
          yield question;
        }
      } finally {
        closed = true;
      }
    };
    let count = 0;
    for await (const _answer of engine.score(source(), never)) {
      count += 1;
      if (count === 7) break;
    }
    const readAtBreak = read;
    await rest();
    for (let i = 0; i < 5000 && !closed; i += 1) await new Promise(setImmediate);
    assert.ok(closed);
    assert.ok(read < 1200 && read <= readAtBreak + 2, `${read} of the source, ${readAtBreak} then`);
    for (const { caches } of executors) assert.equal(caches.size, 0, 'no cache is left behind');
    const questions = manyQuestions(17, 30);
    assert.deepEqual(await gather(engine.score(each(questions), never)), direct(questions), 'and it goes on');
  }
});

test('one stream after the other, of either kind, keeps the same number of calls under way', async () => {
  for (const form of ['tree', 'whole', 'naive'] as const) {
    const { engine, executors } = open({ form });
    for (let turn = 0; turn < 4; turn += 1) {
      const prompts = manyQuestions(20, 5).map(({ place }) => ({
        place,
        ids: [1, 2, 3],
        begin: () => ({ take: () => true, watched: [] }),
      }));
      for await (const { error } of engine.generate(each(prompts), never)) assert.equal(error, null);
      let most = 0;
      for await (const _answer of engine.score(each(manyQuestions(21, 60, 20)), never))
        most = Math.max(most, executors[0]!.underWay);
      // Two calls, what leads to their groups, and caches that are given back.
      assert.ok(most <= 40, `${most} calls in turn ${turn}`);
    }
  }
});

// ---------------------------------------------------------------- windows that the asker cuts, and what is known
// already

for (const form of ['tree', 'batched', 'single', 'whole', 'alone', 'naive'] as const) {
  test(`${form}: what is known is planned and not answered; the rest is computed as in the whole`, async () => {
    const questions = manyQuestions(3, 120, 300).map((one) => ({ ...one, window: Math.floor(one.place / 40) }));
    const whole = await recorded(questions, form);
    assert.deepEqual(whole.answers, direct(questions));
    const random = draws(5);
    for (const share of [0.3, 0.95, 1]) {
      const some = questions.map((one) => (random.chance(share) ? { ...one, done: true } : one));
      const left = await recorded(some, form);
      const open = some.filter((one) => !('done' in one)).map(({ place }) => place);
      assert.deepEqual([...left.answers.keys()], open);
      for (const place of open) assert.deepEqual(left.answers.get(place), whole.answers.get(place));
      for (const pass of left.passes) assert.ok(whole.passes.includes(pass), 'a pass that the whole has not');
      assert.ok(left.passes.length < whole.passes.length);
      if (share === 1) assert.equal(left.passes.length, 0);
    }
  });
}

// ---------------------------------------------------------------- whole runs of the demo

const folder = temporaryFolder('engine');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const DATA = 'nanoeval/demo/data/hellaswag';

const yamlOf = (name: string, engine = '', rows = 24, path = DATA) =>
  `task: hellaswag
model: { model_id: ${DEMO} }
engine: { threads_per_worker: 1${engine} }
dataset: { path: ${path}, subset_size: ${rows} }
report: { output_dir: ${at(name, 'run')}, save_plot: false }
`;

async function rowsOf(name: string, ...rest: [engine?: string, rows?: number, path?: string]): Promise<string> {
  const { code, stderr } = await runHereWith('run_hellaswag', at(name), yamlOf(name, ...rest));
  assert.equal(code, 0, stderr);
  return readFileSync(at(name, 'run/predictions.jsonl'), 'utf8');
}

const parsed = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ScoredRow);

function checkClose(found: ScoredRow[], expected: ScoredRow[]): void {
  assert.equal(found.length, expected.length);
  for (const [i, row] of found.entries()) {
    const other = expected[i]!;
    assert.deepEqual(
      [row.prediction, row.correct, row.gold],
      [other.prediction, other.correct, other.gold],
      `row ${i}`,
    );
    assert.equal(row.prompt_sha256, other.prompt_sha256);
    for (const [c, choice] of row.choices!.entries()) {
      const off = Math.abs(choice.logprob - other.choices![c]!.logprob);
      assert.ok(off <= 1e-4, `row ${i}, choice ${c}: ${off}`);
      assert.equal(choice.is_greedy, other.choices![c]!.is_greedy);
    }
  }
}

test('workers and kept caches change no byte; the plain path, batches and the order of rows no verdict', async () => {
  const [one, two] = await Promise.all([rowsOf('one', ', workers: 1, kv_cache_mb: 0'), rowsOf('two', ', workers: 2')]);
  assert.equal(two, one);
  const lines = readFileSync(join(ROOT, DATA, 'validation.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .slice(0, 24);
  writeFileSync(at('reversed.jsonl'), lines.toReversed().join('\n'));
  const reversed = await rowsOf('reversed', '', 24, at('reversed.jsonl'));
  checkClose(parsed(reversed).reverse(), parsed(one));
  const texts = await Promise.all([rowsOf('naive', ', mode: naive'), rowsOf('small', ', batch_tokens: 64')]);
  texts.push(await rowsOf('large', ', batch_tokens: 2000'));
  for (const text of texts) checkClose(parsed(text), parsed(one));
});

test('rows of a run that was interrupted are those of the whole run', async () => {
  const whole = new Set((await rowsOf('whole', '', 200)).trimEnd().split('\n'));
  assert.equal(whole.size, 200);
  const path = at('broken/run/predictions.jsonl');
  mkdirSync(at('broken'));
  const hook = { NANOEVAL_TEST_KILL: 'row:4:SIGINT' };
  const broken = runWith('run_hellaswag', at('broken'), yamlOf('broken', ', workers: 2', 200), hook);
  const { code, stderr } = await broken.finished;
  assert.equal(code, 130, stderr);
  const text = readFileSync(path, 'utf8');
  assert.ok(text.endsWith('\n'));
  const lines = text.trimEnd().split('\n');
  assert.ok(lines.length >= 4 && lines.length < 200, `${lines.length} rows`);
  for (const line of lines) assert.ok(whole.has(line), line);
  assert.equal(new Set(lines).size, lines.length);
});

test('a graph without a cache: four letters by one pass; the summary says the form and what its logits are', async (t) => {
  const model_id = folderWith(t, {
    'config.json': { ...TOY_CONFIG, max_position_embeddings: 512 },
    'tokenizer.json': tokenizerJson(),
    'tokenizer_config.json': { bos_token: '<s>', eos_token: '</s>' },
    'onnx/model.onnx': toyDecoder({ vocab: 320, cache: null, logits: 'float16' }),
  });
  const rows = [0, 1, 2].map((i) => ({
    question: `What is ${i}?`,
    choices: ['a', 'b', 'c', 'd'],
    answer: i,
    subject: 'x',
  }));
  const summaries = [];
  for (const mode of ['auto', 'naive']) {
    const output_dir = at(`cacheless_${mode}`);
    const keys = {
      task: 'mmlu',
      model: { model_id, chat_template: false },
      dataset: { rows },
      scoring: { num_fewshot: 0 },
      engine: { mode, workers: 1 },
      report: { output_dir, save_plot: false },
    };
    const { code, stderr } = await runHereWith('run_mmlu', at(mode), JSON.stringify(keys));
    assert.equal(code, 0, stderr);
    const { engine } = JSON.parse(readFileSync(join(output_dir, 'summary.json'), 'utf8'));
    const logits = engine.remarks.filter((remark: string) => /^the graph gives its logits in float16/.test(remark));
    assert.equal(logits.length, 1, engine.remarks.join('; '));
    assert.ok(stderr.includes(logits[0]));
    summaries.push([engine.form, engine.passes]);
  }
  assert.deepEqual(summaries, [
    ['whole', 3],
    ['naive', 12],
  ]);
  const [whole, naive] = ['auto', 'naive'].map((mode) =>
    parsed(readFileSync(at(`cacheless_${mode}/predictions.jsonl`), 'utf8')),
  );
  checkClose(whole!, naive!);
});
