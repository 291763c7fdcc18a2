"""The claims about what stands around membership inference: each test on tables that pass it, and that do not; and saved."""

import numpy as np
import pandas as pd
import pytest
from test_scoreboard import location, save_run

from mialib import paper
from mialib.paper import board_since, saved, scoreboard
from mialib.paper.claims_related import RELATED_CLAIMS, RELATED_TABLES

RUN = "10_related_attacks"
USUAL = {"dataset": "location", "source": "real", "metric": "auc", "fpr": np.nan, "attack": "shokri"}


def row(value, half=0.01, **given):
    return USUAL | {"value": value, "low": value - half, "high": value + half} | given


def tables():
    """Tables of which every test holds."""
    picture = {"dataset": "cifar10", "access": "white box"}
    copy = {"records": "real", "metric": "agreement"}
    inside = {"access": "white box", "learned_on": "shadows", "metric": "auc_gain"}
    made = {
        "inversion_summary": [
            row(0.02, measure="farther than the class mean", **picture),
            row(0.005, measure="nearer to members", **picture),
            row(0.5, measure="auc", **picture),
            row(0.9, measure="recognised", **picture),
            row(0.9, measure="recognised", **picture | {"dataset": "mnist"}),
            row(0.1, measure="nearest member", **picture),
            row(0.5, measure="nearest member, relative", **picture),
        ],
        "equations": [
            USUAL | {"target": "amazon", "answers": "as they are", "n_queries": 447, "worst_error": 1e-5},
            USUAL | {"target": "amazon", "answers": "3 digits", "n_queries": 5000, "worst_error": 0.1},
        ],
        "extraction": [
            row(0.3, answers="vectors", n_queries=100, **copy),
            row(0.9, answers="vectors", n_queries=1000, **copy),
            row(0.8, answers="labels", n_queries=1000, **copy),
        ],
        "bridge": [
            row(0.8, way="the target's confidence"),
            row(0.7, way="copies as shadow models (vectors)"),
            row(0.6, way="inside the copy, confidence"),
        ],
        "white_box": [
            row(0.03, features="everything", **inside),
            row(-0.1, features="loss", **inside),
            row(-0.2, features="everything", **inside | {"learned_on": "known members"}),
        ],
        "overlaps": [
            row(0.005, share=0.5, metric="auc_gain"),
            row(0.02, share=1.0, metric="auc_gain"),
            row(0.02, share=1.0, metric="recall_gain"),
            row(-0.5, share=1.0, metric="auc_gain", attack="confidence"),
        ],
        "kinds": [row(0.7, kind="SVM"), row(0.4, kind="SVM", metric="precision")],
        "wrong_kind": [
            row(0.7, target_kind="SVM", shadow_kind="SVM"),
            row(0.6, target_kind="SVM", shadow_kind="network"),
            row(-0.1, target_kind="SVM", shadow_kind="network", metric="auc_gain"),
        ],
        "indirect": [row(0.8, app="all answers"), row(0.6, app="label alone"), row(0.1, app="label alone", attack="lira")],
    }
    return {name: pd.DataFrame(rows).reindex(columns=RELATED_TABLES[name]) for name, rows in made.items()}


def test_tables_that_say_what_the_paper_says_pass_every_test():
    claims = paper.related_claims(tables())
    assert set(claims["outcome"]) == {"holds"} and set(claims["claim"]) == set(RELATED_CLAIMS)
    assert not claims.duplicated(["claim", "test", "dataset"]).any()
    assert len(claims) == 4 + 1 + 1 + 2 + 1 + 3 + 1 + 2 + 1


