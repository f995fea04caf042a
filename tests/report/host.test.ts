import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { describeGpu, describeHost, describeTool, processorsHere } from '../../nanoeval/report/host.ts';

import { temporaryFolder } from '../spawn.ts';

const installed = (name: string) =>
  (JSON.parse(readFileSync(new URL(`../../${name}package.json`, import.meta.url), 'utf8')) as { version: string })
    .version;

test('the machine and the versions are those of this process', () => {
  const host = describeHost();
  assert.equal(host.node, process.version);
  assert.equal(host.cores, availableParallelism());
  assert.equal(host.onnxruntime, installed('node_modules/onnxruntime-node/'));
  assert.ok(host.memory_gib > 0.1 && host.cpu.length > 0 && host.platform.includes(process.arch));
});

test("the tool names its own version, and its checkout's commit where there is one", () => {
  const tool = describeTool();
  assert.equal(tool.version, installed(''));
  assert.ok(tool.git_commit === null || /^[0-9a-f]{40}(-dirty)?$/.test(tool.git_commit), String(tool.git_commit));
});

test('the graphics processors of an execution provider: none for cpu, what the driver says for cuda', {
  skip: process.platform === 'win32',
}, (t) => {
  const { path, remove } = temporaryFolder('gpu');
  const { PATH = '' } = process.env;
  t.after(() => {
    process.env.PATH = PATH;
    remove();
  });
  assert.deepEqual([describeGpu('cpu'), describeGpu(undefined), describeGpu('webgpu')], [null, null, 'webgpu']);
  const script = (body: string) => {
    writeFileSync(join(path, 'nvidia-smi'), `#!/bin/sh\n${body}\n`);
    chmodSync(join(path, 'nvidia-smi'), 0o755);
  };
  process.env.PATH = `${path}${delimiter}${PATH}`;
  script(
    'echo "NVIDIA X, 80 MiB, 5.1"; echo "NVIDIA Y, 40 MiB, 5.1"; test "$1" = --query-gpu=name,memory.total,driver_version',
  );
  assert.equal(describeGpu('cuda'), 'cuda: NVIDIA X, 80 MiB, 5.1; NVIDIA Y, 40 MiB, 5.1');
  assert.equal(processorsHere(), 'NVIDIA X, 80 MiB, 5.1; NVIDIA Y, 40 MiB, 5.1');
  script('echo "no driver"; exit 9');
  assert.deepEqual([describeGpu('cuda'), processorsHere()], ['cuda', null]);
  script('exec sleep 60');
  const begun = performance.now();
  assert.equal(processorsHere(), null);
  assert.ok(performance.now() - begun < 15_000, 'a driver that hangs is waited for');
});
