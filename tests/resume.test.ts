/**
 * Runs that were broken off and go on: what they leave is byte for byte what a run leaves that nobody touched; and folders
 * that hold another run are refused. What is killed, stopped or runs beside another is a process of its own, as a user
 * starts it; the rest runs in this one.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { ScoredRow } from '../nanoeval/questions.ts';
import { readCompanion } from '../nanoeval/run/companion_file.ts';
import type { JournalRow } from '../nanoeval/run/journal.ts';
import { FORMAT } from '../nanoeval/types.ts';
import { HUB_FILES, NO_HUB, startHub } from './data/hub_server.ts';
import { runHere, runHereWith } from './in_process.ts';
import { DEMO, type Finished, ROOT, runWith, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('resume');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const read = (path: string) => readFileSync(path, 'utf8');
const readRows = (path: string) =>
  read(path)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as JournalRow);

/** Runs `yaml` (OUT: its folder) under a name of its own, in this process. */
const run = (program: string, name: string, yaml: string): Promise<Finished> =>
  runHereWith(program, at(name), yaml.replaceAll('OUT', at(name, 'run')));

/** The same as a process. */
async function spawned(
  program: string,
  name: string,
  yaml: string,
  env: Record<string, string> = {},
): Promise<Finished> {
  mkdirSync(at(name), { recursive: true });
  return runWith(program, at(name), yaml.replaceAll('OUT', at(name, 'run')), env).finished;
}

/** What of a summary a broken-off run may not change: all but times, counters, and where and by what it was computed. */
function lasting(name: string) {
  const { timing: _t, engine, tool: _o, host: _h, ...rest } = JSON.parse(read(at(name, 'run/summary.json')));
  const { mode, form, batch_tokens, vision_tiles, remarks, halved_passes } = engine;
  return { ...rest, engine: { mode, form, batch_tokens, vision_tiles, remarks, halved_passes } };
}

function checkSame(name: string, whole: string): void {
  const [found, wanted] = [name, whole].map((one) => read(at(one, 'run/predictions.jsonl')));
  assert.ok(found === wanted, `${name}: other rows than ${whole}`);
  assert.deepEqual(lasting(name), lasting(whole));
  for (const file of ['metrics.csv', 'scores.csv']) {
    const [one, other] = [name, whole].map((each) => at(each, 'run', file));
    assert.equal(existsSync(one!), existsSync(other!), file);
    if (existsSync(one!)) assert.equal(read(one!), read(other!), file);
  }
  assert.deepEqual(
    readdirSync(at(name, 'run')).filter((file) => !file.endsWith('.new')),
    readdirSync(at(whole, 'run')),
  );
}

const SETTINGS = `engine: { threads_per_worker: 1ENGINE }
report: { output_dir: OUT, save_plot: false }
`;
const task = (name: string, keys: { model?: string; dataset?: string; scoring?: string; engine?: string } = {}) =>
  `task: ${name}
model: { model_id: ${DEMO}${keys.model ?? ', chat_template: false'} }
dataset: { path: nanoeval/demo/data/${name}${keys.dataset ?? ''} }
scoring: { ${keys.scoring ?? ''} }
${SETTINGS.replace('ENGINE', keys.engine ?? '')}`;

/** The name of a run of all HellaSwag rows that nobody touched, made once: how many workers computed it decides nothing. */
const wholeHellaswag = (() => {
  let made: Promise<void> | null = null;
  return async (): Promise<string> => {
    made ??= run('run_hellaswag', 'whole_hellaswag', task('hellaswag')).then(({ code, stderr }) =>
      assert.equal(code, 0, stderr),
    );
    await made;
    return 'whole_hellaswag';
  };
})();

