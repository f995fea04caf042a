/** The sandboxes of this machine, for tests. */
import { LEVELS, type Level } from '../../../nanoeval/score/sandbox/levels.ts';
import { openSandbox, type Sandbox } from '../../../nanoeval/score/sandbox/sandbox.ts';
import { UserError } from '../../../nanoeval/types.ts';

export const NO_SANDBOX = 'no Python 3, or no sandbox works on this machine';

async function open(unsafe: boolean, only?: Level): Promise<Sandbox | null> {
  const python = process.env.NANOEVAL_TEST_PYTHON ?? 'python3';
  try {
    return await openSandbox({ enabled: true, unsafe, python }, only);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return null;
  }
}

/** The strongest one; null where there is none. */
export const strongest = () => open(false);

/** One for each level in the order of LEVELS; null for a level that does not work here. */
export async function allSandboxes(): Promise<(Sandbox | null)[]> {
  const found: (Sandbox | null)[] = [];
  for (const level of LEVELS) found.push(await open(true, level));
  return found;
}
