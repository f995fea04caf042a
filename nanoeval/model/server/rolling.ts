/** `loglikelihood_rolling` over a server that scores prompts: the text in windows, as for an ONNX export. */
import type { RollingAsk, RollingReply } from '../../questions.ts';
import { RowError, UserError } from '../../types.ts';
import { rollingWindows } from '../prepare.ts';
import { isWithoutRoute } from './faults.ts';
import { fieldsOf, isFields, textOf } from './fields.ts';
import type { Send } from './pool.ts';
import type { TokenScoring } from './score.ts';
import type { TokenRoutes } from './tokens.ts';

/** Answers one question about a text. */
export type ScoreText = (send: Send, ask: RollingAsk) => Promise<RollingReply>;

/**
 * The token that stands before a text: BOS, else EOS (lm-eval's prefix token). `bos`: what the tokenizer puts there itself. vLLM
 * tells it of its tokenizer where it was started with `--enable-tokenizer-info-endpoint`. null where nobody says.
 */
export async function prefixOf(send: Send, routes: TokenRoutes, bos: number | null): Promise<number | null> {
  if (bos !== null) return bos;
  let told: unknown;
  try {
    told = await send('GET', '/tokenizer_info');
  } catch (error) {
    if (isWithoutRoute(error)) return null;
    throw error;
  }
  const { bos_token, eos_token } = fieldsOf(told);
  const nameOf = (token: unknown) => textOf(isFields(token) ? token.content : token);
  const name = nameOf(bos_token) ?? nameOf(eos_token);
  if (name === null) return null;
  const ids = await routes.encode(send, name, true);
  return ids.length === 1 ? ids[0]! : null;
}

/** A request for each window of the text. `window`: tokens that the server takes at a time, what stands before them included. */
export function scoreByWindows({ routes, window: most, score }: Omit<TokenScoring, 'bos'>, prefix: number): ScoreText {
  return async (send, ask) => {
    const { text, window = most - 1, stride = window, keep_tokens } = ask;
    if (window > most - 1)
      throw new UserError(
        `${window} tokens, and the server takes ${most - 1} behind the one that stands before them. Lower it.`,
        { key: 'scoring.window' },
      );
    if (stride < 1 || stride > window)
      throw new RowError('length', `a stride of ${stride} in windows of ${window} tokens.`);
    const tokens = text === '' ? [] : await routes.encode(send, text, false);
    const windows = tokens.length === 0 ? [] : [...rollingWindows(tokens, prefix, window, stride)];
    let [logprob, num_greedy] = [0, 0];
    for (const { input, targets } of windows) {
      const target = { context: input.slice(0, input.length + 1 - targets.length), continuation: targets };
      const [found] = await score(send, [target]);
      logprob += found!.logprob;
      num_greedy += found!.numGreedy;
    }
    return {
      logprob,
      num_tokens: tokens.length,
      num_greedy,
      num_windows: windows.length,
      prompts: [text],
      num_context_tokens: 0,
      truncated: false,
      ...(keep_tokens ? { tokens: { prompt: [], output: tokens } } : {}),
    };
  };
}
