/** What an export cannot do, found when it is opened, in words about the export. */
import { UserError } from '../../types.ts';
import { NoEdit } from './edit.ts';
import { ELEMENT, floatOf, type GraphNode, intsOf, type OnnxGraph, readGraph } from './onnx_graph.ts';
import { attendsToAll, slidingLayers } from './window.ts';

/** An input or an output as the session declares it. */
interface Declared {
  name: string;
  dims: readonly (number | string)[];
}

const KEY = { key: 'model.model_id' };
const BFLOAT16 = 16;

/**
 * Why onnxruntime does not load the graph at `path`, from its `message` and from the graph: a format, operators or an element
 * type that it does not know. null where none of these is the reason.
 */
export function loadFault(path: string, message: string): string | null {
  const ir = /Unsupported model IR version: (\d+), max supported IR version: (\d+)/.exec(message);
  if (ir !== null)
    return `${path}: the export has ONNX IR version ${ir[1]}, and this onnxruntime-node reads up to ${ir[2]}. Export it with an older onnx package, or with model.ir_version set to ${ir[2]}.`;
  const opset = /Opset (\d+) is under development.* for domain (\S+) is till opset (\d+)/.exec(message);
  if (opset !== null)
    return `${path}: the export has opset ${opset[1]} of ${opset[2]}, and this onnxruntime-node knows up to ${opset[3]}. Export it with opset ${opset[3]} or an older one.`;
  if (/^Unsupported data type: 16/.test(message) || usesBfloat16(path))
    return `${path}: the export computes in bfloat16, which onnxruntime-node does not do here. Export it in float32 or float16.`;
  return null;
}

/** What onnxruntime says of an operator that does not take its inputs. */
const REFUSED = /while running (\S+) node\. Name:'([^']*)'(?: Status Message: )?(.*)/s;
/** Whether it says so of the width of rotary tables: GroupQueryAttention turns 16 numbers of a head at a time. */
const ROTARY_WIDTH = /cos_cache dimension 1/;

/**
 * Why not even two tokens go through the graph at `path`, from onnxruntime's `message` about it, in words about the export: the
 * operator and what it does not take.
 */
export function runFault(path: string, message: string): string {
  const [, op, node, why] = REFUSED.exec(message) ?? [];
  if (op === undefined)
    return `${message}. Not even two tokens go through the graph: get the file again, or export it anew.`;
  const reason = why === undefined || why === '' ? '' : `: ${why.trim().replace(/\.+$/, '')}`;
  const begun = `${path}: the export does not run: its operator ${op}${node === '' ? '' : ` (${node})`} does not take what the graph gives it${reason}. `;
  return ROTARY_WIDTH.test(message)
    ? `${begun}The part of each head that turns (head size times partial_rotary_factor) has to be a multiple of 16. Export it by an exporter that writes attention out, such as optimum.`
    : `${begun}Get the file again, or export it with another version of the exporter.`;
}

/** Whether the graph has bfloat16 weights, inputs or outputs. False where it cannot be read. */
function usesBfloat16(path: string): boolean {
  let graph: OnnxGraph;
  try {
    graph = readGraph(path);
  } catch {
    // Whatever is wrong with the file, onnxruntime has said it.
    return false;
  }
  return [...graph.initializers.values(), ...graph.inputs, ...graph.outputs].some(({ type }) => type === BFLOAT16);
}

/**
 * Throws UserError where the graph at `path` declares sizes that no prompt fits: a fixed number of tokens, of texts at a time,
 * of the past, or logits of one position alone. A batch of 1 will do.
 */
