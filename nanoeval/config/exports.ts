/** The key `exports` of a run, of a suite and of rescore.ts: files for other programs. */
import { z } from 'zod';

/** lm-evaluation-harness's results and samples; the hub's `.eval_results`; JUnit's XML. */
export const EXPORT_FORMATS = ['lm_eval', 'eval_results', 'junit'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** A list of formats. `where`: what the files are of, for the table of keys. */
export const exportList = (where: string) =>
  z
    .array(z.enum(EXPORT_FORMATS))
    .describe(
      `files for other programs, ${where}: \`lm_eval\`, results and samples as lm-evaluation-harness writes them; \`eval_results\`, YAML for a model's repository on the hub; \`junit\`, \`junit.xml\` for CI`,
    );
