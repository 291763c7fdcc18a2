"""What an audit says in words, from its numbers: whether the model leaks, how sure that is, and what it rests on."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mialib.audit.attackers import BLIND, BLINDS

ALPHA = 0.05  # of a false alarm: half for the headline attack, half for all others together
SURE = 0.001  # of a false alarm about sides that were swapped
RULED_OUT = 0.6  # an AUC that must lie above the interval before "no leak found" is said
RANKED_FIRST = 30  # records, the most exposed
ATTACKERS = {
    "auditor": "who has the judged records, and trains references on halves of them",
    "outsider": "who has a pool of other records, and trains shadow models on it",
    "no shadows": "who has the model's answers alone",
}


def verdict_of(attacks: pd.DataFrame) -> str:
    """One of `AUDIT_VERDICTS`, from the table of attacks: a model leaks if the headline attack ranks members higher than chance
    does at a level of 2.5%, or any other at 2.5% divided by their number; unless records, or references, tell members just as
    well where the model is not asked.
    """
    if _is_swapped(attacks) or (_different(attacks)["auc_high"] > strongest(attacks)["auc"]).any():
        return "members differ"
    headline, others = _on_model(attacks)
    if _is_found(headline, others):
        return "leaks"
    return "no leak found" if _ruled_out(headline) <= RULED_OUT else "cannot tell"


def _on_model(attacks: pd.DataFrame) -> tuple[pd.Series, pd.DataFrame]:
    """The headline attack, and all others that look at the model."""
    on_model = attacks[~attacks["attack"].isin(BLINDS)]
    return on_model[on_model["headline"]].iloc[0], on_model[~on_model["headline"]]


def _is_swapped(attacks: pd.DataFrame) -> bool:
    """Whether non-members look more like members than members do, to the headline attack and to one threshold: no training
    makes its own records the ones that it knows less well.
    """
    headline, others = _on_model(attacks)
    looks = pd.concat([headline.to_frame().T, others[others["attack"] == "confidence"]])
    return bool(((looks["p"] > 1 - SURE) & (looks["auc_high"] < 0.5)).all())


def _is_found(headline: pd.Series, others: pd.DataFrame) -> bool:
    return bool(headline["p"] < ALPHA / 2 or (others["p"] * max(1, len(others)) < ALPHA / 2).any())


def _different(attacks: pd.DataFrame) -> pd.DataFrame:
    """What tells members from non-members without a look at the model, if anything does, at 2.5% together."""
    blind = attacks[attacks["attack"].isin(BLINDS)]
    return blind[(blind["p"] * len(blind) < ALPHA / 2) & (blind["auc_low"] > 0.5)]


def _ruled_out(headline: pd.Series) -> float:
    """The AUC above which the interval excludes all; an AUC below 0.5 is chance, and no evidence beyond it."""
    return float(max(0.5, headline["auc"]) + headline["auc_high"] - headline["auc"])


def strongest(attacks: pd.DataFrame) -> pd.Series:
    """The headline attack; another one that is clearly better, its interval lying above; or, where the headline attack found
    nothing, one that did.
    """
    headline, others = _on_model(attacks)
    better = others[others["auc_low"] > headline["auc_high"]]
    if len(better):
        return better.loc[better["auc"].idxmax()]
    if headline["p"] < ALPHA / 2 or not _is_found(headline, others):
        return headline
    return others.loc[others["p"].idxmin()]


def summary_of(
    verdict: str, attacks: pd.DataFrame, groups: pd.DataFrame, records: pd.DataFrame, about: Mapping[str, Any]
) -> str:
    """The findings in a few sentences, each of which stands in a table."""
    from mialib.plots.names import in_words  # late: plots draw, which takes long to import

    best = strongest(attacks)
    counts = f"{about['n_members']:,} members and {about['n_nonmembers']:,} non-members"
    ranks = (
        f"an attacker {ATTACKERS[best['attacker']]}, ranks with {in_words(best['attack'])} a member above a non-member in "
        f"{_percent(best['auc'])} of pairs [{_percent(best['auc_low'])}, {_percent(best['auc_high'])}]; a coin, in 50%"
    )
    if _is_swapped(attacks):
        headline, _ = _on_model(attacks)
        return (
            f"Non-members look more like members than members do ({in_words(headline['attack'])} ranks a member above a "
            f"non-member in {_percent(headline['auc'])} of pairs; the model is right on {_percent(about['train_accuracy'])} of "
            f"members, on {_percent(about['test_accuracy'])} of non-members). Are the two sides swapped, or were they drawn "
            "differently? This audit cannot say what the model gives away."
        )
    if verdict == "members differ":
        different = _different(attacks)
        blind = different.loc[different["auc"].idxmax()]
        who = "their records alone tell" if blind["attack"] == BLIND else "other models, which know of no member, tell"
        return (
            f"Members and non-members differ before the model is asked: {who} a member from a non-member in "
            f"{_percent(blind['auc'])} of pairs, and no attack on the model does clearly better ({ranks}). So this audit "
            "cannot say what the model gives away: give it non-members that were drawn like the members."
        )
    if verdict == "cannot tell":
        return (
            f"With {counts} this audit cannot tell whether the model leaks. {_capital(ranks)}: an interval that holds both "
            "chance and a leak. More records would narrow it."
        )
    if verdict == "no leak found":
        return (
            f"No attack told {counts} apart better than chance. {_capital(ranks)}. An AUC above {_ruled_out(best):.2f} is not "
            "compatible with these records, at 95%; a stronger attack, or other records, may still find something."
        )
    first = records.head(RANKED_FIRST)
    sentences = [
        f"The model gives away who was in its training set. {_capital(ranks)}.",
        _at_low_rates(best),
        f"Of the {len(first)} records that look most like members, {int(first['member'].sum())} are.",
    ]
    if best["epsilon"] > 0:
        sentences.append(
            f"No training that is ε-differentially private with ε below {best['epsilon']:.2f} leaks so much (95%; so many "
            f"records could have shown {best['epsilon_ceiling']:.2f} at most)."
        )
    sentences += _of_groups(groups)
    return " ".join(each for each in sentences if each)


def _at_low_rates(best: pd.Series) -> str:
    """At the lowest false positive rate that the records carry."""
    for fpr, words in ((0.001, "1 non-member in 1,000"), (0.01, "1 non-member in 100"), (0.1, "1 non-member in 10")):
        value = best.get(f"tpr_at_{fpr:g}", np.nan)
        if not np.isnan(value):
            low, high = best[f"tpr_at_{fpr:g}_low"], best[f"tpr_at_{fpr:g}_high"]
            ends = f"[{_percent(low)}, {_percent(high)}]"
            return f"At a threshold that accuses {words}, it finds {_percent(value)} of members {ends}."
    return ""


def _of_groups(groups: pd.DataFrame) -> list[str]:
    """The group that is most exposed, if any is more than the rest."""
    more = groups[groups["exposed"] == "more"] if len(groups) else groups
    if not len(more):
        return []
    worst = more.loc[more["auc"].idxmax()]
    name = f"class {worst['value']}" if worst["column"] == "class" else f"{worst['column']} {worst['value']}"
    kind = "classes" if (groups["column"] == "class").all() else "classes and groups"
    return [
        f"More exposed than the rest, even after a correction for so many looks: {len(more)} of {len(groups)} {kind}, most of "
        f"all {name} (AUC {worst['auc']:.2f} against {worst['auc_rest']:.2f})."
    ]


def assumptions_of(attacks: pd.DataFrame, about: Mapping[str, Any]) -> list[str]:
    """What the findings rest on, a sentence each."""
    said = [
        "Members were in the training set, non-members were not, and both were drawn alike.",
        f"The attacker knows a record's class, and sees {about['answers']}.",
    ]
    if about["answers"] == "labels":
        said.append("Answers are labels alone: probabilities would give away more.")
    said += [*_of_blinds(attacks)]
    for each in about["references"]:
        said.append(
            f"The {each['attacker']}'s {each['n']} references were trained on {each['size']:,} records each, the target on "
            f"{about['n_members']:,} that are known; they are right on {_percent(each['train_accuracy'])} of their own records "
            f"and {_percent(each['test_accuracy'])} of others, the target on {_percent(about['train_accuracy'])} and "
            f"{_percent(about['test_accuracy'])}."
        )
    if not about["references"]:
        said.append("No reference models were trained: attacks that compare a record with them find more.")
    if about["n_asked"] < about["n_given"]:
        said.append(
            f"Of {about['n_given']:,} records {about['n_asked']:,} were asked about, at random: the budget allows no more."
        )
    said.append("Rates for a single record are judged on one training of the target; another seed may expose other records.")
    return said


def _of_blinds(attacks: pd.DataFrame) -> Iterator[str]:
    different = set(_different(attacks)["attack"])
    for _, told in attacks[attacks["attack"].isin(BLINDS)].iterrows():
        what = "Records" if told["attack"] == BLIND else "References"
        yield (
            f"{what} alone, without the model, tell a member from a non-member in {_percent(told['auc'])} of pairs "
            f"[{_percent(told['auc_low'])}, {_percent(told['auc_high'])}]"
            + (": part of the leak may be that." if told["attack"] in different else ", which is chance.")
        )


def _percent(value: float) -> str:
    return "not known" if np.isnan(value) else f"{100 * value:.1f}%"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
