/** The section `sandbox` of tasks that run what a model wrote. */
import { z } from 'zod';

export const sandboxSection = z
  .strictObject({
    enabled: z
      .boolean()
      .default(false)
      .describe('`true` allows to run programs that the model wrote, shut in by the strongest means of the machine'),
    unsafe: z
      .boolean()
      .default(false)
      .describe(
        '`true`: where no sandbox works, run them with limits alone; they can read your files and use the network',
      ),
    python: z.string().min(1).default('python3').describe('the Python 3 that runs them, a name or a path'),
  })
  .describe('how programs are run; see README.md, "Running programs"');
export type SandboxSettings = z.infer<typeof sandboxSection>;
