#!/usr/bin/env bash
# transformers 5.24.0 and tokenizers 0.23.3 (PyPI): one tokenizer.json, read by AutoTokenizer and by Tokenizer.from_file.
# Expected: a checkpoint's tokenizer.json says how its texts are cut, so both readings give the same ids.
# Seen: where tokenizer_config.json names GPT2Tokenizer or LlamaTokenizer (with model_type llama, as many checkpoints do), the
# class builds its own parts: the file's Digits pre-tokenizer is gone under the first and its Prepend normalizer under the
# second, without a word. With PreTrainedTokenizerFast both agree. Takes one to seven minutes (an install).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'transformers==5.24.0' 'tokenizers==0.23.3'
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/home" TRANSFORMERS_VERBOSITY=error "$work/venv/bin/python" - <<'PY'
import json, sys
from pathlib import Path
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer

# Byte-level BPE that knows "12" and "34" as pieces; the file asks for single digits.
alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
vocab = {token: i for i, token in enumerate([*alphabet, '12', '34', '<|endoftext|>'])}
digits = Tokenizer(models.BPE(vocab, [('1', '2'), ('3', '4')]))
digits.pre_tokenizer = pre_tokenizers.Sequence([
    pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
digits.add_special_tokens(['<|endoftext|>'])

# BPE in SentencePiece's manner; the file asks for a blank in front of each stretch between special tokens.
letters = ['<unk>', '<s>', '</s>', *'▁[INST]hi', '▁[']
prepend = Tokenizer(models.BPE({token: i for i, token in enumerate(dict.fromkeys(letters))}, [('▁', '[')], unk_token='<unk>'))
prepend.normalizer = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
prepend.add_special_tokens(['<unk>', '<s>', '</s>'])

def read(tokenizer, tokenizer_class, text):
    folder = Path(f'{tokenizer_class}_{len(text)}')
    folder.mkdir()
    tokenizer.save(str(folder / 'tokenizer.json'))
    special = {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>'}
    if tokenizer is digits:
        special = dict.fromkeys(special, '<|endoftext|>')
    (folder / 'tokenizer_config.json').write_text(json.dumps({'tokenizer_class': tokenizer_class, **special}))
    (folder / 'config.json').write_text(json.dumps({'model_type': 'llama'}))
    auto = AutoTokenizer.from_pretrained(str(folder))
    file = Tokenizer.from_file(str(folder / 'tokenizer.json'))
    pair = [auto.convert_ids_to_tokens(auto(text, add_special_tokens=False)['input_ids']), file.encode(text, add_special_tokens=False).tokens]
    print(f'{tokenizer_class} ({type(auto).__name__}), {text!r}: AutoTokenizer {pair[0]}, the file {pair[1]}')
    return pair

cases = [(digits, 'GPT2Tokenizer', '1234'), (prepend, 'LlamaTokenizer', '<s>[INST] hi'),
         (digits, 'PreTrainedTokenizerFast', '1234'), (prepend, 'PreTrainedTokenizerFast', '<s>[INST] hi')]
differ = [pair[0] != pair[1] for pair in (read(*case) for case in cases)]
if differ != [True, True, False, False]:
    sys.exit(f'the behaviour has changed: the readings differ in cases {differ}, not in the first two alone')
print('as described')
PY
