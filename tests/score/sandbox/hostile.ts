/** Programs that try to pass, to harm or to get out. They touch nothing but what a sandbox gives them, if it is one. */
import type { Job } from '../../../nanoeval/score/sandbox/judge.ts';

/** A program that has to be judged wrong, and what its failure has to say. */
export interface Cheat {
  name: string;
  program: string;
  failure: RegExp;
  /** Runs in `npm test`; the others with NANOEVAL_TEST_ALL=1. */
  always?: true;
  /** Without a sandbox it succeeds, and ends whoever tries it. */
  needsLevel?: true;
}

/** The function to write: what it is given, doubled. */
export const DOUBLE: Omit<Job, 'program'> = {
  prompt: 'def f(x):\n    """Doubles x."""\n',
  test: 'def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 6\n    assert candidate([1, "a"]) == [1, "a", 1, "a"]\n',
  entry_point: 'f',
};

const wrong = 'AssertionError \\(line 2 of the test\\)';
/** Says `line` on every descriptor there is. */
const onEveryWire = (line: string) => `
import os
for number in range(64):
    try:
        os.write(number, ${JSON.stringify(`${line}\n`)}.encode())
    except OSError:
        pass
def f(x):
    return 0
`;

export const CHEATS: Cheat[] = [
  // Leaving before the asserts.
  { name: 'sys.exit(0)', program: 'import sys\nsys.exit(0)', failure: /^SystemExit: 0 \(line 2 of the program\)$/ },
  { name: 'exit() inside', program: 'def f(x):\n    raise SystemExit(0)', failure: /^SystemExit: 0 / },
  {
    name: 'os._exit(0)',
    program: 'import os\nos._exit(0)',
    failure: /^ended before the test was done \(exit code 0\)$/,
    always: true,
  },
  {
    name: 'os._exit(0) inside',
    program: 'import os\ndef f(x):\n    os._exit(0)',
    failure: /^ended before .*\(exit code 0\)$/,
  },
  {
    name: 'another program in its place',
    program: "import os\nos.execv('/usr/bin/true', ['true'])",
    failure: /^ended before .*\(exit code 0\)$/,
  },
  {
    name: 'another program in its place that never ends',
    program: "import os\nos.execv('/usr/bin/sleep', ['nanoeval-sleeper', '1000'])",
    failure: /^timeout: not done after 3 s$/,
  },
  {
    name: 'a session of its own, and a program that never ends',
    program:
      "import os\ntry:\n    os.setsid()\nexcept OSError:\n    pass\nos.execv('/usr/bin/sleep', ['nanoeval-sleeper', '1000'])",
    failure: /^timeout: not done after 3 s$/,
  },
  { name: 'all descriptors closed', program: 'import os\nos.closerange(0, 64)', failure: /./ },
  // Claiming success.
  { name: 'printing success', program: "print('passed')\ndef f(x):\n    print('passed')", failure: new RegExp(wrong) },
  {
    name: 'a verdict on every descriptor',
    program: onEveryWire('{"nonce":"00000000000000000000000000000000","passed":true}'),
    failure: /^KeyError: 'value'/,
    always: true,
  },
  {
    name: 'answers sent ahead',
    program: onEveryWire('{"loaded":true}\n{"value":4,"changed":[]}\n{"value":7,"changed":[]}'),
    failure: /^AssertionError \(line 3 of the test\)$/,
  },
  { name: 'no JSON on the wire', program: onEveryWire('passed'), failure: /^JSONDecodeError/ },
  {
    name: 'a tag that is none',
    program: onEveryWire('{"loaded":true}\n{"value":["X",1],"changed":[]}'),
    failure: /Error/,
  },
  {
    name: 'arguments changed that are none',
    program: onEveryWire('{"loaded":true}\n{"value":4,"changed":[[9,["l"]]]}'),
    failure: /^IndexError/,
  },
  {
    name: 'check overwritten',
    program: 'def check(candidate):\n    pass\ndef f(x):\n    return None',
    failure: new RegExp(wrong),
    always: true,
  },
  {
    name: 'AssertionError redefined',
    program:
      'import builtins\nclass Quiet(Exception):\n    pass\nbuiltins.AssertionError = Quiet\ndef f(x):\n    return None',
    failure: new RegExp(wrong),
  },
  {
    name: 'json patched in its own process',
    program:
      'import json\njson.dumps = lambda *a, **k: \'{"value":4,"changed":[],"passed":true}\'\ndef f(x):\n    return 0',
    failure: /^AssertionError \(line 3 of the test\)$/,
  },
  {
    name: 'an answer that equals everything',
    program: 'class Any:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return Any()',
    failure: new RegExp(wrong),
    always: true,
  },
  {
    name: 'a number that equals everything',
    program:
      'class Any(int):\n    def __eq__(self, other):\n        return True\n    __hash__ = int.__hash__\ndef f(x):\n    return Any(0)',
    failure: new RegExp(wrong),
  },
  {
    name: 'a list that equals everything',
    program: 'class Any(list):\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return Any()',
    failure: new RegExp(wrong),
  },
  {
    name: 'the argument emptied',
    program: 'def f(x):\n    if isinstance(x, list):\n        x.clear()\n        return x\n    return 2 * x',
    failure: /^AssertionError \(line 4 of the test\)$/,
  },
  {
    name: 'exits when it is left',
    program: 'import atexit, os\natexit.register(os._exit, 0)\ndef f(x):\n    return 0',
    failure: new RegExp(wrong),
  },
  // Time.
  {
    name: 'an endless loop',
    program: 'while True:\n    pass',
    failure: /^timeout: /,
    always: true,
  },
  {
    name: 'an endless loop inside that catches everything',
    program:
      'def f(x):\n    while True:\n        try:\n            while True:\n                pass\n        except BaseException:\n            pass',
    failure: /^timeout: /,
  },
  {
    name: 'every signal ignored',
    program:
      'import signal\nfor one in signal.valid_signals():\n    try:\n        signal.signal(one, signal.SIG_IGN)\n    except (OSError, ValueError):\n        pass\nwhile True:\n    pass',
    failure: /^(timeout: |ended before the test was done \(SIGKILL\))/,
  },
  {
    name: 'sleep',
    program: 'import time\ndef f(x):\n    time.sleep(1000)',
    failure: /^timeout: not done after 3 s$/,
  },
  {
    name: 'a number of a billion digits',
    program: 'def f(x):\n    return 7 ** 10 ** 9',
    failure: /^(timeout: |MemoryError)/,
  },
  {
    name: 'a regular expression without end',
    program: "import re\ndef f(x):\n    re.match('(a+)+$', 'a' * 60 + 'b')",
    failure: /^timeout: /,
  },
  // Memory and output.
  { name: 'eight gigabytes', program: "def f(x):\n    return len('a' * 2**33)", failure: /^MemoryError/, always: true },
  {
    name: 'memory bit by bit',
    program: 'def f(x):\n    kept = []\n    while True:\n        kept.append(bytearray(2**24))',
    failure: /^(MemoryError|timeout)/,
  },
  { name: 'endless recursion', program: 'def f(x):\n    return f(x)', failure: /^RecursionError/ },
  {
    name: 'endless recursion without a limit',
    program: 'import sys\nsys.setrecursionlimit(2**31 - 1)\ndef f(x):\n    return sorted([x], key=f)',
    failure: /^(ended before the test was done|MemoryError|RecursionError|timeout)/,
  },
  {
    name: 'output without end',
    program:
      "import sys\ndef f(x):\n    while True:\n        sys.stdout.write('a' * 2**20)\n        sys.stderr.write('a' * 2**20)",
    failure: /^timeout: /,
  },
  { name: 'an answer of 64 MB', program: "def f(x):\n    return 'a' * 2**26", failure: /^output: / },
  { name: 'an answer without end', program: 'import itertools\ndef f(x):\n    return itertools.count()', failure: /./ },
  {
    name: 'an answer in a thousand brackets',
    program: 'def f(x):\n    for _ in range(5000):\n        x = [x]\n    return x',
    failure: /^RecursionError/,
  },
  {
    name: 'an answer that holds itself',
    program: 'def f(x):\n    x = []\n    x.append(x)\n    return x',
    failure: /^RecursionError/,
  },
  // Ends and messages.
  { name: 'SIGKILL to itself', program: 'import os\nos.kill(os.getpid(), 9)', failure: /^(ended before|NameError)/ },
  {
    name: 'SIGKILL to its parent',
    program: 'import os\ndef f(x):\n    os.kill(os.getppid(), 9)\n    return 0',
    failure: /./,
    needsLevel: true,
  },
  { name: 'abort', program: 'import os\nos.abort()', failure: /^(ended before|timeout)/ },
  { name: 'a null pointer', program: 'import ctypes\nctypes.string_at(0)', failure: /^(ended before|timeout)/ },
  { name: 'no program', program: 'def f(x:\n', failure: /^SyntaxError: .* \(line 1 of the program\)$/, always: true },
  { name: 'another function', program: 'def g(x):\n    return 2 * x', failure: /^NameError: name 'f' is not defined$/ },
  { name: 'no function', program: 'f = 3', failure: /^TypeError: 'int' object is not callable/ },
  {
    name: 'a message of many lines and colours',
    program: "def f(x):\n    raise ValueError('a\\n\\x1b[31mb\\u202e' + 'c' * 1000)",
    failure: /^ValueError: a \[31mb c{150,}\.\.\.( \(line 2 of the program\))?$/,
  },
  {
    name: 'an exception that cannot be printed',
    program: 'class Odd(Exception):\n    def __str__(self):\n        raise Odd()\ndef f(x):\n    raise Odd()',
    failure: /^Odd \(line 5 of the program\)$/,
  },
];

/** Something that a program tries, and what has to come of it: the name of the exception, or the value. */
export interface Attempt {
  name: string;
  /** The body of a function. */
  body: string;
  /** A Python expression of `got`. */
  expected: string;
  always?: true;
  /** Without a sandbox it succeeds. */
  needsLevel?: true;
}

const refused = "got in ('PermissionError', 'OSError', 'FileNotFoundError')";

/** `port`: of a server on this machine. `secret`: a file outside. */
export const attempts = (port: number, secret: string): Attempt[] => [
  {
    name: 'reads a file outside',
    body: `return open(${JSON.stringify(secret)}).read()`,
    expected: refused,
    needsLevel: true,
    always: true,
  },
  { name: 'reads the password file', body: "return open('/etc/passwd').read()", expected: refused, needsLevel: true },
  {
    name: 'looks around',
    body: "return sorted(os.listdir('/'))",
    expected:
      "set(got) <= {'bin', 'dev', 'etc', 'lib', 'lib64', 'nix', 'old', 'opt', 'proc', 'root', 'sbin', 'home', 'tmp', 'usr'}",
    needsLevel: true,
  },
  {
    name: 'looks for homes',
    body: "return [os.path.exists(os.path.join(p, '.bashrc')) for p in ('/root', os.path.expanduser('~'))]",
    expected: 'got == [False, False]',
    needsLevel: true,
  },
  {
    name: 'looks at processes',
    body: "return os.listdir('/proc')",
    expected: "got == [] or got == 'FileNotFoundError'",
    needsLevel: true,
  },
  { name: 'reads the environment', body: 'return dict(os.environ)', expected: 'got == {}', always: true },
  {
    name: 'writes into the system',
    body: "return open('/usr/nanoeval', 'w').close()",
    expected: refused,
    needsLevel: true,
  },
  { name: 'writes at the root', body: "return open('/nanoeval', 'w').close()", expected: refused },
  {
    name: 'writes where it is',
    body: "open('own', 'w').write('a')\nreturn open('own').read()",
    expected: "got == 'a'",
  },
  {
    name: 'a file of 64 MB',
    body: "open('big', 'wb').write(bytes(2**26))\nreturn os.path.getsize('big')",
    expected: "got == 'OSError' or got < 2**25",
  },
  {
    name: 'many files',
    body: "for i in range(64):\n    open(f'part{i}', 'wb').write(bytes(2**20))\nreturn 'full'",
    expected: "got == 'OSError'",
    needsLevel: true,
  },
  { name: 'many open files', body: 'kept = [open(os.devnull) for _ in range(1000)]', expected: "got == 'OSError'" },
  {
    name: 'connects to this machine',
    body: `socket.create_connection(('127.0.0.1', ${port}), 2)\nreturn 'connected'`,
    expected: "got in ('OSError', 'ConnectionRefusedError')",
    needsLevel: true,
    always: true,
  },
  {
    name: 'sends beyond',
    body: "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'a', ('192.0.2.1', 9))\nreturn 'sent'",
    expected: "got == 'OSError'",
    needsLevel: true,
  },
  { name: 'asks for a name', body: "return socket.getaddrinfo('example.invalid', 80)", expected: "got == 'gaierror'" },
  { name: 'forks', body: 'return os.fork()', expected: "got == 'BlockingIOError'", always: true },
  {
    name: 'a bomb of forks',
    body: "for _ in range(1000):\n    try:\n        os.fork()\n        return 'forked'\n    except BlockingIOError:\n        pass\nreturn 'alone'",
    expected: "got == 'alone'",
  },
  {
    name: 'starts a program',
    body: "return subprocess.run(['/bin/true']).returncode",
    expected: "got == 'BlockingIOError'",
  },
  { name: 'starts a thread', body: 'return threading.Thread(target=print).start()', expected: "got == 'RuntimeError'" },
  { name: 'becomes another user', body: 'return os.setuid(1)', expected: "got in ('PermissionError', 'OSError')" },
  {
    name: 'raises a limit',
    body: 'return resource.setrlimit(resource.RLIMIT_AS, (-1, -1))',
    expected: "got in ('ValueError', 'PermissionError')",
  },
  { name: 'changes the root', body: "return os.chroot('/tmp')", expected: "got == 'PermissionError'" },
  {
    name: 'mounts',
    body: "return ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None)",
    expected: 'got == -1',
  },
  {
    name: 'kills the first process',
    body: 'return os.kill(1, 9) if os.getpid() != 1 else "PermissionError"',
    expected: "got in ('PermissionError', None)",
  },
  {
    name: 'looks for the test in its memory',
    body: "return any(isinstance(one, str) and 'def check' + '(candidate)' in one for one in gc.get_objects()) or 'check' in globals()",
    expected: 'got == False',
  },
  {
    name: 'looks for a secret in its arguments',
    body: 'return len([one for one in sys.orig_argv if len(one) == 32])',
    expected: 'got == 0',
  },
];

/** The job of an attempt: its test is passed where it fails. */
export function jobOf({ body, expected }: Attempt): Job {
  const lines = body.split('\n').map((line) => `        ${line}`);
  const program = [
    'import ctypes, gc, os, resource, socket, subprocess, sys, threading',
    'def attempt():',
    '    try:',
    ...lines,
    '    except BaseException as error:',
    '        return type(error).__name__',
  ];
  return {
    prompt: 'import os\ndef attempt():\n    """Tries."""\n',
    program: program.join('\n'),
    test: `def check(candidate):\n    got = candidate()\n    assert ${expected}, repr(got)\n`,
    entry_point: 'attempt',
  };
}