export function checkShapes(path: string, inputs: readonly Declared[], outputs: readonly Declared[]): void {
  const axes: [input: RegExp, axis: number, most: number, what: string][] = [
    [/^(input_ids|inputs_embeds)$/, 0, 1, 'texts at a time'],
    [/^(input_ids|inputs_embeds)$/, 1, 0, 'tokens'],
    [/^attention_mask$/, 1, 0, 'tokens and those before them'],
    [/^past/, 2, 0, 'tokens of a past'],
  ];
  for (const { name, dims } of inputs) {
    for (const [input, axis, most, what] of axes) {
      const size = dims[axis];
      if (!input.test(name) || typeof size !== 'number' || size < 0 || size <= most) continue;
      throw new UserError(
        `${path}: the export takes ${size} ${what} and no other number (${name} [${dims.join(', ')}]). Export it with dynamic shapes (dynamic_axes).`,
        KEY,
      );
    }
  }
  const logits = outputs.find(({ name }) => name === 'logits');
  if (logits?.dims[1] === 1 || logits?.dims.length === 2) throw lastPositionAlone(path, logits.dims);
}

/** The error of an export whose logits are those of one position. */
export function lastPositionAlone(path: string, dims: readonly (number | string)[]): UserError {
  return new UserError(
    `${path}: the export gives the logits of one position alone (logits [${dims.join(', ')}]), and every position is scored. Export it with the logits of all positions.`,
    KEY,
  );
}

/** Operators between ids and the table that they are looked up in. */
const ID_CASTS = new Set(['Cast', 'Identity', 'Reshape', 'Unsqueeze', 'Squeeze', 'Flatten']);
/** Operators that look rows up, by their table and their ids; quantised tables have their own. */
const LOOKUPS = new Set(['Gather', 'GatherBlockQuantized']);

/** Operators between a stored table and the one that is read. */
const SCALES = new Set(['DequantizeLinear', 'Cast', 'Identity']);

/** Rows of the table that `input_ids` are looked up in, in the graph at `path`; null where it shows none. */
export function embeddingRows(path: string): number | null {
  try {
    return rowsIn(readGraph(path));
  } catch {
    // A graph that cannot be read here may still run; its table is then not known.
    return null;
  }
}

function rowsIn(graph: OnnxGraph): number | null {
  const ids = new Set(['input_ids']);
  const makers = new Map<string, GraphNode>();
  for (const node of graph.nodes) for (const output of node.outputs) makers.set(output, node);
  // A table in 8 bits is scaled before it is looked up in; one that the head shares is turned.
  const rowsOf = (name: string): number | null => {
    const own = graph.initializers.get(name);
    if (own !== undefined) return own.dims[0] ?? null;
    const maker = makers.get(name);
    const made = graph.initializers.get(maker?.inputs[0] ?? '');
    if (maker?.op === 'Transpose') return made?.dims.length === 2 ? made.dims[1]! : null;
    return maker !== undefined && SCALES.has(maker.op) ? (made?.dims[0] ?? null) : null;
  };
  for (const node of graph.nodes) {
    const [first, second] = node.inputs;
    if (ID_CASTS.has(node.op) && ids.has(first ?? '')) ids.add(node.outputs[0]!);
    if (!LOOKUPS.has(node.op) || !ids.has(second ?? '')) continue;
    return (intsOf(node, 'axis')?.[0] ?? 0) === 0 ? rowsOf(first!) : null;
  }
  return null;
}

/**
 * What config.json says of the attention and the graph at `path` does not do: its numbers are then not the checkpoint's, of every
 * row or of long ones. Empty where nothing is known to differ, and for a graph that cannot be read here. `masked`: layers
 * that slide get their mask from config.json, whatever the graph has.
 */
export function contradictions(path: string, config: Record<string, unknown>, masked: boolean): string[] {
  const cap = config.attn_logit_softcapping;
  const capped = typeof cap === 'number' && cap > 0;
  const most = longRope(config);
  const window = masked ? null : slidingWindow(config);
  if (!capped && most === null && window === null) return [];
  let graph: OnnxGraph;
  try {
    graph = readGraph(path);
  } catch {
    // With subgraphs, say; what it computes is then not known.
    return [];
  }
  const found: string[] = [];
  if (capped && !capsScores(graph))
    found.push(
      `config.json caps attention scores at ${cap} and the graph does not: its numbers are not the checkpoint's`,
    );
  if (most !== null && !switchesRotary(graph))
    found.push(
      `config.json changes the rotary factors beyond ${most} tokens (longrope) and the graph has one set of them: rows on the other side of ${most} tokens have other numbers than the checkpoint's`,
    );
  if (window !== null && attendsToAll(graph, window.tokens))
    found.push(
      `config.json has attention slide over ${window.tokens} tokens (${window.key}) and the graph attends to everything: rows of more than ${window.tokens} tokens have other numbers than the checkpoint's`,
    );
  return found;
}

