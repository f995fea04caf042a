/** Attention that slides over a window of tokens: in which layers, by config.json. */
import { type Constant, constantOf } from './constants.ts';
import { NoEdit } from './edit.ts';
import { ELEMENT, intsOf, type OnnxGraph, readGraph } from './onnx_graph.ts';

export interface Sliding {
  /** Tokens that a layer sees, the token itself counted. */
  window: number;
  /** Whether each layer slides. */
  slides: boolean[];
}

/** Model types of which every layer slides once a window is set (transformers, `modeling_<type>.py`). */
const ALL_LAYERS = new Set(['mistral', 'mixtral', 'phi3', 'phimoe', 'starcoder2', 'ministral']);
/** Model types of which each n-th layer sees everything and the others slide, and n where config.json does not say. */
const EACH_NTH = new Map([
  ['gemma2', 2],
  ['gemma3', 6],
  ['gemma3_text', 6],
  ['cohere2', 4],
]);

/**
 * The window of a decoder of `layers` layers by its config.json (`text_config`, where there is one); null where no layer
 * slides, or where no text that fits is longer than the window. Throws NoEdit where it does not say which layers slide.
 */
export function slidingLayers(config: Record<string, unknown>, layers: number): Sliding | null {
  if (config.attention_chunk_size != null)
    throw new NoEdit(`attention goes by chunks of ${config.attention_chunk_size} tokens`);
  // The second name is GPT-Neo's.
  const window = config.sliding_window ?? config.window_size;
  const most = Number(config.max_position_embeddings ?? Number.POSITIVE_INFINITY);
  if (typeof window !== 'number' || config.use_sliding_window === false || window >= most) return null;
  const slides = whichSlide(config, layers);
  if (slides === null)
    throw new NoEdit(`attention slides over ${window} tokens, in which layers config.json does not say`);
  return slides.includes(true) ? { window, slides } : null;
}

function whichSlide(config: Record<string, unknown>, layers: number): boolean[] | null {
  const each = (slides: (layer: number) => boolean) => Array.from({ length: layers }, (_, layer) => slides(layer));
  const named = config.layer_types ?? config.attention_layers;
  if (Array.isArray(named) && named.length === layers)
    return named.map((type) => type === 'sliding_attention' || type === 'local');
  const type = String(config.model_type);
  if (ALL_LAYERS.has(type)) return each(() => true);
  const nth = EACH_NTH.get(type);
  if (nth !== undefined) {
    const period = Number(config.sliding_window_pattern ?? config._sliding_window_pattern ?? nth);
    return each((layer) => (layer + 1) % period !== 0);
  }
  if (typeof config.max_window_layers === 'number') {
    const first = config.max_window_layers;
    return each((layer) => layer >= first);
  }
  return null;
}

/** Operators between positions and a window's edge, and those that make the mask of it. */
const EDGES = new Set(['Add', 'Sub', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual', 'Trilu']);

/**
 * Whether no layer of a graph hides what is more than `window` tokens back: no attention operator has a window, and no mask
 * compares positions with one or is a stored table (GPT-Neo). False where a table might hold it.
 */
export function attendsToAll(graph: OnnxGraph, window: number): boolean {
  const constants = new Map<string, Constant>();
  for (const [name, tensor] of graph.initializers) constants.set(name, constantOf(tensor)!);
  for (const node of graph.nodes) {
    const made = constantOf(node);
    if (made !== null) constants.set(node.outputs[0]!, made);
  }
  const isEdge = (name: string): boolean => {
    const value = constants.get(name)?.value ?? null;
    return value !== null && Math.abs(Math.abs(value) - window) <= 1;
  };
  const slides = graph.nodes.some(
    (node) => (intsOf(node, 'local_window_size')?.[0] ?? -1) > 0 || (EDGES.has(node.op) && node.inputs.some(isEdge)),
  );
  return !slides && ![...constants.values()].some(isMask);
}

/** Of tokens by tokens: booleans, or numbers for one text and one head. */
function isMask({ type, dims }: Constant): boolean {
  const [rows, columns] = dims.slice(-2);
  const rest = dims.slice(0, -2);
  return (
    (type === ELEMENT.bool || rest.length === 2) && rows! > 1 && rows === columns && rest.every((size) => size === 1)
  );
}

/**
 * Caches of the graph at `path` that have their window's size from the start (GroupQueryAttention with
 * `sliding_window_cache`, onnxruntime-genai's builder): name of the input -> places. Empty for a graph that cannot be read.
 */
export function slidingCaches(path: string): Map<string, number> {
  const places = new Map<string, number>();
  try {
    for (const node of readGraph(path).nodes) {
      const [window = 0] = intsOf(node, 'local_window_size') ?? [];
      if (intsOf(node, 'sliding_window_cache')?.[0] !== 1 || window < 1) continue;
      for (const name of node.inputs.slice(3, 5)) places.set(name, window);
    }
  } catch {
    // Whatever is wrong with the file, onnxruntime says it.
    return new Map();
  }
  return places;
}
