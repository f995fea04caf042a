/** The keys of compare.ts: each fault is one line with its place. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseConfig } from '../../nanoeval/config/check.ts';
import { allowedDrop, compareSchema } from '../../nanoeval/config/compare.ts';
import { readConfigFile } from '../../nanoeval/config/file.ts';
import { UserError } from '../../nanoeval/types.ts';
import { temporaryFolder } from '../spawn.ts';

const folder = temporaryFolder('compare-keys');
after(folder.remove);

function parse(yaml: string) {
  const path = join(folder.path, 'compare.yaml');
  writeFileSync(path, yaml);
  return parseConfig(readConfigFile('NANOEVAL_CONFIG', path, 'configs/compare.yaml'), compareSchema);
}

test('what the file does not say', () => {
  assert.deepEqual(parse('baseline: a\ncurrent: b\n'), {
    baseline: 'a',
    current: 'b',
    baselines_dir: 'baselines',
    rows: 'all',
    gate: { rule: 'interval', strict: false },
    bootstrap: { draws: 10_000, seed: 1234 },
    report: { output_dir: 'artifacts/nanoeval/compare', save_plot: true },
  });
});

test('an allowed drop is a number or a share of the baseline', () => {
  assert.deepEqual(allowedDrop(0.02), { value: 0.02, relative: false });
  assert.deepEqual(allowedDrop('1%'), { value: 0.01, relative: true });
  assert.deepEqual(allowedDrop('2.5 %'), { value: 0.025, relative: true });
  assert.equal(parse('gate: { max_drop: { acc: 1%, mmlu.acc: 0.02 } }').gate.max_drop !== undefined, true);
});

const FAULTS: [yaml: string, message: RegExp][] = [
  ['baselin: a', /:1:1: baselin: unknown key\. Did you mean "baseline"\?/],
  ['baseline: 3', /:1:11: baseline: 3 is not a text/],
  ['baseline: [a, b]', /:1:\d+: baseline: \["a","b"\] is not a text/],
  ['current: ~ada/runs', /:1:10: current: /],
  ['rows: some', /:1:7: rows: "some"/],
  ['gate: { max_drop: -0.1 }', /:1:19: gate\.max_drop: /],
  ['gate: { max_drop: 1 percent }', /:1:19: gate\.max_drop: /],
  ['gate: { max_drop: { acc: -1 } }', /:1:26: gate\.max_drop\.acc: |:1:19: gate\.max_drop: /],
  ['gate: { max_drop: .nan }', /gate\.max_drop: /],
  ['gate: { metrics: [] }', /gate\.metrics: /],
  ['gate: { metrics: acc }', /gate\.metrics: /],
  ['gate: { rule: both }', /gate\.rule: "both"/],
  ['gate: { strict: maybe }', /gate\.strict: /],
  ['gate: 0.01', /:1:7: gate: /],
  ['bootstrap: { draws: 10 }', /bootstrap\.draws: /],
  ['bootstrap: { draws: 1e9 }', /bootstrap\.draws: /],
  ['bootstrap: { seed: -1 }', /bootstrap\.seed: /],
  ['bootstrap: { seed: 1.5 }', /bootstrap\.seed: /],
  ['power: { n: 1 }', /power\.n: /],
  ['power: { n: [200, x] }', /power\.n/],
  ['power: { accuracy: 40 }', /power\.accuracy: /],
  ['power: { discordance: 0 }', /power\.discordance: /],
  ['power: { max_drop: -1 }', /power\.max_drop: /],
  ['report: { output_dir: "" }', /report\.output_dir: /],
  ['report: { save_plot: yes please }', /report\.save_plot: /],
  ['report: { ouput_dir: a }', /report\.ouput_dir: unknown key\. Did you mean "output_dir"\?/],
];

for (const [yaml, message] of FAULTS) {
  test(`${yaml}: one line`, () => {
    assert.throws(
      () => parse(yaml),
      (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /\n/);
        return true;
      },
    );
  });
}
