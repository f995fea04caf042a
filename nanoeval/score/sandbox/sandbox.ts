/** The strongest sandbox that this machine offers, tried out before it is used. */
import { availableParallelism } from 'node:os';
import type { SandboxSettings } from '../../config/sandbox.ts';
import { RowError, UserError } from '../../types.ts';
import { type Job, type Judgement, judge, type Room } from './judge.ts';
import { ABOUT_LEVEL, LEVELS, type Level } from './levels.ts';
import { findPython } from './python.ts';

export interface Sandbox {
  level: Level;
  /** For run.json and the summary. */
  about: string;
  /** Jobs that may run at a time. */
  atOnce: number;
  judge(job: Job, seconds: number): Promise<Judgement>;
}

/** Passes where the standard library can be loaded. */
const TRIAL: Job = {
  prompt: 'import math\n\ndef f(x):\n    """double"""\n',
  program: 'import re, math, collections, random, tempfile\ndef f(x):\n    return 2 * x\n',
  test: 'def check(candidate):\n    assert candidate([1]) == [1, 1]\n',
  entry_point: 'f',
};

const opened = new Map<string, Promise<Sandbox>>();

/**
 * The sandbox that the settings allow; looked for once in a process. `only`: this level and no other. Throws UserError (keys
 * `sandbox.*`) where running programs is not allowed, and where there is no level, with the reason of each.
 */
export function openSandbox(settings: SandboxSettings, only?: Level): Promise<Sandbox> {
  const key = JSON.stringify([settings, only]);
  const known = opened.get(key) ?? find(settings, only);
  opened.set(key, known);
  return known;
}

async function find({ enabled, unsafe, python: command }: SandboxSettings, only?: Level): Promise<Sandbox> {
  if (!enabled)
    throw new UserError(
      'false, and scores come from running what the model wrote. Set it to true to allow that in a sandbox, or run.score: false for predictions that rescore.ts scores later.',
      { key: 'sandbox.enabled' },
    );
  const python = findPython(command);
  if (typeof python === 'string')
    throw new UserError(`${python}. Name a Python 3 interpreter.`, { key: 'sandbox.python' });
  const isRoot = process.getuid?.() === 0;
  const reasons: string[] = [];
  for (const level of LEVELS.filter((one) => (only === undefined ? one !== 'none' || unsafe : one === only))) {
    const room = { level, python, isRoot };
    const fault = await tried(room);
    if (fault !== null) {
      reasons.push(`${level}: ${fault}`);
      continue;
    }
    return {
      level,
      about: `programs run under ${ABOUT_LEVEL[level]}, Python ${python.version}`,
      atOnce: Math.max(1, Math.floor(availableParallelism() / 2)),
      judge: (job, seconds) => judge(room, job, seconds),
    };
  }
  throw new UserError(
    `no sandbox works here (${reasons.join('; ')}). Install bubblewrap, allow user namespaces, or, where nothing can be harmed, set sandbox.unsafe: true.`,
    { key: 'sandbox.enabled' },
  );
}

/** Why a level does not work here; null where it does. */
async function tried(room: Room): Promise<string | null> {
  try {
    const right = await judge(room, TRIAL, 20);
    return right.passed ? null : right.failure;
  } catch (error) {
    if (!(error instanceof RowError)) throw error;
    return error.message;
  }
}
