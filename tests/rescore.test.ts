/**
 * Saved runs scored again: demo runs, and 100,000 rows made of numbers. The first run, the shards and the many rows are
 * scored by the program as a user starts it; the rest runs in this process.
 */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChoiceScore, ScoredRow } from '../nanoeval/questions.ts';
import { type Estimate, FORMAT, type Primary } from '../nanoeval/types.ts';
import { runHereWith } from './in_process.ts';
import { DEMO, ROOT, runWith, temporaryFolder } from './spawn.ts';

const folder = temporaryFolder('rescore');
after(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const linesOf = (path: string) => readFileSync(path, 'utf8').trimEnd().split('\n');
const rowsOf = (path: string) => linesOf(join(path, 'predictions.jsonl')).map((line) => JSON.parse(line) as ScoredRow);
const json = (...parts: string[]) => JSON.parse(readFileSync(at(...parts), 'utf8'));

/** Content of every file under a folder. */
const bytesOf = (path: string) =>
  Object.fromEntries(
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => [join(parentPath, name), readFileSync(join(parentPath, name), 'latin1')]),
  );

const HELLASWAG = 'dataset: { path: nanoeval/demo/data/hellaswag, sample: 60 }';
const RUNS: [name: string, task: string, sections: string[]][] = [
  ['hs', 'hellaswag', [HELLASWAG]],
  ['hs_sum', 'hellaswag', [HELLASWAG, 'scoring: { normalize_by_length: false }']],
  ['hs_unscored', 'hellaswag', [HELLASWAG, 'run: { score: false }']],
  ['gpt', 'hellaswag', [HELLASWAG, 'scoring: { recipe: nanogpt }']],
  ['orig', 'hellaswag', [HELLASWAG, 'scoring: { recipe: nanoeval }']],
  ['part-1-of-3', 'hellaswag', [HELLASWAG, 'run: { shard: 1/3 }']],
  ['part-2-of-3', 'hellaswag', [HELLASWAG, 'run: { shard: 2/3 }']],
  ['part-3-of-3', 'hellaswag', [HELLASWAG, 'run: { shard: 3/3 }']],
  ['half-1', 'hellaswag', [HELLASWAG, 'run: { shard: 1/2 }']],
  ['half-2', 'hellaswag', [HELLASWAG, 'run: { shard: 2/2 }', 'scoring: { recipe: cloze }']],
  ['mmlu', 'mmlu', ['dataset: { path: nanoeval/demo/data/mmlu, subset_size: 5 }', 'scoring: { num_fewshot: 0 }']],
  [
    'mmlu_gen',
    'mmlu',
    [
      'dataset: { path: nanoeval/demo/data/mmlu, subset_size: 5 }',
      'scoring: { num_fewshot: 0, strategy: gen_letter, max_new_tokens: 4 }',
    ],
  ],
  ['pro', 'mmmu_pro', ['dataset: { path: nanoeval/demo/data/mmmu_pro, subset_size: 6 }']],
];

let made: Record<string, string>;
before(async () => {
  const entries = RUNS.map(([name, task, sections]) => {
    // The demo sees: a template is its default.
    const model = task === 'mmmu_pro' ? [] : ['model: { chat_template: false }'];
    const own = [`task: ${task}`, `name: ${name}`, 'report: { save_plot: false }', ...model, ...sections];
    return `  - ${own.join('\n    ')}`;
  });
  const yaml = `suite: { output_root: ${at('runs')} }
model: { model_id: ${DEMO} }
engine: { workers: 1, threads_per_worker: 1 }
tasks:
${entries.join('\n')}
`;
  const { code, stderr } = await runHereWith('suite', folder.path, yaml);
  assert.equal(code, 0, stderr);
  made = bytesOf(at('runs'));
});

/** Rescores into `out/<name>`; `runs` as YAML. In a process of its own where `isSpawned`. */
async function rescore(name: string, runs: string, more = '', isSpawned = false) {
  mkdirSync(at(name), { recursive: true });
  const yaml = `runs: ${runs}\nreport: { output_dir: ${at(name, 'out')}, save_plot: false }\n${more}`;
  const finished = isSpawned
    ? await runWith('rescore', at(name), yaml).finished
    : await runHereWith('rescore', at(name), yaml);
  return { ...finished, file: at(name, 'rescore.yaml') };
}

/** A copy of a run under `to`, to be spoiled by hand. */
function copy(name: string, to: string): string {
  cpSync(at('runs', name), at(to), { recursive: true });
  return at(to);
}

const editRecord = (path: string, edit: (record: Record<string, Record<string, unknown>>) => void) => {
  const record = JSON.parse(readFileSync(join(path, 'run.json'), 'utf8'));
  edit(record);
  writeFileSync(join(path, 'run.json'), JSON.stringify(record));
};

/** Counts of summary.json that follow from the rows. */
const COUNTS = ['health', 'generation'];

