/** Command lines of the levels. What they shut in is tried out in judge.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Command, commandFor, onPath } from '../../../nanoeval/score/sandbox/levels.ts';

const python = { executable: "/opt/it's/bin/python3", version: '3.11.2', folders: ["/opt/it's"] };
const command = (level: Parameters<typeof commandFor>[0], isRoot = false) =>
  commandFor(level, python, 'source', ['{}'], { isRoot, life: 39 });

test('a program is found on the path, or it is not', () => {
  assert.equal(onPath('no-such-program'), null);
  assert.equal(onPath('sh', '/nowhere:/bin'), '/bin/sh');
});

test('without a sandbox Python runs by itself, and leaves root where it is', () => {
  const rest = ['-s', '-B', '-c', 'source'];
  assert.deepEqual(command('none'), { file: python.executable, args: [...rest, '0', '{}'] });
  assert.deepEqual((command('none', true) as Command).args, [...rest, '59999', '{}']);
});

const skip = process.platform !== 'linux' ? 'Linux alone has these levels' : false;

test('bubblewrap: no network, no rights, nothing writable but a temporary folder of 16 MB', {
  skip: skip || onPath('bwrap') === null ? 'no bwrap' : false,
}, () => {
  for (const isRoot of [false, true]) {
    const { args } = command('bubblewrap', isRoot) as Command;
    const line = args.slice(0, args.indexOf('--')).join(' ');
    assert.match(line, /--cap-drop ALL/);
    assert.match(line, /--unshare-pid --unshare-net/);
    assert.match(line, /--die-with-parent --new-session/);
    assert.match(line, /--size 16777216 --tmpfs \/tmp --remount-ro \/ --chdir \/tmp$/);
    assert.ok(!/--(bind|dev|proc|share-net) /.test(line), line);
    assert.equal(line.includes('--unshare-user --uid 59999'), !isRoot);
    assert.ok(line.includes("--dir /opt --ro-bind /opt/it's /opt/it's"), line);
  }
});

test('unshare: paths are quoted for the shell; root needs no namespace of users', { skip }, (t) => {
  const plain = command('unshare');
  if (typeof plain === 'string') return t.skip(plain);
  assert.match(plain.args.join('\n'), /^-s\nKILL\n39\n\S+unshare\n--user\n--map-root-user\n--mount\n--net\n--pid/);
  assert.ok(plain.args.join('\n').includes("mount --bind '/opt/it'\\''s' './opt/it'\\''s'"));
  assert.match(plain.args.join('\n'), /--bounding-set=-all "\$@"/);
  assert.doesNotMatch((command('unshare', true) as Command).args.join('\n'), /--user/);
});
