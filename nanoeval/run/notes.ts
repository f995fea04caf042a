/** What is said of a run at its end, besides its table. */
import type { Failure, Generation } from '../report/summary.ts';
import type { Summary } from './outcome.ts';

/**
 * From which share of the answers on it is said that they were cut, empty or nothing but thoughts: above 5 %, such answers alone
 * can move a score by more than 5 points. The summary counts all of them.
 */
export const MANY = 0.05;

/**
 * What a reader of the table should know besides: why the run is invalid or does not do, every health counter that is not zero,
 * and what became of generated answers, where that is many of them.
 */
export function notesOn(
  { health, generation, faults, failures }: Pick<Summary, 'health' | 'generation' | 'faults' | 'failures'>,
  shortfall: string | null = null,
): string[] {
  const counted: [number, string][] = [
    [health.failed, 'could not be scored'],
    [health.unparsed, 'have an answer that could not be read'],
    [health.truncated, 'lost tokens: longer than the window'],
  ];
  const notes = counted
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count} of ${health.rows} rows ${what}`);
  if (generation !== undefined) notes.push(...answerNotes(generation, health));
  if (failures !== undefined) {
    const [{ id, check, failure }] = failures.first as [Failure];
    notes.push(`${failures.rows} of ${failures.of} rows are wrong; the first: ${id}: ${check}: ${failure}`);
  }
  const missed = shortfall === null ? [] : [`FAILED: ${shortfall}`];
  return [...notes, ...missed, ...faults.map((fault) => `INVALID: ${fault}`)];
}

function answerNotes(generation: Generation, { empty, questions }: Summary['health']): string[] {
  const { answers, cut, never_stopped, reasoning, reasoning_cut } = generation;
  const many = (count: number, of: number) => count > MANY * of;
  const notes: string[] = [];
  if (many(cut, answers))
    notes.push(`warning: ${cut} of ${answers} answers were cut: no end within max_new_tokens or the window`);
  // With one answer a question this says nothing new.
  if (questions < answers && many(never_stopped, questions))
    notes.push(`warning: ${never_stopped} of ${questions} questions have no answer that came to an end`);
  if (many(empty, answers)) notes.push(`warning: ${empty} of ${answers} answers are empty`);
  if (reasoning > 0)
    notes.push(`${reasoning} of ${answers} answers think first (<think>): that is kept in the rows and not scored`);
  if (many(reasoning_cut, answers))
    notes.push(
      `warning: ${reasoning_cut} of ${answers} answers think to their end and say nothing: raise max_new_tokens`,
    );
  return notes;
}
