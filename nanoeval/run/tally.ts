/** The rows of a run as they are counted: what its means need of each, its health, and why it is invalid. */
import type { TaskConfig } from '../config/keys.ts';
import { askedSubjects } from '../config/subjects.ts';
import type { FailedRow, Prediction, ScoredRow, Verdict } from '../questions.ts';
import type { Generation, Health } from '../report/summary.ts';
import { strip } from '../text/python_text.ts';
import { readSaid, type Said } from '../text/reasoning.ts';
import type { JournalRow } from './journal.ts';

/** What is kept of a row: 14,042 rows stay small without their texts and choices. */
export interface SlimRow {
  row: FailedRow | (Prediction & Partial<Verdict>);
  /** What is counted of a generated answer; null where the row has none. */
  answer: { empty: boolean; thoughts: Said['thoughts'] } | null;
}

/** A row without its texts, choices and tokens. */
export function slimRow(row: JournalRow): SlimRow {
  if ('error' in row) return { row, answer: null };
  const { choices, output, prompt: _p, tokens: _t, prompt_tokens: _ids, first_logprobs: _f, ...rest } = row;
  const { label_logprobs: _l, ...slim } = rest;
  if (output !== undefined) {
    const said = readSaid(output, row.think_opened);
    return { row: slim, answer: { empty: strip(said.answer) === '', thoughts: said.thoughts } };
  }
  if (choices === undefined) return { row: slim, answer: null };
  // What a text says of its tokens, a single choice says too.
  const [only, ...others] = choices;
  const { logprob, num_tokens, num_greedy } = only ?? {};
  const counts = num_greedy === undefined || others.length > 0 ? {} : { logprob, num_tokens, num_greedy };
  const counted = { ...slim, ...counts, num_choices: choices.length };
  return { row: counted, answer: null };
}

/** Counts rows one by one; a report is made from what it holds. */
export class Tally {
  readonly health: Health = { rows: 0, questions: 0, failed: 0, unparsed: 0, truncated: 0, empty: 0 };
  /** Those with a verdict. */
  readonly rows: ScoredRow[] = [];
  /** Those that could not be scored. */
  readonly failed: FailedRow[] = [];
  /** Index of each row that has an answer: whether one of its answers ended by itself. */
  private readonly ended = new Map<number, boolean>();
  private readonly answers: Omit<Generation, 'never_stopped'> = { answers: 0, cut: 0, reasoning: 0, reasoning_cut: 0 };

  /** What became of generated answers; null where there are none. */
  get generation(): Generation | null {
    const { answers, cut, ...thoughts } = this.answers;
    if (answers === 0) return null;
    const never_stopped = [...this.ended.values()].filter((ended) => !ended).length;
    return { answers, cut, never_stopped, ...thoughts };
  }

  add({ row, answer }: SlimRow): void {
    const { health } = this;
    health.rows += 1;
    if ('error' in row) {
      health.failed += 1;
      this.failed.push(row);
      return;
    }
    if (row.prediction === null) health.unparsed += 1;
    if (row.truncated) health.truncated += 1;
    const isCut = row.finish_reason === 'length';
    this.ended.set(row.index, !isCut || this.ended.get(row.index) === true);
    health.questions = this.ended.size;
    if (answer !== null) {
      const { answers } = this;
      answers.answers += 1;
      if (isCut) answers.cut += 1;
      if (answer.empty) health.empty += 1;
      if (answer.thoughts !== 'none') answers.reasoning += 1;
      if (answer.thoughts === 'cut') answers.reasoning_cut += 1;
    }
    if (row.metrics !== undefined) this.rows.push(row as ScoredRow);
  }

  /** Why the run is invalid; empty when it is not. */
  faults({ dataset, run }: TaskConfig): string[] {
    const { rows, failed, health } = this;
    const faults: string[] = [];
    const [one] = failed;
    const firstFailure = one === undefined ? '' : `row ${one.index} (id ${one.id}): ${one.error.message}`;
    if (health.failed / health.rows > run.max_failed) {
      faults.push(
        `${health.failed} of ${health.rows} rows failed, more than run.max_failed ${run.max_failed}; the first: ${firstFailure}`,
      );
    }
    if (isUnread(health, run)) {
      faults.push(
        `${health.unparsed} of ${health.rows} answers could not be read, more than run.max_unparsed ${run.max_unparsed}`,
      );
    }
    // A shard is a block of the rows: it need not hold every subject.
    const isWhole = run.score && run.shard === undefined;
    for (const name of isWhole ? askedSubjects(dataset) : []) {
      if (!rows.some((row) => row.subject === name || row.group === name))
        faults.push(`dataset.subjects: no row of ${name}`);
    }
    if (rows.length === 0 && (run.score || health.failed === health.rows) && (isWhole || health.rows > 0))
      faults.push(`no row could be scored; the first: ${firstFailure}`);
    return faults;
  }
}

/** More answers could not be read than the config allows. */
export function isUnread({ unparsed, rows }: Health, { max_unparsed }: TaskConfig['run']): boolean {
  return unparsed / rows > max_unparsed;
}
