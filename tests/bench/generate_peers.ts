/** Other programs that answer, timed with prompts and answers of the same lengths. */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface PeerOptions {
  threads: number;
  questions: number;
  /** Tokens of a prompt, in the mean. */
  promptTokens: number;
  newTokens: number;
}

/** Slots of llama.cpp that are tried. */
const SLOTS = [1, 8, 16, 32, 64];
const LIMIT_MS = 20 * 60_000;

/**
 * `llama-batched-bench`: prompts of one length, as many at once as there are slots, then all their answers token by token. New
 * tokens a second with the prompts counted in, and without.
 */
export function llamaSpeeds(folder: string, gguf: string, { threads, promptTokens, newTokens }: PeerOptions) {
  const most = Math.max(...SLOTS);
  const options = {
    m: gguf,
    c: most * (promptTokens + newTokens),
    npp: promptTokens,
    ntg: newTokens,
    npl: SLOTS.join(','),
    t: threads,
    tb: threads,
    'output-format': 'jsonl',
  };
  const args = Object.entries(options).flatMap(([name, value]) => [
    `${name.length > 3 ? '--' : '-'}${name}`,
    `${value}`,
  ]);
  const found = spawnSync(join(folder, 'llama-batched-bench'), args, { encoding: 'utf8', timeout: LIMIT_MS });
  if (found.status !== 0)
    throw new Error(`llama-batched-bench ended with ${found.status}: ${found.stderr.slice(-500)}`);
  return found.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => {
      const { pl, t_pp, t_tg } = JSON.parse(line) as { pl: number; t_pp: number; t_tg: number };
      const tokens = pl * newTokens;
      return { slots: pl, perSecond: tokens / (t_pp + t_tg), decodeAlone: tokens / t_tg };
    });
}

/** transformers with torch, prompts padded to a batch: `generate_peer.py`. */
export function transformersSpeed(
  python: string,
  folder: string,
  prompts: readonly (readonly number[])[],
  { threads, newTokens }: PeerOptions,
): { version: string; batch: number; perSecond: number } {
  const script = fileURLToPath(new URL('generate_peer.py', import.meta.url));
  const input = JSON.stringify({ folder, prompts, threads, new_tokens: newTokens });
  return JSON.parse(execFileSync(python, [script], { input, encoding: 'utf8', timeout: LIMIT_MS }));
}
