/** Run folders on the disk: found, read, shards joined; and run.json as the config of the same run. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { JournalRow } from '../../nanoeval/run/journal.ts';
import type { RunRecord } from '../../nanoeval/run/record.ts';
import { findRuns, readRuns, recipeDifferences, type SavedRun } from '../../nanoeval/run/saved_run.ts';
import { loadTask, taskNames } from '../../nanoeval/run/task_files.ts';
import { FORMAT, UserError } from '../../nanoeval/types.ts';
import { runHere, runHereWith } from '../in_process.ts';
import { DEMO, temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('saved');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const rejects = (what: Promise<unknown>, message: RegExp) =>
  assert.rejects(what, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    assert.equal(error.key, 'runs');
    return true;
  });

/** A demo run, which the folders of the tests are copies of. */
before(async () => {
  const yaml = `task: hellaswag
model: { model_id: ${DEMO}, chat_template: false }
engine: { workers: 1, threads_per_worker: 1 }
dataset: { path: nanoeval/demo/data/hellaswag, sample: 9 }
report: { output_dir: ${at('run')}, save_plot: false }
`;
  const { code, stderr } = await runHereWith('run_hellaswag', folder.path, yaml);
  assert.equal(code, 0, stderr);
});

type Edit = (record: RunRecord) => void;

function copy(to: string, edit: Edit = () => undefined): string {
  cpSync(at('run'), at(to), { recursive: true });
  const record = JSON.parse(readFileSync(at(to, 'run.json'), 'utf8'));
  edit(record);
  writeFileSync(at(to, 'run.json'), JSON.stringify(record));
  return at(to);
}

/** A copy that holds a third of the rows and says so. */
function shard(to: string, number: number, count = 3, edit: Edit = () => undefined): string {
  const path = copy(to, (record) => {
    record.selection.shard = `${number}/${count}`;
    record.config.run.shard = `${number}/${count}`;
    edit(record);
  });
  const lines = readFileSync(at('run/predictions.jsonl'), 'utf8').trimEnd().split('\n');
  const own = lines.slice(((number - 1) * lines.length) / count, (number * lines.length) / count);
  writeFileSync(join(path, 'predictions.jsonl'), own.map((line) => `${line}\n`).join(''));
  return path;
}

async function rowsOf(run: SavedRun): Promise<JournalRow[]> {
  const rows: JournalRow[] = [];
  for await (const row of run.rows()) rows.push(row);
  const many: JournalRow[] = [];
  for await (const batch of run.batches()) many.push(...batch);
  assert.deepEqual(many, rows);
  return rows;
}

test('folders by name, by pattern and by list: sorted, each once; a folder with brackets in its name is a folder', async () => {
  const [b, a, odd] = [copy('find/b'), copy('find/a'), copy('find/[x]')];
  mkdirSync(at('find/none'));
  assert.deepEqual(await findRuns(a), [a]);
  assert.deepEqual(await findRuns(`${at('find')}/{a,b,none}`), [a, b]);
  assert.deepEqual(await findRuns([b, `${at('find')}/?`, `${a}/`]), [a, b]);
  assert.deepEqual(await findRuns(odd), [odd]);
  assert.deepEqual(await findRuns(`${at()}/**`), [odd, a, b, at('run')].sort());
  await rejects(findRuns(at('find/none')), /none: no run: it has no run\.json\.$/);
  await rejects(findRuns([a, `${at('find')}/z*`]), /z\*: no folder with a run\.json is there\.$/);
});

test('a run: its record, its config as of today and its rows; without a summary it is incomplete and may end in half a row', async () => {
  const path = copy('plain');
  const [run] = await readRuns([path]);
  assert.deepEqual(
    [run!.name, run!.folders, run!.task.name, run!.config.scoring.recipe, run!.complete],
    ['plain', [path], 'hellaswag', 'lm_eval', true],
  );
  const whole = await rowsOf(run!);
  assert.equal(whole.length, 9);
  rmSync(join(path, 'summary.json'));
  const bytes = readFileSync(join(path, 'predictions.jsonl'));
  for (const cut of [1, 50, bytes.length - bytes.lastIndexOf(10, -2) - 1]) {
    writeFileSync(join(path, 'predictions.jsonl'), bytes.subarray(0, bytes.length - cut));
    const [open] = await readRuns([path]);
    assert.equal(open!.complete, false);
    assert.deepEqual(await rowsOf(open!), whole.slice(0, 8), String(cut));
  }
  writeFileSync(join(path, 'predictions.jsonl'), '');
  assert.deepEqual(await rowsOf((await readRuns([path]))[0]!), []);
});

