/** A run from its config to its files, over models that answer from a table: late, out of order, or not at all. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openPart } from '../../nanoeval/page/tokens.ts';
import type { Ask, GenerateAsk, LoglikelihoodAsk, Prediction, ScoredRow } from '../../nanoeval/questions.ts';
import { CompanionReader, readCompanion } from '../../nanoeval/run/companion_file.ts';
import { compareRuns, comparisonMarkdown } from '../../nanoeval/run/comparison.ts';
import type { JournalRow } from '../../nanoeval/run/journal.ts';
import type { Models } from '../../nanoeval/run/models.ts';
import { runTask } from '../../nanoeval/run/run.ts';
import { task as hellaswagTask } from '../../nanoeval/run_hellaswag.ts';
import type { Task } from '../../nanoeval/task.ts';
import { Interrupted, OutsideError, RowError, UserError } from '../../nanoeval/types.ts';
import {
  type Canned,
  type CannedModel,
  cannedModel,
  cannedModels,
  ranked,
  renderMessages,
  rolled,
  said,
} from '../canned_model.ts';
import { runHereWith } from '../in_process.ts';
import { DEMO, ROOT, temporaryFolder } from '../spawn.ts';
import { openSaid, type ToyConfig, toyConfig, toyRows, toyTask, upTo } from './toy.ts';

const folder = temporaryFolder('run');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const readRows = (path: string) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as JournalRow);
const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

// ---------------------------------------------------------------- the seam: any model, any task

let runs = 0;

/** One run of a toy task in this process, over `rows` rows. */
async function run(
  model: CannedModel,
  {
    name,
    sections = {},
    task = toyTask(),
    rows = 300,
    signal = new AbortController().signal,
  }: {
    name?: string;
    sections?: Record<string, object>;
    task?: Task<ToyConfig>;
    rows?: number;
    signal?: AbortSignal;
  } = {},
) {
  runs += 1;
  const output_dir = at(name ?? `seam${runs}`);
  const config = toyConfig({
    ...sections,
    dataset: { rows: toyRows(rows), ...sections.dataset },
    run: { check_rows: 0, ...sections.run },
    report: { output_dir, save_plot: false, ...sections.report },
  });
  const { log, said: lines, notes } = openSaid();
  const result = await runTask(task, config, cannedModels(model), log, signal);
  const file = (one: string) => join(output_dir, one);
  // A run of no rows has no such file.
  const path = file('predictions.jsonl');
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return { result, lines, notes, text, stored: text === '' ? [] : readRows(path), file };
}

/** Late and out of order, as a server would answer. */
const late = (given: Canned = {}): CannedModel => {
  let state = 7;
  const delay = () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state % 9;
  };
  return cannedModel({ concurrency: 8, delay, ...given });
};
/** Rows of these texts fail. */
const failing = (texts: ReadonlySet<string>, given: Canned = {}): CannedModel =>
  late({
    ...given,
    reply: (ask, context) =>
      texts.has(context) ? new RowError('nan', `broken logits of ${context}`) : ranked(ask, context),
  });

test('verdicts that need more than the row: looked for before the model, several at a time, and named in the files', async () => {
  const model = () => late();
  const refusing = toyTask({ scorer: () => Promise.reject(new UserError('not allowed.', { key: 'sandbox.enabled' })) });
  const closed = late();
  await assert.rejects(run(closed, { task: refusing }), { key: 'sandbox.enabled' });
  // Predictions alone need none.
  await run(model(), { task: refusing, rows: 4, sections: { run: { score: false } } });
  let [under, most] = [0, 0];
  const slow = (about: string) => {
    const { score } = toyTask();
    return toyTask({
      scorer: async () => ({ about, atOnce: 3 }),
      async score(row, recipe, config) {
        under += 1;
        most = Math.max(most, under);
        assert.equal(config?.task, 'toy');
        await new Promise(setImmediate);
        under -= 1;
        return score(row, recipe);
      },
    });
  };
  const { stored, lines, file } = await run(model(), { task: slow('made with a'), name: 'scorer' });
  assert.equal(most, 3);
  assert.ok(lines.includes('toy: made with a'), lines.join());
  const plain = await run(model());
  assert.deepEqual(stored, plain.stored);
  const readScored = () => [readJson(file('run.json')).scored_with, readJson(file('summary.json')).scored_with];
  assert.deepEqual(readScored(), [['made with a'], ['made with a']]);
  assert.equal('scored_with' in readJson(plain.file('run.json')), false);
  // Cut short and ended elsewhere: both are named, and it is the same run.
  writeFileSync(
    file('predictions.jsonl'),
    readFileSync(file('predictions.jsonl'), 'utf8').split('\n').slice(0, 9).join('\n'),
  );
  const again = await run(model(), { task: slow('made with b'), name: 'scorer' });
  assert.deepEqual(again.stored, plain.stored);
  assert.deepEqual(readScored(), [
    ['made with a', 'made with b'],
    ['made with a', 'made with b'],
  ]);
});

