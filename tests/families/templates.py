"""Chat templates rendered by transformers: what nanoeval/model/jinja is held against.

    python tests/families/templates.py templates.json conversations.json > expected.json

`templates.json` is a list of {name, template}. The output has a list of {template, conversation, text | error}. `strftime_now` is
fixed to 2026-03-05 14:30:09, so that two days give one output.
"""
import json
import sys
from datetime import datetime

import jinja2  # noqa: F401  Without it transformers refuses each template by itself, and the reference would be errors alone.
from transformers.utils import chat_template_utils


class Fixed(datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 3, 5, 14, 30, 9)


chat_template_utils.datetime = Fixed
TOKENS = {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>', 'pad_token': '<pad>'}


def rendered(template, messages):
    try:
        [text], _ = chat_template_utils.render_jinja_template(
            [messages], chat_template=template, add_generation_prompt=True, **TOKENS)
        return {'text': text}
    except Exception as error:
        return {'error': f'{type(error).__name__}: {error}'}


if __name__ == '__main__':
    templates, conversations = [json.load(open(path, encoding='utf-8')) for path in sys.argv[1:3]]
    rows = [{'template': one['name'], 'conversation': name, **rendered(one['template'], messages)}
            for one in templates for name, messages in conversations.items()]
    json.dump(rows, sys.stdout)
