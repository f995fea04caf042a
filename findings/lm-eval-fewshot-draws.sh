#!/usr/bin/env bash
# lm_eval 0.4.13 (PyPI): two tasks with the same shots' split (train) and the same seed should get the same shots for a row.
# Expected: whether a task names a test split changes which rows are scored, and not which examples they are shown.
# Seen: without a `test_split` (HellaSwag) the default sampler draws one row more for each document and drops one, so that
# documents after the first get other examples than with a `test_split` (ARC). `fewshot_split` is unset in both, and
# the comparison "is the shots' split the one under test" is then None == None. Takes about two minutes (an install).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'lm_eval==0.4.13' 'datasets==5.2.0'
cd "$work"
python3 - <<'PY'
import json
for name, count in (('train', 8), ('eval', 4)):
    with open(f'{name}.jsonl', 'w') as file:
        for i in range(count):
            file.write(json.dumps({'q': f'{name} question {i}', 'options': ['yes', 'no'], 'gold': i % 2}) + '\n')
PY
HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 HF_HOME="$work/home" "$work/venv/bin/python" - <<'PY'
import re, sys
from lm_eval.api.task import ConfigurableTask

def shots(split_key):
    task = ConfigurableTask(config={
        'task': 'toy', 'dataset_path': 'json',
        'dataset_kwargs': {'data_files': {'train': 'train.jsonl', 'eval': 'eval.jsonl'}},
        'training_split': 'train', split_key: 'eval', 'output_type': 'multiple_choice', 'num_fewshot': 2,
        'doc_to_text': '{{q}}', 'doc_to_target': '{{gold}}', 'doc_to_choice': '{{options}}'})
    task.set_fewshot_seed(1234)
    docs = list(task.test_docs() if task.has_test_docs() else task.validation_docs())
    contexts = [str(task.fewshot_context(doc, 2)) for doc in docs]
    return [[int(n) for n in re.findall(r'train question (\d+)', context)] for context in contexts]

import random
def drawn(count):
    rnd = random.Random(1234)
    return [rnd.sample(range(8), count)[:2] for _ in range(4)]

found = {key: shots(key) for key in ('test_split', 'validation_split')}
for key, rows in found.items():
    print(f'{key}: rows of train shown to documents 0 to 3: {rows}')
print(f'Random(1234).sample(rows, 2): {drawn(2)}; sample(rows, 3) less the last: {drawn(3)}')
if found['test_split'] != drawn(2) or found['validation_split'] != drawn(3):
    sys.exit('the behaviour has changed: the shots are no longer drawn as described')
print('as described')
PY