test('shards of one run are one run, in the order of the rows', async () => {
  const parts = [2, 3, 1].map((number) => shard(`join/hs_shard${number}of3`, number));
  const [run, ...more] = await readRuns([...parts, copy('join/whole')]);
  const whole = run!.name === 'whole' ? run! : more[0]!;
  const joined = run!.name === 'whole' ? more[0]! : run!;
  assert.equal(more.length, 1);
  assert.deepEqual([joined.name, joined.complete], ['hs', true]);
  assert.deepEqual(joined.folders, [parts[2], parts[0], parts[1]]);
  assert.deepEqual(await rowsOf(joined), await rowsOf(whole));
  assert.equal(joined.record.fingerprint, whole.record.fingerprint);
  assert.deepEqual([joined.record.selection, joined.record.config], [whole.record.selection, whole.record.config]);
});

test('shards over servers of their own are one run, and all addresses are kept', async () => {
  const served = (n: number, port: number) =>
    shard(`served/s${n}`, n, 2, (record) => {
      record.server = { kind: 'vllm', base_urls: [`http://h:${port}`], answering: [`http://h:${port}`] };
      Object.assign(record.config.model, { base_url: `http://h:${port}` });
    });
  const [run, ...more] = await readRuns([served(1, 8000), served(2, 8001)]);
  assert.deepEqual(more, []);
  const urls = ['http://h:8000', 'http://h:8001'];
  assert.deepEqual(run!.record.server, { kind: 'vllm', base_urls: urls, answering: urls });
  // Another model behind one of them is another run.
  const other = shard('served/other', 2, 2, (record) => {
    record.model.sha256 = 'x';
  });
  await rejects(readRuns([at('served/s1'), other]), /number 2 is missing/);
});

test('names of joined runs', async () => {
  const cases = { 'a-1': 'a', b_shard_1: 'b', 'c-1of2': 'c', 'd-1-of-2': 'd', 'e.1_2': 'e', '1': '1' };
  for (const [from, name] of Object.entries(cases)) {
    const [run] = await readRuns([shard(`names/${name}/${from}`, 1, 2), shard(`names/${name}/z`, 2, 2)]);
    assert.equal(run!.name, name);
  }
});

test('two counts of shards are two runs; other hosts and times are none', async () => {
  const thirds = [1, 2, 3].map((n) =>
    shard(`counts/third${n}`, n, 3, (record) =>
      Object.assign(record, { started: `day ${n}`, host: { cores: n }, scored_with: ['x', `machine ${n}`] }),
    ),
  );
  const other = [1, 2, 3].map((n) =>
    shard(`counts/other${n}`, n, 3, (record) => {
      record.scoring.normalize_by_length = false;
    }),
  );
  const whole = shard('counts/all', 1, 1);
  const runs = await readRuns([...thirds, whole, ...other]);
  assert.deepEqual(
    runs.map(({ folders }) => folders),
    [thirds, [whole], other],
  );
  assert.deepEqual(runs[0]!.record.scored_with, ['x', 'machine 1', 'machine 2', 'machine 3']);
  assert.equal('scored_with' in runs[2]!.record, false);
});

test('missing, double, unfinished and overlapping shards', async () => {
  const [one, two, three] = [1, 2, 3].map((n) => shard(`odd/${n}`, n)) as [string, string, string];
  const twin = shard('odd/twin', 2);
  await rejects(readRuns([one]), /shards of 3 \(\S+odd\/1\): number 2, 3 is missing\. All are wanted together\.$/);
  await rejects(readRuns([one, two, three, twin]), /: number 2 is there twice\.$/);
  const same = shard('odd/same', 3, 3);
  cpSync(join(two, 'predictions.jsonl'), join(same, 'predictions.jsonl'));
  const [run] = await readRuns([one, two, same]);
  await rejects(rowsOf(run!), /^row \d+ \(id \d+\) stands in \S+odd\/2 and in \S+odd\/same\.$/);
  rmSync(join(three, 'summary.json'));
  await rejects(readRuns([one, two, three]), /odd\/3: shard 3\/3 is not finished\. Run its config again\.$/);
});

test('what is no record of a run', async () => {
  const path = copy('bad');
  for (const [text, message] of [
    ['{\n "task":\n hellaswag }', /run\.json: not JSON: [^\n]+\.$/],
    ['', /run\.json: not JSON: /],
    ['[]', /run\.json: not the record of a run: it has no "recipe"\.$/],
    ['"x"', /run\.json: not the record of a run: it has no "recipe"\.$/],
  ] as const) {
    writeFileSync(join(path, 'run.json'), text);
    await rejects(readRuns([path]), message);
  }
  const gone = copy('gone', (record) => Object.assign(record, { task: 'x' }));
  await rejects(readRuns([gone]), new RegExp(`task "x" is not known here\\. There are: ${taskNames().join(', ')}\\.$`));
});

test('a run of another format, or of none, is not read: the version that wrote it can', async () => {
  for (const [format, found] of [
    [FORMAT - 1, `format ${FORMAT - 1}`],
    [FORMAT + 1, `format ${FORMAT + 1}`],
    [undefined, 'no format number'],
  ] as const) {
    const path = copy(`format/${format}`, (record) => Object.assign(record, { format }));
    await assert.rejects(readRuns([path]), (error) => {
      assert.ok(error instanceof UserError);
      const remedy = 'Use the version of NanoEval that wrote it, or make the run anew.';
      assert.equal(
        error.message,
        `${path}/run.json has ${found}, and this version of NanoEval reads format ${FORMAT}. ${remedy}`,
      );
      return true;
    });
  }
});

