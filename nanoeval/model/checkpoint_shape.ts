/** Whether the parsed JSON files of a checkpoint have the shape that they are read by: said at once, with the place. */
import { z } from 'zod';
import { UserError } from '../types.ts';

/** As JSON of Python has it: Infinity and NaN too. */
const number = z.custom<number>((value) => typeof value === 'number', 'expected a number');
const tokens = z.union([z.int(), z.array(z.int())], 'expected an id or a list of ids').nullish();
const sizes = { n_positions: number.nullish(), max_position_embeddings: number.nullish(), n_ctx: number.nullish() };
const text = z.looseObject({ ...sizes, eos_token_id: tokens });
const template = z
  .union([z.string(), z.array(z.looseObject({}))], 'expected a text or a list of named templates')
  .nullish();

/** By name; of any other file all that counts is that it holds a mapping. */
const FILES: Record<string, z.ZodType> = {
  'config.json': text.extend({ text_config: text.nullish() }),
  'generation_config.json': z.looseObject({ eos_token_id: tokens }),
  'tokenizer_config.json': z.looseObject({ model_max_length: number.nullish(), chat_template: template }),
  'chat_template.json': z.looseObject({ chat_template: template }),
};
const MAPPING = z.looseObject({});

/** Throws UserError, with the place of the first fault, where `json` is not what a file of this name holds. */
export function checkCheckpointJson(name: string, json: unknown, where: string): void {
  const issue = (FILES[name] ?? MAPPING).safeParse(json).error?.issues[0];
  if (issue === undefined) return;
  const place = issue.path.length === 0 ? 'the file' : issue.path.join('.');
  const what = issue.message.replace(/^Invalid input: /, '');
  throw new UserError(`${where}: ${name}: ${place}: ${what}. Get the file again.`, { key: 'model.model_id' });
}
