#!/usr/bin/env bash
# onnxruntime 1.32.0 and onnx 1.23.2 (PyPI): MatMulNBits with accuracy_level 4, with and without packed weights.
# Expected: session.disable_prepacking is a matter of memory and of the time to open a session; numbers stay.
# Seen: with accuracy_level 4 (onnxruntime-genai's default for int4 on the CPU) activations are rounded to 8 bits only where the
# weights were packed. Without packing the operator computes in float32, exactly as accuracy_level 0 does, so a session that is
# opened without packing for a quick check gives other numbers than the one it is to check. Takes about a minute (an install).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'onnxruntime==1.32.0' 'onnx==1.23.2' 'numpy<3'
"$work/venv/bin/python" - <<'PY'
import sys
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

rows, columns, block = 256, 64, 32
random = np.random.default_rng(0)
packed = random.integers(0, 256, (columns, rows // block, block // 2), dtype=np.uint8)
scales = random.uniform(0.01, 0.1, columns * rows // block).astype(np.float32)
x = random.normal(size=(3, rows)).astype(np.float32)

# What the operator means, in float64.
low, high = packed & 15, packed >> 4
weights = np.stack([low, high], -1).reshape(columns, rows // block, block).astype(np.float64) - 8
right = x.astype(np.float64) @ (weights * scales.reshape(columns, -1, 1)).reshape(columns, rows).T

def run(accuracy_level, packs):
    node = helper.make_node('MatMulNBits', ['x', 'w', 's'], ['y'], domain='com.microsoft', K=rows, N=columns, bits=4,
                            block_size=block, accuracy_level=accuracy_level)
    graph = helper.make_graph(
        [node], 'g',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, ['n', rows])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, ['n', columns])],
        [numpy_helper.from_array(packed, 'w'), numpy_helper.from_array(scales, 's')])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 20), helper.make_opsetid('com.microsoft', 1)],
                              ir_version=10)
    options = ort.SessionOptions()
    options.add_session_config_entry('session.disable_prepacking', '0' if packs else '1')
    session = ort.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
    return np.abs(session.run(None, {'x': x})[0] - right).max() / np.abs(right).max()

off = {(level, packs): run(level, packs) for level in (0, 4) for packs in (True, False)}
for (level, packs), error in off.items():
    print(f'accuracy_level {level}, {"packed" if packs else "not packed"}: {error:.1e} of the largest result off')
if not (off[4, True] > 1e-3 and max(off[4, False], off[0, True], off[0, False]) < 1e-5):
    sys.exit('changed: no longer as described')
print('as described')
PY
