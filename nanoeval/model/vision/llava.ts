/**
 * LLaVA 1.5 (`model_type` llava): one square cut from the middle of a picture, with CLIP's settings. After transformers
 * 5.23: models/clip/image_processing_pil_clip.py and models/llava/processing_llava.py.
 */
import { z } from 'zod';
import { UserError } from '../../types.ts';
import type { Pixels, Size } from './image.ts';
import { FILTER_OF_CODE, resize } from './resize.ts';
import { checkResized, checkTokens, type Tiles, valuesOfBytes, writeTile } from './tiles.ts';

const THREE = z.tuple([z.number(), z.number(), z.number()]);
const SIDE = z.int().min(1);
const BOX = z.strictObject({ height: SIDE, width: SIDE });
const ID = z.int().min(0);

/** Keys with the defaults of the Python classes. What is not done here is refused, not passed over. */
const FILES = z.object({
  config: z.object({ image_token_index: ID.optional(), image_token_id: ID.optional() }),
  preprocessor: z.object({
    do_resize: z.literal(true).default(true),
    // Files of before 2023 have one number: the shortest edge.
    size: z.union([z.strictObject({ shortest_edge: SIDE }), BOX, SIDE]).default({ shortest_edge: 224 }),
    resample: z
      .int()
      .refine((code) => code in FILTER_OF_CODE, `it has to be one of ${Object.keys(FILTER_OF_CODE).join(', ')}`)
      .default(3),
    // Without it pictures keep their shape, and their number of tokens with it.
    do_center_crop: z.literal(true).default(true),
    crop_size: z.union([BOX, SIDE]).default(224),
    do_convert_rgb: z.literal(true).default(true),
    do_rescale: z.boolean().default(true),
    rescale_factor: z.number().default(1 / 255),
    do_normalize: z.boolean().default(true),
    // OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
    image_mean: THREE.default([0.48145466, 0.4578275, 0.40821073]),
    image_std: THREE.default([0.26862954, 0.26130258, 0.27577711]),
    // LlavaImageProcessor can first make a square of the picture with borders; the hub's checkpoints do not ask for it.
    do_pad: z.literal(false).nullish(),
  }),
  processor: z.object({
    // No default in Python either: without it the prompt cannot be made.
    patch_size: SIDE,
    vision_feature_select_strategy: z.enum(['default', 'full']).nullish(),
    num_additional_image_tokens: z.int().min(0).default(0),
    image_token: z.string().min(1).default('<image>'),
  }),
});

/**
 * The family for the three files of a checkpoint (`VisionFiles`): all of a `VisionFamily` but its name.
 * Throws ZodError for a key that is missing or has a value that is not done here; `openVision` puts it into words. UserError
 * where a picture would take no token.
 */
export function openLlava(files: { config: unknown; preprocessor: unknown; processor: unknown }) {
  const { config, preprocessor: settings, processor } = FILES.parse(files);
  const { size: asked, crop_size } = settings;
  const crop = typeof crop_size === 'number' ? { width: crop_size, height: crop_size } : crop_size;
  const filter = FILTER_OF_CODE[settings.resample]!;
  const token = processor.image_token;
  const patch = processor.patch_size;
  // `default` leaves out the class token, which is one of the additional ones (processing_llava.py).
  const left = processor.vision_feature_select_strategy === 'default' ? 1 : 0;
  const patches = Math.floor(crop.height / patch) * Math.floor(crop.width / patch);
  const tokens = patches + processor.num_additional_image_tokens - left;
  if (tokens < 1)
    throw new UserError(
      `processor_config.json: patch_size: ${patch} leaves no token of a picture of ${crop.width} x ${crop.height} pixels.`,
      { key: 'model.model_id' },
    );

  /** Shortest edge to the number asked for, the other in proportion, cut to an integer. */
  function resized({ width, height }: Size): Size {
    if (typeof asked === 'object' && 'height' in asked) return asked;
    const edge = typeof asked === 'number' ? asked : asked.shortest_edge;
    const long = Math.trunc((edge * Math.max(width, height)) / Math.min(width, height));
    return width <= height ? { width: edge, height: long } : { width: long, height: edge };
  }

  return {
    placeholder: token,
    imageToken: token,
    imageTokenId: config.image_token_index ?? config.image_token_id,
    values: valuesOfBytes(
      settings.do_rescale ? settings.rescale_factor : null,
      settings.do_normalize ? settings.image_mean : null,
      settings.do_normalize ? settings.image_std : null,
    ),
    expand(_size: Size) {
      checkTokens(tokens);
      return { text: token.repeat(tokens), tokens };
    },

    tiles(pixels: Pixels): Tiles {
      const size = resized(pixels);
      for (const made of [size, crop]) checkResized(pixels, made);
      const tiles: Tiles = { count: 1, ...crop, data: new Uint8Array(3 * crop.width * crop.height) };
      const small = resize(pixels, size, filter);
      // Rounded down also below 0, where the picture is smaller than the cut and gets black borders (`center_crop`).
      const middle = (whole: number, part: number) => Math.floor((whole - part) / 2);
      writeTile(tiles, 0, small, middle(small.width, crop.width), middle(small.height, crop.height));
      return tiles;
    },
  };
}
