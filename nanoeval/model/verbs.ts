/** lm-evaluation-harness's three verbs, from texts to tokens and back, over an engine that knows tokens alone. */
import {
  type Generation,
  type GenerationRequest,
  type Loglikelihood,
  type LoglikelihoodRequest,
  type Model,
  type Question,
  type RollingLoglikelihood,
  RowError,
} from '../types.ts';
import { cutAtStops, hasStop } from './decode.ts';
import type { Engine } from './engine.ts';
import type { TokenQuestion, TokenRequest } from './prefix_tree.ts';
import type { Tokenizer } from './tokenizer.ts';

/** The part of a model that needs its engine. */
export type Verbs = Pick<
  Model,
  'loglikelihoods' | 'generations' | 'loglikelihood' | 'loglikelihoodRolling' | 'generateUntil'
>;

/** The verbs over an engine. `eosTokens` end an answer; `maxLength` is the window in tokens. */
export function openVerbs(
  engine: Engine,
  tokenizer: Tokenizer,
  maxLength: number,
  eosTokens: readonly number[],
): Verbs {
  const never = new AbortController().signal;

  /** lm-eval, HF backend: the last max_length + 1 tokens of context and continuation, without the final one. */
  function encode({ context, continuation, tokenization, siblings }: LoglikelihoodRequest) {
    const pair = tokenizer.encodePair(context, continuation, tokenization, siblings);
    const { length } = pair.continuation;
    if (length > maxLength)
      throw new RowError('length', `the continuation has ${length} tokens, the window ${maxLength}.`);
    const whole = [...pair.context, ...pair.continuation];
    const request: TokenRequest = {
      input: Int32Array.from(whole.slice(-(maxLength + 1)).slice(0, -1)),
      targets: pair.continuation,
    };
    return {
      request,
      num_tokens: length,
      num_context_tokens: pair.context.length,
      truncated: whole.length - 1 > maxLength,
    };
  }

  async function* loglikelihoods(
    questions: AsyncIterable<Question<readonly LoglikelihoodRequest[]>>,
    signal: AbortSignal,
  ): AsyncGenerator<Question<Loglikelihood[] | RowError>> {
    const asked = new Map<number, ReturnType<typeof encode>[]>();
    const refused: Question<RowError>[] = [];
    const encoded = async function* (): AsyncGenerator<TokenQuestion> {
      for await (const { place, content } of questions) {
        try {
          const parts = content.map(encode);
          asked.set(place, parts);
          yield { place, requests: parts.map(({ request }) => request) };
        } catch (error) {
          refused.push({ place, content: asRowError(error) });
        }
      }
    };
    for await (const { place, scores } of engine.score(encoded(), signal)) {
      yield* refused.splice(0);
      const parts = asked.get(place)!;
      asked.delete(place);
      if (scores instanceof RowError) yield { place, content: scores };
      else {
        const content = parts.map(({ request: _request, ...counts }, i) => {
          const { logprob, isGreedy } = scores[i]!;
          return { logprob, is_greedy: isGreedy, ...counts };
        });
        yield { place, content };
      }
    }
    yield* refused;
  }

  /**
   * Greedy. The context loses tokens on the left when it would leave no room for `max_new_tokens`. A stop may name a
   * special token (`<|im_end|>`), so stops are looked for in the text that shows them, as lm-eval does.
   */
  function openAnswer({ context, until, max_new_tokens }: GenerationRequest) {
    const tokens = tokenizer.encode(context);
    const room = maxLength - max_new_tokens;
    if (room < 1)
      throw new RowError('length', `max_new_tokens ${max_new_tokens} leaves no room in a window of ${maxLength}.`);
    if (tokens.length === 0) throw new RowError('tokens', 'the context has no tokens.');
    let answer: number[] = [];
    let end = 0;
    let finish: Generation['finish_reason'] = 'length';
    const take = (token: number): boolean => {
      answer.push(token);
      if (eosTokens.includes(token)) {
        finish = 'stop';
        return true;
      }
      end = answer.length;
      if (hasStop(tokenizer.decode(answer, true), until)) {
        finish = 'stop';
        return true;
      }
      return answer.length >= max_new_tokens;
    };
    return {
      ids: tokens.slice(-room),
      begin() {
        [answer, end, finish] = [[], 0, 'length'];
        return take;
      },
      result: (): Generation => ({
        output: cutAtStops(tokenizer.decode(answer.slice(0, end)), until),
        finish_reason: finish,
        num_output_tokens: answer.length,
        num_context_tokens: tokens.length,
        truncated: tokens.length > room,
      }),
    };
  }

  async function* generations(
    questions: AsyncIterable<Question<GenerationRequest>>,
    signal: AbortSignal,
  ): AsyncGenerator<Question<Generation | RowError>> {
    const open = new Map<number, ReturnType<typeof openAnswer>>();
    const refused: Question<RowError>[] = [];
    const prompts = async function* () {
      for await (const { place, content } of questions) {
        try {
          const answer = openAnswer(content);
          open.set(place, answer);
          yield { place, ids: answer.ids, begin: answer.begin };
        } catch (error) {
          refused.push({ place, content: asRowError(error) });
        }
      }
    };
    for await (const { place, error } of engine.generate(prompts(), signal)) {
      yield* refused.splice(0);
      const answer = open.get(place)!;
      open.delete(place);
      yield { place, content: error ?? answer.result() };
    }
    yield* refused;
  }

  return {
    loglikelihoods,
    generations,
    async loglikelihood(requests) {
      for await (const { content } of loglikelihoods(one(requests), never)) {
        if (content instanceof RowError) throw content;
        return content;
      }
      throw new Error('a question without an answer');
    },

    /**
     * lm-eval's `loglikelihood_rolling`: the text cut into windows of max_length tokens, the first conditioned on the
     * prefix token, each later one on the one token before it; every token is scored exactly once (the last window looks
     * back over tokens already scored, to be full).
     */
    async loglikelihoodRolling(texts) {
      const results: RollingLoglikelihood[] = [];
      for (const text of texts) {
        const tokens = tokenizer.encode(text);
        let logprob = 0;
        if (tokens.length > 0 && tokenizer.prefixToken === undefined)
          throw new RowError('tokens', 'the tokenizer has neither a BOS nor an EOS token.');
        const windows = tokens.length === 0 ? [] : [...rollingWindows(tokens, tokenizer.prefixToken!, maxLength)];
        const questions = windows.map(({ input, targets }, place) => ({
          place,
          requests: [{ input: Int32Array.from(input), targets }],
        }));
        const sums = new Map<number, number>();
        for await (const { place, scores } of engine.score(each(questions), never)) {
          if (scores instanceof RowError) throw scores;
          sums.set(place, scores[0]!.logprob);
        }
        for (const { place } of questions) logprob += sums.get(place)!;
        results.push({ logprob, num_tokens: tokens.length });
      }
      return results;
    },

    async generateUntil(requests) {
      const results: Generation[] = [];
      const questions = requests.map((content, place) => ({ place, content }));
      for await (const { place, content } of generations(each(questions), never)) {
        if (content instanceof RowError) throw content;
        results[place] = content;
      }
      return results;
    },
  };
}

function asRowError(error: unknown): RowError {
  if (error instanceof RowError) return error;
  throw error;
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

const one = <T>(content: T) => each([{ place: 0, content }]);

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
