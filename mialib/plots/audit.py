"""Figures of an audit: what attacks get, from whom, and what helps. Tables of `mialib.audit.Audit` and an `ax` in.

Classes, groups and fields are the user's own words: they are written as they are, never read as formulas, and cut where long.
"""

from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mialib.plots.labels import Label, place_labels
from mialib.plots.leakage import MARK_OF_MITIGATION
from mialib.plots.modern import COLOUR_OF_ATTACK, COLOUR_OF_LABELS, OF_LABELS, line_of_attack, named_attack
from mialib.plots.names import in_words
from mialib.plots.style import GREY, MEMBERS, NONMEMBERS, mark_coin, write_key

INK, PALE, HEADLINE = "#222222", "#B5B5B5", "#000000"
LONGEST_WORDS = 26  # letters of a word of the user's
MOST_NAMED = 34  # groups that have a line and a name each; more of them lie close, and only what stands out is named
COLOUR_OF_EXPOSURE = {"more": MEMBERS, "less": NONMEMBERS, "no difference shown": "#777777", "too few records": "#C4C4C4"}
WORDS_OF_EXPOSURE = {"more": "more exposed", "less": "less exposed"}  # the others are called what they are
ANSWERS_OF = {  # whose answer a dot of `audit_moment` is: colour, words
    "target": (INK, "your model"),
    "members": (MEMBERS, "references\ntrained with it"),
    "strangers": (NONMEMBERS, "references\ntrained without it"),
}
ANSWER_BINS = 25
NAME_OF_MITIGATION = {  # how words of a mitigation begin: its name in the study's figures, for its colour
    **{name.lower(): name for name in MARK_OF_MITIGATION},
    "the highest alone": "top k",
    "the label alone": "label only",
    "rounded": "rounding",
}


def _written(text: object) -> str:
    """A user's word for a figure: one line, cut where long, no formula."""
    return _cut_off(" ".join(str(text).split())).replace("$", r"\$")


def _in_lines(text: object) -> str:
    """A user's words for a figure, in up to three lines."""
    first, *others = wrap(" ".join(str(text).split()), LONGEST_WORDS, max_lines=3, placeholder=" …") or [""]
    return "\n".join(map(_cut_off, (first, *others))).replace("$", r"\$")


def _cut_off(words: str) -> str:
    return words if len(words) <= LONGEST_WORDS else words[: LONGEST_WORDS - 1] + "…"


def _bar(ax: Axes, row: Any, y: float, colour: str, thick: bool = False) -> None:
    """An AUC and its interval, where there is one."""
    if np.isfinite(row.auc_low) and np.isfinite(row.auc_high):
        ax.plot([row.auc_low, row.auc_high], [y, y], color=colour, linewidth=2.2 if thick else 1.2, solid_capstyle="round")
    ax.plot(row.auc, y, "o", color=colour, markersize=6.5 if thick else 4.5, zorder=3)


def _frame_auc(ax: Axes, table: pd.DataFrame) -> None:
    """Limits of an axis of AUCs: 0.5 and all intervals are seen."""
    known = table[["auc", "auc_low", "auc_high"]].to_numpy(float)
    known = np.append(known[np.isfinite(known)], [0.5, 0.55])
    low, high = known.min(), known.max()
    ax.set_xlim(max(0, low - 0.06 * (high - low)), min(1.004, high + 0.05 * (high - low)))
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def audit_attacks(attacks: pd.DataFrame, *, ax: Axes) -> None:
    """AUC of each attack with its 95% interval, the attackers apart, the best of each first; thick: the headline.

    attacks: attacker, attack, headline, auc, auc_low, auc_high.
    """
    mark_coin(ax, vertical=True)
    names, y = [], 0.0
    for attacker, rows in attacks.groupby("attacker", sort=False):
        names.append((y, str(attacker), True))
        for row in rows.sort_values("auc", ascending=False).itertuples():
            y += 1
            _bar(ax, row, y, MEMBERS if row.headline else NONMEMBERS, bool(row.headline))
            names.append((y, in_words(row.attack), False))
        y += 1.4
    _frame_auc(ax, attacks)
    ax.set(ylim=(y - 0.8, -0.7), xlabel="AUC: how often a member ranks above a stranger")
    _name_rows(ax, names)
    ax.grid(axis="x", color="#EFEFEF", linewidth=0.8)
    for row, (place, *_) in zip(_best_first(attacks), [name for name in names if not name[2]], strict=True):
        value = "none" if np.isnan(row.auc) else f"{row.auc:.2f}"
        style: dict[str, Any] = {"color": MEMBERS, "weight": "bold"} if row.headline else {"color": "#555555"}
        ax.text(1.015, place, value, transform=ax.get_yaxis_transform(), va="center", fontsize=8, **style)


