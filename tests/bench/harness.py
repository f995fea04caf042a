#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seconds that lm-evaluation-harness takes for rows of HellaSwag or MMLU, on local files.

    echo '{"backend": "hf", "model": DIR, "task": "hellaswag", "file": F, "rows": 200, "threads": 2, "batch": 8}' | python harness.py
    echo '{"backend": "onnxruntime", "model": DIR, "task": "mmlu", "folder": F, "subjects": [...], "rows": 20, ...}' | python harness.py

backend hf: model.safetensors by transformers on the CPU in float32. backend onnxruntime: onnx/model.onnx, through a folder with the
graph and the tokenizer side by side, as that backend wants it. The tasks are the installed ones; only their data is turned to
local files. Loading the model is not counted, building the requests is. Prints one JSON line: seconds, rows, acc, versions.
Needs lm_eval 0.4.13, datasets, torch and transformers (hf) or onnxruntime.
"""
import csv
import json
import os
import sys
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
job = json.load(sys.stdin)
os.environ["OMP_NUM_THREADS"] = str(job["threads"])
# This file's folder has names of libraries.
sys.path[:] = [folder for folder in sys.path if os.path.realpath(folder) != os.path.dirname(os.path.realpath(__file__))]

import datasets  # noqa: E402
import lm_eval  # noqa: E402
from lm_eval.tasks._yaml_loader import load_yaml  # noqa: E402

TASKS = os.path.join(os.path.dirname(lm_eval.__file__), "tasks")
folder = tempfile.mkdtemp()
datasets.config.HF_DATASETS_CACHE = folder


def opened():
    if job["backend"] == "hf":
        import torch
        from lm_eval.models.huggingface import HFLM

        torch.set_num_threads(job["threads"])
        return HFLM(pretrained=job["model"], dtype="float32", device="cpu", batch_size=job["batch"]), f"torch {torch.__version__}"
    import onnxruntime
    from lm_eval.models.onnxruntime_ort import ONNXRuntimeLM

    together = os.path.join(folder, "model")
    os.makedirs(together)
    for name in os.listdir(job["model"]):
        if name.endswith(".json"):
            os.symlink(os.path.join(job["model"], name), os.path.join(together, name))
    os.symlink(os.path.join(job["model"], "onnx", "model.onnx"), os.path.join(together, "model.onnx"))
    return ONNXRuntimeLM(pretrained=together, execution_provider="cpu", batch_size=job["batch"]), f"onnxruntime {onnxruntime.__version__}"


def local(name, **splits):
    files = {}
    for split, rows in splits.items():
        files[split] = os.path.join(folder, f"{name}_{split}.jsonl")
        with open(files[split], "w", encoding="utf-8") as out:
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}


def mmlu_rows(split, subject):
    with open(os.path.join(job["folder"], split, f"{subject}_{split}.csv"), encoding="utf-8", newline="") as lines:
        return [
            {"question": row[0], "subject": subject, "choices": row[1:5], "answer": "ABCD".index(row[5])}
            for row in csv.reader(lines)
        ]


def configs():
    if job["task"] == "hellaswag":
        config = load_yaml(os.path.join(TASKS, "hellaswag", "hellaswag.yaml"))
        # The local rows are processed already: query, choices, gold.
        del config["process_docs"]
        with open(job["file"], encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines][: job["rows"]]
        config.update(local("hellaswag", validation=rows), training_split=None, doc_to_target="{{gold}}")
        return [({**config, "task": "hellaswag"}, 0)]
    found = []
    for subject in job["subjects"]:
        config = load_yaml(os.path.join(TASKS, "mmlu", "default", f"mmlu_{subject}.yaml"))
        rows = mmlu_rows("test", subject)[: job["rows"]]
        config.update(local(subject, test=rows, dev=mmlu_rows("dev", subject)))
        found.append(({**config, "task": f"mmlu_{subject}"}, 5))
    return found


model, version = opened()
model.loglikelihood([])
start = time.perf_counter()
right = rows = 0
for config, shots in configs():
    kept = {key: value for key, value in config.items() if key not in ("tag", "task_alias", "group")}
    result = lm_eval.simple_evaluate(model=model, tasks=[kept], num_fewshot=shots, bootstrap_iters=0, log_samples=True)
    for samples in result["samples"].values():
        rows += len(samples)
        right += sum(sample["acc"] for sample in samples)
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "rows": rows, "right": right, "versions": ["lm_eval 0.4.13", version]}))
