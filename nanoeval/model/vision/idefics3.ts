/**
 * Idefics3 and SmolVLM (`model_type` idefics3, smolvlm): a picture is enlarged, cut into square tiles, and followed by
 * a small copy of itself. After transformers 5.23: models/idefics3/image_processing_pil_idefics3.py and
 * processing_idefics3.py; for pictures, models/smolvlm is the same code. Videos are not done.
 */
import { z } from 'zod';
import { UserError } from '../../types.ts';
import type { Pixels, Size } from './image.ts';
import { FILTER_OF_CODE, resize } from './resize.ts';
import { checkResized, checkTokens, type Tiles, valuesOfBytes, writeTile } from './tiles.ts';

const THREE = z.tuple([z.number(), z.number(), z.number()]);
const EDGE = z.strictObject({ longest_edge: z.int().min(1) });
const ID = z.int().min(0);

/** Keys with the defaults of the Python classes. What is not done here is refused, not passed over. */
const FILES = z.object({
  config: z.object({
    image_token_index: ID.optional(),
    image_token_id: ID.optional(),
    scale_factor: z.number().optional(),
    vision_config: z.object({ image_size: z.number().optional(), patch_size: z.number().optional() }).optional(),
  }),
  preprocessor: z.object({
    // Without it Python cuts the picture as it comes; no checkpoint is known that does so.
    do_resize: z.literal(true).default(true),
    size: EDGE.default({ longest_edge: 4 * 364 }),
    resample: z
      .int()
      .refine((code) => code in FILTER_OF_CODE, `it has to be one of ${Object.keys(FILTER_OF_CODE).join(', ')}`)
      .default(1),
    do_image_splitting: z.boolean().default(true),
    max_image_size: EDGE.default({ longest_edge: 364 }),
    do_convert_rgb: z.literal(true).default(true),
    do_rescale: z.boolean().default(true),
    rescale_factor: z.number().default(1 / 255),
    do_normalize: z.boolean().default(true),
    image_mean: THREE.default([0.5, 0.5, 0.5]),
    image_std: THREE.default([0.5, 0.5, 0.5]),
    // Pads the pictures of a batch to one count; one question at a time needs none.
    do_pad: z.boolean().default(true),
  }),
  processor: z.object({ image_seq_len: z.int().min(1).default(169) }),
});

/** Python's `MAX_IMAGE_SIZE`: the longer side of the enlarged picture is not more. */
const MAX_SIDE = 4096;
const TOKEN = '<image>';
const FAKE = '<fake_token_around_image>';
const GLOBAL = '<global-img>';

/** Longest edge to `edge`, smaller pictures enlarged, the other side even (`get_resize_output_image_size`). */
function enlarged({ width, height }: Size, edge: number): Size {
  const ratio = width / height;
  const even = (side: number) => Math.max(1, side + (side % 2));
  const size =
    width >= height
      ? { width: edge, height: even(Math.trunc(edge / ratio)) }
      : { width: even(Math.trunc(edge * ratio)), height: edge };
  return capped(size);
}

function capped(size: Size): Size {
  const { width, height } = size;
  const ratio = width / height;
  if (width >= height && width > MAX_SIDE) {
    return { width: MAX_SIDE, height: Math.max(1, Math.trunc(MAX_SIDE / ratio)) };
  }
  if (height > width && height > MAX_SIDE) {
    return { width: Math.max(1, Math.trunc(MAX_SIDE * ratio)), height: MAX_SIDE };
  }
  return size;
}

/** Both sides up to multiples of the tile's; the shape changes a little (`resize_for_vision_encoder`). */
function inTiles({ width, height }: Size, tile: number): Size {
  const up = (side: number) => Math.ceil(side / tile) * tile;
  const ratio = width / height;
  if (width >= height) return { width: up(width), height: up(Math.trunc(up(width) / ratio)) };
  return { width: up(Math.trunc(up(height) * ratio)), height: up(height) };
}

