#!/usr/bin/env bash
# @huggingface/jinja 0.5.11 (npm; transformers.js renders chat templates with it) and jinja2 3.1.6 (PyPI; transformers' own settings).
# Expected: the same template prints the same text, or JavaScript's reader refuses what it does not know.
# Seen: 27 small templates print other text without an error: `strip` with an argument strips blanks instead (so `lstrip('\n')`
# eats the blanks of an answer), '1' == 1 is true, two equal lists are not, -7 % 3 is -1, none prints nothing and true prints true,
# 'a' + 1 is a text, an attribute of an undefined name is undefined, positions count UTF-16 units, dates know five codes.
# Takes about half a minute (two small installs).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q 'jinja2==3.1.6'
npm install --silent --no-fund --no-audit '@huggingface/jinja@0.5.11' > npm.log 2>&1 || { cat npm.log; exit 1; }

# [template, what jinja2 prints, what @huggingface/jinja prints]; null: an error.
cat > cases.json <<'JSON'
[
  ["{{ '  a'.lstrip('\\n') }}|", "  a|", "a|"],
  ["{{ 'xxaxx'.strip('x') }}", "a", "xxaxx"],
  ["{{ '</t>x'.rstrip('>x') }}", "</t", "</t>x"],
  ["{{ '1' == 1 }}", "False", "true"],
  ["{{ [1] == [1] }}", "True", "false"],
  ["{{ {'a': 1} == {'a': 1} }}", "True", "false"],
  ["{{ 'hELLO' | capitalize }}", "Hello", "HELLO"],
  ["{{ 1.0 | tojson }}", "1.0", "1"],
  ["{{ true }}", "True", "true"],
  ["{{ none }}|", "None|", "|"],
  ["{{ none | default('y') }}|", "None|", "|"],
  ["{{ -7 % 3 }}", "2", "-1"],
  ["{{ [1, 'a', none] }}", "[1, 'a', None]", "[1, \"a\", null]"],
  ["{{ {'a': true} }}", "{'a': True}", "{\"a\": true}"],
  ["{{ [1, 2] ~ '' }}", "[1, 2]", "1,2"],
  ["{{ [true, none] | join(',') }}", "True,None", "true,"],
  ["{{ {'b': 1, 'A': 2} | dictsort }}", "[('A', 2), ('b', 1)]", "[[\"A\", 2], [\"b\", 1]]"],
  ["{{ '\ud83d\ude00' | length }}", "1", "2"],
  ["{% for x in [1, 2] %}{{ loop.depth }}{% endfor %}|", "11|", "|"],
  ["{{ true is number }}", "True", "false"],
  ["{{ {} is iterable }}", "True", "false"],
  ["{{ range(3) }}", "range(0, 3)", "[0, 1, 2]"],
  ["{{ x.y is defined }}", null, "false"],
  ["{{ 'a' + 1 }}", null, "a1"],
  ["{{ 1 + 2 ~ 3 }}", null, "33"],
  ["{{ 'a' in ['a'] == true }}", "False", "true"],
  ["{{ strftime_now('%-j') == '%-j' }}", "False", "true"],
  ["{% if [] | select %}t{% endif %}", "t", null],
  ["{{ 'a' * 3 }}", "aaa", null],
  ["{{ '%s' % 'a' }}", "a", null],
  ["{{ [1, 2] | sum }}", "3", null],
  ["{% raw %}{{ x }}{% endraw %}", "{{ x }}", null]
]
JSON
cat > python.py <<'PY'
import datetime, json
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
env.filters['tojson'] = lambda value: json.dumps(value, ensure_ascii=False)
env.globals['strftime_now'] = lambda form: datetime.datetime.now().strftime(form)

def text(template):
    try:
        return env.from_string(template).render()
    except Exception:
        return None

json.dump([text(case[0]) for case in json.load(open('cases.json', encoding='utf-8'))], open('python.json', 'w'))
PY
venv/bin/python python.py
cat > compare.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { Template } from '@huggingface/jinja';

const read = (path) => JSON.parse(readFileSync(path, 'utf8'));
const python = read('python.json');
let changed = 0;
for (const [i, [template, expected, seen]] of read('cases.json').entries()) {
  let text = null;
  try {
    text = new Template(template).render({});
  } catch {}
  const show = (one) => (one === null ? 'an error' : JSON.stringify(one));
  console.log(`${template}   jinja2: ${show(python[i])}   @huggingface/jinja: ${show(text)}`);
  if (python[i] === expected && text === seen) continue;
  changed += 1;
  console.log(`  changed: ${show(expected)} and ${show(seen)} were seen before`);
}
console.log(changed === 0 ? 'as described' : `the behaviour has changed in ${changed} templates`);
process.exit(changed === 0 ? 0 : 1);
JS
node compare.mjs
