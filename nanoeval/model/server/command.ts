/** Which program a config starts as its server, with which arguments and environment. */
import { existsSync } from 'node:fs';
import type { ModelSettings } from '../../config/keys.ts';
import { show } from '../../config/messages.ts';
import { expandHome } from '../../config/paths.ts';
import type { StartedServer } from '../../config/server.ts';
import { UserError } from '../../types.ts';

/** A program to start. */
export interface Command {
  program: string;
  args: readonly string[];
  /** Beside this process's own. */
  env: Readonly<Record<string, string>>;
}

/** Where a server listens that is started here. Nobody else can reach it. */
export const HOST = '127.0.0.1';

/** Milliseconds from SIGTERM to SIGKILL: vLLM has engines of its own to end. */
export const graceMs = (backend: ModelSettings['backend']): number => (backend === 'vllm' ? 30_000 : 10_000);

type Settings = Pick<ModelSettings, 'backend' | 'model_id' | 'max_length'>;

/**
 * What is started on `port`: the backend's program and arguments, and those of the config behind them, where they win. The key
 * goes into the environment, never into arguments, which every user of the machine can read. Throws UserError.
 */
export function commandFor(settings: Settings, server: StartedServer, port: number, key: string | null): Command {
  checkStarted(settings, server);
  const { backend, model_id, max_length } = settings;
  const { model = model_id } = server;
  const filled: Readonly<Record<string, string>> = { port: String(port), host: HOST, model, name: model_id };
  const [named, ...first] = [server.command ?? USUAL[backend] ?? []].flat() as [string, ...string[]];
  const program = expandHome(named);
  const own = server.args.map((arg) => String(arg).replace(/\{(\w+)\}/g, (text, name) => filled[name] ?? text));
  const where = ['--host', HOST, '--port', String(port)];
  if (backend === 'llama_cpp')
    return {
      program,
      args: [...first, existsSync(model) ? '-m' : '-hf', model, '--alias', model_id, ...where, ...own],
      env: key === null ? {} : { LLAMA_API_KEY: key },
    };
  if (backend === 'vllm') {
    // Without it the model's generation config would set what a request leaves out.
    const neutral = ['--served-model-name', model_id, ...where, '--generation-config', 'vllm'];
    const length = max_length === undefined ? [] : ['--max-model-len', String(max_length)];
    return {
      program,
      args: [...first, 'serve', model, ...neutral, ...length, ...own],
      env: key === null ? {} : { VLLM_API_KEY: key },
    };
  }
  return { program, args: [...first, ...own], env: {} };
}

const USUAL: Partial<Record<ModelSettings['backend'], string>> = { llama_cpp: 'llama-server', vllm: 'vllm' };

/** Whether what `model.server` says can be started, or found where it runs already. Throws UserError. */
export function checkStarted({ backend, model_id }: Settings, server: StartedServer): void {
  const { command, args, port, autostart, model = model_id } = server;
  const fault = (key: string, message: string) => new UserError(message, { key: `model.server.${key}` });
  const written = [command ?? [], args].flat().map(String);
  const secret = written.find((arg) => /^--?api[-_]?key/i.test(arg));
  if (secret !== undefined)
    throw fault(
      'args',
      `${show(secret.split('=')[0])} would put a key into files. Name the environment variable that holds it by model.api_key_env.`,
    );
  if (!autostart) {
    if (port === 'auto')
      throw fault('port', '"auto", but with autostart: false the server is running already. Name its port.');
    return;
  }
  if (process.platform === 'win32')
    throw fault(
      'autostart',
      'no server is started on Windows, where nothing would end it for sure. Start it by hand and set model.base_url.',
    );
  if (backend === 'openai' && command === undefined)
    throw fault('command', 'missing. The backend "openai" is any server: name its program, and its arguments by args.');
  if (backend === 'openai' && port === 'auto' && !written.some((arg) => arg.includes('{port}')))
    throw fault('args', 'nothing tells the server its port. Write {port} where it belongs, or name model.server.port.');
  if (backend === 'llama_cpp' && !existsSync(model) && (/\.gguf$/i.test(model) || !/^[\w.-]+\/[\w.:-]+$/.test(model)))
    throw fault('model', `there is no file ${show(model)}. It has to be a GGUF file, or a hub repository of them.`);
}
