/** Keys of the section `model` that the backends share which ask servers. Which they are stands in `backends.ts`. */
import { z } from 'zod';
import { pathKey } from './paths.ts';

const address = z.string().min(1).describe('an address');
const word = z.string().min(1);

/** `model.server`: a server of this machine that is started for the run. */
export const startedServer = z.strictObject({
  command: z
    .union([word, z.array(word).min(1)])
    .optional()
    .describe(
      'the program, by name or path, or a list of it and its first arguments; by default `llama-server` (llama_cpp), `vllm` (vllm)',
    ),
  model: pathKey('what it loads: a path or a hub id; `model_id` by default').optional(),
  args: z
    .array(z.union([z.string(), z.number()]))
    .default([])
    .describe(
      'further arguments, behind those that follow from the backend; `{port}`, `{host}`, `{model}` and `{name}` in them are filled in',
    ),
  port: z
    .union([z.literal('auto'), z.int().min(1).max(65_535)])
    .default('auto')
    .describe('its port; `auto`: a free one'),
  ready_timeout: z
    .number()
    .gt(0)
    .max(86_400)
    .default(900)
    .describe('seconds until it has loaded its model and answers'),
  autostart: z.boolean().default(true).describe('`false`: it is running on `port` of this machine, and is not ended'),
});
export type StartedServer = z.infer<typeof startedServer>;

/** To be spread into the section `model`; all optional, since other backends have none of them. */
export const serverKeys = {
  base_url: z
    .union([address, z.array(address).min(1)])
    .optional()
    .describe(
      'address of the server, `http://127.0.0.1:8000`, or a list of those that share the rows; servers need it, or `model.server`',
    ),
  server: startedServer
    .optional()
    .describe(
      'in place of `base_url`: a server that is started for the run and ended with it, as a mapping of `command`, `model`, `args`, `port` (`auto`), `ready_timeout` (900 seconds) and `autostart` (`true`); the part "Servers" has more',
    ),
  api_key_env: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'the name of an environment variable, not the key itself')
    .optional()
    .describe("name of the environment variable that holds the server's key"),
  max_concurrency: z
    .int()
    .min(1)
    .optional()
    .describe(
      'requests that each server is given at a time, at most; by default 256. How many it takes is found out, from 8 on; llama-server is given as many as this says, and from 1 on without it',
    ),
  request_timeout: z
    .number()
    .gt(0)
    .max(86_400)
    .optional()
    .describe(
      'seconds until the last byte of an answer; by default 600, and more where answers are long for the speed of those before',
    ),
};
