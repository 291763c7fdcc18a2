"""Does bfloat16 change what the study measures? CIFAR-10, n = 2,500, the same targets and shadows in both precisions.

    python benchmarks/precision.py [--targets 3] [--shadows 3] [--epochs 100]

Writes results/precision.csv: a row a precision and metric, the mean over targets with its 95% interval. Resumable: finished
networks are kept in the cache. They end as those of 01_cifar10.
"""

import argparse

import pandas as pd

from benchmarks import ROOT
from mialib.core.cache import atomic
from mialib.data.loading import load
from mialib.study import experiments, tables
from mialib.training.networks import cnn
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe

METRICS = ("attack_precision", "attack_recall", "attack_accuracy", "target_train_accuracy", "target_test_accuracy")


def measure(precision: str, options: argparse.Namespace) -> pd.DataFrame:
    """Attack and target metrics when targets and shadows are trained in `precision`."""
    cifar = load("cifar10", options.data)
    recipe = Recipe(options.epochs, batch_size=32, lr=1e-3, precision=precision, enough=0.01)
    trainer = NeuralTrainer(lambda: cnn((32, 32, 3), 10), recipe)
    experiment = experiments.Experiment(cifar, trainer, "local", 2500, options.targets, options.shadows, seed=2017)
    print(experiments.announce(experiment), flush=True)
    outcomes = experiments.run_attacks(experiments.run_trials(experiment), experiments.ONLY_LEARNED)
    rows = [{"metric": metric} | tables.published_metric(outcomes, metric)._asdict() for metric in METRICS]
    return pd.DataFrame(rows).assign(precision=precision, source=cifar.source, epochs=options.epochs, n_shadows=options.shadows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("targets", 3), ("shadows", 3), ("epochs", 100)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--data", default="real", choices=("auto", "real", "standin"))
    options = parser.parse_args()
    table = pd.concat([measure(precision, options) for precision in ("bfloat16", "float32")], ignore_index=True)
    with atomic(ROOT / "results" / "precision.csv") as file:
        table.to_csv(file, index=False)
    print(table.pivot(index="metric", columns="precision", values=["value", "low", "high"]).round(3))


if __name__ == "__main__":
    main()
