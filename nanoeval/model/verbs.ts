/** lm-evaluation-harness's three verbs, from texts and pictures to tokens and back, over an engine that knows tokens alone. */
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
import { cutAtStops, hasStop } from './engine/decode.ts';
import type { Engine } from './engine/engine.ts';
import type { TokenQuestion, TokenRequest } from './engine/prefix_tree.ts';
import type { Tokenizer } from './tokenizer.ts';
import type { Shown } from './vision/album.ts';
import type { VisionFamily } from './vision/family.ts';
import { imageSize } from './vision/image.ts';

/** The part of a model that needs its engine. */
export type Verbs = Pick<
  Model,
  'loglikelihoods' | 'generations' | 'loglikelihood' | 'loglikelihoodRolling' | 'generateUntil'
>;

export interface VerbOptions {
  /** Tokens that end an answer. */
  eosTokens: readonly number[];
  /** The window in tokens. */
  maxLength: number;
  /** How the checkpoint takes pictures; throws UserError when it takes none. Asked with the first picture. */
  vision(): VisionFamily;
}

/** The verbs over an engine. */
export function openVerbs(engine: Engine, tokenizer: Tokenizer, { eosTokens, maxLength, vision }: VerbOptions): Verbs {
  const never = new AbortController().signal;

  /**
   * A context with what stands in it for its pictures, and these. `place` puts the ids of the pictures where their tokens
   * are. Throws RowError when the context has not one place for each picture, and for a file that is no picture.
   */
  async function withPictures(context: string, images: readonly Uint8Array[] = []) {
    if (images.length === 0) return { text: context, shown: [], place: (ids: number[]) => ids };
    const family = vision();
    const parts = context.split(family.placeholder);
    if (parts.length !== images.length + 1) {
      const message = `the prompt says ${family.placeholder} ${parts.length - 1} times and has ${images.length} pictures.`;
      throw new RowError('image', message);
    }
    const expanded: ReturnType<VisionFamily['expand']>[] = [];
    for (const bytes of images) expanded.push(family.expand(await imageSize(bytes)));
    const text = parts.map((part, i) => part + (expanded[i]?.text ?? '')).join('');
    const shown = images.map((bytes, i) => engine.album.enter(bytes, expanded[i]!.tokens));
    const place = (ids: number[]): number[] => {
      const wanted = shown.flatMap(({ first, tokens }) => Array.from({ length: tokens }, (_, i) => first + i));
      const count = ids.filter((id) => id === family.imageTokenId).length;
      if (count !== wanted.length)
        throw new RowError('image', `the prompt has ${count} picture tokens, its pictures take ${wanted.length}.`);
      let next = 0;
      return ids.map((id) => (id === family.imageTokenId ? wanted[next++]! : id));
    };
    return { text, shown, place };
  }

  const leave = (shown: readonly Shown[]) => {
    for (const picture of shown) engine.album.leave(picture);
  };

  /** Pictures of questions whose answers are known: others run with them, until a later window's answers come. */
  function openKnown() {
    type Place = Pick<Question<unknown>, 'place' | 'window'>;
    const held: { question: Place; shown: readonly Shown[] }[] = [];
    return {
      hold(question: Place, shown: readonly Shown[]): void {
        if (shown.length > 0) held.push({ question, shown });
      },
      /** This question was answered. */
      pass({ place, window }: Place): void {
        const isOver = ({ question }: (typeof held)[number]) => question.place < place && question.window !== window;
        while (held.length > 0 && isOver(held[0]!)) leave(held.shift()!.shown);
      },
      forget(): void {
        for (const { shown } of held.splice(0)) leave(shown);
      },
    };
  }

  /** lm-eval, HF backend: the last max_length + 1 tokens of context and continuation, without the final one. */
  async function encode(given: LoglikelihoodRequest) {
    const { context, continuation, tokenization, siblings, images, keep_tokens } = given;
    const { text, shown, place } = await withPictures(context, images);
    try {
      return { ...encodePlaced(), shown };
    } catch (error) {
      leave(shown);
      throw error;
    }

    function encodePlaced() {
      const pair = tokenizer.encodePair(text, continuation, tokenization, siblings);
      const { length } = pair.continuation;
      if (length > maxLength)
        throw new RowError('length', `the continuation has ${length} tokens, the window ${maxLength}.`);
      const whole = place([...pair.context, ...pair.continuation]);
      if (shown.length > 0 && whole.length - 1 > maxLength)
        throw new RowError(
          'length',
          `a prompt with pictures cannot be cut, and it has ${whole.length - 1} tokens; the window has ${maxLength}.`,
        );
      const request: TokenRequest = {
        input: Int32Array.from(whole.slice(-(maxLength + 1)).slice(0, -1)),
        targets: pair.continuation,
      };
      return {
        request,
        num_tokens: length,
        num_context_tokens: pair.context.length,
        ...(keep_tokens ? { tokens: { prompt: pair.context, output: pair.continuation } } : {}),
        truncated: whole.length - 1 > maxLength,
      };
    }
  }

  async function* loglikelihoods(
    questions: AsyncIterable<Question<readonly LoglikelihoodRequest[]>>,
    signal: AbortSignal,
  ): AsyncGenerator<Question<Loglikelihood[] | RowError>> {
    type Part = Awaited<ReturnType<typeof encode>>;
    const asked = new Map<number, { parts: Part[]; window: number | undefined }>();
    const known = openKnown();
    const refused: Question<RowError>[] = [];
    let ended = false;
    const forgetAll = () => {
      for (const { shown } of [...asked.values()].flatMap(({ parts }) => parts)) leave(shown);
      asked.clear();
      known.forget();
    };
    const encoded = async function* (): AsyncGenerator<TokenQuestion> {
      for await (const { content, ...question } of questions) {
        const { place, window, done } = question;
        const parts: Part[] = [];
        try {
          for (const request of content) parts.push(await encode(request));
          const shown = parts.flatMap((part) => part.shown);
          if (done) known.hold(question, shown);
          else asked.set(place, { parts, window });
          if (ended) return forgetAll();
          yield { ...question, requests: parts.map(({ request }) => request) };
        } catch (error) {
          for (const { shown } of parts) leave(shown);
          const reason = asRowError(error);
          if (!done) refused.push({ place, content: reason });
        }
      }
    };
    try {
      for await (const { place, scores } of engine.score(encoded(), signal)) {
        yield* refused.splice(0);
        const { parts, window } = asked.get(place)!;
        asked.delete(place);
        known.pass({ place, window });
        for (const { shown } of parts) leave(shown);
        if (scores instanceof RowError) yield { place, content: scores };
        else {
          const content = parts.map(({ request: _request, shown: _shown, ...counts }, i) => {
            const { logprob, isGreedy } = scores[i]!;
            return { logprob, is_greedy: isGreedy, ...counts };
          });
          yield { place, content };
        }
      }
      yield* refused;
    } finally {
      // A stream that ends early lets go of its pictures; a question that is being read meanwhile does so when it is.
      ended = true;
      forgetAll();
    }
  }

  /**
   * Greedy, or drawn. The context loses tokens on the left when it would leave no room for `max_new_tokens`; with pictures it keeps
   * all, and the answer has what room is left. A stop may name a special token (`<|im_end|>`), so stops are looked for in
   * the text that shows them, as lm-eval does.
   */
  async function openAnswer(request: GenerationRequest) {
    const { context, until, max_new_tokens, images, first_tokens = [], sampling, keep_tokens } = request;
    const { text, shown, place } = await withPictures(context, images);
    try {
      return { ...openPlaced(), shown };
    } catch (error) {
      leave(shown);
      throw error;
    }

    function openPlaced() {
      const prompt = tokenizer.encode(text);
      const tokens = place(prompt);
      const pictured = shown.length > 0;
      const most = pictured ? Math.min(max_new_tokens, maxLength - tokens.length) : max_new_tokens;
      const room = maxLength - most;
      if (most < 1)
        throw new RowError(
          'length',
          `the prompt with its pictures has ${tokens.length} tokens, the window ${maxLength}.`,
        );
      if (room < 1)
        throw new RowError('length', `max_new_tokens ${max_new_tokens} leaves no room in a window of ${maxLength}.`);
      if (tokens.length === 0) throw new RowError('tokens', 'the context has no tokens.');
      const single = first_tokens
        .map((one) => tokenizer.encodePlain(one))
        .map((ids) => (ids.length === 1 ? ids[0]! : null));
      const watched = single.filter((id) => id !== null);
      let answer: number[] = [];
      let end = 0;
      let finish: Generation['finish_reason'] = 'length';
      let seen: readonly number[] = [];
      const take = (token: number, logprobs: readonly number[]): boolean => {
        if (answer.length === 0) seen = logprobs;
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
        return answer.length >= most;
      };
      return {
        ids: tokens.slice(-room),
        begin() {
          [answer, end, finish] = [[], 0, 'length'];
          return { take, watched, ...(sampling === undefined ? {} : { sampling }) };
        },
        result(): Generation {
          let next = 0;
          const first_logprobs = single.map((id) => (id === null ? null : seen[next++]!));
          return {
            output: cutAtStops(tokenizer.decode(answer.slice(0, end)), until),
            finish_reason: finish,
            num_output_tokens: answer.length,
            num_context_tokens: tokens.length,
            truncated: tokens.length > room,
            ...(first_tokens.length === 0 ? {} : { first_logprobs }),
            ...(keep_tokens ? { tokens: { prompt: prompt.slice(-room), output: answer } } : {}),
          };
        },
      };
    }
  }

  async function* generations(
    questions: AsyncIterable<Question<GenerationRequest>>,
    signal: AbortSignal,
  ): AsyncGenerator<Question<Generation | RowError>> {
    const open = new Map<number, Awaited<ReturnType<typeof openAnswer>> & { window: number | undefined }>();
    const known = openKnown();
    const refused: Question<RowError>[] = [];
    let ended = false;
    const forgetAll = () => {
      for (const { shown } of open.values()) leave(shown);
      open.clear();
      known.forget();
    };
    const prompts = async function* () {
      for await (const { content, ...question } of questions) {
        const { place, window, done } = question;
        try {
          const answer = await openAnswer(content);
          if (done) known.hold(question, answer.shown);
          else open.set(place, { ...answer, window });
          if (ended) return forgetAll();
          yield { ...question, ids: answer.ids, begin: answer.begin };
        } catch (error) {
          const reason = asRowError(error);
          if (!done) refused.push({ place, content: reason });
        }
      }
    };
    try {
      for await (const { place, error } of engine.generate(prompts(), signal)) {
        yield* refused.splice(0);
        const answer = open.get(place)!;
        open.delete(place);
        known.pass({ place, window: answer.window });
        leave(answer.shown);
        yield { place, content: error ?? answer.result() };
      }
      yield* refused;
    } finally {
      ended = true;
      forgetAll();
    }
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
