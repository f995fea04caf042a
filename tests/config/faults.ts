/**
 * What a person sees who wrote a config wrong. Every case is one line on stderr, exit code 2, nothing on stdout. The first of
 * a list is started as a person starts it, and so is every case with NANOEVAL_TEST_ALL=1; the others run in this process.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runHere } from '../in_process.ts';
import { tokenizerJson } from '../model/fixtures.ts';
import { TOY_CONFIG, toyDecoder } from '../model/toy_decoder.ts';
import { type Finished, start, temporaryFolder } from '../spawn.ts';

export type Program = 'run_mmlu' | 'run_hellaswag' | 'run_mmmu_pro' | 'suite';
export interface Case {
  name: string;
  program: Program;
  /** Content of the file; null where `path` says it all. */
  yaml: string | Buffer | null;
  /** The whole of stderr. `FILE` stands for the config's path, `OUT` for an output folder of the case's own. */
  line: string;
  path?: string;
  /** A file that the run finds in OUT. */
  found?: string;
  /** What a run says before it comes to the fault. */
  before?: string;
}

/** Three lines; what a case adds begins in line 4. */
export const head = 'task: mmlu\nmodel:\n  model_id: nanoeval/demo/checkpoint\n';
/** Seven lines, for cases that come as far as the checkpoint or the rows. */
export const demo = `${head}report:\n  output_dir: OUT\ndataset:\n  path: nanoeval/demo/data/mmlu\n`;

/** A checkpoint that reads and cannot see, with a window of 64 tokens; where it lies. */
export function plantTextCheckpoint(folder: string): string {
  const path = join(folder, 'text');
  const files: Record<string, unknown> = {
    'config.json': { ...TOY_CONFIG, max_position_embeddings: 64 },
    'tokenizer.json': tokenizerJson(),
    'tokenizer_config.json': { bos_token: '<s>', eos_token: '</s>' },
  };
  mkdirSync(join(path, 'onnx'), { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), JSON.stringify(content));
  writeFileSync(join(path, 'onnx/model.onnx'), toyDecoder({ vocab: 320 }));
  return path;
}

/** A list of cases, and ways to add to it. */
export function openFaults() {
  const folder = temporaryFolder('faults');
  after(folder.remove);
  const cases: Case[] = [];
  const of =
    (program: Program) =>
    (name: string, yaml: string | Buffer, line: string, more: Partial<Case> = {}) =>
      void cases.push({ name, program, yaml, line, ...more });

  const run = (program: Program, path: string, spawned = process.env.NANOEVAL_TEST_ALL === '1'): Promise<Finished> => {
    const variable = program === 'suite' ? 'NANOEVAL_SUITE' : 'NANOEVAL_CONFIG';
    const env = { [variable]: path, HF_HUB_OFFLINE: '1' };
    return spawned ? start(program, env).finished : runHere(program, env);
  };

  async function check({ program, yaml, line, path, found, before = '' }: Case, i: number): Promise<void> {
    const file = path ?? join(folder.path, `${i}.yaml`);
    const out = join(folder.path, `out-${i}`);
    if (found !== undefined) {
      mkdirSync(out);
      writeFileSync(join(out, found), '{"id":"0","index":0}\n');
    }
    if (yaml !== null) writeFileSync(file, typeof yaml === 'string' ? yaml.replace('OUT', out) : yaml);
    const wanted = `${before}${line.replaceAll('FILE', file).replaceAll('OUT', out)}\n`;
    const spawned = i === 0 || undefined;
    assert.deepEqual(await run(program, file, spawned), { code: 2, stdout: '', stderr: wanted });
  }

  return {
    folder: folder.path,
    mmlu: of('run_mmlu'),
    hellaswag: of('run_hellaswag'),
    mmmuPro: of('run_mmmu_pro'),
    suite: of('suite'),
    byPath: (name: string, path: string, line: string, program: Program = 'run_mmlu') =>
      void cases.push({ name, program, yaml: null, path, line }),
    run,
    /** One test over all cases; call it behind the last one. */
    checkAll: (what: string) =>
      test(what, { concurrency: 3 }, async (t) => {
        assert.ok(cases.length > 0);
        await Promise.all(cases.map((one, i) => t.test(`${one.program}: ${one.name}`, () => check(one, i))));
      }),
  };
}