test('killed while page.jsonl grows: every row has its prompt in the end, and the rows are those of a run without a page', async () => {
  const whole = await wholeHellaswag();
  const yaml = task('hellaswag').replace('save_plot: false', 'save_plot: false, page: true');
  for (const point of ['page:1', 'page:40', 'row:30', 'page:9']) {
    const { code } = await spawned('run_hellaswag', 'paged', yaml, { NANOEVAL_TEST_KILL: point });
    assert.equal(code, null, point);
  }
  const { code, stderr } = await run('run_hellaswag', 'paged', yaml);
  assert.equal(code, 0, stderr);
  assert.equal(read(at('paged/run/predictions.jsonl')), read(at(whole, 'run/predictions.jsonl')));
  const { rows } = await readCompanion(at('paged/run/page.jsonl'));
  assert.deepEqual(
    [...rows.keys()].sort(),
    readRows(at('paged/run/predictions.jsonl'))
      .map(({ index }) => String(index))
      .sort(),
  );
  const book = /id="book">([^<]*)</.exec(read(at('paged/run/report.html')))![1]!;
  assert.deepEqual(
    JSON.parse(book).runs.map((one: { rows: number; prompts: number }) => [one.rows, one.prompts]),
    [[200, 200]],
  );
});

interface Broken {
  name: string;
  task: string;
  keys?: Parameters<typeof task>[1];
  /** Where each run is killed; the next one goes on. */
  kills: string[];
  /** More of them, with NANOEVAL_TEST_ALL=1. */
  more?: string[];
}

const isAll = process.env.NANOEVAL_TEST_ALL === '1';
/** All rows, or the first `n` (of each subject): the engine's first window has 128 questions, one of pictures 16. */
const first = (n: number) => (isAll ? '' : `, subset_size: ${n}`);

const BROKEN: Broken[] = [
  {
    name: 'ranked',
    task: 'hellaswag',
    kills: isAll ? ['file:1', 'row:1', 'row:70', 'rename:1', 'file:2'] : ['file:1', 'row:70', 'rename:1'],
  },
  {
    name: 'five shots, two workers',
    task: 'mmlu',
    keys: { dataset: first(35), engine: ', workers: 2' },
    kills: ['row:30'],
    more: ['row:120'],
  },
  {
    name: 'letters',
    task: 'mmlu',
    keys: { dataset: first(35), scoring: 'strategy: gen_letter, num_fewshot: 0, max_new_tokens: 4' },
    kills: ['row:131'],
    more: ['row:25'],
  },
  {
    name: 'pictures, two workers',
    task: 'mmmu_pro',
    keys: { model: '', dataset: first(40), engine: ', workers: 2' },
    kills: ['row:17', 'row:9'],
    more: ['row:100'],
  },
  {
    name: 'a sample, the plain path',
    task: 'hellaswag',
    keys: { dataset: ', sample: 60', engine: ', mode: naive' },
    kills: ['row:44'],
    more: ['row:10'],
  },
  {
    name: 'subjects, through the template',
    task: 'mmlu',
    keys: { model: '', dataset: ', subjects: [humanities, miscellaneous]', scoring: 'num_fewshot: 1' },
    kills: ['row:20'],
    more: ['row:70'],
  },
  {
    name: 'the first rows of each subject',
    task: 'mmlu',
    keys: { dataset: ', subset_size: 40', scoring: 'num_fewshot: 0' },
    kills: ['row:120'],
    more: ['row:20'],
  },
  {
    name: 'seeds and samples',
    task: 'mmlu',
    keys: {
      dataset: ', sample: 20',
      scoring:
        'strategy: gen_letter, num_fewshot: 0, max_new_tokens: 3, temperature: 0.8, seeds: [3, 1], samples_per_prompt: 2, reduce: none',
    },
    kills: ['row:21', 'renamed:1'],
  },
];