test('answers late and out of order, some rows failing: every row is stored, in order, failures with their cause', async () => {
  const broken = new Set(['Q5', 'Q130', 'Q131']);
  const model = failing(broken);
  const { result, stored, file, notes } = await run(model, { sections: { run: { max_failed: 0.1 } } });
  assert.deepEqual(
    stored.map(({ index }) => index),
    upTo(300),
  );
  assert.deepEqual(
    stored.filter((row) => 'error' in row),
    [5, 130, 131].map((index) => ({
      task: 'toy',
      id: `id${index}`,
      index,
      error: { kind: 'nan', message: `broken logits of Q${index}` },
    })),
  );
  for (const row of stored as ScoredRow[]) {
    if ('error' in row) continue;
    // A nat a character: the shorter choice wins, and of each four rows two have it first.
    const { index } = row;
    assert.deepEqual(
      row.choices?.map(({ logprob }) => logprob),
      index % 4 < 2 ? [-2, -7] : [-7, -2],
    );
    assert.equal(row.prediction, index % 4 < 2 ? 0 : 1);
    assert.equal(row.correct, (index % 4 < 2 ? 0 : 1) === index % 2 ? 1 : 0);
    assert.deepEqual([row.id, row.subject, row.gold], [`id${index}`, 'abc'[index % 3], index % 2]);
  }
  const { health, status, metrics } = result.summary;
  assert.deepEqual(health, { rows: 300, questions: 297, failed: 3, unparsed: 0, truncated: 0, empty: 0 });
  assert.equal(status, 'complete');
  // Right are rows 0 and 3 of each four, less none of those that failed but 131 (3 of its four).
  assert.deepEqual([metrics.acc?.n, metrics.acc?.value], [297, 149 / 297]);
  assert.equal(notes.at(-1), 'acc 0.502');
  assert.deepEqual(readJson(file('summary.json')).metrics, JSON.parse(JSON.stringify(metrics)));
  assert.equal(model.asked.length, 300);
});

test('run again, only the rows that failed are asked again, and mended in their places; then nothing is', async () => {
  const broken = new Set(['Q5', 'Q130', 'Q131']);
  const options = { name: 'tried_again', sections: { run: { max_failed: 0.1 } } };
  const first = await run(failing(broken), options);
  const asked = (model: CannedModel) =>
    model.asked.filter(({ done }) => !done).map(({ content }) => (content as LoglikelihoodAsk).prompt);
  // Two of them fail again.
  const second = failing(new Set(['Q130', 'Q131']));
  const half = await run(second, options);
  assert.deepEqual(asked(second), ['Q5', 'Q130', 'Q131']);
  assert.match(half.lines.join('\n'), /toy: going on after 297 rows, 3 that failed are tried again/);
  const lines = first.text.split('\n');
  const mended = half.text.split('\n');
  assert.deepEqual(
    mended.flatMap((line, i) => (line === lines[i] ? [] : [i])),
    [5],
  );
  const third = late();
  const whole = await run(third, options);
  assert.deepEqual(asked(third), ['Q130', 'Q131']);
  const never = await run(late(), { name: 'never_failed', sections: { run: { max_failed: 0.1 } } });
  assert.equal(whole.text, never.text);
  assert.deepEqual(whole.result.scores, never.result.scores);
  const last = late();
  assert.match((await run(last, options)).lines.join('\n'), /^toy: done, 300 rows/);
  assert.deepEqual(last.asked, []);
});

test('a run that is stopped goes on from its rows to the same file, byte for byte', async () => {
  const whole = await run(late());
  const strategies = { rank_ll: {}, gen_letter: { temperature: 1, samples_per_prompt: 2, seeds: [3, 4] } };
  for (const [strategy, scoring] of Object.entries(strategies)) {
    const reply = (ask: Ask, context: string) =>
      ask.verb === 'generate_until' ? said(ask.sampling!.stream, context) : ranked(ask, context);
    const options = { sections: { scoring: { strategy, ...scoring }, report: { save_prompts: true } } };
    const wanted = strategy === 'rank_ll' ? whole : await run(late({ reply }), options);
    const name = `stopped_${strategy}`;
    const part = strategy === 'rank_ll' ? {} : options;
    let before = 0;
    for (const after of [1, 100, 120]) {
      const stop = new AbortController();
      let answers = 0;
      const model = late({
        reply: (ask, context) => {
          answers += 1;
          if (answers === after) stop.abort(new Interrupted());
          return reply(ask, context);
        },
      });
      await assert.rejects(run(model, { ...part, name, signal: stop.signal }), Interrupted);
      const rows = readRows(at(name, 'predictions.jsonl'));
      assert.ok(
        rows.length >= before + after && rows.length < wanted.stored.length,
        `${rows.length} rows after ${after}`,
      );
      before = rows.length;
      assert.ok(!existsSync(at(name, 'summary.json')) && !existsSync(at(name, 'run.lock')));
    }
    const { text, result } = await run(late({ reply }), { ...part, name });
    assert.equal(text, wanted.text);
    assert.deepEqual(result.scores, wanted.result.scores);
    assert.deepEqual(result.summary.metrics, wanted.result.summary.metrics);
  }
});

