/**
 * The seam between pictures and checkpoints: what a family of vision-language models has to say about its pictures.
 *
 * A further family is a file `<name>.ts` beside this one with one function from the checkpoint's files to a
 * `VisionFamily` without its name, and a line in FAMILIES. This holds for families whose graph `vision_encoder` takes
 * tiles of one size ([n, 3, height, width]) and whose features replace the embeddings of one token, in order. Those
 * that take flattened patches (Qwen2-VL, LFM2-VL) or give features in another way (Florence-2) need more than this seam
 * has.
 */
import { z } from 'zod';
import { UserError } from '../../types.ts';
import type { GraphFiles } from '../graph/session.ts';
import { openIdefics3 } from './idefics3.ts';
import type { Pixels, Size } from './image.ts';
import { openLlava } from './llava.ts';
import type { Tiles } from './tiles.ts';

/** The parsed files of a checkpoint that speak of pictures. */
export interface VisionFiles {
  /** config.json */
  config: Record<string, unknown>;
  /** preprocessor_config.json; {} when absent */
  preprocessor: Record<string, unknown>;
  /** processor_config.json; {} when absent */
  processor: Record<string, unknown>;
}

export interface VisionFamily {
  /** `model_type` of config.json. */
  name: string;
  /** What the chat template writes for a picture: `<image>`. */
  placeholder: string;
  /** The token whose embeddings are replaced by features. */
  imageToken: string;
  imageTokenId: number;
  /**
   * What stands in the prompt for a picture of this size (after EXIF orientation), and how many of its tokens take
   * features.
   */
  expand(size: Size): { text: string; tokens: number };
  /** Tiles of a picture in the order of their features. Pure and synchronous. */
  tiles(pixels: Pixels): Tiles;
  /** The float32 value of each byte, for each channel: [3][256]. */
  values: readonly Float32Array[];
}

/** A family as its file makes it: the name is the caller's, and the token's id may be missing from config.json. */
type Opened = Omit<VisionFamily, 'name' | 'imageTokenId'> & { imageTokenId: number | undefined };

const FAMILIES: Readonly<Record<string, (files: VisionFiles) => Opened>> = {
  idefics3: openIdefics3,
  smolvlm: openIdefics3,
  llava: openLlava,
};

const FILE_OF = { config: 'config.json', preprocessor: 'preprocessor_config.json', processor: 'processor_config.json' };

function refuse(message: string, cause?: unknown): UserError {
  return new UserError(message, { key: 'model.model_id', cause });
}

/** The first fault in the words of the house: file, key, what is wrong. */
function inWords(error: z.ZodError, files: VisionFiles): UserError {
  const { path, message } = error.issues[0]!;
  const [file, ...keys] = path.map(String);
  let value: unknown = files[file as keyof VisionFiles];
  for (const key of keys) value = (value as Record<string, unknown> | null | undefined)?.[key];
  const found = value === undefined ? 'missing' : `${JSON.stringify(value)} is not done here`;
  const reason = message.replace(/^Invalid input: /, '');
  return refuse(`${FILE_OF[file as keyof VisionFiles]}: ${keys.join('.')}: ${found} (${reason}).`, error);
}

/**
 * The family of a checkpoint.
 *
 * Settings of pictures stand in preprocessor_config.json, or, as transformers 5 saves them, under `image_processor` of
 * processor_config.json, which then counts alone (its `get_image_processor_dict`).
 * Throws UserError (key 'model.model_id') for a `model_type` that is not known, naming those that are, for a key that
 * is missing, and for a setting that is not done here.
 */
export function openVision(files: VisionFiles): VisionFamily {
  const name = String(files.config.model_type);
  const open = Object.hasOwn(FAMILIES, name) ? FAMILIES[name] : undefined;
  if (open === undefined) {
    const known = Object.keys(FAMILIES).join(', ');
    throw refuse(
      `config.json: model_type "${name}" is no known family of vision-language models. Known are: ${known}.`,
    );
  }
  const nested = files.processor.image_processor as Record<string, unknown> | undefined;
  const merged = { ...files, preprocessor: nested ?? files.preprocessor };
  let opened: Opened;
  try {
    opened = open(merged);
  } catch (error) {
    throw error instanceof z.ZodError ? inWords(error, merged) : error;
  }
  const { imageTokenId } = opened;
  if (imageTokenId === undefined) {
    throw refuse('config.json: image_token_id: missing. It has to be the id of the token that stands for a picture.');
  }
  return { ...opened, imageTokenId, name };
}

/** The family of a checkpoint, or a UserError where it does not say how it takes pictures. */
export function familyOf({ config, preprocessor, processor }: GraphFiles): VisionFamily {
  if (preprocessor === null && processor === null) {
    throw new UserError('the checkpoint has no preprocessor_config.json: how it takes pictures is not known.', {
      key: 'model.model_id',
    });
  }
  return openVision({ config, preprocessor: preprocessor ?? {}, processor: processor ?? {} });
}

/**
 * Tiles of one pass of the vision graph. One is fastest and smallest (SmolVLM-256M's tower in fp32 on 2 cores: 0.72 s a
 * tile and 0.9 GB, with 4 tiles 0.74 s and 1.6 GB, with 8 2.6 GB; `npm run bench:vision`), and in graphs that quantise
 * at run time no tile then moves the numbers of another.
 */
export const TILES = 1;
