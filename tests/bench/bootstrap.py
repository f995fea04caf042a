#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Paired percentile bootstrap of a mean difference by scipy, timed: the peer of bootstrap.ts, which starts this file.

    python bootstrap.py VALUES.f64 --draws N --batches 1,10,100 --trial N

VALUES.f64 holds the rows' differences, little-endian float64. scipy gets them as a pair of samples, the differences and zeros,
as a user of `paired=True` would give two runs. Each batch size is tried with --trial draws, the quickest one is taken.
Prints one JSON line: batch, seconds, cpu_seconds, the draws' quantiles, versions. Needs scipy and numpy.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != Path(__file__).resolve().parent]

import numpy as np
import scipy
from scipy import stats

parser = argparse.ArgumentParser()
parser.add_argument("values")
parser.add_argument("--draws", type=int, default=10_000)
parser.add_argument("--trial", type=int, default=200)
parser.add_argument("--batches", default="1,10,100")
parser.add_argument("--shares", default="0.025,0.975")
given = parser.parse_args()
current = np.fromfile(given.values, dtype="<f8")
baseline = np.zeros_like(current)


def difference(a, b, axis=-1):
    return np.mean(a, axis=axis) - np.mean(b, axis=axis)


def run(batch, draws):
    before, cpu = time.perf_counter(), time.process_time()
    made = stats.bootstrap(
        (current, baseline), difference, paired=True, vectorized=True, method="percentile", n_resamples=draws, batch=batch,
        rng=np.random.default_rng(1),
    )  # fmt: skip
    return time.perf_counter() - before, time.process_time() - cpu, made.bootstrap_distribution


batches = [int(batch) for batch in given.batches.split(",")]
best = min(batches, key=lambda batch: run(batch, max(batch, given.trial))[0])
seconds, cpu, drawn = run(best, given.draws)
shares = [float(share) for share in given.shares.split(",")]
print(
    json.dumps(
        {
            "batch": best, "seconds": seconds, "cpu_seconds": cpu, "quantiles": np.quantile(drawn, shares).tolist(),
            "scipy": scipy.__version__, "numpy": np.__version__,
        }  # fmt: skip
    )
)
