/** Opens a decoder in the best form that it takes: where passes, plain scores and decoding steps are computed. */
import type { ModelSettings } from '../../config/keys.ts';
import { OutsideError, UserError } from '../../types.ts';
import { type DecodeForm, openDecodeSession } from '../graph/decode_session.ts';
import { type Embedder, openEmbedder } from '../graph/embeddings.ts';
import { contradictions, embeddingRows, roundings, runFault } from '../graph/export.ts';
import { type Decoder, openDecoder } from '../graph/onnx.ts';
import { blamesMachine, type GraphFiles } from '../graph/session.ts';
import { openTreeSession } from '../graph/tree_session.ts';
import type { VisionEncoder } from '../vision/encoder.ts';
import { type Executor, type ExecutorOptions, type Eyes, plainExecutor } from './executor.ts';
import { treeExecutor } from './tree_executor.ts';

/** Room for 16 answers of 512 tokens: with less, few run side by side. */
const MANY_TOKENS = 8192;
/** A step of few answers is slower with turned products, one of 8 and more is faster. */
const FEW: readonly DecodeForm[] = [{ flat: true }, {}];
const MANY: readonly DecodeForm[] = [{ flat: true, turned: true }, { turned: true }, {}];

/** Loads the graph. Throws UserError and OutsideError as `openDecoder`, and UserError for a graph that cannot be run. */
export async function openExecutor(
  files: GraphFiles,
  settings: ModelSettings,
  options: ExecutorOptions,
): Promise<Executor> {
  const executor = await openForm(files, settings, options);
  const { info } = executor;
  const { decoder, embed } = files.graphs;
  info.tableRows = embeddingRows(embed ?? decoder);
  // Only a tree is fed the mask of a window; other forms have what the graph itself hides.
  info.remarks.push(...contradictions(decoder, files.textConfig, info.form === 'tree'), ...roundings(decoder));
  return executor;
}

async function openForm(
  files: GraphFiles,
  settings: ModelSettings,
  { mode, threads, decodeBytes = 0 }: ExecutorOptions,
): Promise<Executor> {
  const embedder = await openEmbedder(files, settings, threads);
  // Loaded where pictures are asked about: with its schemas it is half of what a worker would load.
  const eyes = openEyes(embedder, async () => {
    const { openVisionEncoder } = await import('../vision/encoder.ts');
    return openVisionEncoder(files, settings, threads);
  });
  let remarks: string[] = [];
  let dynamic = false;
  if (mode !== 'naive') {
    const opened = await openTreeSession(files, settings, threads, { share: mode === 'prefix_tree', embedder });
    if (opened.session !== null) {
      const reopen = () => openTreeSession(files, settings, threads, { share: mode === 'prefix_tree', embedder });
      const { vocab, bytesPerToken } = opened.session;
      const formsFor = (many: boolean) => (many && decodeBytes >= MANY_TOKENS * bytesPerToken ? MANY : FEW);
      const openDecoding = (form: DecodeForm) =>
        openDecodeSession(files, settings, threads, { embedder, vocab, ...form });
      return treeExecutor(opened.session, opened, eyes, { reopen, formsFor, openDecoding });
    }
    ({ remarks, dynamic } = opened);
  }
  const decoder = await openDecoder(files, settings, threads, { embedder });
  await tryTwoTokens(decoder, files.graphs.decoder);
  return plainExecutor(decoder, { remarks, dynamic, eyes });
}

/** What an export gives for more than one token is found now and not with the first row. */
async function tryTwoTokens(decoder: Decoder, path: string): Promise<void> {
  try {
    await decoder.forward([0, 0], null, false);
  } catch (cause) {
    if (!(cause instanceof OutsideError) || blamesMachine(cause.message, path)) throw cause;
    throw new UserError(runFault(path, cause.message), { key: 'model.model_id', cause });
  }
}

/** The vision graph is loaded with the first picture: who has none does not pay for it. */
function openEyes(embedder: Embedder | null, open: () => Promise<VisionEncoder>): Eyes {
  let encoder: Promise<VisionEncoder> | null = null;
  return {
    async see({ first, tokens, bytes }) {
      encoder ??= open();
      const { features, ...seen } = await (await encoder).look(bytes);
      embedder!.hold(first, features, tokens);
      return seen;
    },
    async unsee(firsts) {
      for (const first of firsts) embedder?.release(first);
    },
    async close() {
      // One that could not be opened was an answer before.
      await encoder?.then(
        (opened) => opened.close(),
        () => undefined,
      );
      await embedder?.close();
    },
  };
}
