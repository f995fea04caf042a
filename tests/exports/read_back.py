"""Reads exported files back with the programs that they are for, and says as JSON what these found.

    python read_back.py FOLDER

FOLDER holds `lm_eval/<model>/` and, where there is one, `.eval_results/`. Wants lm_eval 0.4.13 (`pip install --no-deps
lm_eval==0.4.13`: neither torch nor transformers is looked at), datasets, huggingface_hub, numpy, requests, pyyaml, jinja2 and
pytablewriter. Nothing is fetched: the hub's part in lm_eval's card is played by the folder.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="nanoeval-datasets-")

import huggingface_hub  # noqa: E402
import yaml  # noqa: E402
from datasets import disable_progress_bars, load_dataset  # noqa: E402
from huggingface_hub import eval_result_entries_to_yaml, parse_eval_result_entries  # noqa: E402
from lm_eval.loggers.evaluation_tracker import EvaluationTracker  # noqa: E402
from lm_eval.result_schema import EvalResults, SampleResult  # noqa: E402
from lm_eval.utils import (  # noqa: E402
    get_file_datetime,
    get_file_task_name,
    get_results_filenames,
    get_sample_results_filenames,
    make_table,
    sanitize_model_name,
)

disable_progress_bars()


class Folder:
    """The calls of HfApi that lm_eval makes, answered from a folder."""

    def __init__(self, root):
        self.root = root

    def list_repo_files(self, **_):
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


def card(root):
    """The dataset card that lm_eval makes of its results: it lists the files, reads dates and tasks from their names, and loads the
    newest results."""
    pushed = []
    real = huggingface_hub.hf_hub_url, huggingface_hub.DatasetCard.push_to_hub
    huggingface_hub.hf_hub_url = lambda repo_id, filename, **_: str(root / filename)
    huggingface_hub.DatasetCard.push_to_hub = lambda self, *_, **__: pushed.append(str(self))
    try:
        tracker = EvaluationTracker(output_path=str(root), public_repo=True)
        tracker.api = Folder(root)
        tracker.recreate_metadata_card()
    finally:
        huggingface_hub.hf_hub_url, huggingface_hub.DatasetCard.push_to_hub = real
    return yaml.safe_load(pushed[0].split("---")[1])["configs"]


def samples(path):
    """A file of samples as `datasets` loads it: its rows and the mean of each metric by filter, where it is a number by row."""
    rows = load_dataset("json", data_files=str(path), split="train")
    means = {}
    for row in rows:
        for metric in row["metrics"]:
            if isinstance(row[metric], float):
                means.setdefault(f"{metric},{row['filter']}", []).append(row[metric])
    return {
        "task": get_file_task_name(path.name),
        "date": get_file_datetime(path.name),
        "rows": len(rows),
        "missing": sorted(set(SampleResult.__annotations__) - set(rows.column_names)),
        "means": {key: sum(values) / len(values) for key, values in means.items()},
    }


def model(root, folder):
    names = [f"/{path.relative_to(root)}" for path in sorted((root / folder).iterdir())]
    [results] = get_results_filenames(names)
    read = json.loads((root / results[1:]).read_text(encoding="utf-8"))
    loaded = load_dataset("json", data_files=str(root / results[1:]), split="train")
    return {
        "folder": folder,
        "missing": sorted(set(EvalResults.__annotations__) - set(read)),
        "sanitized": sanitize_model_name(read["model_name"]),
        "table": make_table(read),
        "groups": make_table(read, "groups") if "groups" in read else None,
        "loaded": sorted(loaded[0]["results"]),
        "samples": [samples(root / name[1:]) for name in get_sample_results_filenames(names)],
    }


def entries(path):
    """A file of `.eval_results` through huggingface_hub's own parser and back."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    parsed = parse_eval_result_entries(data)
    return {
        "file": path.name,
        "same": eval_result_entries_to_yaml(parsed) == data,
        "entries": [vars(entry) for entry in parsed],
    }


def main():
    root = Path(sys.argv[1])
    lm_eval = root / "lm_eval"
    published = root / ".eval_results"
    found = {
        "card": [item["config_name"] for item in card(lm_eval)],
        "models": [model(lm_eval, path.name) for path in sorted(lm_eval.iterdir())],
        "eval_results": [entries(path) for path in sorted(published.glob("*.yaml"))] if published.exists() else [],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
