"""ONNX exports of small random checkpoints by the exporters that people use, to try the loader and the engine on.

    python exports.py FOLDER [--venvs DIR] [--only TEXT] [--again]        (Python 3.11; needs PyPI; about 15 minutes)

Makes two virtual environments under DIR (FOLDER by default), as the exporters' requirements exclude each other, the
checkpoints of export_checkpoints.py under FOLDER/_torch, and a folder FOLDER/<family>__<exporter>[__<variant>] for each
export: config.json, tokenizer.json, tokenizer_config.json, onnx/model.onnx with its data, ref.jsonl (PyTorch), and
graph.json: what the graph is made of, and how far onnxruntime is from PyTorch when it runs it over each whole sequence
without a cache, in nats: a difference that is there already belongs to the export. FOLDER/GRAPHS.md is the table of all.
`--only` takes the exports whose names contain TEXT; `--again` makes those anew that are there. What an exporter refuses
is written to FOLDER/FAILED.txt. exports.ts beside this file then tries our side.
"""
import argparse, contextlib, json, os, runpy, shutil, subprocess, sys, traceback
from pathlib import Path

import export_checkpoints as source

VENVS = {
    'venv_exp': ['torch==2.15.0', 'transformers==5.24.0', 'onnx==1.23.2', 'onnxruntime==1.32.0', 'onnxscript==0.7.2', 'onnx-ir==1.1.0',
                 'onnxruntime-genai==0.18.0', 'mobius-onnx==0.1.0', 'onnx-shape-inference==0.4.0', 'tokenizers==0.23.3', 'numpy==2.4.6'],
    'venv_optimum': ['torch==2.15.0', 'optimum-onnx==0.1.0', 'optimum==2.1.0', 'transformers==4.57.6', 'onnx==1.23.2',
                     'onnxruntime==1.32.0', 'onnxscript==0.7.2', 'tokenizers==0.22.2', 'numpy==2.4.6'],
}


# ------------------------------------------------------------------------------------------------ the exporters
def genai(checkpoint, out, precision, *options):
    """onnxruntime-genai's builder, as its command line does it; options are KEY=VALUE for --extra_options."""
    sys.argv = ['builder', '-i', str(checkpoint), '-o', str(out / 'onnx'), '-p', precision, '-e', 'cpu', '-c', str(out / 'cache')]
    sys.argv += ['--extra_options', *options] if options else []
    with flat_rope():
        runpy.run_module('onnxruntime_genai.models.builder', run_name='__main__')
    for file in (out / 'onnx').iterdir():
        if not file.name.startswith('model.onnx'):
            file.rename(out / file.name)
    shutil.rmtree(out / 'cache', ignore_errors=True)


@contextlib.contextmanager
def flat_rope():
    """
    Gemma-3's config in the form of transformers 4. transformers 5 has rope_parameters for each kind of layer, and the
    builder of onnxruntime-genai 0.18.0 stops at it with KeyError: 'rope_type'.
    """
    from transformers import AutoConfig
    kept = AutoConfig.from_pretrained

    def read(*arguments, **options):
        config = kept(*arguments, **options)
        rope = getattr(config, 'rope_parameters', None) or {}
        if 'sliding_attention' in rope:
            config.rope_parameters = rope | dict(rope_type='default', rope_theta=rope['full_attention']['rope_theta'])
            config.rope_theta, config.rope_local_base_freq = rope['full_attention']['rope_theta'], rope['sliding_attention']['rope_theta']
        return config

    AutoConfig.from_pretrained = read
    try:
        yield
    finally:
        AutoConfig.from_pretrained = kept


def mobius(checkpoint, out, *options):
    """mobius, as its command line does it."""
    from mobius.__main__ import main
    sys.argv = ['mobius', 'build', '--config', str(checkpoint), str(out / 'onnx'), *options]
    main()


def load(checkpoint, attention='eager', **more):
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained(checkpoint, attn_implementation=attention, dtype='float32', **more).eval()


