/** Paths as they are written in a YAML file or an environment variable: `~` is the home folder, as in a shell. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

/** `~` alone, or with a path behind it. `~ada`, the home of another user, is neither. */
const HOME = /^~(?=$|[/\\])/;
/** What is no `~ada`. */
const OWN = /^(?!~[^/\\])/;

/** The path with the home folder in place of a `~` that begins it (`~`, `~/runs`); any other path as it is. */
export function expandHome(path: string): string {
  return HOME.test(path) ? join(homedir(), path.slice(1)) : path;
}

/** Whether the path begins with the home of another user, `~ada/runs`, which nobody looks up here. */
export const isOthersHome = (path: string): boolean => !OWN.test(path);

/** What a path would be that begins with another user's home. */
export const NO_OTHERS_HOME = 'a path in full: "~" and "~/..." are your home folder, another user\'s is not looked up';

/** The schema of a path: `~` is expanded, `~user` refused. */
export const pathKey = (meaning: string) =>
  z.string().min(1).regex(OWN, NO_OTHERS_HOME).overwrite(expandHome).describe(meaning);