test('report.page keeps what each answered row was asked, and leaves the rows as they are without it', async () => {
  const bare = await run(failing(new Set(['Q7'])), { sections: { run: { max_failed: 1 } }, rows: 40 });
  const sections = { report: { page: true }, run: { max_failed: 1 } };
  const { text, result, file } = await run(failing(new Set(['Q7'])), { name: 'paged', sections, rows: 40 });
  assert.equal(text, bare.text);
  const { rows, shared } = await readCompanion(file('page.jsonl'));
  const indices = Array.from({ length: 40 }, (_, i) => String(i)).filter((index) => index !== '7');
  assert.deepEqual([...rows.keys()].sort(), indices.sort());
  const reader = new CompanionReader(file('page.jsonl'));
  const { prompts, choices } = reader.row(rows.get('3')!);
  reader.close();
  const texts = choices!.map((one) => openPart(one, shared).text);
  assert.deepEqual([openPart(prompts[0]!, shared).text, texts], ['Q3', [' longer', ' x']]);
  const names = ['report.html', 'page.jsonl'].map(file);
  assert.deepEqual(
    result.files.filter((one) => names.includes(one)),
    names,
  );
  // Mended rows get theirs, and a page that was removed is made again.
  const mended = await run(late(), { name: 'paged', sections, rows: 40 });
  assert.equal((await readCompanion(mended.file('page.jsonl'))).rows.size, 40);
  rmSync(mended.file('report.html'));
  await run(late(), { name: 'paged', sections, rows: 40 });
  assert.deepEqual(
    [readRows(mended.file('predictions.jsonl')).length, existsSync(mended.file('report.html'))],
    [40, true],
  );
});

test('run.live serves the rows so far while the run is under way, and is gone with it', async () => {
  let address = '';
  const seen: { index: number[]; total: number }[] = [];
  const model = late({
    reply: async (ask, context) => {
      if (context === 'Q39') seen.push((await (await fetch(`${address}rows?from=0`)).json()) as (typeof seen)[number]);
      return ranked(ask, context);
    },
  });
  const config = toyConfig({
    dataset: { rows: toyRows(40) },
    run: { check_rows: 0, live: true },
    report: { output_dir: at('live'), save_plot: false },
  });
  const { log, said: lines } = openSaid();
  const own = {
    ...log,
    info: (line: string) => {
      address = /^live: (http:\S+)$/.exec(line)?.[1] ?? address;
      log.info(line);
    },
  };
  await runTask(toyTask(), config, cannedModels(model), own, new AbortController().signal);
  assert.match(address, /^http:\/\/127\.0\.0\.1:\d+\/[\w-]{24}\/$/, lines.join('\n'));
  assert.ok(seen[0]!.index.length > 10 && seen[0]!.index.length < 40 && seen[0]!.total === 40, JSON.stringify(seen));
  await assert.rejects(fetch(address), /fetch failed/);
});

test('chat: conversations are rendered by the model, and what it rendered is what is kept', async () => {
  const sections = {
    model: { chat_template: true },
    scoring: { strategy: 'gen_letter' },
    report: { save_prompts: true },
  };
  const model = late({ reply: (_, context) => said(String(context.length % 2), context) });
  const { stored, result } = await run(model, { sections, rows: 20 });
  assert.deepEqual((model.asked[3]!.content as GenerateAsk).prompt, [{ role: 'user', content: 'Q3' }]);
  for (const row of stored as ScoredRow[]) {
    const context = renderMessages([{ role: 'user', content: `Q${row.index}` }]);
    assert.equal(row.prompt, context);
    assert.equal(row.prompt_sha256, createHash('sha256').update(context).digest('hex'));
    assert.deepEqual([row.output, row.prediction], [String(context.length % 2), row.output]);
  }
  assert.deepEqual([result.summary.recipe.chat_template, result.summary.recipe.strategy], [true, 'gen_letter']);
  // A model that sees is spoken to by default.
  const vlm = late({ is_vlm: true });
  await run(vlm, { rows: 1 });
  assert.deepEqual((vlm.asked[0]!.content as LoglikelihoodAsk).prompt, [{ role: 'user', content: 'Q0' }]);
});

test('answers as texts: read, unread and empty ones are told apart', async () => {
  const answers = ['0', '1', '', ' ', 'x'];
  const model = late({ reply: (_, context) => said(answers[Number(context.slice(1)) % 5]!, context) });
  const { stored, result } = await run(model, { sections: { scoring: { strategy: 'gen_letter' } }, rows: 50 });
  const { health, metrics, primary } = result.summary;
  // A fifth is '' (unread and empty), a fifth ' ' (empty, and read as it is).
  assert.deepEqual(health, { rows: 50, questions: 50, failed: 0, unparsed: 10, truncated: 0, empty: 20 });
  // '0' is right in even rows: 0, 10, ...; '1' in odd ones: 1, 11, ...
  assert.deepEqual([metrics.acc?.value, metrics.acc?.n], [10 / 50, 50]);
  assert.deepEqual(primary, { name: 'acc', unit: 'share', better: 'higher', chance: 0.5 });
  assert.deepEqual(
    (stored as ScoredRow[]).slice(0, 5).map(({ prediction }) => prediction),
    ['0', '1', null, ' ', 'x'],
  );
});

