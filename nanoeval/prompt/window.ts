/** The windows in which a text is scored, as a config asks for them. */
import { UserError } from '../types.ts';

/**
 * Tokens that a model sees at a time, and new ones of each window after the first: by default the model's limit and all of the
 * window. Throws UserError (keys `scoring.window`, `scoring.stride`) for more than there is, and where nobody knows the limit.
 */
export function rollingWindow(
  asked: { window?: number | undefined; stride?: number | undefined },
  maxLength: number | null,
): { window: number; stride: number } {
  const limit = maxLength ?? Number.POSITIVE_INFINITY;
  const { window = limit, stride = window } = asked;
  if (window > limit)
    throw new UserError(`${window} is more than the ${limit} tokens of the model.`, { key: 'scoring.window' });
  if (window === Number.POSITIVE_INFINITY)
    throw new UserError('missing, and the model does not say its limit. Set it.', { key: 'scoring.window' });
  if (stride > window)
    throw new UserError(`${stride} is more than the window of ${window} tokens.`, { key: 'scoring.stride' });
  return { window, stride };
}
