/**
 * A checkpoint with a sequence-classification head, ready to answer: tokenizer -> one session in this process -> a softmax over
 * the classes. Every text runs by itself: no padding, and nothing that depends on its neighbours.
 */
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { EngineSettings, ModelSettings } from '../config/keys.ts';
import type { Ask, ClassesReply, ClassifyAsk, Model } from '../questions.ts';
import { type Repo, RowError, UserError } from '../types.ts';
import { abilities, type Checkpoint, identify } from './checkpoint.ts';
import { describe, type GraphInput, integers, openSession, runGraph, toFloat32 } from './graph/session.ts';
import type { Framed } from './tokenizer/post_processor.ts';
import { otherReading, type Tokenizer } from './tokenizer.ts';

/** What is fed to an input, from the ids and their types. */
const FEEDS: Readonly<Record<string, (framed: Framed) => ArrayLike<number>>> = {
  input_ids: ({ ids }) => ids,
  attention_mask: ({ ids }) => ids.map(() => 1),
  token_type_ids: ({ types }) => types,
  position_ids: ({ ids }) => ids.map((_, place) => place),
};

/** log-softmax in float64. Throws RowError for logits that are not finite. */
export function logSoftmax(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits);
  if (!values.every(Number.isFinite)) throw new RowError('nan', `the logits of the classes are ${values.join(', ')}.`);
  const most = Math.max(...values);
  const log = Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
  return values.map((value) => value - most - log);
}

/** Throws UserError where the graph is no head of these classes, or wants an input that nobody here can give. */
function checkGraph(session: InferenceSession, path: string, classes: number): GraphInput[] {
  const refuse = (why: string) => new UserError(`${path}: ${why}`, { key: 'model.model_id' });
  const inputs = describe(session.inputMetadata);
  const other = inputs.find(({ name }) => !(name in FEEDS));
  if (other !== undefined)
    throw refuse(`it wants ${other.name}. A classification head is given: ${Object.keys(FEEDS).join(', ')}.`);
  const outputs = describe(session.outputMetadata);
  const logits = outputs.find(({ name }) => name === 'logits');
  if (logits === undefined)
    throw refuse(
      `it gives ${outputs.map(({ name }) => name).join(', ')}, no logits. Export it as text-classification.`,
    );
  const [, width] = logits.dims;
  if (logits.dims.length !== 2 || (typeof width === 'number' && width !== classes))
    throw refuse(
      `its logits are [${logits.dims.join(', ')}]. They have to be [batch, ${classes}], by id2label of config.json.`,
    );
  return inputs;
}

/** Opens the head. Throws UserError for a graph or settings that will not do, OutsideError when the machine gives up. */
export async function openClassifier(
  repo: Repo,
  checkpoint: Checkpoint,
  tokenizer: Tokenizer,
  settings: ModelSettings,
  { mode, threads_per_worker: threads, workers = 1 }: EngineSettings,
): Promise<Model> {
  const { graphs, maxLength } = checkpoint;
  const classes = checkpoint.labels!.length;
  if (mode === 'prefix_tree')
    throw new UserError('"prefix_tree", but a classification head shares no prefixes. Leave it out.', {
      key: 'engine.mode',
    });
  if (workers > 1)
    throw new UserError(`${workers}, but a classification head has one. Leave it out.`, { key: 'engine.workers' });
  const path = graphs.decoder;
  const session = await openSession({ path }, settings, threads);
  const inputs = checkGraph(session, path, classes);
  const remark = otherReading(checkpoint.tokenizerJson, checkpoint.tokenizerConfig, checkpoint.config.model_type);
  const spent = { tokens_asked: 0, tokens_run: 0, passes: 0 };

  async function classify({ text, pair, keep_tokens }: ClassifyAsk): Promise<ClassesReply> {
    const framed = tokenizer.encodeWhole(text, pair, maxLength);
    const { ids, length } = framed;
    if (ids.length === 0) throw new RowError('tokens', 'the text has no tokens.');
    const feeds: Record<string, Tensor> = {};
    for (const { name, type } of inputs) feeds[name] = integers(FEEDS[name]!(framed), [1, ids.length], type);
    const { logits } = await runGraph(session, feeds, ['logits'], path);
    spent.tokens_asked += length;
    spent.tokens_run += ids.length;
    spent.passes += 1;
    const numbers = toFloat32(logits as Tensor);
    if (numbers.length !== classes)
      throw new UserError(`${path}: ${numbers.length} logits for ${classes} classes of id2label in config.json.`, {
        key: 'model.model_id',
      });
    return {
      label_logprobs: logSoftmax(numbers),
      prompts: pair === undefined ? [text] : [text, pair],
      num_context_tokens: length,
      truncated: ids.length < length,
      ...(keep_tokens ? { tokens: { prompt: ids, output: [] } } : {}),
    };
  }

  return {
    identity: identify(repo, checkpoint, settings),
    can: abilities(checkpoint),
    engine: { mode, form: 'alone' },
    remarks: remark === null ? [] : [remark],
    stats: () => ({ workers: 1, threads_per_worker: threads ?? null, ...spent }),
    async *answer(questions, signal) {
      for await (const { place, content, done } of questions) {
        signal.throwIfAborted();
        if (done) continue;
        yield { place, content: await answerTo(content, classify) };
      }
      signal.throwIfAborted();
    },
    async renderChat() {
      throw new UserError(`${repo.id} has a classification head and no chat template.`, { key: 'model.chat_template' });
    },
    async countTokens(prompt) {
      if (typeof prompt !== 'string')
        throw new UserError(`${repo.id} has a classification head, which takes texts alone.`);
      return tokenizer.encodeWhole(prompt, undefined, Number.MAX_SAFE_INTEGER).length;
    },
    tokenTexts: (ids) => tokenizer.texts(ids),
    close: () => session.release(),
  };
}

async function answerTo(
  ask: Ask,
  classify: (ask: ClassifyAsk) => Promise<ClassesReply>,
): Promise<ClassesReply | RowError> {
  if (ask.verb !== 'classify') return new RowError('verb', `a classification head cannot do ${ask.verb}.`);
  try {
    return await classify(ask);
  } catch (error) {
    if (error instanceof RowError) return error;
    throw error;
  }
}