test('whole texts, from the question to the table: nats, lower is better', async () => {
  const texts = ['one', 'one two', 'one two three', 'a b c d e f'];
  const rows = texts.map((text, n) => ({ n, text, subject: 'a', gold: null }));
  const model = late({
    reply: (ask) => (ask.verb === 'loglikelihood_rolling' ? rolled(ask.text) : assert.fail(ask.verb)),
  });
  const { stored, result, notes, file } = await run(model, {
    sections: { dataset: { rows }, scoring: { strategy: 'rolling_ll' }, run: { check_rows: 2 } },
  });
  assert.deepEqual(
    (stored as ScoredRow[]).map(({ logprob, num_tokens, num_windows, metrics, gold }) => [
      logprob,
      num_tokens,
      num_windows,
      metrics.nats,
      gold,
    ]),
    [
      [-1, 1, 1, 1, null],
      [-2, 2, 1, 2, null],
      [-3, 3, 1, 3, null],
      [-6, 6, 1, 6, null],
    ],
  );
  const { primary, metrics, health, determinism } = result.summary;
  assert.deepEqual(primary, { name: 'nats', unit: 'number', better: 'lower', chance: null });
  assert.deepEqual([metrics.nats?.value, metrics.nats?.n], [3, 4]);
  assert.deepEqual([health.unparsed, health.failed], [0, 0]);
  // Four texts are too few to ask one of them again; of twenty-five a tenth is.
  assert.equal(determinism, null);
  const many = { scoring: { strategy: 'rolling_ll' }, run: { check_rows: 4 } };
  const again = await run(late(), { sections: many, rows: 25 });
  assert.deepEqual(again.result.summary.determinism, { rows: 2, largest_difference: 0, flips: 0, flipped: [] });
  // The mean of rows is no perplexity: the progress line says what it is.
  assert.match(notes.at(-1)!, /^nats 3\.000 \(mean of the rows so far\)$/);
  assert.match(readFileSync(file('metrics.csv'), 'utf8'), /^label,metric,value,stderr,n\nall,nats,3,/);
});

test('tokens are counted by the model, which takes its time: a task waits for it', async () => {
  const counted: number[] = [];
  const task = toyTask({
    async *examples({ rows, countTokens, maxLength }) {
      for await (const { index, row } of rows(['text'])) {
        const prompt = `${row.text} and some words`;
        counted.push(await countTokens(prompt));
        const choices = [{ text: 'x', continuation: ' x' }];
        yield {
          id: String(index),
          index,
          gold: 0,
          ask: { verb: 'loglikelihood', prompt: `${prompt} ${maxLength}`, choices },
        };
      }
    },
  });
  const model = late({ max_length: 44 });
  const { stored } = await run(model, { task, rows: 5 });
  assert.deepEqual(counted, [4, 4, 4, 4, 4]);
  assert.deepEqual((stored[2] as Prediction).num_context_tokens, 5);
  assert.equal((model.asked[2]!.content as LoglikelihoodAsk).prompt, 'Q2 and some words 44');
});

test('two models of one label and other hashes are two in a comparison, and do not go on from each other', async () => {
  // The other one is always right.
  const right = (ask: Ask, context: string) => {
    const reply = ranked(ask, context);
    const gold = Number(context.slice(1)) % 2;
    return { ...reply, choices: reply.choices.map((one, i) => ({ ...one, logprob: i === gold ? -1 : -2 })) };
  };
  const one = await run(late({ sha256: 'a'.repeat(64) }), { name: 'label', rows: 8 });
  const two = await run(late({ sha256: 'b'.repeat(64), reply: right }), { rows: 8 });
  const [table, ...more] = compareRuns([one, two].map(({ result }) => ({ name: 'toy', summary: result.summary })));
  assert.deepEqual([table!.models, more], [['canned @aaaaaaa', 'canned @bbbbbbb'], []]);
  assert.deepEqual(
    table!.cells.map(({ model, estimate }) => [model, estimate?.value]),
    [
      ['canned @aaaaaaa', 0.5],
      ['canned @bbbbbbb', 1],
    ],
  );
  assert.match(comparisonMarkdown([table!]), /^\| canned @bbbbbbb \| \*\*1\.0000 /m);
  // A model that its backend describes otherwise is another run.
  const other = late();
  const changed = { ...other, identity: { ...other.identity, source: { table: 'canned', version: 2 } } };
  await assert.rejects(run(changed, { name: 'label', rows: 8 }), (error) => {
    assert.ok(error instanceof UserError && error.key === 'report.output_dir', String(error));
    assert.match(error.message, /model\.version: 1 there, 2 now/);
    return true;
  });
});

/** The likeliest choice becomes the least likely one. */
function invert(reply: ReturnType<typeof ranked>): ReturnType<typeof ranked> {
  return { ...reply, choices: reply.choices.map((one) => ({ ...one, logprob: -10 - one.logprob })) };
}

