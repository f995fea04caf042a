/** The Python that programs run in: where it is, and which folders it needs to start. */
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readlinkSync } from 'node:fs';

export interface Python {
  /** The interpreter itself, no link of a version manager. */
  executable: string;
  version: string;
  /** Folders of its installation, absolute. */
  folders: string[];
}

const QUESTION =
  'import json, os, sys; print(json.dumps({"executable": sys.executable, "version": sys.version.split()[0], "folders": ' +
  '[sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.path.realpath(sys.executable))]}))';

/** Milliseconds within which an interpreter says what it is. */
const LIMIT = 20_000;

/** Asks `command` (a name or a path) what it is. Returns why there is none otherwise. */
export function findPython(command: string): Python | string {
  const { stdout, error, status } = spawnSync(command, ['-I', '-c', QUESTION], { encoding: 'utf8', timeout: LIMIT });
  if (error !== undefined || status !== 0) {
    const reason = (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT' ? 'it is not there' : error?.message;
    return `${command} does not run (${reason ?? `exit code ${status}`})`;
  }
  return JSON.parse(stdout) as Python;
}

/** A folder that a sandbox shows, or a link at its root. */
export interface Shown {
  path: string;
  /** Where the link points to; null: the folder itself, read-only. */
  link: string | null;
}

/** What has to be there for `python` to start: the system's libraries and its installation. Nothing of anybody's home besides. */
export function shownFor({ folders }: Python): Shown[] {
  const system = ['/usr', '/lib', '/lib64', '/bin', '/sbin', '/etc/ld.so.cache'].filter((path) => existsSync(path));
  const own = folders.filter((path) => !path.startsWith('/usr/') && path !== '/usr' && !system.includes(path));
  // An installation below /nix uses libraries that lie beside it.
  const roots = [...new Set(own.map((path) => (path.startsWith('/nix/') ? '/nix' : path)))].sort();
  const outermost = roots.filter((path) => !roots.some((other) => path.startsWith(`${other}/`)));
  const linkOf = (path: string) => (lstatSync(path).isSymbolicLink() ? readlinkSync(path) : null);
  return [...system.map((path) => ({ path, link: linkOf(path) })), ...outermost.map((path) => ({ path, link: null }))];
}
