#!/usr/bin/env bash
# onnxruntime 1.31.1 (PyPI; the same in 1.30.0), CPU, x86-64 with AVX.
# Expected: MatMul(x [16, 576], W [576, 3072]) with constant float32 weights, which are packed once when the session is made, is
# the fastest form of a product of few rows: the other order has nothing to pack beforehand.
# Seen: FusedMatMul(W^T [3072, 576], x, transB=1), the same product with the sides exchanged, takes 0.55 to 0.8 of the time. The packed
# form waits for the memory and computes one after the other; with the weights as the left side the kernel reads a dozen rows of
# them at once. The same written as Gemm(W^T, x, transB=1) with a Transpose behind it gains nothing: the optimizer turns the two
# into one Gemm with the weights at the right again, and packs them. The results are the same to 1e-4.
# Takes about a minute (one install). The weights are 212 MB: with all of them in a processor's cache the forms are closer.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q 'onnxruntime==1.31.1' 'onnx==1.23.2' 'numpy==2.4.6'
cat > run.py <<'PY'
import sys
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

ROWS, WIDTH, COLUMNS, LAYERS = 16, 576, 3072, 30
random = np.random.default_rng(0)
weights = [random.standard_normal((WIDTH, COLUMNS), dtype=np.float32) / 24 for _ in range(LAYERS)]
x = random.standard_normal((ROWS, WIDTH), dtype=np.float32)


def session(form):
    nodes, constants, corners = [], [], []
    for i, weight in enumerate(weights):
        kept = weight if form == 'MatMul' else np.ascontiguousarray(weight.T)
        constants.append(helper.make_tensor(f'w{i}', TensorProto.FLOAT, kept.shape, kept.tobytes(), raw=True))
        if form == 'MatMul':
            nodes.append(helper.make_node('MatMul', ['x', f'w{i}'], [f'y{i}']))
        elif form == 'FusedMatMul':
            nodes.append(helper.make_node('FusedMatMul', [f'w{i}', 'x'], [f't{i}'], domain='com.microsoft', transB=1))
            nodes.append(helper.make_node('Transpose', [f't{i}'], [f'y{i}'], perm=[1, 0]))
        else:
            nodes.append(helper.make_node('Gemm', [f'w{i}', 'x'], [f't{i}'], transB=1))
            nodes.append(helper.make_node('Transpose', [f't{i}'], [f'y{i}'], perm=[1, 0]))
        # One row of each product comes back: to copy all of them is another matter.
        nodes.append(helper.make_node('Slice', [f'y{i}', 'zero', 'one', 'zero'], [f'c{i}']))
        corners.append(f'c{i}')
    constants += [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in (('zero', 0), ('one', 1))]
    nodes.append(helper.make_node('Concat', corners, ['y'], axis=0))
    graph = helper.make_graph(nodes, 'g', [helper.make_tensor_value_info('x', 1, [ROWS, WIDTH])],
                              [helper.make_tensor_value_info('y', 1, [LAYERS, COLUMNS])], constants)
    opsets = [helper.make_opsetid('', 17), helper.make_opsetid('com.microsoft', 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])


forms = ['MatMul', 'FusedMatMul', 'Gemm']
sessions = {form: session(form) for form in forms}
results = {form: sessions[form].run(None, {'x': x})[0] for form in forms}
apart = max(np.abs(results[form] - results['MatMul']).max() for form in forms)
best = dict.fromkeys(forms, float('inf'))
for _ in range(30):
    for form in forms:
        start = time.perf_counter()
        sessions[form].run(None, {'x': x})
        best[form] = min(best[form], time.perf_counter() - start)
print(f'onnxruntime {onnxruntime.__version__}: {LAYERS} products of {ROWS} rows, one thread, best of 30')
for form in forms:
    print(f'  {form:12} {1000 * best[form]:6.2f} ms, {best[form] / best["MatMul"]:.2f} of MatMul')
print(f'  largest difference of a number: {apart:.1e}')
if apart > 1e-3:
    sys.exit('changed: the forms do not give the same numbers')
if best['FusedMatMul'] > 0.9 * best['MatMul']:
    sys.exit('changed, or a processor that does not show it: the weights as the left side are not faster')
if best['Gemm'] < 0.9 * best['MatMul']:
    sys.exit('changed: Gemm with a Transpose behind it is no longer made a Gemm with packed weights')
print('as described')
PY
venv/bin/python run.py
