/** Addresses and keys of servers, as a config names them. */
import { show } from '../../config/messages.ts';
import { UserError } from '../../types.ts';

/**
 * `http://host:8000`, without the `/v1` that documents often put behind it and without a slash at the end. Throws UserError for
 * what is no address, and for one with a password or a query in it, which would stand in run.json.
 */
export function serverAddress(given: string): string {
  const key = 'model.base_url';
  if (!URL.canParse(given)) throw new UserError(`${show(given)} is no address such as http://127.0.0.1:8000.`, { key });
  const url = new URL(given);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new UserError(`${show(given)} is no address such as http://127.0.0.1:8000.`, { key });
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new UserError(
      `${show(url.origin)} comes with a name, a password or a query, and addresses stand in run.json. Leave them out; a key is named by model.api_key_env.`,
      { key },
    );
  return `${url.origin}${url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '')}`;
}

/** All addresses of a config, each once. Throws UserError as `serverAddress`. */
export function serverAddresses(given: string | readonly string[]): string[] {
  return [...new Set([given].flat().map(serverAddress))];
}

/** The key in the environment variable of this name; null where none is named. Throws UserError where it is not set. */
export function apiKey(name: string | undefined, env: NodeJS.ProcessEnv): string | null {
  if (name === undefined) return null;
  const value = env[name]?.trim();
  if (!value)
    throw new UserError(`the environment variable ${name} is not set. It holds the key of the server.`, {
      key: 'model.api_key_env',
    });
  // A header cannot hold other characters, and Node's error would show the key.
  if (!/^[\x21-\x7e]+$/.test(value))
    throw new UserError(`the environment variable ${name} holds characters that no key has.`, {
      key: 'model.api_key_env',
    });
  return value;
}
