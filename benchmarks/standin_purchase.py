"""How near Purchase's stand-in comes to the accuracies of Tables I and II: `python -m benchmarks.standin_purchase --help`.

Its generator (`data.standins.shopping`) was calibrated with this: on accuracies of targets alone, never on an attack.
"""

import argparse
from collections.abc import Mapping

import numpy as np
import pandas as pd

from mialib import paper
from mialib.core import randomness
from mialib.core.types import Dataset, Trainer
from mialib.data import standins
from mialib.data.loading import split_target
from mialib.study import AmazonML, PredictionAPI
from mialib.training import NeuralTrainer, Recipe, mlp

EPOCHS = 6  # of the local network: it then knows as much of its training set as the paper's


def targets(n_classes: int) -> dict[str, Trainer]:
    """The kinds of target whose accuracy the paper prints at a number of classes."""
    found: dict[str, Trainer] = {"google": PredictionAPI()}
    if n_classes == max(standins.CLUSTERS):
        found["local"] = NeuralTrainer(lambda: mlp(600, n_classes, 128), Recipe(epochs=EPOCHS, batch_size=100, lr=0.001))
        found |= {"amazon(10,1e-6)": AmazonML(10, 1e-6), "amazon(100,1e-4)": AmazonML(100, 1e-4)}
    return found


def shoppers(n: int, settings: Mapping[str, float]) -> dict[int, Dataset]:
    """Data sets of n shoppers by the number of classes; settings: constants of `data.standins` that are to differ."""
    before = {name: getattr(standins, name) for name in settings}
    try:
        for name, value in settings.items():
            setattr(standins, name, type(before[name])(value))
        x = standins.shopping(standins.fixed_generator(20170526), n)
    finally:
        for name, value in before.items():
            setattr(standins, name, value)
    classes = {n_classes: standins.styles_of_shopping(x, n_classes).astype(np.int64) for n_classes in standins.CLUSTERS}
    return {k: Dataset(f"purchase{k}", x, y, k, "standin") for k, y in classes.items()}


def accuracies(sets: Mapping[int, Dataset], train_size: int, seed: int = 2017) -> pd.DataFrame:
    """A row a published accuracy: dataset, target, metric, published (of Table II, else of Table I), ours, difference."""
    published = paper.published().query("id in ('T1', 'T2')").sort_values("id", ascending=False)
    published = published.drop_duplicates(["dataset", "target", "metric"]).set_index(["dataset", "target", "metric"])["value"]
    rows = []
    for n_classes, dataset in sets.items():
        split, _ = split_target(dataset, train_size, randomness.generator(seed, "target split", 0))
        for kind, trainer in targets(n_classes).items():
            model = trainer.fit_many(dataset, split.members[None], seed)[0]
            for part, records in (("train", split.members), ("test", split.nonmembers)):
                share = float((model.predict_proba(dataset.x[records]).argmax(1) == dataset.y[records]).mean())
                about = {"dataset": dataset.name, "target": kind, "metric": f"target_{part}_accuracy"}
                rows.append(about | {"published": published[tuple(about.values())], "ours": share})
    table = pd.DataFrame(rows)
    return table.assign(difference=table["ours"] - table["published"])


def main(arguments: list[str] | None = None) -> None:
    """Print the table of `accuracies`, and the root of the mean square of its differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shoppers", type=int, default=197_324, help="fewer are a faster trial (default: all)")
    parser.add_argument("--train-size", type=int, default=10_000)
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="e.g. STAPLES 60")
    given = parser.parse_args(arguments)
    table = accuracies(shoppers(given.shoppers, {name: float(value) for name, value in given.set}), given.train_size)
    print(table.round(3).to_string(index=False))
    print(f"root mean square of the differences: {np.sqrt((table['difference'] ** 2).mean()):.3f}")


if __name__ == "__main__":
    main()
