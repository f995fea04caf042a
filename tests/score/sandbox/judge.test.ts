/**
 * Programs and their tests in the strongest sandbox of this machine; with NANOEVAL_TEST_ALL=1 all hostile programs, at each level
 * that works here.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { inParallel } from '../../../nanoeval/run/in_parallel.ts';
import { limitsFor } from '../../../nanoeval/score/sandbox/judge.ts';
import { LEVELS } from '../../../nanoeval/score/sandbox/levels.ts';
import type { Sandbox } from '../../../nanoeval/score/sandbox/sandbox.ts';
import { temporaryFolder } from '../../spawn.ts';
import { attempts, CHEATS, DOUBLE, jobOf } from './hostile.ts';
import { allSandboxes, NO_SANDBOX, strongest } from './rooms.ts';

const isAll = process.env.NANOEVAL_TEST_ALL === '1';
const folder = temporaryFolder('judge');
after(folder.remove);
const server = createServer((socket) => socket.destroy());
before(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
after(() => server.close());

/** Command lines of the processes that hold `word`. */
function processesWith(word: string): string[] {
  const lines = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return lines
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
      } catch {
        // It ended meanwhile.
        return '';
      }
    })
    .filter((line) => line.startsWith(word));
}

const foldersNow = () => readdirSync(tmpdir()).filter((name) => name.startsWith('nanoeval-program-'));
const foreign = new Set(foldersNow());
/** Temporary folders of programs that were not there before. */
const leftBehind = () => foldersNow().filter((name) => !foreign.has(name));

async function all<T>(items: readonly T[], { atOnce }: Sandbox, work: (item: T) => Promise<string | null>) {
  async function* each() {
    yield* items;
  }
  const faults: string[] = [];
  for await (const fault of inParallel(each(), atOnce, work)) if (fault !== null) faults.push(fault);
  return faults;
}

/** Whether a hostile program is run now, and at this level. */
const fits = ({ always, needsLevel }: { always?: true; needsLevel?: true }, { level }: Sandbox) =>
  (isAll || always) && !(needsLevel && level === 'none');

const sandboxes = isAll ? await allSandboxes() : [await strongest()];

for (const [i, level] of (isAll ? LEVELS : ['the strongest level']).entries()) {
  const sandbox = sandboxes[i] ?? null;
  describe(`${level}`, { skip: sandbox === null ? NO_SANDBOX : false }, () => {
    const { judge } = sandbox!;

    test('a right program passes, whatever kinds of values go to and fro', async () => {
      const values = [
        'None',
        'True',
        '-3',
        '2**80',
        '-1.5',
        "float('inf')",
        "'\\ud800 \\n \"'",
        '[1, [2]]',
        '(1, (2,))',
        '{1: {"a": 2}}',
        '{1, 2}',
        'frozenset({1})',
        "b'\\x00a'",
        '1j',
        'range(3)',
        'Fraction(1, 3)',
        'Decimal("1.10")',
        'deque([1])',
        'Counter("aab")',
        'OrderedDict(a=1)',
        '{}.keys()',
      ];
      const header = 'from collections import *\nfrom decimal import *\nfrom fractions import *\n';
      const job = {
        prompt: `${header}def same(x):\n    """Gives it back."""\n`,
        program: 'def same(x):\n    return x\n',
        test: `def check(candidate):\n${values.map((one) => `    assert candidate(${one}) == ${one}, ${JSON.stringify(one)}\n    assert type(candidate([${one}])) is list\n`).join('')}    assert list(candidate(iter([1, 2]))) == [1, 2]\n    assert candidate(x=3) == 3\n`,
        entry_point: 'same',
      };
      assert.deepEqual(await judge(job, 5), { passed: true, failure: '' });
    });

    test('the test sees imports and helpers of the prompt, and what a call did to its arguments', async () => {
      const job = {
        prompt:
          'import math\ndef root(x):\n    return math.isqrt(x)\n\ndef f(x):\n    """Adds the root of 9 to the list."""\n',
        program: 'def f(x):\n    x.append(3)\n',
        test: 'def check(candidate):\n    own = [1]\n    assert candidate(own) is None\n    assert own == [1, root(9)] and math.pi > 3\n',
        entry_point: 'f',
      };
      assert.deepEqual(await judge(job, 5), { passed: true, failure: '' });
    });

    test('a row whose own prompt or test is no Python fails as a row, and says nothing about the program', async () => {
      const job = { ...DOUBLE, program: 'def f(x):\n    return 2 * x\n', test: 'def check(candidate:\n' };
      await assert.rejects(judge(job, 5), {
        kind: 'row',
        message: /^its own prompt or test is no Python: SyntaxError: /,
      });
    });

    test('the same verdict each time: sets have one order, chance has one seed', async () => {
      const job = {
        ...DOUBLE,
        program: "import random\ndef f(x):\n    return list({'a', 'b', 'c', 'd', 'e'}) + [random.random()]\n",
        test: 'def check(candidate):\n    assert False, candidate(1)\n',
      };
      const { failure } = await judge(job, 5);
      assert.match(failure, /0\.8444218515250481/);
      assert.equal((await judge(job, 5)).failure, failure);
    });

    test(`programs that cheat are judged wrong, and nothing is left of them (${isAll ? 'all' : 'some'})`, async () => {
      const chosen = CHEATS.filter((one) => fits(one, sandbox!));
      const faults = await all(chosen, sandbox!, async ({ name, program, failure }) => {
        const found = await judge({ ...DOUBLE, program }, 1);
        return !found.passed && failure.test(found.failure) ? null : `${name}: ${JSON.stringify(found)}`;
      });
      assert.deepEqual(faults, []);
      assert.deepEqual(processesWith('nanoeval-sleeper'), []);
      assert.deepEqual(leftBehind(), []);
      assert.deepEqual(await judge({ ...DOUBLE, program: 'def f(x):\n    return 2 * x\n' }, 5), {
        passed: true,
        failure: '',
      });
    });

    test(`programs do not get out (${isAll ? 'all' : 'some'})`, async () => {
      const secret = join(folder.path, 'secret');
      writeFileSync(secret, 'secret');
      const tried = attempts((server.address() as AddressInfo).port, secret);
      const chosen = tried.filter((one) => fits(one, sandbox!));
      const faults = await all(chosen, sandbox!, async (one) => {
        const found = await judge(jobOf(one), 2);
        return found.passed ? null : `${one.name}: ${found.failure}`;
      });
      assert.deepEqual(faults, []);
      assert.deepEqual(leftBehind(), []);
    });
  });
}

test('there are forty hostile programs and more', () => {
  assert.ok(CHEATS.length + attempts(1, '').length >= 40);
});

test('limits: no second process, a gigabyte, seconds of processor time', () => {
  assert.deepEqual(limitsFor(3), { AS: 2 ** 30, FSIZE: 2 ** 24, NOFILE: 64, CORE: 0, NPROC: 0, CPU: 3 });
});
