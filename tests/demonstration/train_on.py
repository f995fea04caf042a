#!/usr/bin/env python3
"""Trains the decoder of the embedded demo checkpoint on, and keeps it in the form of the demo's own ONNX file.

    python train_on.py                 both decoders of tests/fixtures/demonstration, as they were made
    python train_on.py --only NAME     one of them: too_high, sane

The text is of the kinds that the demo was trained on (make_texts of nanoeval/demo/make_demo.py, with a seed of its own); every
token counts alike, AdamW, the embedding (tied to the head) left as it is. The two runs differ in the learning rate alone:

    too_high   0.3     a hundred times the peak with which the demo itself was trained: the weights are thrown about
    sane       1e-5    what one would take to train on

Weights are kept as whole numbers of 8 bits, one scale for each output of a matrix, and the graph makes float32 of them when it
is loaded (Cast and Mul): the file is below 1 MB, and everything is computed in float32. Norms stay float32.

Requirements: Python 3.10 or later; the files that are kept were made with
    pip install numpy==2.4.6 onnx==1.23.2 tokenizers==0.23.3 torch==2.15.0 transformers==5.23.0
on one CPU core, each within two minutes. Floating point differs from machine to machine, so another machine gives slightly other weights.
"""

import argparse
import os
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
DEMO = os.path.join(ROOT, "nanoeval", "demo")
OUT = os.path.join(ROOT, "tests", "fixtures", "demonstration")
sys.path.insert(0, DEMO)
import make_demo  # noqa: E402

RATES = {"too_high": 0.3, "sane": 1e-5}
SEED, STEPS, ROWS, LENGTH, WARM_UP = 88, 50, 8, 128, 5
# (documents, most questions in a document, length, rows a step), as make_demo.PHASES
TEXTS = [(700, 1, LENGTH, ROWS)]


def load(folder):
    """The demo's language model, as transformers has it."""
    from transformers import LlamaForCausalLM

    make_demo.write_text_model(DEMO, folder)
    return LlamaForCausalLM.from_pretrained(folder, dtype="float32")


def batches():
    """Rows of LENGTH + 1 tokens, documents one after the other."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{DEMO}/checkpoint/tokenizer.json")
    [texts] = make_demo.make_texts(make_demo.read_rows(DEMO), SEED, TEXTS)
    ids = make_demo.pack(tokenizer, texts, LENGTH)[0]
    order = np.random.default_rng(SEED).permutation(len(ids))
    for step in range(STEPS):
        places = [order[(step * ROWS + i) % len(order)] for i in range(ROWS)]
        yield ids[places]


def train(model, rate):
    import torch

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    model.model.embed_tokens.weight.requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=rate, betas=(0.9, 0.95), weight_decay=0.0)
    for step, batch in enumerate(batches()):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / WARM_UP)
        ids = torch.from_numpy(batch.astype(np.int64))
        logits = model(ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=-100)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 10 == 0 or step + 1 == STEPS:
            print(f"lr {rate}  step {step + 1}/{STEPS}  loss {loss.item():.3f}", flush=True)
    return {name: value.detach().numpy() for name, value in model.state_dict().items()}


def in_8_bits(model):
    """The matrices of a graph as int8 with a scale for each column, made float32 by the graph."""
    from onnx import TensorProto, helper, numpy_helper

    kept, nodes = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim < 2:
            kept.append(tensor)
            continue
        scale = np.abs(values).max(0, keepdims=True) / 127
        scale[scale == 0] = 1
        whole = np.rint(values / scale).astype(np.int8)
        name = tensor.name
        kept += [
            numpy_helper.from_array(whole, f"{name}_int8"),
            numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"),
        ]
        nodes += [
            helper.make_node("Cast", [f"{name}_int8"], [f"{name}_cast"], name=f"{name}/Cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name], name=f"{name}/Mul"),
        ]
    nodes += list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    model.producer_name = "train_on.py"
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=sorted(RATES))
    parser.add_argument("--out", default=OUT)
    args = parser.parse_args()
    for name, rate in RATES.items():
        if args.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            weights = train(load(folder), rate)
        weights = {n: weights[n] for n in make_demo.shapes(make_demo.VOCAB)}
        if not all(np.isfinite(w).all() for w in weights.values()):
            raise SystemExit(f"{name}: a weight is no finite number")
        data = in_8_bits(make_demo.decoder_graph(weights).model()).SerializeToString(deterministic=True)
        os.makedirs(args.out, exist_ok=True)
        path = os.path.join(args.out, f"{name}.onnx")
        with open(path, "wb") as f:
            f.write(data)
        print(f"{path}  {len(data):,} bytes", flush=True)


if __name__ == "__main__":
    main()
