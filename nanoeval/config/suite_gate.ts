/** The keys of a suite over several checkpoints that is judged as by compare.ts. */
import { compareSchema } from './compare.ts';

const { gate, bootstrap, rows } = compareSchema.shape;

/** To be spread into the suite's schema. Without `gate` nothing is judged. */
export const suiteGate = {
  gate: gate
    .unwrap()
    .optional()
    .describe('each later checkpoint is compared with the first one; the keys are those of compare.ts'),
  bootstrap,
  rows,
};
