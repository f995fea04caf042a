/** How a Python process is shut in: the command line of each level. What a level gives stands in README.md. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Python, type Shown, shownFor } from './python.ts';

/** From the strongest one down; `none` shuts nothing in. */
export const LEVELS = ['bubblewrap', 'unshare', 'none'] as const;
export type Level = (typeof LEVELS)[number];

/** What summary and log say of a level. */
export const ABOUT_LEVEL: Record<Level, string> = {
  bubblewrap: 'bubblewrap',
  unshare: 'namespaces by unshare',
  none: 'NO sandbox (sandbox.unsafe), limits alone',
};

/** Bytes of the temporary folder, where it is a file system of its own. */
const TEMPORARY = 16 * 1024 * 1024;

/** A user that nobody is: what runs as root becomes it. */
export const NOBODY = 59999;

export interface Command {
  file: string;
  args: string[];
}

/** Where a program of the system lies; null where it does not. */
export function onPath(
  name: string,
  path = `${process.env.PATH ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`,
): string | null {
  for (const folder of path.split(delimiter).filter(Boolean)) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

/**
 * The command that runs `source` in a process of its own at a level, with `args` behind the number of the user that it has to
 * become. A text: why there is none here. `isRoot`: this process may become any user. `life`: seconds after which the process is
 * killed where the one who would do it was killed too and nothing else sees to it.
 */
export function commandFor(
  level: Level,
  python: Python,
  source: string,
  args: readonly string[],
  { isRoot, life }: { isRoot: boolean; life: number },
): Command | string {
  // PYTHONHASHSEED comes with the environment: sets have one order, so a verdict is the same each time.
  const inner = [python.executable, '-s', '-B', '-c', source, String(isRoot ? NOBODY : 0), ...args];
  if (level === 'none') return { file: inner[0]!, args: inner.slice(1) };
  if (process.platform !== 'linux') return `${level} is Linux's alone`;
  if (level === 'bubblewrap') {
    const file = onPath('bwrap');
    if (file === null) return 'bwrap is not installed';
    return { file, args: [...bubblewrap(shownFor(python), isRoot), ...inner] };
  }
  const needed = ['sh', 'timeout', 'unshare', 'mount', 'umount', 'pivot_root', 'setpriv'];
  const missing = needed.find((name) => onPath(name) === null);
  if (missing !== undefined) return `${missing} is not installed`;
  const [sh, timeout, unshare] = needed.map((name) => onPath(name)!) as [string, string, string];
  const spaces = ['--mount', '--net', '--pid', '--ipc', '--uts', '--fork', '--kill-child=KILL'];
  const owned = isRoot ? [] : ['--user', '--map-root-user'];
  const script = unshareScript(shownFor(python), isRoot);
  // unshare outlives whoever started it.
  const limited = ['-s', 'KILL', String(life), unshare, ...owned, ...spaces, sh, '-c', script, 'sh', ...inner];
  return { file: timeout, args: limited };
}

/** The options of bwrap. Root sets the folders up itself and leaves for another user; others need a user namespace. */
function bubblewrap(shown: readonly Shown[], isRoot: boolean): string[] {
  const user = isRoot
    ? ['--cap-drop', 'ALL', '--cap-add', 'CAP_SETUID', '--cap-add', 'CAP_SETGID']
    : ['--unshare-user', '--uid', String(NOBODY), '--gid', String(NOBODY), '--cap-drop', 'ALL'];
  const spaces = ['--unshare-ipc', '--unshare-pid', '--unshare-net', '--unshare-uts', '--unshare-cgroup-try'];
  const folders = shown.flatMap(({ path, link }) => [
    ...parents(path).flatMap((parent) => ['--dir', parent]),
    ...(link === null ? ['--ro-bind', path, path] : ['--symlink', link, path]),
  ]);
  const devices = ['null', 'zero', 'random', 'urandom'].flatMap((name) => [
    '--dev-bind',
    `/dev/${name}`,
    `/dev/${name}`,
  ]);
  const temporary = ['--perms', '1777', '--size', String(TEMPORARY), '--tmpfs', '/tmp'];
  const places = ['--dir', '/dev', ...folders, ...devices, ...temporary, '--remount-ro', '/', '--chdir', '/tmp'];
  return [...user, ...spaces, '--die-with-parent', '--new-session', ...places, '--'];
}

/** Folders above a path, the outermost first; the root is there. */
function parents(path: string): string[] {
  const parts = path.split('/').slice(1, -1);
  return parts.map((_, i) => `/${parts.slice(0, i + 1).join('/')}`);
}

/**
 * What `unshare` runs as the first process of new namespaces: a root of a few read-only folders in place of the machine's, no
 * rights, and then the command in its arguments.
 */
function unshareScript(shown: readonly Shown[], isRoot: boolean): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  // Any folder will do: the new root hides it in this namespace alone.
  const root = fileURLToPath(new URL('.', import.meta.url));
  const places = shown.map(({ path, link }) => {
    const [at, from] = [quoted(`.${path}`), quoted(path)];
    const above = `mkdir -p "$(dirname ${at})"`;
    if (link !== null) return `${above}; ln -s ${quoted(link)} ${at}`;
    return `${above}; if [ -d ${from} ]; then mkdir -p ${at}; else : > ${at}; fi; mount --bind ${from} ${at}; mount -o remount,bind,ro,nosuid,nodev ${at}`;
  });
  const devices = ['null', 'zero', 'random', 'urandom'].map(
    (name) => `: > dev/${name}; mount --bind /dev/${name} dev/${name}`,
  );
  return [
    'set -e',
    'umask 022',
    `mount -t tmpfs -o size=1m,mode=755,nosuid,nodev none ${quoted(root)}`,
    `cd ${quoted(root)}`,
    'mkdir dev tmp old proc',
    ...places,
    ...devices,
    `mount -t tmpfs -o size=${TEMPORARY},mode=1777,nosuid,nodev none tmp`,
    `mount -o remount,bind,ro,nosuid,nodev ${quoted(root)}`,
    // umount looks into /proc; it goes last.
    'mount --rbind /proc proc',
    'pivot_root . old',
    'cd /tmp',
    'umount -l /old',
    'umount -l /proc',
    // Not in place of the shell: the first process of a namespace does not hear SIGXCPU, so that a program out of time would be
    // taken for one that ended by itself.
    `setpriv --no-new-privs --inh-caps=-all --bounding-set=-all${isRoot ? ',+setuid,+setgid' : ''} "$@" || exit $?`,
    'exit 0',
  ].join('\n');
}
