/** Which server stands behind an address, and which model it has: asked at the start, and again while a run goes on. */
import { show } from '../../config/messages.ts';
import { sha256 } from '../../text/hash.ts';
import { OutsideError, UserError } from '../../types.ts';
import { isWithoutRoute, Refusal } from './faults.ts';
import { type Fields, fieldsOf, listOf, numberOf, textOf } from './fields.ts';
import type { Send } from './pool.ts';

/** By the shape of its endpoints. */
export type ServerKind = 'llama.cpp' | 'vllm' | 'sglang' | 'ollama' | 'unknown';

export interface ServerIdentity {
  kind: ServerKind;
  /** Version or build; null where it does not say. */
  version: string | null;
  /** The name under which it has the model. */
  model: string;
  /** What it says of the model besides, of what does not change from start to start. */
  about: Readonly<Record<string, string | number>>;
  /** Tokens of a request, of a slot where there are several; null where it does not say. */
  context: number | null;
  /** Requests that it computes side by side; null where it does not say. */
  slots: number | null;
  /** null where it does not show it. */
  template: string | null;
}

/** Milliseconds for each of these small requests. */
const SHORT_MS = 15_000;

/** The answer of a route that only some servers have; null where this one has it not. */
async function ifThere(send: Send, path: string): Promise<Fields | null> {
  try {
    const answer = fieldsOf(await send('GET', path, undefined, { timeoutMs: SHORT_MS }));
    return Object.keys(answer).length > 0 ? answer : null;
  } catch (error) {
    if (isWithoutRoute(error)) return null;
    throw error;
  }
}

/**
 * Asks the server who it is. `wanted`: the model's name in the config. Throws UserError where it does not have that model, and
 * what `send` throws.
 */
export async function identifyServer(send: Send, wanted: string, base: string): Promise<ServerIdentity> {
  const models = fieldsOf(await send('GET', '/v1/models', undefined, { timeoutMs: SHORT_MS }));
  const listed = listOf(models.data).map(fieldsOf);
  const names = (one: Fields) => [one.id, ...listOf(one.aliases)].filter((name) => typeof name === 'string');
  const own = listed.find((one) => names(one).includes(wanted));
  if (own === undefined) {
    const has = listed.flatMap(names).map(String);
    const shown = [...new Set(has)].slice(0, 10).map(show).join(', ') || 'none';
    throw new UserError(`${show(wanted)} is not served at ${base}. It has: ${shown}.`, { key: 'model.model_id' });
  }
  const meta = fieldsOf(own.meta);
  const kept = ['n_vocab', 'n_embd', 'n_params', 'size', 'ftype'] as const;
  const about: Record<string, string | number> = {};
  for (const name of kept) {
    const value = meta[name];
    if (typeof value === 'string' || typeof value === 'number') about[name] = value;
  }
  if (typeof own.root === 'string' && own.root !== own.id) about.root = own.root;
  const shared = { model: String(own.id), about };
  const props = await ifThere(send, '/props');
  if (props !== null && 'build_info' in props) return { ...shared, ...ofLlama(props, meta, about) };
  const version = await ifThere(send, '/version');
  if (typeof version?.version === 'string') {
    const context = numberOf(own.max_model_len);
    return { ...shared, kind: 'vllm', version: version.version, context, slots: null, template: null };
  }
  const none = { version: null, slots: null, template: null };
  const ollama = await ifThere(send, '/api/version');
  if (typeof ollama?.version === 'string')
    return { ...shared, ...none, kind: 'ollama', version: ollama.version, context: null };
  const sglang = await ifThere(send, '/model_info');
  const context = numberOf(own.max_model_len) ?? numberOf(own.context_length);
  return { ...shared, ...none, kind: sglang !== null && 'model_path' in sglang ? 'sglang' : 'unknown', context };
}

function ofLlama(props: Fields, meta: Fields, about: Record<string, string | number>) {
  const path = textOf(props.model_path);
  // The folder is the machine's; the file's name says which export it is.
  if (path !== null) about.file = path.split(/[\\/]/).at(-1)!;
  const settings = fieldsOf(props.default_generation_settings);
  const template = textOf(props.chat_template);
  return {
    kind: 'llama.cpp' as const,
    version: textOf(props.build_info),
    context: numberOf(settings.n_ctx) ?? numberOf(meta.n_ctx),
    slots: numberOf(props.total_slots),
    template: template === '' ? null : template,
  };
}

/** One digest over what must not change while a run goes on. */
export const markOf = ({ kind, version, model, about, context, template }: ServerIdentity): string =>
  sha256(JSON.stringify([kind, version, model, about, context, template]));

/** What differs, in words. */
export function changeOf(before: ServerIdentity, after: ServerIdentity): string {
  const flat = ({ about, template, ...rest }: ServerIdentity): Fields => ({
    ...rest,
    ...about,
    template: template === null ? null : sha256(template).slice(0, 12),
  });
  const [a, b] = [flat(before), flat(after)];
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => !Object.is(a[key], b[key]));
  return keys.map((key) => `${key} was ${show(a[key] ?? null)} and is ${show(b[key] ?? null)}`).join(', ');
}

/**
 * Looks whether the server is still `before`. Throws OutsideError where it is another one, and what `send` throws where it does
 * not answer.
 */
export async function checkSame(send: Send, before: ServerIdentity, wanted: string, base: string): Promise<void> {
  let change: string;
  try {
    const after = await identifyServer(send, wanted, base);
    if (markOf(after) === markOf(before)) return;
    change = changeOf(before, after);
  } catch (error) {
    // Its list of models was there before.
    if (!(error instanceof UserError || error instanceof Refusal)) throw error;
    change = error.message.replace(/\.$/, '');
  }
  throw new OutsideError(
    `${base} changed its model while the run went on: ${change}. Rows since the last look are not kept. Start the first model again, and the same config goes on.`,
  );
}