SPOILED = {  # table, which row, what is put there, the test that fails for it
    "a picture near a member": ("inversion_summary", 0, {"high": -0.001}, "no nearer to a member"),
    "perhaps a copy": ("inversion_summary", 0, {"low": -0.081}, "no nearer to a member"),  # a copy: 0.02 - 0.1
    "nearer to members": ("inversion_summary", 1, {"low": 0.001}, "not nearer to members"),
    "perhaps nearer, as a copy is": ("inversion_summary", 1, {"high": 0.201}, "not nearer to members"),  # a copy: 0.1 / 0.5
    "ranks": ("inversion_summary", 2, {"high": 0.551}, "ranks records like a coin"),
    "ranks the other way": ("inversion_summary", 2, {"low": 0.449}, "ranks records like a coin"),
    "a digit that nobody knows": ("inversion_summary", 4, {"low": 0.49}, "recognised by most"),
    "inexact": ("equations", 0, {"worst_error": 0.002}, "every weight within 0.001"),
    "labels": ("extraction", 2, {"value": 0.91}, "agrees more often than labels"),
    "copies are blind": ("bridge", 1, {"low": 0.5}, "copies as shadow models"),
    "the copy tells": ("bridge", 2, {"high": 0.8}, "hidden better"),
    "nothing inside": ("white_box", 0, {"low": -0.001}, "beats the best black-box attack"),
    "no gain": ("overlaps", 1, {"low": -0.01}, "the attack of 2017 ranks better"),
    "no more members": ("overlaps", 2, {"low": -0.01}, "finds more members"),
    "worse": ("overlaps", 0, {"high": -0.01}, "rank worse"),
    "a kind that is safe": ("kinds", 0, {"low": 0.49}, "SVM: AUC above 0.5"),
    "a wrong guess is blind": ("wrong_kind", 1, {"low": 0.49}, "shadows of every other kind find members"),
    "a wrong guess is better": ("wrong_kind", 2, {"low": 0.01}, "no shadows of another kind do better"),
    "the app stops it": ("indirect", 1, {"low": 0.5}, "label alone"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_one_number_decides_one_test(case):
    name, at, put, words = SPOILED[case]
    made = tables()
    for column, value in put.items():
        made[name].loc[at, column] = value
    claims = paper.related_claims(made)
    (failed,) = claims.loc[claims["outcome"] == "fails", "test"]
    assert words in failed


def test_a_standin_shows_a_direction_and_nothing_shows_nothing():
    made = {"kinds": tables()["kinds"].assign(source="standin")}
    claims = paper.related_claims(made).set_index("claim")
    assert claims.loc["kinds", "outcome"] == "direction seen" and "AUC 0.700 [0.690, 0.710]" in claims.loc["kinds", "evidence"]
    assert set(claims["outcome"].drop("kinds")) == {"not run"}
    assert (paper.related_claims({})["outcome"] == "not run").all()


def test_tables_that_are_none_are_named():
    with pytest.raises(ValueError, match=r"tables must be one of inversion_summary, .*, got 'kind'"):
        paper.related_claims({"kind": pd.DataFrame()})
    with pytest.raises(TypeError, match=r"tables\['kinds'\] must be a pandas DataFrame, got list"):
        paper.related_claims({"kinds": []})
    with pytest.raises(ValueError, match=r"tables\['kinds'\] must have the columns dataset, .* lacks \['attack'\]"):
        paper.related_claims({"kinds": tables()["kinds"].drop(columns="attack")})


# Saved, and on the scoreboard


@pytest.fixture
def results(tmp_path):
    save_run(tmp_path / "results", location())
    folder = save_run(tmp_path / "results", pd.DataFrame(), "paper", RUN, {"location": "real", "cifar10": "real"})
    (folder / "compared.csv").unlink()
    paper.related_claims(tables()).to_csv(folder / "related_claims.csv", index=False)
    return tmp_path / "results"


def test_the_claims_of_10_are_read_and_counted(results):
    study = saved.read_runs("paper", results=results)
    table = board_since.claims_around(study.around)
    assert table["claim"].tolist() == paper.related_claims(tables())["claim"].tolist()
    assert set(table["statement"]) == set(RELATED_CLAIMS.values())
    counts = board_since.outcome_counts(table).set_index("claim")
    assert counts.loc["inversion", "holds"] == 4 and [*counts] == ["statement", "holds"]
    line = scoreboard.run_list(study.runs).set_index("notebook").loc[RUN]
    assert (line["values"], line["claims"]) == (0, len(table))


def test_without_10_its_claims_are_not_run(results):
    for path in (results / "paper" / RUN).iterdir():
        path.unlink()
    study = saved.read_runs("paper", results=results)
    assert study.around is None and scoreboard.run_list(study.runs).set_index("notebook").loc[RUN, "run"] == "not run"
    assert set(board_since.claims_around(None)["outcome"]) == {"not run"}
    assert [*board_since.outcome_counts(board_since.claims_around(None))] == ["claim", "statement", "not run"]


def test_a_wrong_saved_claim_is_named_by_file_and_line(results):
    path = results / "paper" / RUN / "related_claims.csv"
    table = pd.read_csv(path)
    table.loc[1, "claim"] = "theft"
    table.to_csv(path, index=False)
    with pytest.raises(
        ValueError, match=rf"results/paper/{RUN}/related_claims\.csv, line 3 .*claim is 'theft'; allowed are: inv"
    ):
        saved.read_runs("paper", results=results)


def test_10_alone_is_not_enough(results):
    for path in (results / "paper" / "04_location").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="nothing was run"):
        saved.read_runs("paper", results=results)
