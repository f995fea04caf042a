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

/** The backends by name. */
export const BACKENDS = {
  onnx: {
    about: 'an ONNX export, by onnxruntime in worker processes',
    model: ['dtype', 'onnx_file', 'device', 'enable_thinking', 'template_date'],
    sections: ['engine'],
  },
} as const satisfies Record<string, BackendKeys>;
export type BackendName = keyof typeof BACKENDS;
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
      message: `${value}${dotted(path)} is of the backend "${name}" alone, and this model has "${own}". Leave it out.`,
    };
  }
  return null;
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