test('a model that cannot be asked this way is refused before it is loaded and before a row is made', async () => {
  const task = (over: Partial<Task<ToyConfig>> = {}) =>
    toyTask({
      // biome-ignore lint/correctness/useYield: no example is ever made
      async *examples() {
        assert.fail('a row was read');
      },
      ...over,
    });
  const refusals: [canned: Canned, sections: Record<string, object>, over: Partial<Task<ToyConfig>>, key: string][] = [
    [{ can: { verbs: ['generate_until'] } }, {}, {}, 'scoring.strategy'],
    [{ can: { images: false } }, {}, { images: true }, 'model.model_id'],
    [{ can: { chat: false } }, { model: { chat_template: true } }, {}, 'model.chat_template'],
    [{ can: { chat: false }, is_vlm: true }, {}, {}, 'model.chat_template'],
  ];
  for (const [canned, sections, over, key] of refusals) {
    const model = cannedModel(canned);
    const config = toyConfig({
      ...sections,
      dataset: { rows: toyRows(3) },
      report: { output_dir: at('refused'), save_plot: false },
    });
    const models: Models = { ...cannedModels(model), open: () => assert.fail('it was loaded') };
    const { log } = openSaid();
    await assert.rejects(
      runTask(task(over), config, models, log, new AbortController().signal),
      (error) => error instanceof UserError && error.key === key,
    );
    assert.deepEqual(model.asked, []);
    assert.ok(!existsSync(at('refused/predictions.jsonl')) && !existsSync(at('refused/run.lock')));
  }
});

test('some rows are asked again at the end, by themselves: a model that says otherwise is found out', async () => {
  const moody = () => {
    const seen = new Map<string, number>();
    return late({
      reply: (ask, context) => {
        seen.set(context, (seen.get(context) ?? 0) + 1);
        const reply = ranked(ask, context);
        return seen.get(context) === 1 ? reply : invert(reply);
      },
    });
  };
  const steady = await run(late(), { rows: 30, sections: { run: { check_rows: 4 } } });
  assert.deepEqual(steady.result.summary.determinism, { rows: 4, largest_difference: 0, flips: 0, flipped: [] });
  const model = moody();
  const { result } = await run(model, { rows: 30, sections: { run: { check_rows: 4 } } });
  // python3.11: sorted(random.Random(0).sample(range(30), 4))
  const flipped = ['id12', 'id24', 'id27', 'id28'];
  // -2 becomes -8 and -7 becomes -3.
  assert.deepEqual(result.summary.determinism, { rows: 4, largest_difference: 6, flips: 4, flipped });
  const again = model.asked.slice(30);
  assert.deepEqual(
    again.map(({ window, content }) => [window, (content as LoglikelihoodAsk).prompt]),
    [12, 24, 27, 28].map((index, i) => [i, `Q${index}`]),
  );
  assert.equal((await run(late(), { rows: 3 })).result.summary.determinism, null);
  // Of several seeds the first one's rows, every sample.
  const seeds = await run(late({ reply: (ask, context) => said((ask as GenerateAsk).sampling!.stream, context) }), {
    rows: 30,
    sections: {
      scoring: { strategy: 'gen_letter', temperature: 1, seeds: [7, 8], samples_per_prompt: 3 },
      run: { check_rows: 2 },
    },
  });
  assert.deepEqual(seeds.result.summary.determinism, {
    rows: 6,
    largest_difference: null,
    flips: 0,
    flipped: [],
    tokens: 6,
    tokens_apart: 0,
  });
});

test('rows that failed are not asked again at the end', async () => {
  const model = failing(
    new Set(
      upTo(30)
        .filter((i) => i % 10 !== 0)
        .map((i) => `Q${i}`),
    ),
  );
  const { result } = await run(model, { rows: 30, sections: { run: { check_rows: 9, max_failed: 1 } } });
  assert.equal(result.summary.determinism?.rows, 3);
  assert.equal(model.asked.length, 33);
});

test('subjects of a run: the rows of those that were asked for, and their groups', async () => {
  const model = late();
  const { stored, result } = await run(model, {
    rows: 30,
    sections: { dataset: { subjects: ['c', 'a'], sample: 20 }, run: { shard: '2/2' } },
    task: toyTask(),
  });
  // python3.11: sorted(random.Random(123).sample(range(30), 20)), those that leave 0 or 2 by 3, and of 14 the last 7.
  assert.deepEqual(
    stored.map(({ index }) => index),
    [18, 20, 23, 24, 26, 27, 29],
  );
  assert.deepEqual(Object.keys(result.summary.subjects).sort(), ['a', 'c']);
});

test('seeds that cannot change anything are said to be idle', async () => {
  const { lines, result } = await run(late(), { rows: 2, sections: { scoring: { seeds: [1, 2] } } });
  const idle = 'scoring.seeds: log-likelihoods over all rows do not depend on a seed: every seed gives the same rows';
  assert.ok(lines.includes(idle), lines.join('\n'));
  assert.deepEqual(result.summary.notes, [idle]);
  assert.deepEqual(result.summary.by_seed, { 1: { acc: 0.5, acc_macro: 0.5 }, 2: { acc: 0.5, acc_macro: 0.5 } });
});

test('an answer that no token can end is said before the first row, where answers are generated', async () => {
  const scoring = { strategy: 'gen_letter' };
  const said = async (can: object, sections = {}) => {
    const { lines, result } = await run(late({ can }), { rows: 2, sections });
    return { line: lines.find((line) => /ends an answer/.test(line)), notes: result.summary.notes };
  };
  const { line, notes } = await said({ ends: false }, { scoring });
  assert.equal(
    line,
    'canned: no config names a token that ends an answer (eos_token_id in generation_config.json or config.json, eos_token in tokenizer_config.json): an answer ends at "\\n", or after 7 tokens',
  );
  assert.deepEqual(notes, [line]);
  for (const none of [said({ ends: true }, { scoring }), said({}, { scoring }), said({ ends: false })])
    assert.deepEqual(await none, { line: undefined, notes: undefined });
});

