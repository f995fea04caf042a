/**
 * The hub's own environment variables, read as Python's huggingface_hub 2.4 reads them (its constants.py,
 * utils/_auth.py), so that one machine's settings, token and cache serve both.
 */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../types.ts';

/** What the environment says about the hub. The token stays in here and in the request headers, nowhere else. */
export interface HubEnv {
  /** `HF_ENDPOINT`, without trailing slashes. */
  endpoint: string;
  /** Folder that holds `models--org--name` and `datasets--org--name`. */
  cacheDir: string;
  token: string | null;
  /** Where the token came from, for messages: `HF_TOKEN`, a file path; null without a token. */
  tokenSource: string | null;
  /** `HF_HUB_OFFLINE`: no request at all. */
  offline: boolean;
  /** `HF_HUB_DISABLE_SYMLINKS`: snapshots hold copies. */
  disableSymlinks: boolean;
  /** `HF_HUB_ETAG_TIMEOUT` in seconds: wait for an answer about files (listing, commit); null when not set. */
  etagTimeoutS: number | null;
  /** `HF_HUB_DOWNLOAD_TIMEOUT` in seconds: wait for a file's headers and for its next bytes; null when not set. */
  downloadTimeoutS: number | null;
}

/** Python's `_is_true`. */
function isTrue(value: string | undefined): boolean {
  return value !== undefined && ['1', 'ON', 'YES', 'TRUE'].includes(value.toUpperCase());
}

/** `~` and `$NAME` expanded, as Python's expanduser and expandvars do; an unknown name stays as it is. */
function expand(path: string, env: NodeJS.ProcessEnv): string {
  const home = env.HOME || homedir();
  const here = path === '~' || path.startsWith('~/') ? home + path.slice(1) : path;
  return here.replace(/\$(?:\{(\w+)\}|(\w+))/g, (all, braced: string, bare: string) => env[braced ?? bare] ?? all);
}

function seconds(env: NodeJS.ProcessEnv, name: string): number | null {
  const text = env[name];
  if (text === undefined || text === '') return null;
  const value = Number(text);
  // Python takes whole seconds only; fractions do no harm. Zero means "the default" there too.
  if (!Number.isFinite(value) || value < 0) throw new UserError(`${name}: "${text}" is not a number of seconds.`);
  return value || null;
}

function readToken(env: NodeJS.ProcessEnv, hfHome: string): { token: string | null; tokenSource: string | null } {
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return { token: null, tokenSource: null };
  const tokenPath = expand(env.HF_TOKEN_PATH || join(hfHome, 'token'), env);
  const sources: [string, () => string | undefined][] = [
    ['HF_TOKEN', () => env.HF_TOKEN],
    ['HUGGING_FACE_HUB_TOKEN', () => env.HUGGING_FACE_HUB_TOKEN],
    [tokenPath, () => (existsSync(tokenPath) ? readFileSync(tokenPath, 'utf8') : undefined)],
  ];
  for (const [tokenSource, read] of sources) {
    const token = read()
      ?.replace(/[\r\n]/g, '')
      .trim();
    if (!token) continue;
    // Checked here because fetch's own complaint about a bad header value would print the token.
    if (!/^[\x21-\x7e]+$/.test(token))
      throw new UserError(`${tokenSource}: the token has characters that no token has.`);
    return { token, tokenSource };
  }
  return { token: null, tokenSource: null };
}

/**
 * Reads the hub's environment variables.
 * Throws UserError for an `HF_ENDPOINT` that is no http(s) address, a time limit that is no number, an unusable token.
 */
export function readHubEnv(env: NodeJS.ProcessEnv = process.env): HubEnv {
  const endpoint = (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '');
  if (!/^https?:\/\/[^/]/.test(endpoint) || !URL.canParse(endpoint)) {
    throw new UserError(`HF_ENDPOINT: "${endpoint}" is not an address. It would be like https://huggingface.co.`);
  }
  const { username, password } = new URL(endpoint);
  if (username !== '' || password !== '') {
    throw new UserError('HF_ENDPOINT: it has a user name or a password in it. Put a token into HF_TOKEN instead.');
  }
  const hfHome = expand(
    env.HF_HOME || join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'huggingface'),
    env,
  );
  return {
    endpoint,
    cacheDir: expand(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(hfHome, 'hub'), env),
    ...readToken(env, hfHome),
    offline: isTrue(env.HF_HUB_OFFLINE),
    disableSymlinks: isTrue(env.HF_HUB_DISABLE_SYMLINKS),
    etagTimeoutS: seconds(env, 'HF_HUB_ETAG_TIMEOUT'),
    downloadTimeoutS: seconds(env, 'HF_HUB_DOWNLOAD_TIMEOUT'),
  };
}