def _best_first(attacks: pd.DataFrame) -> list[Any]:
    parts = [rows.sort_values("auc", ascending=False) for _, rows in attacks.groupby("attacker", sort=False)]
    return [row for part in parts for row in part.itertuples()]


def _name_rows(ax: Axes, names: list[tuple[float, str, bool]]) -> None:
    """Names of rows, (y, name, whether it heads those below it), at the left."""
    ax.set_yticks([y for y, *_ in names], [name for _, name, _ in names])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    for label, (_, _, head) in zip(ax.get_yticklabels(), names, strict=True):
        label.set(fontweight="bold" if head else "normal", color="black" if head else "#333333")


def audit_curves(curves: pd.DataFrame, attacks: pd.DataFrame | None = None, *, ax: Axes) -> None:
    """ROC curves on log scales; thick: the headline. Dashed: guessing. Facet by attacker.

    curves: attacker, attack, fpr, tpr; attacks: attacker, attack, headline.
    """
    heads = set() if attacks is None else set(_pairs(attacks[attacks["headline"].astype(bool)]))
    shown = curves[(curves["fpr"] > 0) & (curves["tpr"] > 0)]
    left = max(1e-5, float(shown["fpr"].min())) if len(shown) else 1e-3
    entries: dict[str, tuple[str, bool]] = {}
    for (attacker, attack), rows in shown.groupby(["attacker", "attack"], sort=False):
        head, colour = (attacker, attack) in heads, _colour(str(attack))
        colour = HEADLINE if head and colour == PALE else colour
        line = line_of_attack(str(attack))
        ax.plot(rows["fpr"], rows["tpr"], line, color=colour, linewidth=2.6 if head else 1.0, zorder=4 if head else 2)
        words = named_attack(str(attack)) if colour != PALE else "other attacks"
        entries[words] = ("#8A8A8A" if colour == PALE else colour, head)
    ax.plot([left, 1], [left, 1], color=GREY, linestyle="--", linewidth=0.8, zorder=1)
    floor = max(1e-5, min(left, float(shown["tpr"].min()))) if len(shown) else left
    ax.set(xscale="log", yscale="log", xlim=(left, 1), ylim=(floor, 1.1), xlabel="strangers accused", ylabel="members found")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda rate, _: f"{100 * rate:g}%"))
    write_key(ax, [(name, colour) for name, (colour, _) in entries.items()], x=0.99, y=0.02, size=7, right=True)
    for text, (_, head) in zip(ax.texts, entries.values(), strict=True):
        text.set_fontweight("bold" if head else "normal")


def _pairs(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table["attacker"], table["attack"], strict=True))


def _colour(attack: str) -> str:
    return COLOUR_OF_LABELS if attack.startswith(OF_LABELS) else COLOUR_OF_ATTACK.get(attack, PALE)


def audit_answers(answers: pd.DataFrame, *, ax: Axes) -> None:
    """How sure the target is of the true class: members upwards, non-members downwards, in per cent of each.

    answers: member, probability.
    """
    edges = np.linspace(0, 1, ANSWER_BINS + 1)
    tallest = 1.0
    for member, colour, sign in ((True, MEMBERS, 1), (False, NONMEMBERS, -1)):
        sure = answers.loc[answers["member"].astype(bool) == member, "probability"].dropna()
        share = 100 * np.histogram(sure, edges)[0] / max(1, len(sure))
        ax.bar(edges[:-1], sign * share, width=1 / ANSWER_BINS, align="edge", color=colour, edgecolor="white", linewidth=0.6)
        tallest = max(tallest, float(share.max()))
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(
        xlim=(0, 1), ylim=(-1.12 * tallest, 1.12 * tallest), xlabel="probability of the true class", ylabel="share of records"
    )
    ax.yaxis.set_major_locator(MaxNLocator(6))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{abs(share):g}%"))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda p, _: f"{p:g}"))
    write_key(ax, [("members", MEMBERS)], y=0.97, size=9)
    write_key(ax, [("non-members", NONMEMBERS)], y=0.03, size=9)