test('no row at all is an error, but for an empty shard', async () => {
  await assert.rejects(
    run(late(), { rows: 1, sections: { dataset: { subjects: 'c' } } }),
    (error) => error instanceof UserError && error.key === 'dataset' && /no rows were selected/.test(error.message),
  );
  const sections = { run: { shard: '1/2' } };
  const { result, text } = await run(late(), { rows: 1, name: 'empty_shard', sections });
  assert.deepEqual([text, result.scores, result.summary.faults], ['', null, []]);
  assert.deepEqual([result.summary.health.rows, result.summary.status], [0, 'complete']);
  const again = await run(late(), { rows: 1, name: 'empty_shard', sections });
  assert.deepEqual(again.result.summary.health, result.summary.health);
});

test('predictions alone: rows without verdicts, and no table', async () => {
  const { stored, result, notes, file } = await run(late(), { rows: 5, sections: { run: { score: false } } });
  for (const row of stored) assert.ok(!('metrics' in row) && !('prediction' in row) && !('error' in row));
  assert.deepEqual([result.scores, result.summary.status, notes.at(-1)], [null, 'unscored', '']);
  assert.ok(!existsSync(file('metrics.csv')));
});

test('two runs in one folder at a time: the second is refused and the first goes on', async () => {
  const second: Promise<unknown>[] = [];
  const model = late({
    reply: (ask, context) => {
      if (second.length === 0)
        second.push(
          run(late(), { name: 'locked', rows: 20 }).then(
            () => null,
            (error: unknown) => error,
          ),
        );
      return ranked(ask, context);
    },
  });
  const { stored } = await run(model, { name: 'locked', rows: 20 });
  const [refused] = await Promise.all(second);
  assert.ok(refused instanceof UserError, String(refused));
  assert.match(refused.message, new RegExp(`process ${process.pid} on `));
  assert.equal(stored.length, 20);
});

test('a retreat for want of memory is written down at once, and added to what earlier processes had', async () => {
  const name = 'retreat';
  const path = at(name, 'run.json');
  const stop = new AbortController();
  /** One more pass is halved in every fourth answer; `seen`: what run.json said a row later. */
  const model = (whenAsked: (answers: number) => void) => {
    let answers = 0;
    const own = cannedModel({
      reply: (ask, context) => {
        answers += 1;
        whenAsked(answers);
        return ranked(ask, context);
      },
    });
    // A suite's earlier tasks have counted too.
    return { ...own, stats: () => ({ halved_passes: 10 + Math.floor(answers / 4), passes: 2 * answers }) };
  };
  const seen: number[] = [];
  const first = model((answers) => {
    if (answers > 1 && answers < 11) seen.push(readJson(path).computed.halved_passes);
    if (answers === 10) stop.abort(new Interrupted());
  });
  await assert.rejects(run(first, { name, rows: 20, signal: stop.signal }), Interrupted);
  // In front of the second answer to the tenth one.
  assert.deepEqual(seen, [0, 0, 0, 1, 1, 1, 1, 2, 2]);
  const before = readRows(at(name, 'predictions.jsonl')).length;
  const { result } = await run(
    model(() => undefined),
    { name, rows: 20 },
  );
  const both = Math.floor(before / 4) + Math.floor((20 - before) / 4);
  assert.equal(readJson(path).computed.halved_passes, both);
  const { engine } = result.summary;
  assert.deepEqual([engine.halved_passes, engine.passes], [both, 2 * (20 - before)]);
  assert.match(engine.remarks.join(), new RegExp(`out of memory: ${both} forward passes were halved`));
});

// ---------------------------------------------------------------- rows that fail

/** A table over words: what it ranks follows from the words alone; `fails` says which contexts fail. */
function standIn(fails: (context: string) => boolean) {
  const logprob = (text: string) => -createHash('sha256').update(text).digest().readUInt16BE(0) / 1000;
  const model = cannedModel({
    reply(ask, context) {
      if (fails(context)) throw new RowError('nan', 'broken logits');
      const reply = ranked(ask, context);
      const { choices } = ask as LoglikelihoodAsk;
      const scored = choices.map(({ continuation }, i) => ({
        ...reply.choices[i]!,
        logprob: logprob(`${context}${continuation}`),
      }));
      return { ...reply, choices: scored };
    },
  });
  return {
    models: cannedModels(model),
    /** Contexts that it answered, and how many questions it was shown. */
    asked: () =>
      model.asked.filter(({ done }) => !done).map(({ content }) => (content as LoglikelihoodAsk).prompt as string),
    planned: () => model.asked.length,
  };
}

/** One run of the demo's HellaSwag rows in this process. */
async function inProcess(
  name: string,
  models: Models,
  keys: { run?: object; dataset?: object; scoring?: object } = {},
) {
  const said: string[] = [];
  const config = hellaswagTask.config.parse({
    task: 'hellaswag',
    model: { model_id: 'a/model' },
    dataset: { path: join(ROOT, 'nanoeval/demo/data/hellaswag'), ...keys.dataset },
    scoring: keys.scoring ?? {},
    run: { check_rows: 0, ...keys.run },
    report: { output_dir: at(name), save_plot: false },
  });
  const log = { info: (line: string) => void said.push(line), progress: () => {} };
  const { signal } = new AbortController();
  const result = await runTask(hellaswagTask, config, models, log, signal);
  return { result, said, text: readFileSync(at(name, 'predictions.jsonl'), 'utf8') };
}