describe('killed and gone on: the rows byte for byte and the metrics of a run that nobody touched', {
  concurrency: 2,
}, () => {
  for (const { name, task: what, keys, kills, more = [] } of BROKEN) {
    test(name, async () => {
      const yaml = task(what, keys);
      const broken = `${name} broken`.replace(/\W+/g, '_');
      let whole = `${name} whole`.replace(/\W+/g, '_');
      if (keys === undefined) whole = await wholeHellaswag();
      else {
        const { code, stderr } = await run(`run_${what}`, whole, yaml);
        assert.equal(code, 0, stderr);
      }
      let complete = 0;
      for (const kill of isAll ? [...kills, ...more] : kills) {
        const killed = await spawned(`run_${what}`, broken, yaml, { NANOEVAL_TEST_KILL: kill });
        assert.equal(killed.code, null, `${kill}: ${killed.stderr}`);
        const path = at(broken, 'run/predictions.jsonl');
        const lines = existsSync(path) ? read(path).split('\n') : [''];
        const isTorn = lines.pop() !== '';
        assert.equal(isTorn, kill.startsWith('row:'), kill);
        for (const line of lines) JSON.parse(line);
        assert.equal(new Set(lines).size, lines.length);
        assert.ok(lines.length >= complete, `${kill}: ${lines.length} rows, ${complete} before`);
        if (kill.startsWith('row:')) assert.equal(lines.length, complete + Number(kill.slice(4)) - 1, kill);
        if (complete > 0) assert.match(killed.stderr, new RegExp(`${what}: going on after ${complete} rows`));
        complete = lines.length;
      }
      const last = await run(`run_${what}`, broken, yaml);
      assert.equal(last.code, 0, last.stderr);
      checkSame(broken, whole);
      const done = await run(`run_${what}`, broken, yaml);
      assert.equal(done.code, 0, done.stderr);
      assert.match(done.stderr, new RegExp(`^${what}: done, \\d+ rows in `));
      assert.equal(done.stdout, last.stdout);
    });
  }
});

test('SIGINT, twice, and gone on: the same again', async () => {
  const yaml = task('hellaswag', { engine: ', workers: 2' });
  const path = at('hasty/run/predictions.jsonl');
  for (const hook of ['row:1:SIGINT', 'row:9:SIGINT']) {
    const { code, stderr } = await spawned('run_hellaswag', 'hasty', yaml, { NANOEVAL_TEST_KILL: hook });
    assert.equal(code, 130, stderr);
    assert.ok(read(path).endsWith('}\n'));
    assert.ok(!existsSync(at('hasty/run/run.lock')));
  }
  const { code, stderr } = await run('run_hellaswag', 'hasty', yaml);
  assert.equal(code, 0, stderr);
  checkSame('hasty', await wholeHellaswag());
});

// ---------------------------------------------------------------- what is not gone on with

const BASE = task('mmlu', { dataset: ', subset_size: 3', scoring: 'num_fewshot: 1' });

/** A folder with a finished run of BASE, each time a copy of the same one. */
const finished = (() => {
  let made: Promise<void> | null = null;
  return async (name: string): Promise<string> => {
    made ??= run('run_mmlu', 'base', BASE).then(({ code, stderr }) => assert.equal(code, 0, stderr));
    await made;
    cpSync(at('base'), at(name), { recursive: true });
    return at(name, 'run');
  };
})();

const changed = (from: string, to: string): string => {
  assert.ok(BASE.includes(from), from);
  return BASE.replace(from, to);
};

