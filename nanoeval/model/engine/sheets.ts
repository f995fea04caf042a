/** The answer sheets of a window: numbers as they come in, questions as they are complete. */
import { RowError } from '../../types.ts';
import type { Part } from './lane.ts';
import type { TokenScore } from './naive.ts';
import type { TokenQuestion } from './prefix_tree.ts';
import type { Job } from './work.ts';

/** The answer to a question: a score for each request, or why there is none. */
export interface Answer {
  place: number;
  scores: TokenScore[] | RowError;
}

/** Log-probabilities of a question's targets, as they come in. */
interface Sheet {
  missing: number;
  logprobs: Float64Array[];
  greedy: boolean[][];
}
export type Sheets = Map<TokenQuestion, Sheet>;

function sheetOf(question: TokenQuestion, sheets: Sheets): Sheet {
  const known = sheets.get(question);
  if (known !== undefined) return known;
  const sheet: Sheet = {
    missing: question.requests.reduce((sum, { targets }) => sum + targets.length, 0),
    logprobs: question.requests.map(({ targets }) => new Float64Array(targets.length)),
    greedy: question.requests.map(() => []),
  };
  sheets.set(question, sheet);
  return sheet;
}

/** Enters what a pass gave; a question whose last number came is answered. Sums run in the order of the tokens. */
export function collect({ pass, logprobs, greedy }: Part, sheets: Sheets, answers: Answer[]): void {
  for (const [i, { request, target }] of pass.asks.entries()) {
    if (request.question.done) continue;
    const sheet = sheetOf(request.question, sheets);
    // Two executors may both have computed a prefix: the same number twice.
    if (sheet.missing <= 0 || sheet.greedy[request.place]![target] !== undefined) continue;
    sheet.logprobs[request.place]![target] = logprobs[i]!;
    sheet.greedy[request.place]![target] = greedy[i]!;
    sheet.missing -= 1;
    if (sheet.missing > 0) continue;
    const { place } = request.question;
    try {
      const scores = sheet.logprobs.map((values, r) =>
        finite({
          logprob: values.reduce((sum, value) => sum + value, 0),
          numGreedy: sheet.greedy[r]!.filter(Boolean).length,
        }),
      );
      answers.push({ place, scores });
    } catch (error) {
      if (!(error instanceof RowError)) throw error;
      answers.push({ place, scores: error });
    }
  }
}

/**
 * Questions that have something in a job, or in what leads to it, and no answer yet. They are the caller's to answer:
 * what comes for them later is passed over.
 */
export function takeUnanswered({ group, pass }: Job, sheets: Sheets): TokenQuestion[] {
  const asks = [...group.chunks, ...(pass === null ? [] : [pass])].flatMap((one) => one.asks);
  const questions = [...new Set(asks.map(({ request }) => request.question))];
  const left = questions.filter((question) => !question.done && sheetOf(question, sheets).missing > 0);
  for (const question of left) sheetOf(question, sheets).missing = 0;
  return left;
}

/** The score. Throws RowError for one that is not a number. */
export function finite(score: TokenScore): TokenScore {
  if (Number.isFinite(score.logprob)) return score;
  throw new RowError('nan', `a log-likelihood is ${score.logprob}: the model's logits are broken here.`);
}