test('what shards retreated for want of memory is added up; shards of two forms are no one run', async () => {
  const parts = [1, 2].map((n) =>
    shard(`memory/${n}`, n, 2, (record) => {
      record.computed = { ...record.computed, halved_passes: n };
    }),
  );
  const [run, ...more] = await readRuns(parts);
  assert.deepEqual([run!.record.computed?.halved_passes, more.length], [3, 0]);
  const odd = shard('memory/odd', 2, 2, (record) => {
    record.computed = { ...record.computed, form: 'another' };
  });
  await rejects(readRuns([parts[0]!, odd]), /shards of 2 \(\S+memory\/1\): number 2 is missing/);
});

test('recipes that ask in the same words differ in nothing but their rules', async () => {
  const words = async (task: string) => {
    const { recipes } = await loadTask(task);
    const loaded = await loadTask(task);
    const names = Object.keys(recipes);
    return names.flatMap((a, i) =>
      names.slice(i + 1).flatMap((b) => (recipeDifferences(loaded, a, b).length === 0 ? [`${a} = ${b}`] : [])),
    );
  };
  assert.deepEqual(await words('hellaswag'), ['nanogpt = nanoeval']);
  assert.deepEqual(await words('mmlu'), []);
  assert.deepEqual(await words('mmmu_pro'), []);
  const [mmlu, pro] = [await loadTask('mmlu'), await loadTask('mmmu_pro')];
  assert.deepEqual(recipeDifferences(mmlu, 'lm_eval', 'hendrycks').sort(), [
    'description',
    'max_prompt_tokens',
    'strip_question',
  ]);
  assert.deepEqual(recipeDifferences(pro, 'direct', 'cot'), [
    'standard',
    'vision',
    'strategies.gen_letter.max_new_tokens',
  ]);
});

describe('run.json as a config', () => {
  const run = (path: string) => runHere('run_hellaswag', { NANOEVAL_CONFIG: path });

  test('in its own folder it answers that the run is done; in a fresh one it makes the same rows', async () => {
    const again = await run(at('run/run.json'));
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stderr, /^hellaswag: done, 9 rows in /);
    const before = statSync(at('run/predictions.jsonl')).mtimeMs;
    const record = JSON.parse(readFileSync(at('run/run.json'), 'utf8'));
    record.config.report.output_dir = at('fresh');
    writeFileSync(at('fresh.json'), JSON.stringify(record, null, 2));
    const fresh = await run(at('fresh.json'));
    assert.equal(fresh.code, 0, fresh.stderr);
    for (const file of ['predictions.jsonl', 'metrics.csv'])
      assert.equal(readFileSync(at('fresh', file), 'utf8'), readFileSync(at('run', file), 'utf8'));
    const made = JSON.parse(readFileSync(at('fresh/run.json'), 'utf8'));
    assert.equal(made.fingerprint, record.fingerprint);
    assert.equal(statSync(at('run/predictions.jsonl')).mtimeMs, before);
  });

  test('its faults have their place in it', async () => {
    const text = readFileSync(at('run/run.json'), 'utf8');
    const path = at('broken.json');
    const place = (key: string) => {
      const lines = text.slice(0, text.lastIndexOf('"config": {')).split('\n').length;
      const rest = text.split('\n').slice(lines);
      const line = rest.findIndex((one) => one.includes(`"${key}"`));
      return `${lines + line + 1}:${rest[line]!.indexOf('"') + 1}`;
    };
    const cases: [from: string, to: string, message: string][] = [
      [
        '"chat_template": false\n    }',
        '"chat_tmplate": false\n    }',
        'model.chat_tmplate: unknown key. Did you mean "chat_template"?',
      ],
      ['"kv_cache_mb": 512', '"kv_cache_mb": -512', 'engine.kv_cache_mb: -512 is too small. It has to be at least 0.'],
      ['"split": "validation",\n      "path"', '"split": "test",\n      "path"', 'dataset.split: "test" is not there'],
    ];
    for (const [from, to, message] of cases) {
      assert.ok(text.includes(from), from);
      writeFileSync(path, text.replace(from, to));
      const { code, stderr, stdout } = await run(path);
      assert.deepEqual([code, stdout], [2, ''], stderr);
      assert.equal(stderr.split('\n').length, 2, stderr);
      const key = message.split(':')[0]!.split('.').at(-1)!;
      const [line, column] = place(key === 'chat_tmplate' ? 'chat_template' : key).split(':');
      assert.ok(stderr.startsWith(`${path}:${line}:`), `${stderr} ${line}`);
      if (key === 'chat_tmplate') assert.ok(stderr.startsWith(`${path}:${line}:${column}: ${message}`), stderr);
      else assert.ok(stderr.includes(`: ${message.split(':')[0]}: `), stderr);
    }
  });
});
