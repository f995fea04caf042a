import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { describeHost, describeTool } from '../../nanoeval/report/host.ts';

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
