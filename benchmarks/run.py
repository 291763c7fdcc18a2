"""`python -m benchmarks.run [--only W2] [--repeats 3]`: every measurement in its own process, contenders in turn."""

import argparse
import json
import os
import subprocess
import sys
from typing import Any

import torch

from benchmarks import ROOT, report
from benchmarks.measure import GEMM
from benchmarks.operations import COUNTED
from benchmarks.workloads import WORKLOADS, Workload

REPEATS = 3
PATIENCE = 240  # seconds that a contender may have used before it gets no further repeat

Measured = dict[str, list[dict[str, Any]]]  # contender -> its repeats, in order; repeat i has seed i


def run(workload: Workload, repeats: int, tiny: bool) -> Measured:
    """All measurements of a workload. In repeat i all contenders get the same data, made from seed i."""
    names = (GEMM, *workload.contenders) if workload.kind in COUNTED else workload.contenders
    measured: Measured = {name: [] for name in names}
    for seed in range(repeats):
        for name, done in measured.items():
            if len(done) == seed and sum(sum(one.get("seconds", {}).values()) for one in done) < PATIENCE:
                done.append(_measure(workload, name, seed, tiny))
                print(f"{workload.name:<7}{name:<22}repeat {seed + 1}  {_shown(done[-1])}", flush=True)
    return measured


def _measure(workload: Workload, name: str, seed: int, tiny: bool) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.measure", workload.name, name, str(seed), *(["--tiny"] if tiny else [])]
    quiet = {**os.environ, "TQDM_DISABLE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _shown(one: dict[str, Any]) -> str:
    if "seconds" not in one:
        return "  ".join(f"{kind} {value / 1e9:,.0f} GFLOP/s" for kind, value in one.items())
    seconds = "  ".join(f"{phase} {value:.2f} s" for phase, value in one["seconds"].items())
    return seconds + "".join(f"  {name} {value:.4g}" for name, value in one.items() if name != "seconds")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help="workloads (default: all)")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try the machinery; nothing is written")
    options = parser.parse_args()
    for name in options.only:
        workload = WORKLOADS[name]
        if workload.device == "cuda" and not torch.cuda.is_available():
            print(f"{name:<7}left out: no GPU here")
            continue
        rows = report.rows(workload, run(workload, options.repeats, options.tiny))
        if options.tiny:
            print(rows.to_string())
        else:
            report.write(rows, ROOT / "results" / "benchmarks.csv", ROOT / "benchmarks" / "README.md")


if __name__ == "__main__":
    main()