describe('an edited config is refused with the keys and both values', { concurrency: 2 }, () => {
  const edits: [string, string, RegExp][] = [
    ['shots', changed('num_fewshot: 1', 'num_fewshot: 2'), /recipe\.num_fewshot: 1 there, 2 now/],
    [
      'recipe',
      changed('num_fewshot: 1', 'num_fewshot: 1, recipe: hendrycks'),
      /recipe\.name: "?lm_eval"? there, "?hendrycks"? now/,
    ],
    [
      'strategy',
      changed('num_fewshot: 1', 'num_fewshot: 1, strategy: gen_letter'),
      /recipe\.strategy: "?rank_ll"? there, "?gen_letter"? now/,
    ],
    [
      'tokens of an answer',
      changed('num_fewshot: 1', 'num_fewshot: 1, strategy: gen_letter, max_new_tokens: 2'),
      /scoring\.max_new_tokens: null there, 2 now/,
    ],
    [
      'kept texts',
      changed('save_plot: false', 'save_plot: false, save_prompts: true'),
      /run\.save_prompts: false there, true now/,
    ],
    ['sample', changed('subset_size: 3', 'sample: 12'), /selection\.sample: null there, 12 now/],
    ['subset', changed('subset_size: 3', 'subset_size: 4'), /selection\.subset_size: 3 there, 4 now/],
    [
      'subjects',
      changed('subset_size: 3', 'subset_size: 3, subjects: stem'),
      /selection\.subjects: null there, "?stem"? now/,
    ],
    [
      'shard',
      `${changed('subset_size: 3', 'sample: 12')}run: { shard: 1/2 }\n`,
      /selection\.shard: null there, "?1\/2"? now/,
    ],
    [
      'batch',
      changed('threads_per_worker: 1', 'threads_per_worker: 1, batch_tokens: 100'),
      /engine\.batch_tokens: 768 there, 100 now/,
    ],
    [
      'mode',
      changed('threads_per_worker: 1', 'threads_per_worker: 1, mode: naive'),
      /engine\.mode: "?auto"? there, "?naive"? now/,
    ],
    [
      'template',
      changed('chat_template: false', 'chat_template: true'),
      /recipe\.chat_template: false there, true now/,
    ],
    [
      'window',
      changed('chat_template: false', 'chat_template: false, max_length: 500'),
      /model\.max_length: 1024 there, 500 now/,
    ],
    ['verdicts', `${BASE}run: { score: false }\n`, /run\.score: true there, false now/],
  ];
  for (const [name, yaml, message] of edits) {
    test(name, async () => {
      const folderOf = `edit_${name.replaceAll(' ', '_')}`;
      const out = await finished(folderOf);
      const before = readdirSync(out).map((file) => read(join(out, file)));
      const { code, stdout, stderr } = await run('run_mmlu', folderOf, yaml);
      assert.deepEqual([code, stdout], [2, '']);
      const lines = stderr.trimEnd().split('\n');
      assert.equal(lines.length, 1, stderr);
      assert.match(
        stderr,
        /run_mmlu\.yaml:\d+:\d+: report\.output_dir: \S+ holds a run that differs from this one in /,
      );
      assert.match(stderr, message);
      assert.match(stderr, /Name another report\.output_dir, or set run\.overwrite: true/);
      assert.deepEqual(
        readdirSync(out).map((file) => read(join(out, file))),
        before,
      );
    });
  }
});

describe('what decides no prediction may change', { concurrency: 2 }, () => {
  const edits: [string, string][] = [
    ['workers', changed('threads_per_worker: 1', 'threads_per_worker: 2, workers: 2, kv_cache_mb: 0')],
    ['limits', `${BASE}run: { max_failed: 0.5, check_rows: 1 }\n`],
    ['another table', changed('save_plot: false', 'save_plot: false, table_filename: numbers.csv')],
    ['a seed that draws nothing', changed('num_fewshot: 1', 'num_fewshot: 1, seed: 7')],
    ['sums', changed('num_fewshot: 1', 'num_fewshot: 1, reduce: sum')],
  ];
  for (const [name, yaml] of edits) {
    test(name, async () => {
      const folderOf = `idle_${name.replaceAll(' ', '_')}`;
      const out = await finished(folderOf);
      const before = read(join(out, 'predictions.jsonl'));
      const { code, stderr } = await run('run_mmlu', folderOf, yaml);
      assert.equal(code, 0, stderr);
      assert.equal(read(join(out, 'predictions.jsonl')), before);
      if (name === 'another table') assert.equal(read(join(out, 'numbers.csv')), read(join(out, 'metrics.csv')));
      if (name === 'sums') {
        const [now, then] = [out, at('base/run')].map((one) => JSON.parse(read(join(one, 'summary.json'))));
        assert.deepEqual([now.reduce, now.metrics.acc.value], ['sum', then.metrics.acc.value * then.metrics.acc.n]);
      }
    });
  }
});