def audit_groups(groups: pd.DataFrame, *, ax: Axes) -> None:
    """AUC within each group with its 95% interval, the most exposed first, by column; short lines: all other records.

    groups: column, value, auc, auc_low, auc_high, auc_rest, exposed. Groups without an AUC are left out. Of more than
    MOST_NAMED groups only those that are more or less exposed are named, and the ends of each column.
    """
    mark_coin(ax, vertical=True)
    known = groups[groups["auc"].notna()]
    named = len(known) <= MOST_NAMED
    names, y = [], 0.0
    for column, rows in known.groupby("column", sort=False):
        names.append((y, _written(column), True))
        rows = rows.sort_values("auc", ascending=False)
        for place, row in enumerate(rows.itertuples()):
            y += 1
            _bar(ax, row, y, COLOUR_OF_EXPOSURE[row.exposed])
            ax.plot([row.auc_rest] * 2, [y - 0.25, y + 0.25], color="black", linewidth=0.9)
            if named or row.exposed in WORDS_OF_EXPOSURE or place in (0, len(rows) - 1):
                names.append((y, _written(row.value), False))
        y += 1.4
    _frame_auc(ax, known)
    _name_rows(ax, names if named else _apart(names, y / MOST_NAMED))
    ax.set(ylim=(max(1.0, y - 0.8), -0.7), xlabel="AUC within the group")
    ax.grid(axis="x", color="#EFEFEF", linewidth=0.8)
    present = [each for each in COLOUR_OF_EXPOSURE if (known["exposed"] == each).any()]
    words = [(WORDS_OF_EXPOSURE.get(each, each), COLOUR_OF_EXPOSURE[each]) for each in present]
    _key_above(ax, [*words, ("short lines: the rest", "black")])


def _apart(names: list[tuple[float, str, bool]], least: float) -> list[tuple[float, str, bool]]:
    """The names that lie no nearer than `least` to those kept before them; heads stay."""
    kept: list[tuple[float, str, bool]] = [name for name in names if name[2]]
    for name in names:
        if not name[2] and all(abs(name[0] - other[0]) >= least for other in kept):
            kept.append(name)
    return sorted(kept)


def _key_above(ax: Axes, entries: list[tuple[str, str]]) -> None:
    """Coloured words in a row above the axes, up to their right end; a title stands above them."""
    if title := ax.get_title():
        ax.set_title(title, pad=24)
    at: tuple[Any, Any, tuple[float, float]] = ((1, 1), "axes fraction", (0, 8))
    for text, colour in reversed(entries):
        xy, coordinates, offset = at
        note = ax.annotate(
            text,
            xy,
            offset,
            xycoords=coordinates,
            textcoords="offset points",
            color=colour,
            fontsize=8,
            ha="right",
            va="bottom",
        )
        at = ((0, 0), note, (-12, 0))


def audit_remedies(remedies: pd.DataFrame, *, ax: Axes) -> None:
    """What mitigations buy: AUC of the attack against the model's accuracy, arrows from no mitigation; upper left is better.

    remedies: mitigation, kind, measured_on, auc, accuracy. What was measured on references is hollow, and compared there.
    """
    known = remedies[remedies["auc"].notna() & remedies["accuracy"].notna()]
    labels, spots = [], []
    for where, rows in known.groupby("measured_on", sort=False):
        bare = rows[rows["kind"] == "none"]
        for row in rows.itertuples():
            colour, marker = _mark(str(row.mitigation), str(row.kind))
            face = colour if where == "target" else "white"
            if row.kind != "none" and len(bare):
                _arrow(ax, bare[["auc", "accuracy"]].to_numpy()[0], (row.auc, row.accuracy), colour)
            ax.plot(row.auc, row.accuracy, marker, color=colour, markerfacecolor=face, markersize=6, zorder=4)
            words = "no mitigation" if row.kind == "none" else _in_lines(row.mitigation)
            labels.append(Label(row.auc, row.accuracy, words, colour, 7.5))
            spots.append((row.auc, row.accuracy))
    _frame_remedies(ax, known)
    if (known["measured_on"] == "references").any():
        _key_above(ax, [("filled: measured on the model", "#555555"), ("hollow: on references", "#555555")])
    if labels:
        place_labels(ax, labels, [np.array([spot]) for spot in spots])