def dynamo(checkpoint, out, opset, cache=True, attention='sdpa', names=None, dtype=None):
    """torch.onnx.export(dynamo=True) over the model as it is. Two sequences of 5 tokens after 3 cached ones."""
    import torch
    from transformers.integrations.executorch import register_dynamic_cache_export_support
    register_dynamic_cache_export_support()
    model = load(checkpoint, attention)
    if dtype is not None:
        model = model.to(getattr(torch, dtype))
    auto = torch.export.Dim.AUTO
    ids = torch.arange(10, 20).reshape(2, 5)
    inputs = dict(input_ids=ids, attention_mask=torch.ones(2, 8 if cache else 5, dtype=torch.int64))
    shapes = {name: {0: auto, 1: auto} for name in inputs}
    if cache:
        with torch.no_grad():
            kept = model(input_ids=torch.arange(6, 12).reshape(2, 3), use_cache=True).past_key_values
        inputs |= dict(position_ids=torch.arange(3, 8).repeat(2, 1), past_key_values=kept)
        shapes |= dict(position_ids={0: auto, 1: auto},
                       past_key_values=[[{0: auto, 2: auto}] * len(kept.layers), [{0: auto, 2: auto}] * len(kept.layers)])
    (out / 'onnx').mkdir(parents=True)

    class Plain(torch.nn.Module):
        """Logits and the cache, in this order; nothing else."""
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask, position_ids=None, past_key_values=None):
            got = self.model(input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids,
                             past_key_values=past_key_values, use_cache=cache)
            return (got.logits, got.past_key_values) if cache else got.logits

    program = torch.onnx.export(Plain(), (), kwargs=inputs, dynamic_shapes=shapes, opset_version=opset, dynamo=True, **(names or {}))
    program.save(str(out / 'onnx' / 'model.onnx'), external_data=True)


def hub_names(layers):
    """The names of optimum's exports, for torch's exporter."""
    pairs = lambda side: [f'{side}.{i}.{what}' for what in ('key', 'value') for i in range(layers)]
    return dict(input_names=['input_ids', 'attention_mask', 'position_ids', *pairs('past_key_values')],
                output_names=['logits', *pairs('present')])


def own(checkpoint, out, attention='sdpa', multi=True, **options):
    """transformers' own exporter: prefill.onnx and decode.onnx as it saves them. Minutes: every axis is left open."""
    import torch
    from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter
    ids = torch.arange(10, 20).reshape(2, 5)
    exported = OnnxExporter().export_for_generation(load(checkpoint, attention), dict(input_ids=ids, attention_mask=torch.ones_like(ids)),
                                                    config=OnnxConfig(dynamic=True, **options), multi_token_decode=multi)
    exported.save_pretrained(out)


def own_part(checkpoint, out, whole, part):
    """One of the two graphs of transformers' exporter (made before, as `whole`) where the loader looks: onnx/model.onnx."""
    import onnx_ir
    (out / 'onnx').mkdir()
    onnx_ir.save(onnx_ir.load(out.parent / whole / f'{part}.onnx'), out / 'onnx' / 'model.onnx', external_data='model.onnx.data')


def optimum(checkpoint, out, task='text-generation-with-past', **options):
    """optimum's main_export, as its command line does it. Torch's tracing exporter underneath."""
    from optimum.exporters.onnx import main_export
    main_export(str(checkpoint), out, task=task, do_validation=False, no_post_process=True, **options)
    (out / 'onnx').mkdir(exist_ok=True)
    for file in [*out.glob('*.onnx'), *out.glob('*.onnx_data')]:
        file.rename(out / 'onnx' / file.name)


