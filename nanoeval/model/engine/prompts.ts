/** Answers to prompts: planned in windows, so that a few-shot header is computed once; each goes on by itself. */
import type { RowError } from '../../types.ts';
import { rowError } from './faults.ts';
import type { Lane, Taker } from './lane.ts';
import { type Asked, chain, type Group, type Pass, type TokenQuestion } from './prefix_tree.ts';
import { inWindows, type Window, type WindowOptions } from './windows.ts';
import { doJobs, type Job, openWork } from './work.ts';

/** A prompt to go on from. */
export interface TokenPrompt extends Pick<TokenQuestion, 'place' | 'window' | 'done'> {
  ids: readonly number[];
  /** Begins the answer, anew when a first try fell over. */
  begin(): Taker;
}

/** The answer to a prompt has ended. */
export interface Ended {
  place: number;
  /** Why there is none. */
  error: RowError | null;
}

export interface PromptOptions extends Omit<WindowOptions, 'form'> {
  lanes: readonly Lane[];
}

/** The place of each prompt when its answer has ended; see `Engine.generate`. */
export async function* answerShared(
  prompts: AsyncIterable<TokenPrompt>,
  options: PromptOptions,
  signal: AbortSignal,
): AsyncGenerator<Ended> {
  const open = new Map<number, TokenPrompt>();
  const questions = async function* (): AsyncGenerator<TokenQuestion> {
    for await (const prompt of prompts) {
      const { ids, begin: _begin, ...question } = prompt;
      if (!prompt.done) open.set(prompt.place, prompt);
      // The target is not looked at: it makes the plan say where the last token is.
      yield { ...question, requests: [{ input: Int32Array.from(ids), targets: [0] }] };
    }
  };
  const { lanes } = options;
  const answerWindow = ({ root }: Window) => {
    const work = openWork(promptsUnder(root), lanes);
    const perform = async (job: Job, lane: Lane, ended: Ended[]): Promise<void> => {
      const { place } = job.pass!.asks[0]!.request.question;
      const error = await goOn(open.get(place)!, job, lane);
      if (error?.kind === 'memory' && !job.retried) return work.again([{ ...job, retried: true }]);
      ended.push({ place, error });
      open.delete(place);
    };
    return doJobs(work, lanes, perform, signal);
  };
  yield* inWindows(questions(), { ...options, form: 'single' }, answerWindow, signal);
}

/** Goes on from a prompt until its taker has enough; the error when the row cannot be answered. */
async function goOn({ begin }: TokenPrompt, { group, pass }: Job, lane: Lane): Promise<RowError | null> {
  try {
    await lane.decode(group, pass!.sequences[0]!.ids, begin());
    return null;
  } catch (error) {
    return rowError(error, lane);
  }
}

/**
 * A plan of prompts as one pass a prompt: the tokens that no group has, to go on from. A prompt that ends inside a
 * group goes on from the group above it. Changes the plan.
 */
export function promptsUnder(root: Group): Group {
  const askedOf = (passes: readonly Pass[]): Asked[] =>
    passes.flatMap((pass) => pass.asks.map(({ request }) => request));
  const visit = (group: Group): void => {
    const own = [...askedOf(group.passes), ...group.children.flatMap((child) => askedOf(child.chunks))];
    group.passes = own.map((request) => {
      const sequence = chain(request.request.input.subarray(group.depth));
      return { group, sequences: [sequence], select: [], pairs: [], asks: [{ request, target: 0 }] };
    });
    for (const child of group.children) {
      for (const chunk of child.chunks) Object.assign(chunk, { select: [], pairs: [], asks: [] });
      visit(child);
    }
  };
  visit(root);
  return root;
}