def _mark(mitigation: str, kind: str) -> tuple[str, str]:
    """Colour and marker: of the paper's mitigations those of the study's figures, by the words before their value."""
    plain = mitigation.replace("_", " ").lower()
    found = [MARK_OF_MITIGATION[name] for begin, name in NAME_OF_MITIGATION.items() if plain.startswith(begin)]
    return found[0] if found else {"none": ("black", "D"), "training": ("#4D4D4D", "s")}.get(kind, ("#56B4E9", "o"))


def _arrow(ax: Axes, start: Any, end: Any, colour: str) -> None:
    style: dict[str, Any] = {"arrowstyle": "-|>", "color": colour, "alpha": 0.45, "linewidth": 1, "shrinkA": 5, "shrinkB": 5}
    ax.annotate("", end, start, arrowprops=style, zorder=2)


def _frame_remedies(ax: Axes, known: pd.DataFrame) -> None:
    x, y = np.append(known["auc"], 0.5), known["accuracy"] if len(known) else pd.Series([0.0, 1.0])
    wide, tall = max(0.05, float(np.ptp(x))), max(0.04, float(np.ptp(y)))
    ax.set(xlim=(x.min() - 0.12 * wide, x.max() + 0.22 * wide), ylim=(y.min() - 0.2 * tall, y.max() + 0.2 * tall))
    ax.set(xlabel="AUC of the attack (leak)", ylabel="accuracy on records not seen (use)")
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
    mark_coin(ax, vertical=True)


def audit_moment(answered: pd.DataFrame, *, ax: Axes) -> None:
    """What a record's class gets from the target and from references trained with and without the record: dots, stacked.

    answered: answered_by ("target", "members", "strangers"), probability; NaN is left out.
    """
    known = answered[answered["probability"].notna()]
    present = [who for who in ANSWERS_OF if (known["answered_by"] == who).any()]
    low = float(known["probability"].min()) if len(known) else 0.0
    start = 0.9 if low > 0.92 else 0.5 if low > 0.55 else 0.0
    for y, who in enumerate(present):
        colour, _ = ANSWERS_OF[who]
        sure = np.sort(known.loc[known["answered_by"] == who, "probability"].to_numpy(float))
        height = _stacked(sure, 0.018 * (1 - start))
        step = min(0.13, 0.62 / max(1, height.max(initial=0)))
        spots = y - step * (height - height.max(initial=0) / 2)
        (dots,) = ax.plot(sure, spots, "o", color=colour, markersize=5, markeredgewidth=0, alpha=0.75)
        if who == "target":
            dots.set(marker="D", markersize=8, alpha=1)
    for sure in known.loc[known["answered_by"] == "target", "probability"]:
        ax.axvline(sure, color=INK, linewidth=0.8, linestyle=":", zorder=0)
    ax.set_yticks(range(len(present)), [ANSWERS_OF[who][1] for who in present])
    for label, who in zip(ax.get_yticklabels(), present, strict=True):
        label.set_color(ANSWERS_OF[who][0])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set(ylim=(len(present) - 0.4, -0.6), xlim=(start - 0.02 * (1 - start), 1 + 0.02 * (1 - start)))
    ax.set(xlabel="probability of its class")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda p, _: f"{100 * p:g}%"))


def _stacked(sure: np.ndarray, wide: float) -> np.ndarray:
    """How high each of the sorted values (n,) lies, so that none lies upon another nearer than `wide`."""
    height, last = np.zeros(len(sure), int), [-np.inf] * len(sure)
    for i, value in enumerate(sure):
        height[i] = next(level for level, end in enumerate(last) if value - end >= wide)
        last[height[i]] = value
    return height