describe('other files than those that the rows were made of', { concurrency: 2 }, () => {
  /** A run over copies of checkpoint and rows, some of which change afterwards. */
  const cases: [string, (folder: string) => void, RegExp][] = [
    [
      'weights',
      (own) => appendFileSync(join(own, 'checkpoint/onnx/embed_tokens.onnx'), Buffer.from([0x9a, 0x06, 0x01, 0x20])),
      /model\.files\.onnx\/embed_tokens\.onnx: [0-9a-f]{12}\.\.\. there, [0-9a-f]{12}\.\.\. now/,
    ],
    [
      'tokenizer',
      (own) => appendFileSync(join(own, 'checkpoint/tokenizer.json'), '\n'),
      /model\.tokenizer_sha256: [0-9a-f]{12}\.\.\. there, [0-9a-f]{12}\.\.\. now/,
    ],
    [
      'rows',
      (own) => {
        const path = join(own, 'mmlu/test.jsonl');
        writeFileSync(path, read(path).replace('"answer": 0', '"answer": 1').replace('"answer":0', '"answer":1'));
      },
      /dataset\.files\.\d\.sha256: [0-9a-f]{12}\.\.\. there, [0-9a-f]{12}\.\.\. now/,
    ],
    ['shots', (own) => appendFileSync(join(own, 'mmlu/dev.jsonl'), '\n'), /shots\.files\.0\.size: \d+ there, \d+ now/],
  ];
  for (const [name, change, message] of cases) {
    test(name, async () => {
      const own = at(`files_${name}`);
      mkdirSync(own);
      cpSync(join(ROOT, DEMO), join(own, 'checkpoint'), { recursive: true });
      cpSync(join(ROOT, 'nanoeval/demo/data/mmlu'), join(own, 'mmlu'), { recursive: true });
      const yaml = BASE.replace(DEMO, join(own, 'checkpoint')).replace('nanoeval/demo/data/mmlu', join(own, 'mmlu'));
      const first = await run('run_mmlu', `files_${name}`, yaml);
      assert.equal(first.code, 0, first.stderr);
      change(own);
      const { code, stderr } = await run('run_mmlu', `files_${name}`, yaml);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    });
  }

  test("a data set's commit", { skip: NO_HUB }, async (t) => {
    const hub = await startHub(t, ['--model', `demo/tiny=${join(ROOT, DEMO)}`]);
    const out = join(hub.home, 'run');
    const yaml = `task: hellaswag
model: { model_id: ${DEMO} }
dataset: { subset_size: 2 }
report: { output_dir: ${out}, save_plot: false }
`;
    const env = { HF_ENDPOINT: hub.url, HF_HOME: hub.home, HF_TOKEN: 'hf_local_ok' };
    const go = () => runHereWith('run_hellaswag', hub.home, yaml, env);
    const first = await go();
    assert.equal(first.code, 0, first.stderr);
    const record = JSON.parse(read(join(out, 'run.json')));
    assert.match(record.dataset.commit, /^[0-9a-f]{40}$/, HUB_FILES);
    // As if the branch had moved since.
    const moved = { ...record, fingerprint: 'x', dataset: { ...record.dataset, commit: 'ab'.repeat(20) } };
    writeFileSync(join(out, 'run.json'), JSON.stringify(moved));
    const { code, stderr } = await go();
    assert.equal(code, 2, stderr);
    assert.match(
      stderr,
      /differs from this one in dataset\.commit: abababababab\.\.\. there, [0-9a-f]{12}\.\.\. now\. /,
    );
  });

  test('another form of the engine', async () => {
    const out = await finished('form');
    // Half of the run, and that with another form than this machine takes.
    const lines = read(join(out, 'predictions.jsonl')).split('\n').slice(0, 6);
    writeFileSync(join(out, 'predictions.jsonl'), `${lines.join('\n')}\n`);
    const record = JSON.parse(read(join(out, 'run.json')));
    writeFileSync(
      join(out, 'run.json'),
      JSON.stringify({ ...record, computed: { ...record.computed, form: 'single' } }),
    );
    const { code, stderr } = await run('run_mmlu', 'form', BASE);
    assert.equal(code, 2, stderr);
    assert.match(
      stderr,
      /run_mmlu\.yaml:\d+:\d+: engine\.mode: \S+ was begun in the engine's form single, and here it takes the form tree: /,
    );
  });
});

