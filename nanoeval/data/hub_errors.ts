/** What the hub's refusals mean for a user: one line each, with what to do. */
import { Interrupted, UserError } from '../types.ts';
import type { Http } from './http.ts';
import type { Refused } from './http_errors.ts';
import type { HubEnv } from './hub_env.ts';

interface Asked {
  kind: 'model' | 'dataset';
  id: string;
  revision: string;
}

/** At most `most` names, and how many more there are. */
export function someOf(names: readonly string[], most = 60): string {
  const rest = names.length - most;
  return names.slice(0, most).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

/** A file that the listing does not have, with the ones that look most like it. */
export function missingFile(path: string, where: string, paths: readonly string[]): UserError {
  const ending = path.slice(path.lastIndexOf('.'));
  const alike = paths.filter((one) => one.endsWith(ending));
  const shown = alike.length > 0 ? alike : paths;
  return new UserError(`${path} is not in ${where}. It has: ${someOf(shown, 20) || 'no files'}.`);
}

async function branchesAndTags(asked: Asked, env: HubEnv, http: Http): Promise<string> {
  try {
    const answer = await http.apiFetch(`${env.endpoint}/api/${asked.kind}s/${asked.id}/refs`);
    const refs = (await answer.json()) as Record<string, { name: string; ref: string }[] | undefined>;
    const names = [...(refs.branches ?? []), ...(refs.tags ?? [])].map((one) => one.name);
    names.push(...(refs.converts ?? []).map((one) => one.ref));
    return names.length > 0 ? ` It has: ${someOf(names, 20)}.` : '';
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    return ' Its branches and tags could not be listed.'; // the message stands without them
  }
}

/**
 * Turns a refusal into a line for the user. The hub answers 401 RepoNotFound for a missing and for a private repository
 * alike while nobody is logged in, 404 with a token; a bad token gets 401 without a code even for public repositories.
 */
export async function explainRefusal(refused: Refused, asked: Asked, env: HubEnv, http: Http): Promise<UserError> {
  const { kind, id, revision } = asked;
  const page = `${env.endpoint}/${kind === 'dataset' ? 'datasets/' : ''}${id}`;
  const keys =
    kind === 'model'
      ? { id: 'model.model_id', rev: 'model.revision' }
      : { id: 'dataset.dataset_id', rev: 'dataset.revision' };
  const say = (line: string, key?: string) =>
    new UserError(line, key === undefined ? { cause: refused } : { key, cause: refused });
  switch (refused.code) {
    case 'GatedRepo':
      return env.token === null
        ? say(`${id}: access needs its licence accepted at ${page} and HF_TOKEN set to a token of that account.`)
        : say(`${id}: the token of ${env.tokenSource} has no access. Accept its licence at ${page} with that account.`);
    case 'RepoNotFound':
      return env.token === null
        ? say(`${env.endpoint} has no public ${kind} "${id}". Check the id; if it is private, set HF_TOKEN.`, keys.id)
        : say(
            `${env.endpoint} has no ${kind} "${id}" that the token of ${env.tokenSource} may see. Check the id.`,
            keys.id,
          );
    case 'RevisionNotFound':
      return say(`"${revision}" is not a revision of ${id}.${await branchesAndTags(asked, env, http)}`, keys.rev);
    case 'EntryNotFound':
      return say(`${refused.message}: ${id} has no such file.`);
  }
  if (refused.status === 401 && env.token !== null) {
    return say(
      `${env.endpoint} refused the token of ${env.tokenSource} (401). ` +
        'Get a new one, or unset it for public repositories.',
    );
  }
  if (refused.status === 401 || refused.status === 403) {
    return say(`${id}: no access (${refused.status}). Set HF_TOKEN to a token that may read ${page}.`);
  }
  return say(`${id}: ${refused.message}. Is HF_ENDPOINT (${env.endpoint}) a hub?`);
}
