/** The streaming verbs of a model made from its plain ones, for tests that stand in for a checkpoint. */
import { type Model, RowError } from '../nanoeval/types.ts';

type Plain = Pick<Model, 'loglikelihood' | 'generateUntil'>;

async function orRowError<T>(work: () => Promise<T>): Promise<T | RowError> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RowError) return error;
    throw error;
  }
}

/** Question by question, in order. */
export function streams({ loglikelihood, generateUntil }: Plain): Pick<Model, 'loglikelihoods' | 'generations'> {
  return {
    async *loglikelihoods(questions) {
      for await (const { place, content } of questions)
        yield { place, content: await orRowError(() => loglikelihood(content)) };
    },
    async *generations(questions) {
      for await (const { place, content } of questions)
        yield { place, content: await orRowError(async () => (await generateUntil([content]))[0]!) };
    },
  };
}
