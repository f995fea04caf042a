#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seconds an image of transformers on the CPU, stage by stage, with a model of SmolVLM-256M-Instruct's shape.

    python transformers.py [--images N] [--threads N] [--new-tokens N] [--text-tokens N] PATH...
    echo '["a.png", "b.jpg"]' | python transformers.py -

PATH is a picture or a folder of pictures. Weights are random (float32, seeded) and the token ids are put together
here, so nothing is downloaded: the work is that of the real checkpoint, the reply is noise, and generation never stops
early. Attention and tiles in a pass are as a user gets them: sdpa, all tiles of a picture at once. The first picture is
shown once beforehand and not counted.

Prints one JSON line. `median` holds, over the pictures:
  decode         open, turn as EXIF says, to RGB
  processor      resize, cut into tiles, normalise (the PIL processor)
  encoder        vision tower and connector; encoder_tile is that a tile
  prefill        the decoder over the whole prompt, to the first token
  decode_token   one further token with the cache
  total          all of it, for --new-tokens tokens
Seconds of wall time throughout, except cpu_share: the part of --threads cores that this process got or could use; well
below 1 with one thread, the machine was busy with something else. `each` holds the same for every picture; peak_rss_mb
is this process's.

Needs torch, transformers and Pillow; tried with 2.15, 5.23 and 13.0. torchvision is not needed.
"""
import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
# This file has the name of the library: its own folder must not be looked into.
sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != Path(__file__).resolve().parent]

import PIL
import torch
import transformers
from PIL import Image, ImageOps
from transformers import Idefics3Config, Idefics3ForConditionalGeneration
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

PICTURES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
TILE, PATCH, SHUFFLE = 512, 16, 4
TILE_TOKENS = (TILE // PATCH // SHUFFLE) ** 2
VOCAB, BOS, PAD = 49280, 1, 2
GLOBAL, FIRST_CELL, GRID, AROUND, IMAGE, EOS = 49152, 49153, 6, 49189, 49190, 49279
TEXT_IDS = range(17, GLOBAL)
NEWLINE = TEXT_IDS[0]  # any text token does


def build_model(seed: int) -> Idefics3ForConditionalGeneration:
    torch.manual_seed(seed)
    config = Idefics3Config(
        image_token_id=IMAGE,
        scale_factor=SHUFFLE,
        vision_config={
            "model_type": "idefics3_vision",
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": TILE,
            "patch_size": PATCH,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": VOCAB,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "head_dim": 64,
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0},
            "bos_token_id": BOS,
            "pad_token_id": PAD,
            "eos_token_id": EOS,
        },
    )
    return Idefics3ForConditionalGeneration(config).to(torch.float32).eval()


def build_processor() -> Idefics3ImageProcessorPil:
    return Idefics3ImageProcessorPil(
        size={"longest_edge": 4 * TILE},
        max_image_size={"longest_edge": TILE},
        resample=Image.Resampling.LANCZOS,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )


def prompt_ids(rows: int, cols: int, text_tokens: int) -> torch.Tensor:
    """The expanded prompt of one picture: each tile after its place, then the picture as a whole, then text."""
    ids = [BOS]
    for row in range(rows):
        for col in range(cols):
            ids += [AROUND, FIRST_CELL + GRID * row + col] + [IMAGE] * TILE_TOKENS
        ids.append(NEWLINE)
    ids += [AROUND, GLOBAL] + [IMAGE] * TILE_TOKENS + [AROUND]
    text = torch.randint(TEXT_IDS.start, TEXT_IDS.stop, (text_tokens,), generator=torch.Generator().manual_seed(0))
    return torch.cat([torch.tensor(ids), text])[None]


class Clock:
    """Seconds since it was last asked."""

    def __init__(self) -> None:
        self.at = time.perf_counter()

    def lap(self) -> float:
        before, self.at = self.at, time.perf_counter()
        return self.at - before


@torch.inference_mode()
def measure(model, processor, path: Path, text_tokens: int, new_tokens: int) -> dict:
    began, used, clock = time.perf_counter(), time.process_time(), Clock()
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    decode = clock.lap()

    inputs = processor([[picture]], return_row_col_info=True, return_tensors="pt")
    pixels = inputs["pixel_values"]
    process = clock.lap()

    ids = prompt_ids(inputs["rows"][0][0], inputs["cols"][0][0], text_tokens)
    clock.lap()
    features = torch.cat(list(model.get_image_features(pixels, inputs["pixel_attention_mask"]).pooler_output))
    encoder = clock.lap()

    embeds = model.get_input_embeddings()(ids)
    embeds[ids == IMAGE] = features
    out = model(inputs_embeds=embeds, use_cache=True, logits_to_keep=1)
    token = out.logits[:, -1].argmax(-1, keepdim=True)
    prefill = clock.lap()

    for _ in range(new_tokens - 1):
        out = model(input_ids=token, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
        token = out.logits[:, -1].argmax(-1, keepdim=True)
    rest = clock.lap()

    tiles = pixels.shape[1]
    return {
        "file": path.name,
        "size": list(picture.size),
        "tiles": tiles,
        "prompt_tokens": ids.shape[1],
        "decode": decode,
        "processor": process,
        "encoder": encoder,
        "encoder_tile": encoder / tiles,
        "prefill": prefill,
        "decode_token": rest / (new_tokens - 1) if new_tokens > 1 else None,
        "total": decode + process + encoder + prefill + rest,
        "cpu_share": (time.process_time() - used) / (time.perf_counter() - began) / torch.get_num_threads(),
    }


def pictures_of(given: list[str]) -> list[Path]:
    named = json.load(sys.stdin) if given == ["-"] else given
    found = []
    for path in map(Path, named):
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES) if path.is_dir() else [path]
        found += inside
    return found


def rounded(value):
    return round(value, 6) if isinstance(value, float) else value


def at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", metavar="PATH", help="picture, folder, or - for a JSON list on stdin")
    parser.add_argument("--images", type=at_least_one, help="at most so many pictures")
    parser.add_argument("--threads", type=at_least_one, default=torch.get_num_threads())
    parser.add_argument("--new-tokens", type=at_least_one, default=8)
    parser.add_argument("--text-tokens", type=int, default=100)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    pictures = pictures_of(args.paths)[: args.images]
    if not pictures:
        parser.error("no pictures found")

    model, processor = build_model(seed=256), build_processor()
    measure(model, processor, pictures[0], args.text_tokens, args.new_tokens)
    each = [measure(model, processor, path, args.text_tokens, args.new_tokens) for path in pictures]

    stages = [key for key in each[0] if key not in ("file", "size") and each[0][key] is not None]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    result = {
        "engine": "transformers",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "pillow": PIL.__version__,
        },
        "threads": args.threads,
        "attention": model.config._attn_implementation,
        "dtype": str(model.dtype).removeprefix("torch."),
        "parameters": sum(p.numel() for p in model.parameters()),
        "images": len(each),
        "new_tokens": args.new_tokens,
        "median": {key: rounded(statistics.median(one[key] for one in each)) for key in stages},
        "each": [{key: rounded(value) for key, value in one.items()} for one in each],
        "peak_rss_mb": round(peak / 1e6),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
