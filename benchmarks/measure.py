"""One measurement in a process of its own: `python -m benchmarks.measure WORKLOAD CONTENDER SEED` prints one line of JSON."""

import argparse
import json
import logging
import resource
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.contenders import contender
from benchmarks.phases import Stopwatch
from benchmarks.plain import plain_model
from benchmarks.workloads import WORKLOADS, Workload, make_material, tiny

GEMM, GEMM_SIZE, GEMM_TIMES = "GEMM peak", 2048, 20


def measure(workload: Workload, name: str, seed: int) -> dict[str, Any]:
    """Seconds of each phase, peak memory, and what was found.

    The contender first runs on a tiny copy with a cache of its own, so that imports and first uses are not timed.
    """
    run = contender(name)
    small = tiny(workload)
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict("os.environ", MIALIB_CACHE=folder):
        run(small, make_material(small, seed, plain_model), seed, Stopwatch())
    material = make_material(workload, seed, plain_model)
    _forget_peak()
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict("os.environ", MIALIB_CACHE=folder):
        found = run(workload, material, seed, watch)
    return {"seconds": watch.seconds, "peak_memory_mb": _peak(), **found}


def gemm_peak(device: str) -> dict[str, float]:
    """Operations a second of a matrix product on all cores, the fastest of some: float32 and bfloat16."""
    return {str(kind).removeprefix("torch."): _gemm(kind, device) for kind in (torch.float32, torch.bfloat16)}


def _gemm(kind: torch.dtype, device: str) -> float:
    a, b = (torch.randn(GEMM_SIZE, GEMM_SIZE, device=device).to(kind) for _ in range(2))
    best = float("inf")
    for _ in range(GEMM_TIMES):
        start = time.perf_counter()
        (a @ b)[0, 0].item()
        best = min(best, time.perf_counter() - start)
    return 2 * GEMM_SIZE**3 / best


def _forget_peak() -> None:
    """Let the peak count from here on, where Linux allows it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """Peak resident memory in MB: data and torch itself included."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure", description=__doc__)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("contender")
    parser.add_argument("seed", type=int)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    workload = WORKLOADS[options.workload]
    if options.contender == GEMM:
        print(json.dumps(gemm_peak(workload.device)))
    else:
        print(json.dumps(measure(tiny(workload) if options.tiny else workload, options.contender, options.seed)))


if __name__ == "__main__":
    main()
