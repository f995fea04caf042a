#!/usr/bin/env bash
# onnxruntime 1.31.1 (PyPI; the same in 1.30.0), CPU, x86-64 with AVX.
# Expected: GroupQueryAttention's default way, tile by tile ("flash"), is at least as fast as the plain one for the step that takes
# each sequence one token further: it was made to be faster, and the plain one builds whole rows of scores.
# Seen: for one token a sequence and float32 caches the default takes 1.3 to 2.3 times as long. Its loops for single tokens are
# compiled for SSE2 (four numbers at a time, no fused multiply-add), while the plain way goes through MLAS, which has AVX kernels.
# ORT_GQA_DISABLE_FLASH_ATTENTION=1, read when a session is made, chooses the plain way. The results are the same to 1e-5.
# Takes about half a minute (one install).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q 'onnxruntime==1.31.1' 'onnx==1.23.2' 'numpy==2.4.6'
cat > run.py <<'PY'
import os
import sys
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

# Sixteen sequences of 300 tokens and one more each: nine query heads over three key heads of 64, ten layers in a row.
BATCH, SEEN, ROOM, HEADS, GROUPS, SIZE, LAYERS = 16, 300, 320, 9, 3, 64, 10


def model():
    value = helper.make_tensor_value_info
    nodes, inputs, outputs, query = [], [value('query', 1, [BATCH, 1, HEADS * SIZE])], [], 'query'
    inputs += [value(name, 1, [BATCH, 1, GROUPS * SIZE]) for name in ('new_key', 'new_value')]
    inputs += [value('seen', TensorProto.INT32, [BATCH]), value('total', TensorProto.INT32, [])]
    for layer in range(LAYERS):
        caches = [f'key{layer}', f'value{layer}']
        inputs += [value(name, 1, [BATCH, GROUPS, ROOM, SIZE]) for name in caches]
        present = [f'present_{name}' for name in caches]
        outputs += [value(name, 1, [BATCH, GROUPS, ROOM, SIZE]) for name in present]
        nodes.append(helper.make_node(
            'GroupQueryAttention', [query, 'new_key', 'new_value', *caches, 'seen', 'total'], [f'out{layer}', *present],
            domain='com.microsoft', num_heads=HEADS, kv_num_heads=GROUPS, scale=1.0))
        query = f'out{layer}'
    outputs.append(value(query, 1, [BATCH, 1, HEADS * SIZE]))
    graph = helper.make_graph(nodes, 'g', inputs, outputs)
    opsets = [helper.make_opsetid('', 18), helper.make_opsetid('com.microsoft', 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def opened(disable):
    os.environ['ORT_GQA_DISABLE_FLASH_ATTENTION'] = disable
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model(), options, providers=['CPUExecutionProvider'])


random = np.random.default_rng(0)
numbers = lambda *shape: onnxruntime.OrtValue.ortvalue_from_numpy(0.2 * random.standard_normal(shape, dtype=np.float32))
whole = lambda values: onnxruntime.OrtValue.ortvalue_from_numpy(np.array(values, dtype=np.int32))
caches = {f'{part}{layer}': numbers(BATCH, GROUPS, ROOM, SIZE) for layer in range(LAYERS) for part in ('key', 'value')}
feeds = {'query': numbers(BATCH, 1, HEADS * SIZE), 'new_key': numbers(BATCH, 1, GROUPS * SIZE),
         'new_value': numbers(BATCH, 1, GROUPS * SIZE), 'seen': whole([SEEN] * BATCH), 'total': whole(SEEN + 1), **caches}
sessions = {'default': opened('0'), 'plain': opened('1')}
best, out = {}, {}
for _ in range(25):
    for way, session in sessions.items():
        binding = session.io_binding()
        for name, tensor in feeds.items():
            binding.bind_ortvalue_input(name, tensor)
        for name, tensor in caches.items():
            binding.bind_ortvalue_output(f'present_{name}', tensor)
        binding.bind_output(f'out{LAYERS - 1}')
        start = time.perf_counter()
        session.run_with_iobinding(binding)
        best[way] = min(best.get(way, 1e9), time.perf_counter() - start)
        out[way] = binding.copy_outputs_to_cpu()[-1]
apart = float(np.abs(out['default'] - out['plain']).max())
ratio = best['default'] / best['plain']
for way, seconds in best.items():
    print(f'{way}: {1e3 * seconds:.2f} ms for a step of {BATCH} sequences, {LAYERS} layers')
print(f'ratio {ratio:.2f}, results {apart:.1e} apart')
if 'avx' not in open('/proc/cpuinfo').read():
    sys.exit('this processor has no AVX: nothing can be said')
changed = ratio < 1.15 or apart > 1e-5
print('the behaviour has changed: see the lines above' if changed else 'as described')
sys.exit(1 if changed else 0)
PY
venv/bin/python run.py
