"""How many operations the workloads' matrix products take: what a share of the GEMM peak is told of."""

import torch
from torch import nn

from benchmarks.workloads import Workload, attack_network, make_model
from mialib.attack.learned import MIN_STEPS

COUNTED = ("training", "stage")  # kinds of workloads whose time goes into products


def training_operations(workload: Workload, answers: bool = True) -> float:
    """Multiplications and additions of the matrix products that the workload's models take; nan where that is not all.

    A layer's products: its output, its weights' gradient, and its input's gradient, which the first layer does without.
    """
    if workload.kind not in COUNTED:
        return float("nan")
    first, rest = _products(workload)
    seen = workload.k * workload.n * workload.recipe.epochs
    if workload.kind == "stage":
        recipe = workload.recipe
        seen = workload.k * recipe.batch_size * max(MIN_STEPS, recipe.epochs * -(-workload.n // recipe.batch_size))
    return seen * (4.0 * first + 6.0 * rest) + (workload.k * workload.n * 2.0 * (first + rest) if answers else 0.0)


def scoring_operations(workload: Workload) -> float:
    """The same of scoring all records, each by one attack model."""
    return 2.0 * workload.records * sum(_products(workload))


def _products(workload: Workload) -> tuple[int, int]:
    """Multiplications that a record takes in the first layer, and in the others."""
    network = attack_network(workload.n_classes) if workload.kind == "stage" else make_model(workload)
    taken: list[int] = []
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.register_forward_hook(lambda layer, _, out: taken.append(layer.weight.numel() * out[0, 0].numel()))
    with torch.inference_mode():
        network(torch.zeros(1, *workload.shape))
    return taken[0], sum(taken[1:])
