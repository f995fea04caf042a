/**
 * The backends that there are, and which keys of a config are theirs alone. How each is opened stands in `run/models.ts`.
 * A key of one backend under another would be without effect: it is an error.
 */
import { dotted, type Path, show } from './messages.ts';

export interface BackendKeys {
  /** For the table of keys. */
  about: string;
  /** Keys of the section `model` that only this backend reads. */
  model: readonly string[];
  /** Sections that only this backend reads. */
  sections: readonly string[];
}

/** Keys of every backend that asks servers. */
const SERVER_KEYS = ['base_url', 'server', 'api_key_env', 'max_concurrency', 'request_timeout'] as const;

/** The backends by name. */
export const BACKENDS = {
  onnx: {
    about: 'an ONNX export, by onnxruntime in worker processes',
    model: ['revision', 'dtype', 'onnx_file', 'device', 'enable_thinking', 'template_date'],
    sections: ['engine'],
  },
  vllm: { about: 'a vLLM server', model: SERVER_KEYS, sections: [] },
  llama_cpp: { about: "llama.cpp's llama-server", model: SERVER_KEYS, sections: [] },
  openai: { about: "any server with OpenAI's completions or chat completions", model: SERVER_KEYS, sections: [] },
} as const satisfies Record<string, BackendKeys>;
export type BackendName = keyof typeof BACKENDS;
/** The backends that ask servers over HTTP. */
export const isServer = (backend: BackendName): boolean => BACKENDS[backend].model.includes('base_url' as never);
/** What runs a model unless its section says otherwise. */
export const DEFAULT_BACKEND: BackendName = 'onnx';

/**
 * The first key that stands in `data` (a task file's or a suite's) and belongs to another backend than the one that its
 * section `model` names, with the words about it; null where there is none.
 */
export function foreignKey(
  data: unknown,
  backends: Readonly<Record<string, BackendKeys>> = BACKENDS,
): { path: Path; message: string } | null {
  const sections = isSection(data) ? data : {};
  const model = isSection(sections.model) ? sections.model : {};
  const own = String(model.backend ?? DEFAULT_BACKEND);
  for (const [name, keys] of Object.entries(backends)) {
    if (name === own) continue;
    const key = keys.model.find((one) => one in model && !backends[own]?.model.includes(one));
    const section = keys.sections.find((one) => one in sections && !backends[own]?.sections.includes(one));
    const path = key !== undefined ? ['model', key] : section !== undefined ? [section] : null;
    if (path === null) continue;
    const value = key === undefined ? '' : `${show(model[key])}, but `;
    return {
      path,
      message: `${value}${dotted(path)} is of the ${ownersOf(path, backends, name)} alone, and this model has "${own}". Leave it out.`,
    };
  }
  return null;
}

/** Which backends a key or a section belongs to. */
function ownersOf(path: Path, backends: Readonly<Record<string, BackendKeys>>, first: string): string {
  const kind = path.length > 1 ? 'model' : 'sections';
  const names = Object.keys(backends).filter((name) => backends[name]![kind].includes(String(path.at(-1))));
  return names.length > 1 ? `backends ${names.map((name) => `"${name}"`).join(', ')}` : `backend "${first}"`;
}

/** The parsed config without the defaults of keys that are another backend's: they say nothing about this model. */
export function withoutForeign<T>(data: T, backends: Readonly<Record<string, BackendKeys>> = BACKENDS): T {
  if (!isSection(data) || !isSection(data.model)) return data;
  const own = backends[String(data.model.backend ?? DEFAULT_BACKEND)];
  const others = Object.values(backends).filter((keys) => keys !== own);
  const isForeign = (kind: 'model' | 'sections', key: string) =>
    !own?.[kind].includes(key) && others.some((keys) => keys[kind].includes(key));
  const kept = (kind: 'model' | 'sections', section: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(section).filter(([key]) => !isForeign(kind, key)));
  return { ...kept('sections', data), model: kept('model', data.model) } as T;
}

const isSection = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
