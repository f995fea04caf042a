/**
 * When a variant is called broken: not worse, but of no use. At least one of these holds:
 *
 * 1. A logit over the texts is not finite, or the variant rules out a token that the reference does not.
 * 2. A row of a task failed for a logit that is no number, and the reference has all of the task's rows.
 * 3. A task's 95 % interval reaches down to chance, the reference's does not, and the verdict is REGRESSED.
 * 4. The mean KL divergence from the reference is above `distributions.broken_kl`.
 */
import type { Flip } from '../compare/result.ts';
import type { Outcome } from '../score/gate.ts';
import type { Estimate, Primary } from '../types.ts';
import type { Apart } from './passes.ts';

/** The first row that shows it. */
export interface BrokenRow {
  /** `distributions`, or the task's name in the suite. */
  of: string;
  index: number;
  /** What is to be seen there. */
  shows: string;
}

export interface Broken {
  /** Each rule that holds, in words; one at least. */
  reasons: string[];
  /** Of the first reason. */
  row: BrokenRow | null;
}

/** A task on the reference and on the variant. */
export interface JudgedTask {
  name: string;
  primary: Primary;
  reference: Estimate;
  variant: Estimate;
  verdict: Outcome;
  flips: readonly Flip[];
}

/** The first row of a task that failed for a number that is none. */
export interface NanRow {
  task: string;
  index: number;
  message: string;
}

export interface Evidence {
  apart: Apart | null;
  /** Mean KL divergence in nats above which a variant is broken. */
  limit: number;
  nan: NanRow | null;
  tasks: readonly JudgedTask[];
  /** A token as a reader sees it. */
  tokenText(id: number): string;
}

/** Why a variant is broken; null where it is not. */
export function brokenOf(evidence: Evidence): Broken | null {
  const found = [notFinite(evidence), failedRow(evidence), atChance(evidence), farAway(evidence)].filter(
    (one) => one !== null,
  );
  if (found.length === 0) return null;
  return { reasons: found.map(({ reason }) => reason), row: found[0]!.row };
}

interface Sign {
  reason: string;
  row: BrokenRow | null;
}

function notFinite({ apart, tokenText }: Evidence): Sign | null {
  if (apart === null || apart.nonfinite === 0) return null;
  const total = apart.nonfinite + apart.tokens;
  return {
    reason: `numbers that are not finite at ${apart.nonfinite} of ${total} tokens`,
    row: positionRow(apart, tokenText),
  };
}

function failedRow({ nan }: Evidence): Sign | null {
  if (nan === null) return null;
  const { task, index, message } = nan;
  return { reason: `rows of ${task} have logits that are no numbers`, row: { of: task, index, shows: message } };
}

function farAway({ apart, limit, tokenText }: Evidence): Sign | null {
  if (apart?.kl == null || apart.kl.mean <= limit) return null;
  const reason = `mean KL divergence ${apart.kl.mean.toFixed(3)} nats a token, above ${limit}`;
  return { reason, row: positionRow(apart, tokenText) };
}

function atChance({ tasks }: Evidence): Sign | null {
  const task = tasks.find(isAtChance);
  if (task === undefined) return null;
  const { name, primary, variant, reference } = task;
  const [low, high] = variant.ci95!.map((end) => end.toFixed(4));
  const reason = `${name} ${primary.name} ${variant.value.toFixed(4)} (${low} to ${high}) is not above chance ${primary.chance}, and the reference's ${reference.value.toFixed(4)} is`;
  return { reason, row: flipRow(task) };
}

/** Of a metric that is better when higher and has a chance level. */
function isAtChance({ primary, reference, variant, verdict }: JudgedTask): boolean {
  const { chance, better } = primary;
  if (verdict !== 'REGRESSED' || chance === null || better === 'lower') return false;
  if (reference.ci95 === null || variant.ci95 === null) return false;
  return variant.ci95[0] <= chance && reference.ci95[0] > chance;
}

function positionRow({ first }: Apart, tokenText: Evidence['tokenText']): BrokenRow | null {
  if (first === null) return null;
  const { row, token, kl, top } = first;
  const shows =
    kl === null || top === null
      ? 'a number that is not finite'
      : `KL ${kl.toFixed(3)} nats; most likely ${JSON.stringify(tokenText(top.reference))} by the reference, ${JSON.stringify(tokenText(top.variant))} by the variant`;
  return { of: 'distributions', index: row, shows: `token ${token}: ${shows}` };
}

function flipRow({ name, flips }: JudgedTask): BrokenRow | null {
  const first = flips.find(({ baseline, current }) => current.value < baseline.value);
  if (first === undefined) return null;
  const { id, index, gold, baseline, current } = first;
  const said = (answer: number | string | null) => (answer === null ? 'unread' : String(answer));
  const shows = `id ${id}: right is ${said(gold)}, the reference says ${said(baseline.prediction)}, the variant ${said(current.prediction)}`;
  return { of: name, index, shows };
}
