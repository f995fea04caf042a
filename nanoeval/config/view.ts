/** The YAML keys of view.ts. */
import { z } from 'zod';
import { pathKey } from './paths.ts';

export const viewSchema = z.strictObject({
  folders: z
    .union([pathKey('folder'), z.array(pathKey('folder')).min(1)])
    .describe('folders of runs and suites, or patterns that stand for them (`artifacts/nanoeval/*`)'),
  title: z.string().min(1).default('NanoEval').describe('what stands above the leaderboard'),
  report: z.strictObject({ output_dir: pathKey('where the pages go').default('artifacts/nanoeval/view') }).prefault({}),
});
export type ViewConfig = z.infer<typeof viewSchema>;