test('a row that failed is tried again by the next run, and mended in its place; the others keep their bytes', async () => {
  const whole = await inProcess('never', standIn(() => false).models);
  const contexts = standIn(() => false);
  await inProcess('contexts', contexts.models);
  const broken = new Set([5, 130, 131].map((index) => contexts.asked()[index]!));
  const first = standIn((context) => broken.has(context));
  const once = await inProcess('mended', first.models, { run: { max_failed: 0.1 } });
  assert.deepEqual([once.result.summary.health.failed, once.result.summary.health.rows], [3, 200]);
  assert.equal(once.result.scores?.metrics.acc?.n, 197);
  const lines = once.text.trimEnd().split('\n');
  assert.deepEqual(JSON.parse(lines[130]!), {
    task: 'hellaswag',
    id: '130',
    index: 130,
    error: { kind: 'nan', message: 'broken logits' },
  });
  // Nothing mended yet: all three fail again, and are there once.
  const again = await inProcess('mended', standIn((context) => broken.has(context)).models, {
    run: { max_failed: 0.1 },
  });
  assert.equal(again.text, once.text);
  assert.match(again.said.join('\n'), /hellaswag: going on after 197 rows, 3 that failed are tried again/);
  const second = standIn(() => false);
  const mended = await inProcess('mended', second.models);
  assert.deepEqual(new Set(second.asked()), broken);
  // Both windows hold one: their other rows are planned with them.
  assert.equal(second.planned(), 200);
  assert.equal(mended.text, whole.text);
  assert.deepEqual(mended.result.scores, whole.result.scores);
  const done = await inProcess('mended', standIn(() => true).models);
  assert.match(done.said.join('\n'), /hellaswag: done, 200 rows/);
  const third = standIn(() => false);
  await inProcess('window', standIn((context) => context === contexts.asked()[5]).models, {
    run: { max_failed: 1 },
  });
  await inProcess('window', third.models);
  // The first window and the last one, which may have been left in the middle.
  assert.equal(third.asked().length, 1);
});

test('too many failed rows: the run is invalid; it gives up once more of them failed than ever may', async () => {
  const few = standIn((context) => context.length % 40 === 0);
  const { result } = await inProcess('few', few.models);
  assert.ok(result.summary.health.failed > 0 && result.summary.health.failed <= 16, `${result.summary.health.failed}`);
  assert.match(
    result.summary.faults[0]!,
    /of 200 rows failed, more than run\.max_failed 0; the first: row \d+ \(id \d+\): broken logits/,
  );
  assert.equal(result.summary.status, 'invalid');
  for (const [max_failed, count] of [
    [0, 17],
    [0.05, 17],
    [0.25, 51],
  ] as const) {
    const name = `all_${count}_${max_failed}`;
    const all = standIn(() => true);
    await assert.rejects(inProcess(name, all.models, { run: { max_failed } }), (error) => {
      assert.ok(error instanceof OutsideError, String(error));
      assert.ok(
        error.message.startsWith(`gave up: ${count} of 200 rows failed, more than run.max_failed ${max_failed};`),
      );
      assert.match(error.message, /the last: row \d+ \(id \d+\): broken logits The same config goes on from here\.$/);
      return true;
    });
    assert.equal(readRows(at(name, 'predictions.jsonl')).length, count);
    assert.ok(!existsSync(at(name, 'summary.json')) && !existsSync(at(name, 'run.lock')));
    const mended = await inProcess(name, standIn(() => false).models, { run: { max_failed } });
    assert.equal(mended.text, readFileSync(at('never/predictions.jsonl'), 'utf8'));
  }
  const allowed = await inProcess('allowed', standIn(() => true).models, { run: { max_failed: 1 } });
  assert.match(allowed.result.summary.faults[0]!, /^no row could be scored; the first: row 0/);
});

test('shards: blocks that are all rows together, each with its part of a sample', async () => {
  const whole = await inProcess('shard_whole', standIn(() => false).models, { dataset: { sample: 50 } });
  const parts = [];
  for (const n of [1, 2, 3])
    parts.push(
      await inProcess(`shard_${n}`, standIn(() => false).models, { dataset: { sample: 50 }, run: { shard: `${n}/3` } }),
    );
  assert.deepEqual(
    parts.map(({ result }) => result.summary.health.rows),
    [16, 17, 17],
  );
  assert.equal(parts.map(({ text }) => text).join(''), whole.text);
});

// ---------------------------------------------------------------- the demo, as a program

const hellaswag = (out: string, dataset = 'path: nanoeval/demo/data/hellaswag', rest = '') =>
  `task: hellaswag\nmodel: { model_id: ${DEMO} }\ndataset: { ${dataset} }\nreport: { output_dir: ${at(out)}, save_plot: false }\n${rest}`;