describe('a damaged folder', { concurrency: 2 }, () => {
  const damaged: [string, (out: string) => void, RegExp | null][] = [
    ['no run.json', (out) => rmSync(join(out, 'run.json')), /has rows, but \S+run\.json is not there/],
    ['a torn run.json', (out) => truncateSync(join(out, 'run.json'), 300), /run\.json is not a run's record: /],
    [
      'a run.json of an earlier format',
      (out) => {
        const { format, ...record } = JSON.parse(read(join(out, 'run.json')));
        assert.equal(format, FORMAT);
        writeFileSync(join(out, 'run.json'), JSON.stringify({ format: 1, ...record }));
      },
      /run_mmlu\.yaml:\d+:\d+: report\.output_dir: \S+run\.json has format 1, and .* reads format \d+\. Name another report\.output_dir/,
    ],
    [
      'a run.json without a format',
      (out) => {
        const { format: _, ...record } = JSON.parse(read(join(out, 'run.json')));
        writeFileSync(join(out, 'run.json'), JSON.stringify(record));
      },
      /report\.output_dir: \S+run\.json has no format number, /,
    ],
    [
      'a torn line in the middle',
      (out) => {
        const lines = read(join(out, 'predictions.jsonl')).split('\n');
        lines[4] = lines[4]!.slice(0, 60);
        writeFileSync(join(out, 'predictions.jsonl'), lines.join('\n'));
      },
      /predictions\.jsonl:5: not a JSON line: /,
    ],
    // These are mended.
    [
      'a torn last line',
      (out) => truncateSync(join(out, 'predictions.jsonl'), statSync(join(out, 'predictions.jsonl')).size - 9),
      null,
    ],
    ['no summary', (out) => rmSync(join(out, 'summary.json')), null],
    ['a torn summary', (out) => truncateSync(join(out, 'summary.json'), 100), null],
    ['no table', (out) => rmSync(join(out, 'metrics.csv')), null],
    [
      'rows in another order, one of them twice',
      (out) => {
        const lines = read(join(out, 'predictions.jsonl')).trimEnd().split('\n');
        writeFileSync(join(out, 'predictions.jsonl'), `${[...lines.toReversed(), lines[3]].join('\n')}\n`);
        rmSync(join(out, 'summary.json'));
      },
      null,
    ],
  ];
  for (const [name, damage, message] of damaged) {
    test(name, async () => {
      const folderOf = `damaged_${name.replace(/\W+/g, '_')}`;
      const out = await finished(folderOf);
      damage(out);
      const { code, stdout, stderr } = await run('run_mmlu', folderOf, BASE);
      if (message === null) {
        assert.equal(code, 0, stderr);
        checkSame(folderOf, 'base');
        if (name === 'a torn last line')
          assert.match(stderr, /predictions\.jsonl: a torn last line of \d+ bytes is dropped\n/);
      } else {
        assert.deepEqual([code, stdout], [2, '']);
        assert.match(stderr, message);
        assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
      }
    });
  }

  test('overwrite keeps the old folder aside, whatever it holds', async () => {
    const out = await finished('over');
    truncateSync(join(out, 'run.json'), 300);
    const { code, stderr } = await run(
      'run_mmlu',
      'over',
      `${changed('num_fewshot: 1', 'num_fewshot: 0')}run: { overwrite: true }\n`,
    );
    assert.equal(code, 0, stderr);
    assert.match(stderr, /the old run is kept in \S+run\.old-1\n/);
    assert.equal(statSync(at('over/run.old-1/run.json')).size, 300);
    assert.equal(read(at('over/run.old-1/predictions.jsonl')), read(at('base/run/predictions.jsonl')));
    assert.equal(JSON.parse(read(join(out, 'run.json'))).recipe.num_fewshot, 0);
  });
});

// ---------------------------------------------------------------- two at once, and disks that refuse

test('of two runs in one folder the second is refused, and the first is unharmed', async () => {
  const yaml = task('hellaswag');
  const [first, second] = await Promise.all([1, 2].map(() => spawned('run_hellaswag', 'both', yaml)));
  assert.ok(first && second);
  const codes = [first.code, second.code].sort();
  assert.deepEqual(codes, [0, 2], first.stderr + second.stderr);
  const refused = first.code === 2 ? first : second;
  assert.match(
    refused.stderr,
    /run_hellaswag\.yaml:\d+:\d+: report\.output_dir: \S+ is in use by another run \(process \d+ on \S+\)\. Wait for it, or name another report\.output_dir\.\n$/,
  );
  checkSame('both', await wholeHellaswag());
});

test('the lock of a process that is gone is taken over, and what it left is gone on with', async () => {
  const yaml = task('hellaswag', { dataset: ', subset_size: 30' });
  assert.equal((await run('run_hellaswag', 'unlocked', yaml)).code, 0);
  const killed = await spawned('run_hellaswag', 'locked', yaml, { NANOEVAL_TEST_KILL: 'row:12' });
  assert.equal(killed.code, null);
  const owner = JSON.parse(read(at('locked/run/run.lock')));
  assert.equal(owner.host, hostname());
  const { code, stderr } = await run('run_hellaswag', 'locked', yaml);
  assert.equal(code, 0, stderr);
  assert.match(stderr, new RegExp(`run: process ${owner.pid} on \\S+ left its lock and is gone\n`));
  checkSame('locked', 'unlocked');
});

test('a disk that is full: one line, exit code 3, whole rows; with room the run goes on', async (t) => {
  mkdirSync(at('full/run'), { recursive: true });
  const mount = (...args: string[]) => spawnSync('mount', [...args, at('full/run')]).status === 0;
  if (!mount('-t', 'tmpfs', '-o', 'size=64k', 'tmpfs')) return t.skip('no right to mount a small tmpfs');
  t.after(() => spawnSync('umount', [at('full/run')]));
  const yaml = task('hellaswag');
  const { code, stdout, stderr } = await spawned('run_hellaswag', 'full', yaml);
  assert.deepEqual([code, stdout], [3, ''], stderr);
  assert.match(
    stderr.trimEnd().split('\n').at(-1)!,
    /predictions\.jsonl: row \d+ could not be written: ENOSPC.*Earlier rows are intact\.$/,
  );
  const path = at('full/run/predictions.jsonl');
  assert.ok(read(path).endsWith('}\n'));
  const stored = readRows(path).length;
  assert.ok(stored > 10 && stored < 200, `${stored} rows`);
  const again = await spawned('run_hellaswag', 'full', yaml);
  assert.equal(again.code, 3, again.stderr);
  assert.ok(mount('-o', 'remount,size=4m'));
  const last = await spawned('run_hellaswag', 'full', yaml);
  assert.equal(last.code, 0, last.stderr);
  assert.match(last.stderr, /going on after \d+ rows/);
  checkSame('full', await wholeHellaswag());
});

test('a folder that may not be written is a line for the user', async (t) => {
  if (process.getuid?.() === 0) return t.skip('root may write everywhere');
  mkdirSync(at('closed/run'), { recursive: true, mode: 0o555 });
  const { code, stderr } = await run('run_hellaswag', 'closed', task('hellaswag'));
  assert.equal(code, 2);
  assert.match(stderr, /report\.output_dir: \S+ cannot be written: EACCES/);
});

test('predictions alone: rows without a verdict, an unscored summary, exit code 0, and done the second time', async () => {
  const yaml = `${BASE}run: { score: false }\n`;
  const { code, stdout, stderr } = await run('run_mmlu', 'unscored', yaml);
  assert.deepEqual([code, stdout], [0, ''], stderr);
  assert.equal((await finished('scored')) !== '', true);
  const verdicts = readRows(at('scored/run/predictions.jsonl'));
  for (const [i, row] of readRows(at('unscored/run/predictions.jsonl')).entries()) {
    const { prediction: _p, correct: _c, metrics: _m, ...bare } = verdicts[i] as unknown as Record<string, unknown>;
    assert.deepEqual(row, bare);
  }
  const summary = JSON.parse(read(at('unscored/run/summary.json')));
  assert.deepEqual([summary.status, summary.metrics, summary.health.unparsed], ['unscored', {}, 0]);
  assert.ok(!existsSync(at('unscored/run/metrics.csv')));
  const again = await run('run_mmlu', 'unscored', yaml);
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stderr, /^mmlu: done, 12 rows/);
});