def jobs():
    """name of the export -> (environment, exporter, arguments)."""
    made = {}
    add = lambda env, exporter, name, *a, **k: made.__setitem__(name, (env, exporter, a, k))
    for precision in ('int4', 'int8', 'fp16', 'fp32'):
        add('venv_exp', genai, f'llama__genai__{precision}', precision)
    for family in ('mistral', 'gemma2', 'gemma3', 'phi3', 'qwen3', 'mistral_plain', 'llama3', 'qwen2', 'gemma', 'phi3_longrope',
                   'olmo2', 'granite', 'smollm3', 'phi', 'lfm2'):
        for precision in ('fp32', 'int4'):
            add('venv_exp', genai, f'{family}__genai__{precision}', precision)
    for family in ('mistral', 'gemma2', 'gemma3', 'qwen3'):
        add('venv_exp', genai, f'{family}__genai__fp16', 'fp16')
    add('venv_exp', genai, 'llama__genai__int4_level0', 'int4', 'accuracy_level=0')
    add('venv_exp', genai, 'gemma2__genai__fp32_fullcache', 'fp32', 'windowed_kv_cache=false')
    add('venv_exp', genai, 'mistral__genai__fp32_fullcache', 'fp32', 'windowed_kv_cache=false')
    for family in ('llama', 'qwen3'):
        for opset in (18, 23, 24):
            add('venv_exp', dynamo, f'{family}__dynamo{opset}', opset)
    add('venv_exp', dynamo, 'llama__dynamo23__named', 23, names=hub_names(3))
    add('venv_exp', dynamo, 'llama__dynamo23__eager', 23, attention='eager')
    add('venv_exp', dynamo, 'llama__dynamo23__fp16', 23, dtype='float16')
    add('venv_exp', dynamo, 'llama__dynamo23__bf16', 23, dtype='bfloat16')
    for family in ('mistral_plain', 'gemma2', 'phi3_longrope', 'smollm3', 'mistral', 'gemma3'):
        add('venv_exp', dynamo, f'{family}__dynamo23', 23, attention='eager' if family == 'gemma2' else 'sdpa')
    add('venv_exp', dynamo, 'llama__dynamo23__nocache', 23, cache=False)
    add('venv_exp', dynamo, 'qwen3__dynamo24__nocache', 24, cache=False)
    for family in ('llama', 'gemma3', 'qwen3', 'mistral', 'gemma2', 'phi3', 'phi3_longrope', 'llama3', 'lfm2', 'gpt2', 'falcon'):
        add('venv_exp', mobius, f'{family}__mobius')
        if family in ('llama', 'gemma3', 'qwen3', 'mistral', 'gemma2'):
            add('venv_exp', mobius, f'{family}__mobius__cpu', '--ep', 'cpu')
    add('venv_exp', mobius, 'llama__mobius__f16', '--dtype', 'f16')
    for family in ('llama', 'lfm2', 'gemma3', 'qwen3', 'gemma2', 'mistral'):
        add('venv_exp', own, f'{family}__transformers')
        for part in ('prefill', 'decode'):
            add('venv_exp', own_part, f'{family}__transformers__{part}', f'{family}__transformers', part)
    add('venv_exp', own, 'llama__transformers_cpu', ort_fusions='cpu')
    add('venv_exp', own_part, 'llama__transformers_cpu__decode', 'llama__transformers_cpu', 'decode')
    add('venv_exp', own, 'llama__transformers_one', multi=False)
    add('venv_exp', own_part, 'llama__transformers_one__decode', 'llama__transformers_one', 'decode')
    for family in ('llama', 'gemma2', 'gemma3', 'mistral', 'phi3', 'phi3_longrope', 'qwen3', 'bloom', 'gpt_neo', 'falcon', 'falcon_7b',
                   'gptj', 'gpt2', 'gpt_neox', 'opt', 'phi', 'olmo2', 'granite', 'smollm3', 'llama3', 'gemma', 'qwen2', 'lfm2'):
        add('venv_optimum', optimum, f'{family}__optimum')
    add('venv_optimum', optimum, 'llama__optimum__nocache', task='text-generation')
    add('venv_optimum', optimum, 'bloom__optimum__nocache', task='text-generation')
    return made


# ------------------------------------------------------------------------------------------------ what was made
MATTERS = ('Attention', 'RotaryEmbedding', 'Normalization', 'MatMulNBits', 'MatMulInteger', 'QuantizeLinear', 'Softmax', 'TensorScatter', 'Conv',
           'If', 'Loop', 'Scan', 'Tanh')
