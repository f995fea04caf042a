/** Processes as /proc shows them, and graphs for workers to open. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GraphFiles } from '../../nanoeval/model/graph/session.ts';
import { DEMO, ROOT } from '../spawn.ts';

interface Process {
  pid: number;
  parent: number;
  state: string;
}

function statOf(pid: number | string): Process | null {
  try {
    // The name in brackets may hold blanks.
    const [state, parent] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\)\s*/s, '')
      .split(' ');
    return { pid: Number(pid), parent: Number(parent), state: state! };
  } catch {
    return null;
  }
}

/** Children of a process that run a worker. */
export function workersOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => statOf(name) ?? [])
    .filter((one) => one.parent === parent && one.state !== 'Z' && commandOf(one.pid).includes('worker.ts'))
    .map(({ pid }) => pid);
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

export function lives(pid: number): boolean {
  const found = statOf(pid);
  return found !== null && found.state !== 'Z';
}

/** Waits until it is so; false when it is not in half a minute. */
export async function comes(isSo: () => boolean): Promise<boolean> {
  for (let i = 0; i < 1500; i += 1) {
    if (isSo()) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

const CONFIG = JSON.parse(readFileSync(join(ROOT, DEMO, 'config.json'), 'utf8'));

const graph = (name: string) => join(ROOT, DEMO, `onnx/${name}.onnx`);

/** The embedded checkpoint's graphs; without the one that sees. */
export const DEMO_FILES: GraphFiles = {
  graphs: { decoder: graph('decoder_model_merged'), embed: graph('embed_tokens'), vision: null },
  config: CONFIG,
  textConfig: CONFIG.text_config,
  preprocessor: null,
  processor: null,
};
