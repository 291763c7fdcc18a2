"""Who is measured in workloads L and R: scores of records by the signals of many models, LiRA's and RMIA's.

The authors' way is what their public code does with the same arrays, written anew: tests/reference/README.md names the files.
"""

import numpy as np
import torch
from scipy.special import expit
from scipy.stats import norm, trim_mean

from benchmarks.phases import Found, Stopwatch, ranked
from benchmarks.workloads import Signals, Workload
from mialib import attack
from mialib.core.stocks import Stock

GAMMA = 2.0


def ours(workload: Workload, material: Signals, _: int, watch: Stopwatch) -> Found:
    """mialib, as it comes: LiRA with means and a deviation a record, or RMIA online."""
    signal, stock, member, population = material
    with watch("scores"):
        score = attack.lira(signal, stock) if workload.name == "L" else attack.rmia(signal, stock, population, gamma=GAMMA)
    return ranked(member, score)


def medians(_: Workload, material: Signals, __: int, watch: Stopwatch) -> Found:
    """mialib's LiRA with medians, as in the authors' code: the same scores as theirs."""
    with watch("scores"):
        score = attack.lira(material.signal, material.stock, center="median")
    return ranked(material.member, score)


def authors(workload: Workload, material: Signals, _: int, watch: Stopwatch) -> Found:
    """LiRA as in `plot.py`, or RMIA as in `main.py`, which keeps probabilities: making them of log-odds is not timed."""
    signal, stock, member, population = material
    if workload.name == "L":
        with watch("scores"):
            score = authors_lira(signal, stock)
        return ranked(member, score)
    probabilities, kept = (torch.as_tensor(expit(each.astype(float))) for each in (signal, stock.signal))
    inside = torch.as_tensor(stock.member)
    with watch("scores"):
        score = authors_rmia(probabilities, kept, inside, population)
    return ranked(member, score)


def authors_lira(signal: np.ndarray, stock: Stock) -> np.ndarray:
    """LiRA online as in `plot.py`, float64 (n,): record after record, its signals inside and outside are picked out, and cut to
    the smallest number that a record has; then medians, deviations and densities of all, and the mean over queries.
    """
    keep, one = stock.member, signal.astype(float).reshape(len(signal), -1)
    scores = stock.signal.astype(float).reshape(*keep.shape, -1)  # (k, n, q)
    inside, outside = [], []
    for j in range(scores.shape[1]):
        inside.append(scores[keep[:, j], j, :])
        outside.append(scores[~keep[:, j], j, :])
    densities = []
    for picked in (inside, outside):
        least = min(map(len, picked))
        values = np.array([each[:least] for each in picked])
        densities.append(norm.logpdf(one, np.median(values, 1), np.std(values, 1) + 1e-30))
    return (densities[0] - densities[1]).mean(1)


def authors_rmia(target: torch.Tensor, kept: torch.Tensor, inside: torch.Tensor, population: np.ndarray) -> np.ndarray:
    """RMIA online as in `main.py`, (n,), NaN for the population: probabilities are picked out record after record, as in LiRA;
    every record is then compared with every one of the population in one outer product.
    """
    half = len(kept) // 2
    picked_in, picked_out = [], []
    for j in range(kept.shape[1]):
        picked_in.append(kept[inside[:, j], j][:half])
        picked_out.append(kept[~inside[:, j], j][:half])
    references = torch.cat((torch.stack(picked_in), torch.stack(picked_out)), 1).transpose(0, 1)
    z = torch.as_tensor(population)
    mean_x, mean_z = (torch.as_tensor(trim_mean(each, proportiontocut=0, axis=0)) for each in (references, references[:, z]))
    ratios = torch.outer(target / mean_x, 1 / (target[z] / mean_z))
    score = ((ratios > GAMMA) * 1.0).mean(1).numpy().astype(float)
    score[population] = np.nan
    return score