// ---------------------------------------------------------------- shards, and a record as a config

test('three shards are disjoint and together all rows, each within 1e-3 nats of the whole run', async () => {
  const yaml = task('hellaswag');
  const shards = [];
  for (const n of [1, 2, 3]) {
    const { code, stderr } = await run('run_hellaswag', `shard_${n}`, `${yaml}run: { shard: ${n}/3 }\n`);
    assert.equal(code, 0, stderr);
    shards.push(readRows(at(`shard_${n}`, 'run/predictions.jsonl')) as ScoredRow[]);
  }
  assert.deepEqual(
    shards.map((rows) => rows.length),
    [66, 67, 67],
  );
  const whole = readRows(at(await wholeHellaswag(), 'run/predictions.jsonl')) as ScoredRow[];
  for (const [i, row] of shards.flat().entries()) {
    const other = whole[i]!;
    assert.deepEqual(
      [row.index, row.prompt_sha256, row.prediction],
      [other.index, other.prompt_sha256, other.prediction],
    );
    for (const [c, { logprob }] of row.choices!.entries())
      assert.ok(Math.abs(logprob - other.choices![c]!.logprob) < 1e-3, `row ${i}, choice ${c}`);
  }
  assert.equal(JSON.parse(read(at('shard_2/run/summary.json'))).selection.shard, '2/3');
});

