"""When does a CIFAR network know its training set, and what comes after? Learning curves of networks that never stop.

    python benchmarks/stopping.py [--networks 2] [--epochs 40] [--sizes cifar10:2500 cifar10:10000 cifar100:10520]

Writes results/stopping.csv: dataset, source, train_size, network, epoch, loss (mean over the training set in that epoch),
train_accuracy, test_accuracy (of at most 3,000 records each, after it). Chosen from it: `Recipe.enough` = 0.01 of 01_cifar10.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import ROOT
from mialib.core.cache import atomic
from mialib.core.threads import one_a_core
from mialib.core.types import Dataset
from mialib.data.loading import load
from mialib.study.experiments import target_splits
from mialib.training.black_boxes import TorchBlackBox
from mialib.training.networks import cnn
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe

ASKED = 3000  # records of each side
SIZES = ("cifar10:2500", "cifar10:10000", "cifar100:10520")


def curve(dataset: Dataset, n: int, network: int, epochs: int) -> Iterator[dict[str, Any]]:
    """A row an epoch, of the network that is trained on the members of this target."""
    split, _ = target_splits(dataset, n, network + 1, seed=2017)[network]
    trainer = NeuralTrainer(partial(cnn, dataset.x.shape[1:], dataset.n_classes), Recipe(epochs, batch_size=32, lr=1e-3), "cpu")
    session = trainer._session(trainer._material(dataset), split.members[None], 2017, [network])
    about = {"dataset": dataset.name, "source": dataset.source, "train_size": n, "network": network}
    for epoch in range(1, epochs + 1):
        loss = session.epoch().item()
        module = trainer._fresh(0, 0)
        module.load_state_dict(session.stack.state(0))
        model = TorchBlackBox(module)
        asked = {"train": split.members[:ASKED], "test": split.nonmembers[:ASKED]}
        right = {
            f"{side}_accuracy": np.mean(model.predict_proba(dataset.x[rows]).argmax(1) == dataset.y[rows])
            for side, rows in asked.items()
        }
        yield about | {"epoch": epoch, "loss": loss} | right


def curves(dataset: Dataset, n: int, networks: int, epochs: int) -> list[dict[str, Any]]:
    """Those of so many networks, one a core."""
    with one_a_core(networks, threads=1) as (pool, _):
        return [row for rows in pool.map(lambda j: [*curve(dataset, n, j, epochs)], range(networks)) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    parser.add_argument("--data", default="real", choices=("auto", "real", "standin"))
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for size in options.sizes:
        name, _, n = size.partition(":")
        rows += curves(load(name, options.data), int(n), options.networks, options.epochs)
        table = pd.DataFrame(rows)
        with atomic(ROOT / "results" / "stopping.csv") as file:
            table.to_csv(file, index=False)
        known = table[table["loss"] <= 0.01].groupby(["dataset", "train_size", "network"])["epoch"].min()
        print(known.to_string(), flush=True)


if __name__ == "__main__":
    main()