/** The window by config.json and the key that says it; null where no layer slides, or where it is not clear which. */
function slidingWindow(config: Record<string, unknown>): { tokens: number; key: string } | null {
  const named = [config.layer_types, config.attention_layers].find(Array.isArray);
  const layers = named?.length ?? Number(config.num_hidden_layers ?? config.n_layer ?? config.num_layers ?? 1);
  try {
    const sliding = slidingLayers(config, layers);
    const key = config.sliding_window == null ? 'window_size' : 'sliding_window';
    return sliding === null ? null : { tokens: sliding.window, key };
  } catch (error) {
    if (error instanceof NoEdit) return null;
    throw error;
  }
}

/** What the graph at `path` rounds that every log-probability is made of. Empty for a graph that cannot be read here. */
export function roundings(path: string): string[] {
  let graph: OnnxGraph;
  try {
    graph = readGraph(path);
  } catch {
    return [];
  }
  const { outputs } = graph;
  // torch names it by the operator; caches have four dimensions.
  const logits = outputs.find(({ name }) => name === 'logits') ?? outputs.find(({ dims }) => dims.length === 3);
  if (logits?.type !== ELEMENT.float16) return [];
  // Numbers from 8 to 16 are 2^-7 apart, from 16 to 32 2^-6.
  return [
    'the graph gives its logits in float16: the log-probability of a token is off by up to 0.004 nats where its logit is 8 to 16, by 0.008 where it is 16 to 32, and a sum by more',
  ];
}

/** The number of tokens beyond which config.json changes the rotary factors (LongRoPE); null where it does not. */
export function longRope(config: Record<string, unknown>): number | null {
  const rope = (config.rope_parameters ?? config.rope_scaling) as Record<string, unknown> | null | undefined;
  const most = config.original_max_position_embeddings ?? rope?.original_max_position_embeddings;
  return (rope?.rope_type ?? rope?.type) === 'longrope' && typeof most === 'number' ? most : null;
}

/**
 * Whether the graph chooses by its largest position: keys that an earlier pass kept may then be of other rotary factors than
 * those of the next one.
 */
export function switchesRotary(graph: OnnxGraph): boolean {
  const reached = new Set(['position_ids']);
  for (const node of graph.nodes) {
    if (!node.inputs.some((input) => reached.has(input)) || node.op === 'Shape') continue;
    if (node.op === 'ReduceMax' || node.op === 'If') return true;
    for (const output of node.outputs) reached.add(output);
  }
  return false;
}

/** Operators that a soft cap may stand behind, between the scores and the Softmax. */
const OVER_SCORES = new Set(['Add', 'Where', 'Cast', 'Mul', 'Div', 'Tanh', 'Identity']);

/** Whether some layer's attention scores go through a hyperbolic tangent, written out or inside of an operator. */
function capsScores(graph: OnnxGraph): boolean {
  const makers = new Map<string, GraphNode>();
  for (const node of graph.nodes) for (const output of node.outputs) makers.set(output, node);
  const tangentAbove = (name: string, steps: number): boolean => {
    const node = makers.get(name);
    if (node === undefined || steps === 0 || !OVER_SCORES.has(node.op)) return false;
    return node.op === 'Tanh' || node.inputs.some((input) => tangentAbove(input, steps - 1));
  };
  return graph.nodes.some((node) =>
    node.op === 'Softmax' ? tangentAbove(node.inputs[0]!, 8) : (floatOf(node, 'softcap') ?? 0) > 0,
  );
}
