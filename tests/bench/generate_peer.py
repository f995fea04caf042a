"""Greedy answers by transformers: reads the job as JSON from standard input, prints the speed. Run by generate.ts.

pip install torch transformers; the folder holds config.json and model.safetensors.
"""
import json
import sys
import time

# This folder comes first otherwise, and it has a transformers.py of its own.
sys.path.pop(0)

import torch
import transformers

BATCH = 8

job = json.load(sys.stdin)
torch.set_num_threads(job["threads"])
model = transformers.AutoModelForCausalLM.from_pretrained(job["folder"], dtype=torch.float32)
model.generation_config.eos_token_id = None
model.generation_config.pad_token_id = 0


def answer(prompts, new_tokens):
    width = max(len(ids) for ids in prompts)
    ids = torch.tensor([[0] * (width - len(ids)) + ids for ids in prompts])
    mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts])
    with torch.inference_mode():
        out = model.generate(
            ids, attention_mask=mask, do_sample=False, max_new_tokens=new_tokens, min_new_tokens=new_tokens
        )
    return out.shape[0] * (out.shape[1] - width)


prompts = sorted(job["prompts"], key=len)
answer(prompts[:BATCH], 2)
start = time.perf_counter()
tokens = sum(answer(prompts[i : i + BATCH], job["new_tokens"]) for i in range(0, len(prompts), BATCH))
seconds = time.perf_counter() - start
print(json.dumps({"version": transformers.__version__, "batch": BATCH, "perSecond": tokens / seconds}))
