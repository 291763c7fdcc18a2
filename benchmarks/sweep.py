"""`python -m benchmarks.sweep --out FOLDER`: the CIFAR-10 targets of the paper at its own counts, 100 shadow models each.

Made for a GPU. The tables are those that the notebook 01_cifar10 saves. Attacks are fitted in a process of their own while the
next size is trained; what was trained before is found in the cache. A size for which --seconds do not suffice gets fewer
shadows.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks import candidates
from mialib import data, paper, study
from mialib.core import cache
from mialib.core.types import Dataset
from mialib.runs import machine
from mialib.study import tables
from mialib.training import NeuralTrainer, Recipe, choose_precision, cnn

SIZES, COUNTS, SEED = (2500, 5000, 10000, 15000), (1, 2, 5, 10, 20, 50, 100), 2017
USED = ("numpy", "pandas", "torch", "triton", "scikit-learn", "scipy")
RESERVE = 1.1  # estimated seconds count so much more: queries and what is written to disk


def experiment(dataset: Dataset, size: int, n_shadows: int, epochs: int) -> study.Experiment:
    """One target and its shadow models, trained by the recipe of the notebook."""
    recipe = Recipe(epochs=epochs, batch_size=32, lr=0.001, precision=choose_precision())
    trainer = NeuralTrainer(partial(cnn, (32, 32, 3), 10), recipe)
    return study.Experiment(dataset, trainer, "local", size, 1, n_shadows, SEED)


def train(options: argparse.Namespace, dataset: Dataset) -> None:
    """All sizes, the smallest first; a line of progress.jsonl each."""
    began, done = time.perf_counter(), []
    for size in options.sizes:
        start = time.perf_counter()
        e = experiment(dataset, size, options.shadows, options.epochs)
        said = e.trainer.estimate(dataset, size, options.shadows).seconds
        left = options.seconds - (start - began)
        n = int(options.shadows * min(1.0, left / (RESERVE * said)))
        line: dict[str, Any] = {"size": size, "n_shadows": n, "estimate": said}
        if n < 1:
            print(json.dumps(line), flush=True)
            break
        begun = time.perf_counter()
        study.run_targets(e)
        line["seconds_target"] = time.perf_counter() - begun
        study.run_trials(e._replace(n_shadows=n))
        line |= {"seconds": time.perf_counter() - start, "train_seconds": time.perf_counter() - begun}
        done.append(line)
        print(json.dumps(line), flush=True)
        with cache.atomic(options.out / "progress.jsonl") as file:
            file.write("".join(f"{json.dumps(one)}\n" for one in done).encode())


def attack(options: argparse.Namespace, dataset: Dataset) -> None:
    """The tables of all sizes that are trained, written anew after each."""
    progress, trials, outcomes, counts, seconds = options.out / "progress.jsonl", [], [], [], []
    while True:
        finished = (options.out / "trained").exists()
        lines = [json.loads(line) for line in progress.read_text().splitlines()] if progress.exists() else []
        for line in lines[len(trials) :]:
            start = time.perf_counter()
            (trial,) = study.run_trials(experiment(dataset, line["size"], line["n_shadows"], options.epochs))
            trials.append(trial)
            outcomes += study.run_attacks([trial])
            counts.append(tables.by_shadow_count([trial], COUNTS))
            save(options, dataset, trials, outcomes, pd.concat(counts, ignore_index=True), lines)
            seconds.append(time.perf_counter() - start)
            print(json.dumps({"attacked": line["size"], "seconds": seconds[-1]}), flush=True)
        if finished and len(trials) == len(lines):
            return
        time.sleep(0.5)


def save(options: argparse.Namespace, dataset: Dataset, trials: Any, outcomes: Any, by_count: pd.DataFrame, lines: Any) -> None:
    """Tables as CSV, and run.json."""
    learned = study.learned(outcomes)
    kept = study.run_attacks(study.without_failed(trials), study.ONLY_LEARNED)
    found = {
        "accuracies": tables.accuracies(trials),
        "shadows": tables.shadow_accuracies(trials),
        "summary": tables.summary(outcomes),
        "classes": tables.class_table(learned),
        "ranking": tables.ranking(outcomes),
        "roc": tables.roc_table(outcomes),
        "by_shadow_count": by_count,
        "without_failed": tables.summary(kept, tables.BY_CLASS),
        "compared": paper.compare(paper.results_table(learned, ["F4"])),
    }
    for name, table in found.items():
        table.to_csv(options.out / f"{name}.csv", index=False)
    record = {
        "experiment": "01_cifar10, the paper's counts",
        "parameters": {
            "TRAIN_SIZES": [line["size"] for line in lines],
            "N_TARGETS": [1] * len(lines),
            "N_SHADOWS": [line["n_shadows"] for line in lines],
            "RECIPE": asdict(experiment(dataset, 1, 1, options.epochs).trainer.recipe),
            "SHADOW_COUNTS": COUNTS,
            "SEED": SEED,
        },
        "datasets": [{"name": dataset.name, "source": dataset.source, "records": len(dataset.x), "digest": dataset.digest()}],
        "versions": versions(),
        "hardware": machine.hardware(),
        "seconds": lines,
    }
    (options.out / "run.json").write_text(json.dumps(record, indent=1) + "\n")


def versions() -> dict[str, str]:
    """Of what the numbers rest on; Triton only where there is one."""
    found = {name: metadata.version(name) for name in USED if find_spec(name.replace("scikit-learn", "sklearn"))}
    return {"python": platform.python_version(), **found, "cuda": str(torch.version.cuda)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--shadows", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for all trainings")
    parser.add_argument("--candidates", action="store_true", help="train as benchmarks/candidates.py does")
    parser.add_argument("--attacks", action="store_true", help="fit attacks on what is trained, alone")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    dataset = data.load("cifar10", mode="real")
    if options.attacks:
        attack(options, dataset)
        return
    for name in ("trained", "progress.jsonl"):
        (options.out / name).unlink(missing_ok=True)
    attacks = subprocess.Popen([sys.executable, "-m", "benchmarks.sweep", "--attacks", *sys.argv[1:]])
    try:
        with candidates.in_use() if options.candidates else nullcontext():
            train(options, dataset)
    finally:
        (options.out / "trained").write_text("all that will be\n")
        attacks.wait()


if __name__ == "__main__":
    main()
