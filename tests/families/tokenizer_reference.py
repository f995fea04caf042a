"""Reference ids of every tokenizer in a folder, by PyPI tokenizers (made with 0.23.3).

    TOKENIZER_FAMILIES=<folder> python tests/families/tokenizer_reference.py [name ...]

<folder>/texts.jsonl holds one JSON string a line, <folder>/<name>/tokenizer.json a tokenizer each. Writes
<folder>/<name>/ids.jsonl, a line for each text: `plain` ids without special tokens, `special` ids with the
post-processor's, `decoded` and `kept`: the plain ids as text without and with special tokens. A text that the
library refuses gives {"error": its message}.
"""

import json
import os
import sys
from pathlib import Path

import tokenizers


def reference(tokenizer, text):
    """The line of ids.jsonl for one text."""
    try:
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        return {
            'plain': plain,
            'special': tokenizer.encode(text, add_special_tokens=True).ids,
            'decoded': tokenizer.decode(plain, skip_special_tokens=True),
            'kept': tokenizer.decode(plain, skip_special_tokens=False),
        }
    except Exception as error:  # the bindings raise plain Exception
        return {'error': str(error)}


def main():
    folder = Path(os.environ['TOKENIZER_FAMILIES'])
    texts = [json.loads(line) for line in (folder / 'texts.jsonl').read_text('utf8').split('\n') if line]
    names = sys.argv[1:] or sorted(file.parent.name for file in folder.glob('*/tokenizer.json'))
    print(f'tokenizers {tokenizers.__version__}, {len(texts)} texts')
    for name in names:
        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(folder / name / 'tokenizer.json'))
        except Exception as error:
            print(f'{name}: not opened: {error}')
            continue
        tokenizer.no_truncation()
        tokenizer.no_padding()
        lines = [reference(tokenizer, text) for text in texts]
        (folder / name / 'ids.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines), 'utf8')
        errors = sum('error' in line for line in lines)
        print(f'{name}: {sum(len(line.get("plain", ())) for line in lines)} ids' + (f', {errors} errors' if errors else ''))


main()