test('a record makes the same run: done where the rows are, and the same rows where they are gone', async () => {
  const out = await finished('record');
  const path = join(out, 'run.json');
  const { format, model, engine, computed } = JSON.parse(read(path));
  assert.equal(format, FORMAT);
  assert.deepEqual([model.label, model.source.model_id], [DEMO, DEMO]);
  // What was asked for, and what it turned out to be.
  assert.deepEqual(engine, { mode: 'auto', batch_tokens: 768 });
  assert.deepEqual([computed.form, computed.halved_passes], ['tree', 0]);
  const again = await runHere('run_mmlu', { NANOEVAL_CONFIG: at('base/run/run.json') });
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stderr, /^mmlu: done, 12 rows/);
  const copy = at('record.json');
  writeFileSync(copy, read(path).replaceAll(at('base/run'), at('record/other')));
  const { code, stderr } = await runHere('run_mmlu', { NANOEVAL_CONFIG: copy });
  assert.equal(code, 0, stderr);
  assert.equal(read(at('record/other/predictions.jsonl')), read(join(out, 'predictions.jsonl')));
  const fingerprint = (file: string) => JSON.parse(read(file)).fingerprint;
  assert.equal(fingerprint(at('record/other/run.json')), fingerprint(path));
  writeFileSync(
    copy,
    read(path).replace('"num_fewshot": 1,\n      "temperature"', '"num_fewshot": -1,\n      "temperature"'),
  );
  const wrong = await runHere('run_mmlu', { NANOEVAL_CONFIG: copy });
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /^\S+record\.json:\d+:\d+: scoring\.num_fewshot: /);
});
