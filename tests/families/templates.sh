#!/usr/bin/env bash
# The chat templates of two public packages (llama_cpp_python's source on PyPI: llama.cpp's models/templates; @huggingface/ollama-utils on npm),
# rendered for the conversations beside this file by transformers and by NanoEval, and compared. Nothing is kept.
# About five minutes, 80 MB and an install of transformers; PYTHON names an interpreter that has transformers already.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if [ -z "${PYTHON:-}" ]; then
  python3 -m venv venv
  venv/bin/pip install -q 'transformers==5.23.0' 'jinja2==3.1.6' numpy
  PYTHON=$work/venv/bin/python
fi
python3 -m pip download -q --no-deps --no-binary :all: 'llama_cpp_python==0.3.36'
tar xzf llama_cpp_python-*.tar.gz --wildcards '*/models/templates/*'
npm pack --silent '@huggingface/ollama-utils@0.0.18' > /dev/null
tar xzf huggingface-ollama-utils-*.tgz
cat > list.mjs <<'JS'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
const source = readFileSync('package/dist/index.mjs', 'utf8');
// The package exports the choice of a template, not the table; the table is a plain list.
const [, table] = /var OLLAMA_CHAT_TEMPLATE_MAPPING = (\[[\s\S]*?\n\]);/.exec(source);
const all = Function(`return ${table}`)().map(({ model, gguf }, i) => ({ name: `${model} (${i})`, template: gguf }));
const [folder] = readdirSync('.').filter((name) => name.startsWith('llama_cpp_python-') && !name.endsWith('.gz'));
const templates = `${folder}/vendor/llama.cpp/models/templates`;
for (const name of readdirSync(templates).filter((one) => one.endsWith('.jinja')))
  all.push({ name, template: readFileSync(`${templates}/${name}`, 'utf8') });
writeFileSync('templates.json', JSON.stringify(all));
JS
node list.mjs
"$PYTHON" "$here/templates.py" templates.json "$here/conversations.json" > expected.json
cd "$here/../.." && npx tsx tests/families/templates.ts "$work/templates.json" "$work/expected.json"