/** Sizes that a picture passes through, and its grid; 0 rows and columns: one tile, the whole picture. */
export interface Plan {
  /** After the longest edge. */
  resized: Size;
  /** What the tiles are cut from. */
  tiled: Size;
  rows: number;
  cols: number;
}

/** The plan for a picture of `size`, by the longest edge, the tile's side and whether pictures are split. */
export function planTiles(size: Size, edge: number, tile: number, split: boolean): Plan {
  const resized = enlarged(size, edge);
  const whole = { width: tile, height: tile };
  if (!split) return { resized, tiled: whole, rows: 0, cols: 0 };
  const tiled = inTiles(resized, tile);
  const single = tiled.width <= tile && tiled.height <= tile;
  return single
    ? { resized, tiled, rows: 0, cols: 0 }
    : { resized, tiled, rows: tiled.height / tile, cols: tiled.width / tile };
}

/** Features of a tile that the graph gives, by config.json; null where it does not say. Python's own formula. */
function featuresOfTile({ scale_factor, vision_config }: z.infer<typeof FILES>['config']): number | null {
  const { image_size, patch_size } = vision_config ?? {};
  if (image_size === undefined || patch_size === undefined || scale_factor === undefined) return null;
  return Math.trunc(Math.floor(image_size / patch_size) ** 2 / scale_factor ** 2);
}

/**
 * The family for the three files of a checkpoint (`VisionFiles`): all of a `VisionFamily` but its name. Throws ZodError
 * for a key that is missing or has a value that is not done here; `openVision` puts it into words. UserError when
 * `image_seq_len` is not what config.json says of the vision tower: the prompt would not fit the features.
 */
export function openIdefics3(files: { config: unknown; preprocessor: unknown; processor: unknown }) {
  const { config, preprocessor: settings, processor } = FILES.parse(files);
  const edge = settings.size.longest_edge;
  const tile = settings.max_image_size.longest_edge;
  const filter = FILTER_OF_CODE[settings.resample]!;
  const perTile = processor.image_seq_len;
  const given = featuresOfTile(config);
  if (given !== null && given !== perTile) {
    throw new UserError(
      `processor_config.json: image_seq_len: ${perTile} (169 where it is missing), ` +
        `but config.json makes it ${given} features a tile.`,
      { key: 'model.model_id' },
    );
  }
  const plan = (size: Size) => planTiles(size, edge, tile, settings.do_image_splitting);

  return {
    placeholder: TOKEN,
    imageToken: TOKEN,
    imageTokenId: config.image_token_index ?? config.image_token_id,
    values: valuesOfBytes(
      settings.do_rescale ? settings.rescale_factor : null,
      settings.do_normalize ? settings.image_mean : null,
      settings.do_normalize ? settings.image_std : null,
    ),

    expand(size: Size): { text: string; tokens: number } {
      const { rows, cols } = plan(size);
      const tokens = (rows * cols + 1) * perTile;
      checkTokens(tokens);
      const features = TOKEN.repeat(perTile);
      let text = '';
      for (let row = 1; row <= rows; row++) {
        for (let col = 1; col <= cols; col++) text += `${FAKE}<row_${row}_col_${col}>${features}`;
        text += '\n';
      }
      if (rows > 0) text += '\n';
      return { text: `${text}${FAKE}${GLOBAL}${features}${FAKE}`, tokens };
    },

    tiles(pixels: Pixels): Tiles {
      const { resized, tiled, rows, cols } = plan(pixels);
      const count = rows * cols + 1;
      checkResized(pixels, tiled);
      checkResized(pixels, { width: tile, height: tile });
      const tiles: Tiles = { count, width: tile, height: tile, data: new Uint8Array(count * 3 * tile * tile) };
      // Three resizes, each rounded to bytes, as in Python: one from the first to the last would give other bytes.
      const large = resize(resize(pixels, resized, filter), tiled, filter);
      for (let i = 0; i < rows * cols; i++) {
        writeTile(tiles, i, large, (i % cols) * tile, Math.floor(i / cols) * tile);
      }
      writeTile(tiles, count - 1, resize(large, { width: tile, height: tile }, filter), 0, 0);
      return tiles;
    },
  };
}
