/** Keys of the section `model` that the backends share which ask servers. Which they are stands in `backends.ts`. */
import { z } from 'zod';

const address = z.string().min(1).describe('an address');

/** To be spread into the section `model`; all optional, since other backends have none of them. */
export const serverKeys = {
  base_url: z
    .union([address, z.array(address).min(1)])
    .optional()
    .describe(
      'address of the server, `http://127.0.0.1:8000`, or a list of those that share the rows; servers need it',
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
    .describe('requests that each server is given at a time, at most; by default 256. How many it takes is found out'),
  request_timeout: z
    .number()
    .gt(0)
    .max(86_400)
    .optional()
    .describe('seconds until the last byte of an answer; 600 by default'),
};
