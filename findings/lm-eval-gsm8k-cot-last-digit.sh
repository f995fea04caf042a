#!/usr/bin/env bash
# lm_eval 0.4.13 (PyPI), task gsm8k_cot, filter strict-match: reads the number behind "The answer is".
# Expected: an answer that ends with "The answer is 18" reads as 18, with a full stop behind it or without.
# Seen: the pattern ends in an unescaped dot, which takes any character and must take one: "The answer is 18" at the end of an
# answer reads as 1, "The answer is 8" as nothing; with a full stop both are read right. An answer cut at its limit or by a
# stop text loses its last digit, silently. Takes about ten seconds (one wheel, nothing of it is run but its YAML is read).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-deps 'lm_eval==0.4.13'
"$work/venv/bin/pip" install -q 'pyyaml==6.0.2'
"$work/venv/bin/python" - <<'PY'
import glob, re, sys, sysconfig
import yaml

[path] = glob.glob(f"{sysconfig.get_paths()['purelib']}/lm_eval/tasks/gsm8k/gsm8k-cot.yaml")
filters = yaml.safe_load(open(path))['filter_list']
[strict] = [one for one in filters if one['name'] == 'strict-match']
[pattern] = [step['regex_pattern'] for step in strict['filter'] if step['function'] == 'regex']
print('pattern:', pattern)
seen = {text: re.findall(pattern, text) for text in (
    'So 9 + 9 = 18. The answer is 18.', 'So 9 + 9 = 18. The answer is 18', 'The answer is 8.', 'The answer is 8')}
for text, found in seen.items():
    print(f'{text!r}: {found}')
if list(seen.values()) != [['18'], ['1'], ['8'], []]:
    sys.exit('the behaviour has changed')
print('as described')
PY