describe('demo runs', () => {
  test('today says what the runs said: same rows, same metrics, and the runs stay as they are', async () => {
    const names = ['hs', 'mmlu', 'mmlu_gen', 'pro'];
    const { code, stderr, stdout } = await rescore(
      'same',
      JSON.stringify(names.map((name) => at('runs', name))),
      '',
      true,
    );
    assert.equal(code, 0, stderr);
    for (const name of names) {
      assert.match(stderr, new RegExp(`^${name}: \\d+ rows, every score as it was$`, 'm'));
      for (const file of ['predictions.jsonl', 'metrics.csv'])
        assert.equal(readFileSync(at('same/out', name, file), 'utf8'), readFileSync(at('runs', name, file), 'utf8'));
      const [own, again] = [json('runs', name, 'summary.json'), json('same/out', name, 'summary.json')];
      for (const key of [
        'format',
        'status',
        'primary',
        'metrics',
        'groups',
        'fingerprint',
        'recipe',
        'determinism',
        ...COUNTS,
      ])
        assert.deepEqual(again[key], own[key], `${name}: ${key}`);
      const record = json('same/out', name, 'run.json');
      assert.deepEqual(record.rescored_from, [at('runs', name)]);
      // It is a config of the same task still: no section of rescore.ts's own file stands in it.
      assert.deepEqual(Object.keys(record.config), Object.keys(json('runs', name, 'run.json').config));
    }
    assert.deepEqual(bytesOf(at('runs')), made);
    const { runs: found, format } = json('same/out/rescored.json') as {
      runs: { name: string; changed: unknown[] }[];
      format: number;
    };
    assert.equal(format, FORMAT);
    assert.deepEqual(
      found.map(({ name, changed }) => [name, changed]),
      names.map((name) => [name, []]),
    );
    assert.ok(readFileSync(at('same/out/rescored.md'), 'utf8').includes(stdout));
    assert.match(readFileSync(at('same/out/comparison.md'), 'utf8'), /hellaswag \(lm_eval, acc_norm\)/);
  });

  test('scores that differ are listed with id, old and new', async () => {
    const path = copy('hs', 'edited/runs/hs');
    const rows = rowsOf(path);
    const old = rows[3]!.metrics.acc!;
    const flipped = rows[7]!.metrics.acc_norm!;
    Object.assign(rows[3]!.metrics, { acc: 1 - old });
    Object.assign(rows[7]!, { correct: 1 - flipped, metrics: { ...rows[7]!.metrics, acc_norm: 1 - flipped } });
    writeFileSync(join(path, 'predictions.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const before = bytesOf(path);
    const { code, stderr } = await rescore('edited', path);
    assert.equal(code, 0, stderr);
    const [{ changed }] = json('edited/out/rescored.json').runs;
    const place = (row: ScoredRow) => ({ id: row.id, index: row.index });
    assert.deepEqual(changed, [
      { ...place(rows[3]!), metric: 'acc', stored: 1 - old, now: old },
      { ...place(rows[7]!), metric: 'acc_norm', stored: 1 - flipped, now: flipped },
    ]);
    assert.match(stderr, /^hs: 60 rows, 2 with another score$/m);
    assert.ok(stderr.includes(`  row ${rows[3]!.index} (id ${rows[3]!.id}): acc ${1 - old} -> ${old}\n`), stderr);
    assert.equal(readFileSync(at('edited/out/hs/metrics.csv'), 'utf8'), made[at('runs/hs/metrics.csv')]);
    assert.deepEqual(bytesOf(path), before);
  });

  test('a row that cannot be scored any more is failed, and no rule reads it', async () => {
    const path = copy('hs', 'nan/runs/hs');
    const rows = rowsOf(path);
    rows[0]!.choices![1]!.logprob = null as never;
    writeFileSync(join(path, 'predictions.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const { code, stderr } = await rescore('nan', path);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^hs: INVALID: 1 of 60 rows failed, .*the log-likelihood of choice 1 is null/m);
    const [{ rules }] = json('nan/out/rescored.json').runs;
    assert.equal(rules.find(({ rule }: { rule: string }) => rule === 'acc').rows, 59);
  });

  test('what a model thought first is kept and scored by no task and no rule; the counts are made of the rows again', async () => {
    const path = copy('mmlu_gen', 'think/runs/mmlu_gen');
    const rows = rowsOf(path);
    const [first, second, ...others] = rows as [ScoredRow, ScoredRow, ...ScoredRow[]];
    for (const row of others) row.output = `<think>A, or (B)? C. D!</think>\n${row.output}`;
    const opened = { ...first, output: 'A, or B', think_opened: true, finish_reason: 'length' };
    const silent = { ...second, output: ' ', finish_reason: 'length' };
    const kept = [opened, silent, ...others];
    writeFileSync(join(path, 'predictions.jsonl'), kept.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const { code, stderr } = await rescore('think', path);
    assert.equal(code, 0, stderr);
    const [{ changed, rules }] = json('think/out/rescored.json').runs;
    const indices = new Set(changed.map(({ index }: { index: number }) => index));
    assert.ok(
      [...indices].every((index) => [first.index, second.index].includes(index as number)),
      stderr,
    );
    const scored = rowsOf(at('think/out/mmlu_gen'));
    assert.deepEqual(
      scored.map(({ output }) => output),
      kept.map(({ output }) => output),
    );
    for (const row of scored.slice(0, 2)) assert.equal(row.prediction, null);
    const read = scored.filter(({ metrics }) => metrics.acc === 1).length;
    assert.equal(rules.find(({ rule }: { rule: string }) => rule === 'letter').right, read);
    const { generation, health } = json('think/out/mmlu_gen/summary.json');
    const cut = 2 + others.filter(({ finish_reason }) => finish_reason === 'length').length;
    const thoughts = { reasoning: rows.length - 1, reasoning_cut: 1 };
    assert.deepEqual(generation, { answers: rows.length, cut, never_stopped: cut, ...thoughts });
    const blank = made[at('runs/mmlu_gen/summary.json')]!;
    assert.ok(health.empty >= 2 && health.empty >= JSON.parse(blank).health.empty, JSON.stringify(health));
    assert.match(
      stderr,
      /^mmlu_gen: \d+ of \d+ answers think first \(<think>\): that is kept in the rows and not scored$/m,
    );
  });

  test('exports of saved runs are made without the model; an unfinished run has none', async () => {
    const half = copy('hs', 'exported/half');
    rmSync(join(half, 'summary.json'));
    const runs = JSON.stringify([at('runs/hs'), half]);
    mkdirSync(at('exported/file'), { recursive: true });
    const yaml = `runs: ${runs}\nreport: { output_dir: ${at('exported/out')}, save_plot: false, exports: [lm_eval, junit] }\n`;
    const { code, stderr } = await runHereWith('rescore', at('exported/file'), yaml);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^half: nothing is exported: its run is not finished$/m);
    assert.deepEqual([existsSync(at('exported/out/half/lm_eval')), existsSync(at('runs/hs/lm_eval'))], [false, false]);
    const model = at('exported/out/hs/lm_eval/nanoeval__demo__checkpoint');
    const [results, samples, ...others] = readdirSync(model).sort();
    assert.deepEqual([results!.slice(0, 8), samples!.slice(0, 18), others], ['results_', 'samples_hellaswag_', []]);
    const { metrics } = json('exported/out/hs/summary.json');
    const read = JSON.parse(readFileSync(join(model, results!), 'utf8'));
    assert.equal(read.results.hellaswag['acc_norm,none'], metrics.acc_norm.value);
    assert.equal(linesOf(join(model, samples!)).length, 60);
    assert.equal(readFileSync(at('exported/out/hs/junit.xml'), 'utf8').match(/<testcase /g)?.length, 60);
  });

  test('a run of predictions alone gets the scores of a scored run', async () => {
    assert.equal(json('runs/hs_unscored/summary.json').status, 'unscored');
    const { code, stderr } = await rescore('unscored', at('runs/hs_unscored'));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^hs_unscored: 60 rows, every score as it was$/m);
    for (const file of ['metrics.csv', 'predictions.jsonl'])
      assert.equal(readFileSync(at('unscored/out/hs_unscored', file), 'utf8'), made[at('runs/hs', file)]);
    assert.equal(json('unscored/out/hs_unscored/summary.json').status, 'complete');
  });

  test('an unfinished run is scored as far as it came: half a row is left out, a mended one counts once', async () => {
    const path = copy('hs', 'short/runs/hs');
    const lines = linesOf(join(path, 'predictions.jsonl'));
    const { id, index, task } = JSON.parse(lines[4]!);
    const failed = JSON.stringify({ task, id, index, error: { kind: 'memory', message: 'no room' } });
    const kept = [...lines.slice(0, 4), failed, ...lines.slice(5, 20), lines[4]!];
    writeFileSync(join(path, 'predictions.jsonl'), `${kept.join('\n')}\n${lines[20]!.slice(0, 100)}`);
    rmSync(join(path, 'summary.json'));
    const before = bytesOf(path);
    const { code, stderr } = await rescore('short', path);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^hs: unfinished, its rows so far are scored\nhs: 20 rows, every score as it was$/m);
    assert.deepEqual(linesOf(at('short/out/hs/predictions.jsonl')), lines.slice(0, 20));
    assert.deepEqual(bytesOf(path), before);
  });

  test('a summary torn by hand is no reason to stop', async () => {
    const path = copy('hs', 'torn/runs/hs');
    writeFileSync(join(path, 'summary.json'), '{"metrics": {');
    const { code, stderr } = await rescore('torn', path);
    assert.equal(code, 0, stderr);
    assert.equal(readFileSync(at('torn/out/hs/metrics.csv'), 'utf8'), made[at('runs/hs/metrics.csv')]);
  });

  test('folders by pattern; two of one name have folders of their own', async () => {
    copy('mmlu', 'pattern/a/x');
    copy('hs', 'pattern/b/x');
    copy('mmlu_gen', 'pattern/c/x-2');
    const { code, stderr } = await rescore('pattern', `['${at('pattern')}/{a,b}/*', '${at('pattern/c/x-2')}']`);
    assert.equal(code, 0, stderr);
    assert.deepEqual(
      (json('pattern/out/rescored.json').runs as { name: string; task: string }[]).map(({ task }) => task),
      ['mmlu', 'hellaswag', 'mmlu'],
    );
    for (const [name, run] of Object.entries({ x: 'mmlu', 'x-2': 'hs', 'x-2-2': 'mmlu_gen' }))
      assert.equal(readFileSync(at('pattern/out', name, 'metrics.csv'), 'utf8'), made[at('runs', run, 'metrics.csv')]);
  });

  test('what cannot be read is one line with its place, and exit 2', async () => {
    const spoil = (to: string, edit: (path: string) => void) => {
      const path = copy('hs', to);
      edit(path);
      return path;
    };
    const broken = spoil('bad/runs/broken', (path) => writeFileSync(join(path, 'run.json'), '{\n"task": hellaswag\n}'));
    const nothing = spoil('bad/runs/nothing', (path) => writeFileSync(join(path, 'run.json'), 'null'));
    const half = spoil('bad/runs/half', (path) => writeFileSync(join(path, 'run.json'), '{"task":"hellaswag"}'));
    const task = spoil('bad/runs/task', (path) =>
      editRecord(path, (record) => Object.assign(record, { task: 'mmul' })),
    );
    const old = spoil('bad/runs/old', (path) =>
      editRecord(path, ({ config }) => Object.assign(config!.scoring!, { recipe: 'gone' })),
    );
    const earlier = spoil('bad/runs/earlier', (path) =>
      editRecord(path, (record) => Object.assign(record, { format: 1 })),
    );
    const first = spoil('bad/runs/first', (path) =>
      editRecord(path, (record) => Object.assign(record, { format: undefined })),
    );
    const empty = spoil('bad/runs/empty', (path) => rmSync(join(path, 'predictions.jsonl')));
    const row = spoil('bad/runs/row', (path) => appendFileSync(join(path, 'predictions.jsonl'), '{"id":1}\n'));
    const cases: [runs: string, line: RegExp, more?: string][] = [
      [at('bad/none'), /^FILE:1:7: runs: \S+none: no run: it has no run\.json\.$/],
      [`'${at('bad/*.gone')}'`, /^FILE:1:7: runs: \S+\*\.gone: no folder with a run\.json is there\.$/],
      [`[${at('runs/hs')}, ${at('bad/none')}]`, /^FILE:1:1: runs: \S+none: no run: it has no run\.json\.$/],
      [broken, /^FILE:1:7: runs: \S+broken\/run\.json: not JSON: .*\.$/],
      [nothing, /^FILE:1:7: runs: \S+nothing\/run\.json: not the record of a run: it has no "recipe"\.$/],
      [half, /^FILE:1:7: runs: \S+half\/run\.json: not the record of a run: it has no "recipe"\.$/],
      [task, /^FILE:1:7: runs: \S+run\.json: task "mmul" is not known here\. Did you mean "mmlu"\?$/],
      [old, /^FILE:1:7: runs: \S+old\/run\.json: config\.scoring\.recipe: .*: not a config of today\.$/],
      [empty, /^FILE:1:7: runs: \S+empty: there is no predictions\.jsonl\.$/],
      [row, /^\S+row\/predictions\.jsonl:61: not a row: it has no id or no index\.$/],
      [
        earlier,
        new RegExp(
          `^FILE:1:7: runs: \\S+earlier/run\\.json has format 1, and this version of NanoEval reads format ${FORMAT}\\. `,
        ),
      ],
      [first, /^FILE:1:7: runs: \S+first\/run\.json has no format number, and this version of NanoEval reads format /],
      [
        at('runs/hs'),
        /^FILE:3:20: scoring\.recipe: "lm_evil" is not a recipe of hellaswag\. It has: .*\.$/,
        'scoring: { recipe: lm_evil }\n',
      ],
      [
        at('runs/hs'),
        /^FILE:3:20: scoring\.recipe: "cloze" asks in other words than "lm_eval", .* \(strip, chat_delimiter\): that needs the model\.$/,
        'scoring: { recipe: cloze }\n',
      ],
      [
        at('runs/mmlu'),
        /^FILE:3:33: scoring\.normalize_by_length: true, but rank_ll of the recipe "lm_eval" has no length-normalised/,
        'scoring: { normalize_by_length: true }\n',
      ],
      [
        at('runs/hs'),
        /^FILE:3:12: scoring\.recipes: unknown key\. Did you mean "recipe"\?$/,
        'scoring: { recipes: cloze }\n',
      ],
      ['[]', /^FILE:1:1: runs: the list is empty\./],
    ];
    for (const [i, [runs, line, more]] of cases.entries()) {
      const { code, stderr, stdout, file } = await rescore('bad', runs, more, i === 0);
      assert.deepEqual([code, stdout], [2, ''], `${runs}: ${stderr}`);
      assert.match(stderr.replaceAll(file, 'FILE').trimEnd(), line);
      assert.equal(stderr.split('\n').length, 2, stderr);
    }
    assert.deepEqual(bytesOf(at('runs')), made);
  });

  test('scores never go into a folder of the runs, nor where nobody may write', async () => {
    const path = copy('hs', 'inside/hs');
    for (const out of [at('inside'), path]) {
      const yaml = `runs: ${path}\nreport:\n  output_dir: ${out}\n`;
      const { code, stderr } = await runHereWith('rescore', folder.path, yaml);
      assert.equal(code, 2, stderr);
      assert.match(
        stderr,
        /^\S+:3:15: report\.output_dir: \S+ is where the scores go, and \S+hs is a run in it\. Name another folder\.\n$/,
      );
    }
    const file = await runHereWith(
      'rescore',
      folder.path,
      `runs: ${path}\nreport: { output_dir: ${path}/run.json/x }\n`,
    );
    assert.equal(file.code, 2, file.stderr);
    assert.match(file.stderr, /^\S+:2:23: report\.output_dir: .* cannot be written: /);
    assert.deepEqual(Object.values(bytesOf(path)), Object.values(bytesOf(at('runs/hs'))));
  });
});

describe('rules', () => {
  type Rule = { rule: string; right: number | null; rows: number; unread: number; impossible: string | null };
  const rulesOf = (name: string, run = 0): Rule[] => json(name, 'out/rescored.json').runs[run].rules;
  const shares = (rules: Rule[]) =>
    Object.fromEntries(
      rules.filter(({ impossible }) => impossible === null).map(({ rule, right, rows }) => [rule, right! / rows]),
    );
  const values = (metrics: Record<string, Estimate>) =>
    Object.fromEntries(Object.entries(metrics).map(([name, { value }]) => [name, value]));

  test('per character, byte and token: what the run itself says, and runs made with them', async () => {
    const names = ['hs', 'hs_sum', 'gpt', 'orig'];
    const { code, stderr, stdout } = await rescore('rules', JSON.stringify(names.map((name) => at('runs', name))));
    assert.equal(code, 0, stderr);
    const runs = json('rules/out/rescored.json').runs as { name: string; primary: Primary; rules: Rule[] }[];
    for (const { name, rules, primary } of runs) {
      assert.deepEqual(primary, json('runs', name, 'summary.json').primary);
      assert.deepEqual(shares(rules), pick(values(json('runs', name, 'summary.json').metrics)));
    }
    const of = (name: string) => shares(runs.find((run) => run.name === name)!.rules);
    assert.equal(of('hs').acc, json('runs/hs_sum/summary.json').metrics.acc.value);
    assert.equal(of('orig').acc_token, json('runs/gpt/summary.json').metrics.acc_token.value);
    assert.notEqual(of('hs').acc, of('hs').acc_token);
    assert.match(stdout, /^\| hs +\| acc_bytes \| per byte \(lm-eval acc_bytes\) +\| 0\.\d{4} \| +0\.\d{4} \| +0 \|$/m);
    assert.match(stdout, /^\| orig +\| acc +\| of the recipe nanoeval +\|/m);
    assert.match(
      stderr,
      /^hs: impossible: exact_letter, letter, official_letter, letter_prob: the rows were ranked: they have no answers$/m,
    );
  });

  /** In the order of the rules' table. */
  const pick = ({ acc, acc_norm, acc_bytes, acc_token }: Record<string, number>) => ({
    acc,
    acc_norm,
    acc_bytes,
    acc_token,
  });

  test('answers: the rules that read letters, and why others cannot', async () => {
    const { code, stderr } = await rescore('answers', `['${at('runs/mmlu_gen')}', '${at('runs/pro')}']`);
    assert.equal(code, 0, stderr);
    const metrics = (name: string) => values(json('runs', name, 'summary.json').metrics);
    const [gen, pro] = [rulesOf('answers', 0), rulesOf('answers', 1)];
    assert.deepEqual(Object.keys(shares(gen)), ['exact_letter', 'letter', 'official_letter']);
    assert.equal(shares(gen).exact_letter, metrics('mmlu_gen').exact_match);
    assert.equal(shares(gen).letter, metrics('mmlu_gen').acc);
    assert.deepEqual(Object.keys(shares(pro)), ['exact_letter', 'letter', 'official_letter', 'letter_prob']);
    assert.equal(shares(pro).official_letter, metrics('pro').acc);
    assert.equal(shares(pro).letter_prob, metrics('pro').letter_prob);
    const { unparsed } = json('runs/pro/summary.json').health;
    assert.equal(pro.find(({ rule }) => rule === 'official_letter')!.unread, unparsed);
    assert.match(stderr, /^mmlu_gen: impossible: acc, acc_norm, acc_bytes, acc_token: the rows were generated/m);
    assert.match(stderr, /^mmlu_gen: impossible: letter_prob: the rows do not hold first-token log-probabilities$/m);
  });

  test('another recipe with the same words; normalize_by_length switches the primary metric', async () => {
    const cases: [name: string, run: string, more: string, like: string][] = [
      ['as_orig', 'gpt', 'scoring: { recipe: nanoeval }\n', 'orig'],
      ['as_gpt', 'orig', 'scoring: { recipe: nanogpt }\n', 'gpt'],
      ['longer', 'orig', 'scoring: { normalize_by_length: true }\n', 'gpt'],
      ['plain', 'hs', 'scoring: { normalize_by_length: false }\n', 'hs_sum'],
      ['normed', 'hs_sum', 'scoring: { normalize_by_length: true }\n', 'hs'],
    ];
    for (const [name, run, more, like] of cases) {
      const { code, stderr } = await rescore(name, at('runs', run), more);
      assert.equal(code, 0, stderr);
      for (const file of ['metrics.csv', 'predictions.jsonl'])
        assert.equal(
          readFileSync(at(name, 'out', run, file), 'utf8'),
          made[at('runs', like, file)],
          `${name}: ${file}`,
        );
    }
  });
});

describe('shards', () => {
  test('put together they are the unsharded run', async () => {
    const { code, stderr } = await rescore('shards', `'${at('runs')}/part-*'`, '', true);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^part: 60 rows, every score as it was$/m);
    const [whole, merged] = [rowsOf(at('runs/hs')), rowsOf(at('shards/out/part'))];
    assert.deepEqual(
      merged.map(({ id }) => id),
      whole.map(({ id }) => id),
    );
    for (const [i, { choices, metrics }] of merged.entries()) {
      assert.deepEqual(metrics, whole[i]!.metrics);
      for (const [c, { logprob }] of choices!.entries())
        assert.ok(Math.abs(logprob - whole[i]!.choices![c]!.logprob) < 1e-3);
    }
    assert.equal(readFileSync(at('shards/out/part/metrics.csv'), 'utf8'), made[at('runs/hs/metrics.csv')]);
    const [own, record] = [json('runs/hs/run.json'), json('shards/out/part/run.json')];
    assert.equal(record.fingerprint, own.fingerprint);
    assert.deepEqual([record.selection, record.config.run], [own.selection, own.config.run]);
    assert.equal(json('shards/out/part/summary.json').fingerprint, own.fingerprint);
  });

  test('missing, double, unfinished and overlapping shards are refused; those of other configs stay apart', async () => {
    const part = (n: number) => at(`runs/part-${n}-of-3`);
    const twin = copy('part-2-of-3', 'odd/twin');
    const open = copy('part-3-of-3', 'odd/open');
    rmSync(join(open, 'summary.json'));
    const overlap = copy('part-3-of-3', 'odd/overlap');
    const planted = rowsOf(part(1))[2]!;
    appendFileSync(join(overlap, 'predictions.jsonl'), `${JSON.stringify(planted)}\n`);
    const cases: [runs: string[], line: RegExp][] = [
      [
        [part(1), part(3)],
        /^FILE:1:1: runs: shards of 3 \(\S+part-1-of-3, \S+part-3-of-3\): number 2 is missing\. All are wanted together\.$/,
      ],
      [[part(1), part(2), part(3), twin], /^FILE:1:1: runs: shards of 3 \(.*\): number 2 is there twice\.$/],
      [[part(1), part(2), open], /^FILE:1:1: runs: \S+open: shard 3\/3 is not finished\. Run its config again\.$/],
      [
        [part(1), part(2), overlap],
        new RegExp(
          `^FILE:1:1: runs: row ${planted.index} \\(id ${planted.id}\\) stands in \\S+part-1-of-3 and in \\S+overlap\\.$`,
        ),
      ],
      [[at('runs/half-1'), at('runs/half-2')], /^FILE:1:1: runs: shards of 2 \(\S+half-1\): number 2 is missing\./],
      [
        [part(1), part(2), part(3), at('runs/half-1')],
        /^FILE:1:1: runs: shards of 2 \(\S+half-1\): number 2 is missing\./,
      ],
    ];
    for (const [runs, line] of cases) {
      const { code, stderr, file } = await rescore('odd', `\n${runs.map((run) => `  - ${run}`).join('\n')}`);
      assert.equal(code, 2, stderr);
      assert.match(stderr.replaceAll(file, 'FILE').trimEnd(), line);
    }
    assert.deepEqual(bytesOf(at('runs')), made);
  });
});

describe("lm-eval's own rows", () => {
  const GOLDENS = join(ROOT, '../shared/data/goldens/smollm2-135m-instruct');
  const ROWS = join(ROOT, '../shared/data/hellaswag/hellaswag_val_lmeval_reconstructed.jsonl');
  const skip = existsSync(GOLDENS) && existsSync(ROWS) ? false : 'no ../shared';
  interface Golden {
    doc_id: number;
    subject?: string;
    gold: number;
    acc: number;
    acc_norm?: number;
    context_tokens: number;
    continuation_tokens: number[];
    loglikelihoods: number[];
    is_greedy: number[];
    prompt_sha256: string;
  }
  const read = <T>(path: string) => linesOf(path).map((line) => JSON.parse(line) as T);

  /** A run folder of golden rows, without verdicts, in the likeness of a demo run. */
  function plant(like: string, to: string, goldens: Golden[], textsOf: (golden: Golden) => string[]): string {
    const path = copy(like, to);
    const task = json(to, 'run.json').task;
    const rows = goldens.map((golden, i) => {
      const choices = textsOf(golden).map(
        (text, c): ChoiceScore => ({
          logprob: golden.loglikelihoods[c]!,
          num_tokens: golden.continuation_tokens[c]!,
          num_chars: [...text].length,
          num_bytes: Buffer.byteLength(text),
          is_greedy: golden.is_greedy[c] === 1,
        }),
      );
      const { subject, gold, context_tokens: num_context_tokens, prompt_sha256 } = golden;
      const own = subject === undefined ? {} : { subject };
      return {
        task,
        id: String(i),
        index: i,
        group: 'all',
        ...own,
        gold,
        choices,
        num_context_tokens,
        truncated: false,
        prompt_sha256,
      };
    });
    writeFileSync(join(path, 'predictions.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    return path;
  }

  test('acc and acc_norm as lm-eval recorded them, row by row', { skip }, async () => {
    const texts = read<{ choices: string[] }>(ROWS);
    const hellaswag = read<Golden>(join(GOLDENS, 'hellaswag_0shot.jsonl'));
    const mmlu = read<Golden>(join(GOLDENS, 'mmlu_5shot.jsonl'));
    const folders = [
      plant('hs', 'golden/runs/hellaswag', hellaswag, ({ doc_id }) => texts[doc_id]!.choices),
      plant('mmlu', 'golden/runs/mmlu', mmlu, () => ['A', 'B', 'C', 'D']),
    ];
    const { code, stderr } = await rescore('golden', JSON.stringify(folders));
    assert.equal(code, 0, stderr);
    const mean = (list: number[]) => list.reduce((sum, one) => sum + one, 0) / list.length;
    for (const [name, goldens, metrics] of [
      ['hellaswag', hellaswag, ['acc', 'acc_norm']],
      ['mmlu', mmlu, ['acc']],
    ] as const) {
      const rows = rowsOf(at('golden/out', name));
      const summary = json('golden/out', name, 'summary.json');
      assert.deepEqual([rows.length, goldens.length > 100], [goldens.length, true]);
      for (const metric of metrics) {
        const wanted = goldens.map((golden) => golden[metric]!);
        assert.deepEqual(
          rows.map((row) => row.metrics[metric]),
          wanted,
          `${name} ${metric}`,
        );
        assert.ok(Math.abs(summary.metrics[metric].value - mean(wanted)) < 1e-12);
      }
    }
  });
});

describe('100,000 saved rows', () => {
  const COUNT = 100_000;
  const LENGTHS: Record<string, (choice: ChoiceScore) => number> = {
    acc_norm: (choice) => choice.num_chars,
    acc: () => 1,
    acc_bytes: (choice) => choice.num_bytes,
    acc_token: (choice) => choice.num_tokens,
  };

  function write(path: string, count: number, rowOf: (i: number) => unknown): void {
    const file = openSync(path, 'w');
    for (let i = 0; i < count; i += 1000)
      writeSync(file, Array.from({ length: 1000 }, (_, k) => `${JSON.stringify(rowOf(i + k))}\n`).join(''));
    closeSync(file);
  }

  /** A row of numbers, with its verdict, in the shape of a HellaSwag run. */
  function madeUp(i: number) {
    const random = (k: number) => (Math.imul(i * 31 + k * 7 + 1, 2654435761) >>> 0) / 2 ** 32;
    const gold = i % 4;
    const choices = [0, 1, 2, 3].map((c): ChoiceScore => {
      const num_chars = 20 + Math.floor(random(c) * 40);
      const logprob = -20 - random(c + 4) * 100;
      return {
        logprob,
        num_tokens: 5 + Math.floor(random(c + 8) * 12),
        num_chars,
        num_bytes: num_chars,
        is_greedy: false,
      };
    });
    const best = (length: (choice: ChoiceScore) => number) => {
      const all = choices.map((choice) => choice.logprob / length(choice));
      return all.indexOf(Math.max(...all));
    };
    const metrics = Object.fromEntries(
      Object.entries(LENGTHS).map(([name, length]) => [name, best(length) === gold ? 1 : 0]),
    );
    const verdict = { prediction: best(LENGTHS.acc_norm!), correct: metrics.acc_norm, metrics };
    const prompt_sha256 = i.toString(16).padStart(8, '0').repeat(8);
    const group = i % 3 === 0 ? 'wikihow' : 'activitynet';
    return {
      task: 'hellaswag',
      id: String(i),
      index: i,
      group,
      gold,
      ...verdict,
      choices,
      num_context_tokens: 43,
      truncated: false,
      prompt_sha256,
    };
  }

  test('are scored again in seconds, in less than 300 MB', async (t) => {
    const path = copy('hs', 'size/runs/many');
    write(join(path, 'predictions.jsonl'), COUNT, madeUp);
    // The child says itself what its largest RSS was.
    writeFileSync(
      at('size/rss.mjs'),
      `import { writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
if (isMainThread) process.on('exit', () => writeFileSync(${JSON.stringify(at('size/rss'))}, String(process.resourceUsage().maxRSS)));
`,
    );
    const yaml = `runs: ${path}\nreport: { output_dir: ${at('size/out')}, save_plot: false }\n`;
    const took: { seconds: number; megabytes: number }[] = [];
    // On a busy machine the garbage collector comes late now and then: the better of two counts.
    for (let i = 0; i < 2 && !took.some(({ megabytes }) => megabytes < 300); i += 1) {
      const started = performance.now();
      const { code, stderr } = await runWith('rescore', at('size'), yaml, {
        NODE_OPTIONS: `--import=${at('size/rss.mjs')}`,
      }).finished;
      const seconds = (performance.now() - started) / 1000;
      assert.equal(code, 0, stderr);
      assert.match(stderr, /^many: 100000 rows, every score as it was$/m);
      took.push({ seconds, megabytes: (Number(readFileSync(at('size/rss'), 'utf8')) * 1024) / 1e6 });
    }
    const { seconds, megabytes } = took.at(-1)!;
    t.diagnostic(
      `${COUNT} rows of ${Math.round(statSync(join(path, 'predictions.jsonl')).size / COUNT)} bytes: ${seconds.toFixed(1)} s, ${megabytes.toFixed(0)} MB at most`,
    );
    assert.ok(seconds < 60, `${seconds} s`);
    assert.ok(megabytes < 300, `${megabytes} MB`);
  });

  test('are read in moments by the run that goes on after them', async (t) => {
    const texts = linesOf(join(ROOT, 'nanoeval/demo/data/hellaswag/validation.jsonl'));
    mkdirSync(at('resume'));
    writeFileSync(
      at('resume/rows.jsonl'),
      Array.from({ length: COUNT + 100 }, (_, i) => `${texts[i % texts.length]}\n`).join(''),
    );
    const out = at('resume/run');
    const rows = join(out, 'predictions.jsonl');
    const yaml = `task: hellaswag
model: { model_id: ${DEMO}, chat_template: false }
engine: { workers: 1, threads_per_worker: 1 }
dataset: { path: ${at('resume/rows.jsonl')} }
report: { output_dir: ${out}, save_plot: false }
`;
    // A genuine run.json, and a row whose likenesses stand for all that were computed.
    await runWith('run_hellaswag', at('resume'), yaml, { NANOEVAL_TEST_KILL: 'row:2' }).finished;
    const pattern = JSON.parse(linesOf(rows)[0]!) as ScoredRow;
    write(rows, COUNT, (i) => ({ ...pattern, id: String(i), index: i }));
    const { size } = statSync(rows);
    const started = performance.now();
    const again = runWith('run_hellaswag', at('resume'), yaml);
    let text = '';
    void again.finished.then(({ stderr }) => {
      text = stderr;
    });
    while (statSync(rows).size === size && text === '' && performance.now() - started < 60_000) await sleep(5);
    const seconds = (performance.now() - started) / 1000;
    again.kill('SIGKILL');
    const { stderr } = await again.finished;
    assert.match(stderr, /^hellaswag: going on after 100000 rows$/m);
    assert.ok(statSync(rows).size > size, stderr);
    const added = readFileSync(rows).subarray(size).toString('utf8').split('\n')[0]!;
    if (added.endsWith('}')) assert.ok((JSON.parse(added) as ScoredRow).index >= COUNT);
    t.diagnostic(`from the start of the process to the first new row: ${seconds.toFixed(2)} s`);
    assert.ok(seconds < 30, `${seconds} s`);
  });
});
