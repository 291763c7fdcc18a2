"""An `Audit` as one might be: answers are drawn from a seed, and every number is then computed by the package's own attacks and
metrics. For tests of what a report shows; a result of nothing.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import expit

from mialib import attack, metrics
from mialib.audit import Audit, Moment
from mialib.core.stocks import Stock

K = 8  # references
SCORES = {
    "outsider": ("confidence", "entropy", "correctness", "lira_offline_global"),
    "auditor": ("lira_online_global", "watson", "sablayrolles", "base", "attack_r"),
    "no shadows": ("confidence", "correctness", "label_noise"),
}
HEADLINE = ("auditor", "lira_online_global")


class _World:
    """Log-odds of a target and of references on n records, half of them the target's."""

    def __init__(self, n: int, n_classes: int, leak: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.labels, self.member = rng.integers(n_classes, size=n), np.arange(n) % 2 == 0
        hard, gain = rng.normal(2, 1.5, n), leak * rng.gamma(1.5, 1, n) * (1 + (self.labels == 0))
        halves = np.stack([rng.permutation(n) % 2 == 0 for _ in range(K // 2)])
        within = np.concatenate([halves, ~halves])  # complementary: every record is in exactly half of them
        noise = rng.normal(0, 0.8, (K + 1, n))
        self.signal = (hard + gain * self.member + noise[0]).astype(np.float32)
        self.stock = Stock((hard + gain * within + noise[1:]).astype(np.float32), within, self.labels)
        self.sex = np.where(rng.random(n) < 0.3, "Female", "Male")

    def score(self, name: str) -> np.ndarray:
        by_name = {
            "lira_online_global": lambda: attack.lira(self.signal, self.stock, variance="global"),
            "lira_offline_global": lambda: attack.lira(self.signal, self.stock, mode="offline", variance="global"),
            "watson": lambda: attack.calibrated(self.signal, self.stock),
            "sablayrolles": lambda: attack.sablayrolles(self.signal, self.stock),
            "base": lambda: attack.base(self.signal, self.stock),
            "attack_r": lambda: attack.attack_r(self.signal, self.stock),
            "entropy": lambda: np.abs(self.signal).astype(float),
            "correctness": lambda: (self.signal > 0).astype(float),
            "label_noise": lambda: np.round(np.clip(self.signal, -2, 4)).astype(float),
        }
        score = by_name.get(name, lambda: self.signal.astype(float))()
        return np.asarray(score, float)


def _rates(score: np.ndarray, member: np.ndarray) -> dict[str, float]:
    table = metrics.tpr_table(score[None], member[None], fprs=(0.1, 0.01, 0.001), n_boot=20)
    names = {"auc": "auc", "balanced_accuracy": "accuracy"}
    row = {f"tpr_at_{rate:g}{end}": np.nan for rate in (0.1, 0.01, 0.001) for end in ("", "_low", "_high")}
    for each in table.itertuples():
        name = names.get(each.metric) or f"tpr_at_{each.fpr:g}"
        row |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
    return row


def _attack_row(world: _World, attacker: str, name: str) -> dict[str, object]:
    score, member = world.score(name), world.member
    threshold = float(np.quantile(score[~member], 0.99))
    called = score >= threshold
    proved = metrics.audited_epsilon(score, member)
    priors = {f"precision_at_{p:g}": metrics.ppv(score, member, p, 0.01, threshold=threshold) for p in (0.01, 0.1, 0.5)}
    return {
        "attacker": attacker, "attack": name, "headline": (attacker, name) == HEADLINE, **_rates(score, member),
        "threshold_set_on": "references", "fpr": float(called[~member].mean()), **priors, "epsilon": proved.epsilon,
        "epsilon_ceiling": proved.ceiling, "p": 0.0004 if name == HEADLINE[1] else 0.021, "n_members": int(member.sum()),
        "n_nonmembers": int((~member).sum()),
    }  # fmt: skip


def _group_rows(world: _World, names: Sequence[str]) -> pd.DataFrame:
    score, member, rows = world.score(HEADLINE[1]), world.member, []
    columns = {"class": np.array(names, object)[world.labels], "sex": world.sex}
    for column, values in columns.items():
        for value in dict.fromkeys(values):
            own = values == value
            if member[own].all() or not member[own].any():
                continue
            rates = _rates(score[own], member[own])
            rest = metrics.auc(member[~own], score[~own])
            far = "more" if rates["auc_low"] > rest else "less" if rates["auc_high"] < rest else "no difference shown"
            rows.append({
                "column": column, "value": value, "n_members": int(member[own].sum()),
                "n_nonmembers": int((~member[own]).sum()),
                "auc": rates["auc"], "auc_low": rates["auc_low"], "auc_high": rates["auc_high"], "auc_rest": rest,
                "p": 0.01 if far in ("more", "less") else 1.0, "exposed": far if own.sum() > 8 else "too few records",
            })  # fmt: skip
    return pd.DataFrame(rows)


def _record_rows(world: _World, names: Sequence[str]) -> pd.DataFrame:
    score, stock = world.score(HEADLINE[1]), world.stock
    order = np.argsort(-score, kind="stable")
    sure, within = expit(stock.signal.astype(float)), stock.member
    table = pd.DataFrame({
        "rank": np.arange(1, len(order) + 1), "record": order // 2, "member": world.member[order],
        "label": np.array(names, object)[world.labels[order]],
        "predicted": np.array(names, object)[np.where(world.signal > 0, world.labels, (world.labels + 1) % len(names))[order]],
        "probability": expit(world.signal.astype(float))[order],
        "probability_in": (np.where(within, sure, 0).sum(0) / np.maximum(1, within.sum(0)))[order],
        "probability_out": (np.where(~within, sure, 0).sum(0) / np.maximum(1, (~within).sum(0)))[order],
        "score": score[order], "seeds_in": within.sum(0)[order], "seeds_agree": (within & (stock.signal > 1)).mean(0)[order],
    })  # fmt: skip
    table.insert(2, "index", [f"customer {i:04d}" for i in order])
    return table


def _remedy_rows(world: _World) -> pd.DataFrame:
    bare = _rates(world.score(HEADLINE[1]), world.member)
    rows = []
    tries = [("none", "none", 0.0, 0.0), ("none", "none", 0.1, 0.005), ("top_k = 1", "answers", 0.4, 0.0),
             ("rounding = 1", "answers", 0.3, 0.002),
             ("label only", "answers", 0.6, 0.004), ("L2 = 0.01", "training", 0.8, 0.02)]  # fmt: skip
    for place, (name, kind, share, cost) in enumerate(tries):
        less = share * (bare["auc"] - 0.5)
        rows.append({
            "mitigation": name, "kind": kind, "measured_on": "references" if kind == "training" or place == 1 else "target",
            "attack": HEADLINE[1], "auc": bare["auc"] - less, "auc_low": bare["auc_low"] - less,
            "auc_high": bare["auc_high"] - less, "tpr_at_0.01": bare["tpr_at_0.01"] * (1 - share),
            "accuracy": 0.85 - cost, "auc_change": -less, "accuracy_change": -cost,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _moment(kind: str, world: _World, names: Sequence[str]) -> Moment | None:
    if kind == "none":
        return None
    at, within = 5, world.stock.member[:, 5]
    sure = expit(world.stock.signal[:, at].astype(float))
    picture = np.random.default_rng(3).integers(0, 256, (28, 28)).astype(np.uint8)
    fields = {"picture": picture} if kind == "picture" else {"age": 39, "occupation": "Adm-clerical", "capital gain": 2174.0}
    score = float(world.score("watson")[at])
    return Moment(fields, names[world.labels[at]], float(expit(float(world.signal[at]))), tuple(sure[within]),
                  tuple(sure[~within]), "watson", score, 1.25, bool(world.member[at]))  # fmt: skip


def made_audit(
    *, n: int = 1200, names: Sequence[str] = ("<=50K", ">50K"), attackers: Sequence[str] = tuple(SCORES), leak: float = 1.0,
    verdict: str = "leaks", moment: str = "record", groups: bool = True, seed: int = 7,
) -> Audit:  # fmt: skip
    """moment: "record", "picture" or "none"."""
    world = _World(n, len(names), leak, seed)
    pairs = [(attacker, name) for attacker in attackers for name in SCORES[attacker]]
    attacks = pd.DataFrame([_attack_row(world, *pair) for pair in pairs])
    if not attacks["headline"].any():
        attacks["headline"] = attacks.index == 0
    curves = [metrics.roc(world.member, world.score(name)).assign(attacker=who, attack=name) for who, name in pairs]
    best = attacks[attacks["headline"]].iloc[0]
    groups_table = _group_rows(world, names)
    remedies = _remedy_rows(world)
    return Audit(
        verdict=verdict,
        summary=f"An attack tells members from non-members with an AUC of {best['auc']:.2f}. Class {names[0]} leads.",
        assumptions=("Members and non-members come from one population.", "Records are independent of one another."),
        attacks=attacks,
        groups=groups_table if groups else groups_table.iloc[:0],
        records=_record_rows(world, names),
        remedies=remedies,
        less=pd.DataFrame({
            "attacker": ["sees labels alone", "sees the top answer, rounded"], "attack": ["correctness", "confidence"],
            **{c: [best[c] - 0.1, best[c] - 0.05] for c in ("auc", "auc_low", "auc_high")}, "tpr_at_0.01": [np.nan, 0.02],
        }),
        curves=pd.concat(curves, ignore_index=True)[["attacker", "attack", "fpr", "tpr"]],
        answers=pd.DataFrame({"member": world.member, "probability": expit(world.signal.astype(float))}),
        moment=_moment(moment, world, names),
        about={
            "command": "mialib audit --members in.csv --nonmembers out.csv --label income --model model.skops --out report/",
            "target": "RandomForestClassifier(n_estimators=100)", "seed": seed, "n_shadows": K,
            "versions": {"mialib": "0.1.0", "numpy": np.__version__}, "digest": {"members": "9f2c41", "nonmembers": "0b77d0"},
            "seconds": float("nan"),
        },
    )  # fmt: skip