test('a permutation of the rows changes no verdict and no metric', async () => {
  mkdirSync(at('d'));
  const lines = readFileSync(join(ROOT, 'nanoeval/demo/data/hellaswag/validation.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .slice(0, 60);
  const order = lines.map((_, i) => (i * 23 + 7) % lines.length);
  writeFileSync(at('d/plain.jsonl'), lines.join('\n'));
  writeFileSync(at('d/shuffled.jsonl'), order.map((i) => lines[i]).join('\n'));
  for (const name of ['plain', 'shuffled']) {
    const { code, stderr } = await runHereWith(
      'run_hellaswag',
      at('d'),
      hellaswag(`d/${name}`, `path: ${at('d', `${name}.jsonl`)}`),
    );
    assert.equal(code, 0, stderr);
  }
  const [plain, shuffled] = ['plain', 'shuffled'].map(
    (name) => readRows(at('d', name, 'predictions.jsonl')) as ScoredRow[],
  );
  for (const [place, from] of order.entries()) {
    const [found, expected] = [shuffled![place]!.choices!, plain![from]!.choices!];
    for (const [i, { logprob, ...rest }] of found.entries()) {
      // Other rows run together: rounding moves.
      assert.ok(Math.abs(logprob - expected[i]!.logprob) < 1e-4, `row ${from}, choice ${i}`);
      assert.deepEqual({ ...rest, logprob: 0 }, { ...expected[i]!, logprob: 0 });
    }
    assert.equal(shuffled![place]!.prediction, plain![from]!.prediction);
  }
  const values = (name: string) =>
    Object.entries(
      readJson(at('d', name, 'summary.json')).metrics as Record<string, { value: number; stderr: number }>,
    ).map(([metric, { value, stderr }]) => [metric, value.toFixed(12), stderr.toFixed(12)]);
  assert.deepEqual(values('shuffled'), values('plain'));
});

test('a subject that was asked for and has no rows makes the run invalid', async () => {
  mkdirSync(at('f'));
  const yaml = `task: mmlu
model: { model_id: ${DEMO} }
dataset: { path: nanoeval/demo/data/mmlu, subset_size: 2, subjects: [humanities, anatomy] }
scoring: { num_fewshot: 0 }
report: { output_dir: ${at('f/run')}, save_plot: false }
`;
  const { code, stderr } = await runHereWith('run_mmlu', at('f'), yaml);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /INVALID: dataset\.subjects: no row of anatomy\n$/);
  assert.equal(readJson(at('f/run/summary.json')).metrics.acc.n, 2);
});

test('letters are read from generated answers, and what is not a letter is unparsed', async () => {
  mkdirSync(at('e'));
  const yaml = `task: mmlu
model: { model_id: ${DEMO} }
dataset: { path: nanoeval/demo/data/mmlu, subset_size: 5 }
scoring: { strategy: gen_letter, max_new_tokens: 4 }
report: { output_dir: ${at('e/run')}, save_plot: false }
`;
  const { code, stderr } = await runHereWith('run_mmlu', at('e'), yaml);
  assert.equal(code, 0, stderr);
  const rows = readRows(at('e/run/predictions.jsonl')) as ScoredRow[];
  assert.equal(rows.length, 20);
  for (const row of rows) {
    assert.equal(typeof row.output, 'string');
    assert.equal(row.choices, undefined);
    assert.deepEqual(Object.keys(row.metrics), ['exact_match', 'acc']);
  }
  assert.equal(
    readJson(at('e/run/summary.json')).health.unparsed,
    rows.filter((row) => row.prediction === null).length,
  );
});

test('a run that is resumed on another day has the same prompts, rows checked again too', async () => {
  const sections = { model: { chat_template: true }, run: { check_rows: 4 } };
  const dates = ({ asked }: CannedModel) => new Set(asked.map(({ content }) => (content as GenerateAsk).template_date));
  const onDay = async (name: string, day: string, given: Canned, more: Record<string, object> = {}) => {
    const model = late({ can: { dated: true }, ...given });
    const output_dir = at(name);
    const config = toyConfig({
      ...sections,
      ...more,
      dataset: { rows: toyRows(300) },
      report: { output_dir, save_plot: false },
    });
    const { log } = openSaid();
    await runTask(toyTask(), config, cannedModels(model), log, new AbortController().signal, day).catch((error) => {
      if (!(error instanceof OutsideError)) throw error;
    });
    return { model, record: readJson(join(output_dir, 'run.json')) };
  };
  const out = (ask: Ask, context: string) => {
    if (context.includes('Q200')) throw new OutsideError('the machine went away');
    return ranked(ask, context);
  };
  const monday = await onDay('days', '2026-03-02', { reply: out });
  assert.equal(monday.record.template_date, '2026-03-02');
  const tuesday = await onDay('days', '2026-03-03', {});
  assert.deepEqual(dates(tuesday.model), new Set(['2026-03-02']));
  assert.equal(tuesday.record.fingerprint, monday.record.fingerprint);
  assert.equal(readRows(at('days', 'predictions.jsonl')).length, 300);

  const asked = await onDay(
    'days_asked',
    '2026-03-03',
    {},
    { model: { chat_template: true, template_date: '2026-03-02' } },
  );
  assert.deepEqual(dates(asked.model), new Set(['2026-03-02']));
  assert.equal(asked.record.fingerprint, monday.record.fingerprint);
  const undated = await onDay('days_undated', '2026-03-03', { can: { dated: false } });
  assert.deepEqual(dates(undated.model), new Set([undefined]));
  assert.equal('template_date' in undated.record, false);
});
