/** The machine and the versions a run was made with, for run.json. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Host {
  platform: string;
  cpu: string;
  cores: number;
  memory_gib: number;
  node: string;
  onnxruntime: string;
  /** The graphics processors, where one was to compute. */
  gpu?: string;
}

export interface Tool {
  name: string;
  version: string;
  /** Commit of NanoEval's own checkout, with `-dirty` for changed files; null outside git. */
  git_commit: string | null;
}

const HERE = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);

/** This machine and process; no names of users or folders. */
export function describeHost(): Host {
  const runtime = require('onnxruntime-node/package.json') as { version: string };
  return {
    platform: `${platform()} ${release()} ${arch()}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory_gib: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    node: process.version,
    onnxruntime: runtime.version,
  };
}

/**
 * The graphics processors of this machine for an execution provider: its name, and for `cuda` what the driver says of each (asked
 * for five seconds at most). null where the processor computes.
 */
export function describeGpu(device: string | undefined): string | null {
  if (device === undefined || device === 'cpu') return null;
  if (device !== 'cuda') return device;
  return [device, processorsHere() ?? ''].filter((part) => part !== '').join(': ');
}

/**
 * What NVIDIA's driver says of each graphics processor of this machine (asked for five seconds at most): name, memory, driver.
 * null where there is none, or no driver to ask.
 */
export function processorsHere(): string | null {
  const query = ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader'];
  const { status, stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8', timeout: 5000 });
  const found = status === 0 ? stdout.split('\n').map((line) => line.trim()) : [];
  return found.filter((line) => line !== '').join('; ') || null;
}

/** NanoEval itself. Asks git, for five seconds at most. */
export function describeTool(): Tool {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const git = spawnSync('git', ['-C', HERE, 'describe', '--always', '--dirty', '--abbrev=40', '--exclude=*'], {
    encoding: 'utf8',
    timeout: 5000,
  });
  return { name: 'nanoeval', version, git_commit: git.status === 0 ? git.stdout.trim() : null };
}
