"""Every published value that was run, as the pages show it: rows of 99_scoreboard's table `compared`, in words."""

import pandas as pd

from mialib.paper.scoreboard import DRAWN, GIVEN, STANDINGS, STATED, VERDICTS, WITHIN
from mialib.plots.names import WORDS, in_words
from mialib.site.sources import Sources

GIVEN_WORDS = {STATED: "stated in the paper", DRAWN: "read off its figures"}
STANDING_WORDS = dict(zip(STANDINGS, ("counts", "other conditions", "stand-in")))
QUANTILES = {
    "min": "least class", "max": "greatest class", "mean": "mean of classes", "p50": "low median of classes",
    "median": "median of classes", "box_low": "lower quartile of classes", "box_high": "upper quartile of classes",
}  # fmt: skip
KIND_OF_VERDICT = {
    "reproduced": "good", "near": "good", "met": "good", "undecided": "open", "differs": "bad", "not met": "bad",
}  # fmt: skip


def scoreboard_values(sources: Sources) -> pd.DataFrame:
    """The table `compared` with a column more: within (bool: within 0.05 of the paper's value, or its bound met).

    ValueError for a verdict, a standing or a way in which the paper gives a value that is none.
    """
    table = sources.scoreboard.table("compared")
    for column, allowed in (("verdict", VERDICTS), ("standing", STANDINGS), ("given", GIVEN)):
        if column not in table:
            raise ValueError(f"99_scoreboard/compared.csv lacks the column {column!r}")
        if strange := set(table[column]) - set(allowed):
            raise ValueError(
                f"99_scoreboard/compared.csv: {column} is {sorted(strange)[0]!r}; allowed are: {', '.join(allowed)}"
            )
    return table.assign(within=table["verdict"].isin(WITHIN))


def counts_of(values: pd.DataFrame) -> dict[str, int]:
    """How many rows there are, how many `within`, and how many of each verdict."""
    verdicts = {verdict: int((values["verdict"] == verdict).sum()) for verdict in VERDICTS}
    return {"rows": len(values), "within": int(values["within"].sum())} | verdicts


def metric_words(metric: str) -> str:
    """A metric in words: "precision, class 9", "recall, 10th percentile of classes", "attack accuracy", "test accuracy"."""
    for start in ("attack_precision", "attack_recall"):
        if metric.startswith(start):
            part = metric.removeprefix(start).removeprefix("_")
            return ", ".join(filter(None, [start.removeprefix("attack_"), _of_classes(part)]))
    return WORDS.get(metric, metric.replace("_", " ").replace("(", ": ").replace(",", ", ").replace(")", ""))


def _of_classes(part: str) -> str:
    if part.startswith("class_"):
        return f"class\u00a0{part.removeprefix('class_')}"
    if part in QUANTILES:
        return QUANTILES[part]
    return f"{part.removeprefix('p')}th percentile of classes" if part[1:].isdigit() else part.replace("_", " ")


def condition_words(row: dict[str, object]) -> str:
    """Under which conditions a row was measured: shadow data, mitigation, what the attacker knows of it."""
    setting = "" if pd.isna(row["setting"]) else str(row["setting"])
    kind, _, name = setting.partition(":")
    named = f"shadow data: {WORDS.get(setting, name)}" if kind == "shadow" else name.replace("_", " ") if name else ""
    variant = "" if row["variant"] == "none" else in_words(row["variant"])
    return ", ".join(filter(None, [named, variant]))


def paper_words(row: dict[str, object]) -> tuple[str, float]:
    """The paper's value, or the bound that it gives, with its sign; and the number that it is sorted by."""
    if pd.notna(row["published"]):
        return f"{row['published']:.3f}".replace("-", "−"), float(row["published"])  # type: ignore[arg-type]
    return f"≥ {row['published_low']:.3f}", float(row["published_low"])  # type: ignore[arg-type]