ATTRIBUTES = ('local_window_size', 'sliding_window_cache', 'softcap', 'do_rotary', 'is_causal', 'accuracy_level', 'bits', 'num_heads',
              'kv_num_heads', 'q_num_heads', 'interleaved', 'rotary_interleaved', 'qk_output', 'smooth_softmax')


def describe(path):
    """What matters of a graph, as plain JSON."""
    import collections, onnx
    model = onnx.load(path, load_external_data=False)
    kinds, settings = collections.Counter(), collections.defaultdict(set)
    nodes = list(model.graph.node) + [node for function in model.functions for node in function.node]
    for node in nodes:
        name = f'{node.domain}:{node.op_type}' if node.domain not in ('', 'ai.onnx') else node.op_type
        if any(part in node.op_type if len(part) > 4 else part == node.op_type for part in MATTERS):
            kinds[name] += 1
            for a in node.attribute:
                if a.name in ATTRIBUTES:
                    settings[name].add(f'{a.name}={onnx.helper.get_attribute_value(a)}')
    def shown(value):
        tensor = value.type.tensor_type
        dims = [d.dim_param or d.dim_value for d in tensor.shape.dim]
        return [value.name, onnx.TensorProto.DataType.Name(tensor.elem_type), dims]
    weights = {tensor.name for tensor in model.graph.initializer}
    return dict(ir_version=model.ir_version, opsets={o.domain or 'ai.onnx': o.version for o in model.opset_import},
                producer=f'{model.producer_name} {model.producer_version}'.strip(), functions=[f.name for f in model.functions][:20],
                inputs=[shown(v) for v in model.graph.input if v.name not in weights], outputs=[shown(v) for v in model.graph.output],
                ops={k: dict(count=n, settings=sorted(settings[k])) for k, n in sorted(kinds.items())})


def whole_pass(path, ids, room=0, session={}):
    """
    Log-probabilities of ids[1:] by one pass of onnxruntime without a past: float64 log-softmax of the graph's logits. `room`:
    how long the cache of a sliding layer is; GroupQueryAttention with `sliding_window_cache` wants the window's size from the start.
    """
    import numpy as np, onnxruntime as ort
    if path not in session:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        session.clear()
        session[path] = ort.InferenceSession(str(path), options, ['CPUExecutionProvider'])
    run, feeds = session[path], {}
    types = {'tensor(float)': np.float32, 'tensor(float16)': np.float16, 'tensor(int64)': np.int64, 'tensor(int32)': np.int32, 'tensor(bool)': bool}
    for given in run.get_inputs():
        kind, name = types[given.type], given.name.lower()
        if name == 'input_ids' or name == 'input.input_ids':
            feeds[given.name] = np.array([ids], kind)
        elif 'attention_mask' in name:
            feeds[given.name] = np.ones((1, len(ids)), kind)
        elif 'position' in name:
            feeds[given.name] = np.arange(len(ids), dtype=kind).reshape([1, -1][2 - len(given.shape):])
        elif 'branch' in name:
            feeds[given.name] = np.zeros(given.shape, kind)
        else:
            empty = [1, 2, room if 'sliding' in str(given.shape) else 0, 16]
            feeds[given.name] = np.zeros([d if isinstance(d, int) else empty[i] for i, d in enumerate(given.shape)], kind)
    logits = run.run([next(o.name for o in run.get_outputs() if 'logits' in o.name or o.shape[-1] == source.VOCAB)], feeds)[0]
    rows = logits.astype(np.float64)[0]
    rows -= rows.max(-1, keepdims=True)
    rows -= np.log(np.exp(rows).sum(-1, keepdims=True))
    return [float(rows[i, token]) for i, token in enumerate(ids[1:])]


