/**
 * Log-likelihoods of given tokens from llama-server, which scores no prompts: the tokens are forced, and what it says of the
 * probability of each is that of the raw logits, whatever forced them.
 *
 * The schedule makes the numbers independent of the order of the questions: one request at a time, one slot; the context of a
 * question's choices is evaluated once without the cache, all of it but the last token, and each choice goes on from there.
 */
import { OutsideError, RowError } from '../../types.ts';
import { Passing } from './faults.ts';
import { type Fields, fieldsOf, garbled, idsOf, listOf, numberOf, textOf } from './fields.ts';
import type { Send } from './pool.ts';
import { finite, type ScoreTargets, type Target, type TargetScore } from './score.ts';

const SLOT = 0;

export interface ForcedOptions {
  /** Whether the server's grammars know tokens by id: then a continuation is one request, else one for each token. */
  byGrammar: boolean;
  /** Entries of the vocabulary. */
  vocabulary: number;
  /** A token that is a whole character (of ","). */
  clean: number;
}

/** Scores choices by forcing their tokens, in slot 0. The server may do nothing else meanwhile. */
export function scoreByForcing(options: ForcedOptions): ScoreTargets {
  return async (send, targets) => {
    const scores: (TargetScore | undefined)[] = targets.map(() => undefined);
    for (const [i, target] of targets.entries()) {
      if (scores[i] !== undefined) continue;
      const alike = targets.flatMap((other, j) => (sameIds(other.context, target.context) ? [j] : []));
      const isPrimed = alike.length > 1 && target.context.length > 1;
      if (isPrimed) await prime(send, target.context);
      for (const j of alike) scores[j] = await scoreOne(send, targets[j]!, isPrimed, options);
    }
    return scores as TargetScore[];
  };
}

const sameIds = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((id, i) => id === b[i]);

/** What every request says. Nothing is left to the server's defaults, which are not greedy. */
const request = (prompt: readonly number[], isCached: boolean) => ({
  prompt,
  temperature: 0,
  seed: 0,
  n_probs: 1,
  return_tokens: true,
  cache_prompt: isCached,
  id_slot: SLOT,
  response_fields: ['tokens', 'completion_probabilities', 'tokens_evaluated', 'stop_type', 'id_slot', 'truncated'],
});

/** Puts the context, all but its last token, into the slot. */
async function prime(send: Send, context: readonly number[]): Promise<void> {
  const prompt = context.slice(0, -1);
  checked(await send('POST', '/completion', { ...request(prompt, false), n_predict: 0 }), prompt);
}

async function scoreOne(send: Send, target: Target, isPrimed: boolean, options: ForcedOptions): Promise<TargetScore> {
  if (options.byGrammar) {
    const score = await byGrammar(send, target, isPrimed);
    if (score !== null) return score;
  }
  return byBias(send, target, isPrimed, options);
}

/** All tokens in one request; null where the grammar cannot force them (a part of a character, the end of an answer). */
async function byGrammar(
  send: Send,
  { context, continuation }: Target,
  isPrimed: boolean,
): Promise<TargetScore | null> {
  const grammar = `root ::= ${continuation.map((id) => `<[${id}]>`).join(' ')}`;
  const body = { ...request(context, isPrimed), n_predict: continuation.length, grammar };
  const answer = await send('POST', '/completion', body, { accept: [500] });
  const fault = textOf(fieldsOf(fieldsOf(answer).error).message);
  if (fault !== null) {
    if (/grammar/i.test(fault)) return null;
    throw new Passing('error', `/completion: 500: ${fault}`);
  }
  const fields = checked(answer, context);
  const entries = listOf(fields.completion_probabilities).map(fieldsOf);
  const isWhole =
    entries.length === continuation.length && entries.every(({ id }, i) => numberOf(id) === continuation[i]);
  if (!isWhole || !sameIds(idsOf(fields.tokens, 'return_tokens'), continuation)) return null;
  return sum(entries.map((entry, i) => readEntry(entry, continuation[i]!)));
}

/** One request a token. */
async function byBias(
  send: Send,
  { context, continuation }: Target,
  isPrimed: boolean,
  { vocabulary, clean }: ForcedOptions,
): Promise<TargetScore> {
  const found: TokenScore[] = [];
  for (const [i, id] of continuation.entries()) {
    const prompt = [...context, ...continuation.slice(0, i)];
    // The first one alone may begin without the cache; what follows goes on from what it left.
    const body = { ...request(prompt, isPrimed || i > 0), n_predict: 1 };
    const forced = { ...body, logit_bias: [[id, 1e6]] };
    const [entry] = listOf(checked(await send('POST', '/completion', forced), prompt).completion_probabilities);
    if (entry !== undefined && numberOf(fieldsOf(entry).id) === id) {
      found.push(readEntry(fieldsOf(entry), id));
      continue;
    }
    // No entry where the text ends inside a character: the whole vocabulary's, with a token forced that ends with one.
    const other = { ...body, cache_prompt: true, logit_bias: [[clean, 1e6]], n_probs: vocabulary };
    const [all] = listOf(checked(await send('POST', '/completion', other), prompt).completion_probabilities);
    found.push(readFromAll(fieldsOf(all), id));
  }
  return sum(found);
}

interface TokenScore {
  logprob: number;
  isGreedy: boolean;
}

const sum = (tokens: readonly TokenScore[]): TargetScore => ({
  logprob: tokens.reduce((total, { logprob }) => total + logprob, 0),
  numGreedy: tokens.filter(({ isGreedy }) => isGreedy).length,
});

function readEntry({ logprob, top_logprobs }: Fields, id: number): TokenScore {
  return { logprob: finite(logprob, id), isGreedy: numberOf(fieldsOf(listOf(top_logprobs)[0]).id) === id };
}

function readFromAll({ top_logprobs }: Fields, id: number): TokenScore {
  const entries = listOf(top_logprobs).map(fieldsOf);
  const own = entries.find((entry) => numberOf(entry.id) === id);
  if (own === undefined) throw new RowError('tokens', `the server gives no log-probability of token ${id}.`);
  return { logprob: finite(own.logprob, id), isGreedy: numberOf(entries[0]?.id) === id };
}

/** An answer about this prompt, from this slot. */
function checked(answer: unknown, prompt: readonly number[]): Fields {
  const fields = fieldsOf(answer);
  if (numberOf(fields.tokens_evaluated) !== prompt.length)
    throw garbled(`tokens_evaluated is ${prompt.length}`, fields.tokens_evaluated);
  // A slot that is not there is replaced without a word.
  if (fields.id_slot !== undefined && fields.id_slot !== SLOT)
    throw new OutsideError(`the server used slot ${String(fields.id_slot)} in place of ${SLOT}.`);
  return fields;
}
