/**
 * The plain engine: every choice is one full forward pass, batch 1, nothing shared. Slow, short and the reference that
 * every faster form is held against.
 */
import {
  type Generation,
  type GenerationRequest,
  type Loglikelihood,
  type LoglikelihoodRequest,
  type RollingLoglikelihood,
  RowError,
} from '../types.ts';
import { cutAtStops, hasStop } from './decode.ts';
import { argMax, logSoftmaxAt } from './logits.ts';
import type { Cache, Decoder } from './onnx.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface NaiveEngine {
  loglikelihood(request: LoglikelihoodRequest): Promise<Loglikelihood>;
  loglikelihoodRolling(text: string): Promise<RollingLoglikelihood>;
  generate(request: GenerationRequest): Promise<Generation>;
}

/** Longer inputs run in pieces through the cache: 2,048 rows of a 49,152-token vocabulary are 400 MB of logits. */
const PIECE = 2048;

/** The three verbs over one decoder. `eosTokens` end an answer; `maxLength` is the window in tokens. */
export function naiveEngine(
  decoder: Decoder,
  tokenizer: Tokenizer,
  maxLength: number,
  eosTokens: readonly number[],
): NaiveEngine {
  /** Log-probabilities of the last `targets.length` next tokens of `input`. */
  async function score(input: readonly number[], targets: readonly number[]) {
    const first = input.length - targets.length;
    let logprob = 0;
    let isGreedy = true;
    let cache: Cache | null = null;
    const piece = decoder.hasCache ? PIECE : input.length;
    for (let start = 0; start < input.length; start += piece) {
      const ids = input.slice(start, start + piece);
      const step = await decoder.forward(ids, cache, start + piece < input.length);
      cache = step.cache;
      for (let i = Math.max(0, first - start); i < ids.length; i += 1) {
        const token = logSoftmaxAt(step.logits, i * step.vocab, step.vocab, targets[start + i - first]!);
        logprob += token.logprob;
        isGreedy &&= token.isGreedy;
      }
    }
    return { logprob, isGreedy };
  }

  return {
    /** lm-eval, HF backend: the last max_length + 1 tokens of context and continuation, without the final one. */
    async loglikelihood({ context, continuation, tokenization, siblings }) {
      const pair = tokenizer.encodePair(context, continuation, tokenization, siblings);
      if (pair.continuation.length > maxLength) {
        throw new RowError(
          'length',
          `the continuation has ${pair.continuation.length} tokens, the window ${maxLength}.`,
        );
      }
      const whole = [...pair.context, ...pair.continuation];
      const input = whole.slice(-(maxLength + 1)).slice(0, -1);
      const { logprob, isGreedy } = await score(input, pair.continuation);
      return {
        logprob,
        num_tokens: pair.continuation.length,
        is_greedy: isGreedy,
        num_context_tokens: pair.context.length,
        truncated: whole.length - 1 > maxLength,
      };
    },

    /**
     * lm-eval's `loglikelihood_rolling`: the text cut into windows of max_length tokens, the first conditioned on the
     * prefix token, each later one on the one token before it; every token is scored exactly once (the last window looks
     * back over tokens already scored, to be full).
     */
    async loglikelihoodRolling(text) {
      const tokens = tokenizer.encode(text);
      if (tokens.length === 0) return { logprob: 0, num_tokens: 0 };
      if (tokenizer.prefixToken === undefined)
        throw new RowError('tokens', 'the tokenizer has neither a BOS nor an EOS token.');
      let logprob = 0;
      for (const window of rollingWindows(tokens, tokenizer.prefixToken, maxLength)) {
        logprob += (await score(window.input, window.targets)).logprob;
      }
      return { logprob, num_tokens: tokens.length };
    },

    /**
     * Greedy. The context loses tokens on the left when it would leave no room for `max_new_tokens`. A stop may name a
     * special token (`<|im_end|>`), so stops are looked for in the text that shows them, as lm-eval does.
     */
    async generate({ context, until, max_new_tokens }) {
      const tokens = tokenizer.encode(context);
      const room = maxLength - max_new_tokens;
      if (room < 1)
        throw new RowError('length', `max_new_tokens ${max_new_tokens} leaves no room in a window of ${maxLength}.`);
      if (tokens.length === 0) throw new RowError('tokens', 'the context has no tokens.');
      const prompt = tokens.slice(-room);
      const answer: number[] = [];
      let end = 0;
      let finish: Generation['finish_reason'] = 'length';
      let cache: Cache | null = null;
      while (answer.length < max_new_tokens) {
        const ids: number[] = decoder.hasCache && answer.length > 0 ? answer.slice(-1) : [...prompt, ...answer];
        const step = await decoder.forward(ids, cache, decoder.hasCache);
        cache = step.cache;
        const next = argMax(step.logits, (step.rows - 1) * step.vocab, step.vocab);
        answer.push(next);
        if (eosTokens.includes(next)) {
          finish = 'stop';
          break;
        }
        end = answer.length;
        if (hasStop(tokenizer.decode(answer, true), until)) {
          finish = 'stop';
          break;
        }
      }
      return {
        output: cutAtStops(tokenizer.decode(answer.slice(0, end)), until),
        finish_reason: finish,
        num_output_tokens: answer.length,
        num_context_tokens: tokens.length,
        truncated: tokens.length > room,
      };
    },
  };
}

export interface Window {
  input: number[];
  /** The tokens scored: those after the last `targets.length` of `input`. */
  targets: number[];
}

/** lm-eval's `get_rolling_token_windows` with context_len 1, made into model inputs (`make_disjoint_window`). */
export function* rollingWindows(tokens: readonly number[], prefix: number, maxLength: number): Generator<Window> {
  const first = tokens.slice(0, maxLength);
  yield { input: [prefix, ...first.slice(0, -1)], targets: first };
  for (let done = first.length; done < tokens.length; ) {
    const end = Math.min(done + maxLength, tokens.length);
    yield { input: tokens.slice(Math.max(0, end - maxLength - 1), end - 1), targets: tokens.slice(done, end) };
    done = end;
  }
}