def survey(folder):
    """graph.json of an export's folder."""
    lines = [json.loads(line) for line in (folder / 'ref.jsonl').read_text().splitlines()]
    found = {}
    for path in sorted([*folder.glob('*.onnx'), *folder.glob('onnx/*.onnx')]):
        found[str(path.relative_to(folder))] = about = describe(path)
        try:
            room = source.WINDOW if any('sliding_window_cache=1' in o['settings'] for o in about['ops'].values()) else 0
            apart = {len(one['ids']): max(abs(a - b) for a, b in zip(whole_pass(path, one['ids'], room), one['logprobs'])) for one in lines}
            about['apart'] = {str(n): float(f'{d:.2g}') for n, d in apart.items()}
        except Exception as error:
            about['whole_pass'] = f'{type(error).__name__}: {str(error)[:300]}'
    (folder / 'graph.json').write_text(json.dumps(found, indent=1))


def finish(checkpoint, out):
    for name in ('config.json', 'tokenizer.json', 'tokenizer_config.json', 'ref.jsonl'):
        if not (out / name).exists():
            shutil.copy(checkpoint / name, out / name)
    survey(out)


def write_table(root):
    """GRAPHS.md: every export that is there."""
    text = ['# Exports', '', '`apart`: nats between onnxruntime (whole pass, no cache) and PyTorch by length of the sequence.', '']
    for folder in sorted(path.parent for path in root.glob('*/graph.json')):
        for file, g in json.loads((folder / 'graph.json').read_text()).items():
            text += [f'## {folder.name}: {file}', '', f'IR {g["ir_version"]}, opsets {g["opsets"]}, {g["producer"]}', '',
                     f'- inputs: {"; ".join(f"{n} {t} {d}" for n, t, d in g["inputs"])}',
                     f'- outputs: {"; ".join(f"{n} {t} {d}" for n, t, d in g["outputs"])}',
                     *[f'- {k} x {o["count"]} {" ".join(o["settings"])}' for k, o in g['ops'].items()],
                     f'- apart: {g.get("apart", g.get("whole_pass"))}', '']
    (root / 'GRAPHS.md').write_text('\n'.join(text))


# ------------------------------------------------------------------------------------------------ program
def inside(root, env, only, again):
    """Runs the exporters of one environment, in that environment."""
    import torch
    torch.set_num_threads(1)
    for name, (where, exporter, arguments, options) in jobs().items():
        out, checkpoint = root / name, root / '_torch' / name.split('__')[0]
        if where != env or only not in name or (out / 'graph.json').exists() and not again:
            continue
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        print(f'== {name}', flush=True)
        try:
            exporter(checkpoint, out, *arguments, **options)
            finish(checkpoint, out)
        except (Exception, SystemExit) as error:
            shutil.rmtree(out, ignore_errors=True)
            traceback.print_exc()
            with open(root / 'FAILED.txt', 'a') as file:
                file.write(f'{name}: {type(error).__name__}: {" ".join(str(error).split())[:400]}\n')


def main():
    asked = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    asked.add_argument('folder', type=Path)
    asked.add_argument('--venvs', type=Path)
    asked.add_argument('--only', default='')
    asked.add_argument('--again', action='store_true')
    asked.add_argument('--inside', help=argparse.SUPPRESS)
    args = asked.parse_args()
    root = args.folder.resolve()
    if args.inside:
        return inside(root, args.inside, args.only, args.again)
    os.environ.update(HF_HUB_OFFLINE='1', OMP_NUM_THREADS='1', TOKENIZERS_PARALLELISM='false')
    for env, packages in VENVS.items():
        place = (args.venvs or root).resolve() / env
        python = place / 'bin' / 'python'
        if not python.exists():
            subprocess.run([sys.executable, '-m', 'venv', place], check=True)
            subprocess.run([python, '-m', 'pip', 'install', '-q', *packages], check=True)
        if env == 'venv_exp' and not (root / '_torch').exists():
            subprocess.run([python, source.__file__, root], check=True)
        again = ['--again'] if args.again else []
        subprocess.run([python, __file__, root, '--inside', env, '--only', args.only, *again], check=True)
    write_table(root)


if __name__ == '__main__':
    main()
