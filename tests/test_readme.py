"""README's promises: its example runs as printed, and its numbers are those of the committed results."""

import re
from functools import partial
from pathlib import Path

import pytest

from mialib import runs
from mialib.data import loading
from mialib.paper.board_since import ALL_OUTCOMES
from mialib.paper.claims_related import RELATED_CLAIMS
from mialib.paper.claims_since import MODERN_CLAIMS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_examples_of_an_audit_run_as_printed(monkeypatch, capsys, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    examples = [block for block in blocks if "dask_jobqueue" not in block]  # that one needs a SLURM
    assert len(examples) == 4 and "audit.model" in examples[0] and "FunctionTrainer" in examples[1]
    monkeypatch.setattr("mialib.data.loading.load", partial(loading.load, mode="standin"))  # no test needs a network
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile("\n".join(examples), "README.md", "exec"), names)
    assert names["audited"].verdict == "leaks" and (tmp_path / "report" / "report.html").is_file()
    printed = capsys.readouterr().out
    precision = float(re.search(r"'precision': ([0-9.]+)", printed)[1])
    assert precision > 0.8  # a random forest answers its own training records with far more confidence
    assert float(printed.split()[-1]) > 0.5, "LiRA must find most of its members at one false accusation in 100"


def test_the_pictures_that_readme_shows_are_there():
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (ROOT / picture).exists(), picture


def committed(run, notebook, table):
    """A table of a committed run; the test is skipped where the run is not in this checkout."""
    folder = ROOT / "results" / run / notebook
    if not folder.exists():
        pytest.skip(f"results/{run}/{notebook} is not in this checkout")
    return runs.read_table(folder, table)


COMPARED = sorted((ROOT / "results").glob("paper*/[0-9]*/compared.csv"))


@pytest.mark.parametrize("path", COMPARED, ids=lambda path: path.parent.name)
def test_the_numbers_of_table_two_are_those_of_the_committed_runs(path):
    compared = runs.read_table(path.parent, "compared")
    rows = compared[(compared["id"] == "T2") & (compared["metric"] == "attack_precision")]
    for row in rows[rows["our_target"] == "google surrogate"].itertuples():
        ours = f"| {row.published:.3f} | {row.value:.3f} [{row.low:.3f}, {row.high:.3f}] |"
        assert ours in README, f"README lacks {row.dataset}: {ours}"


def test_the_location_numbers_are_those_of_the_committed_run():
    compared = committed("paper", "04_location", "compared")
    rows = compared[(compared["id"] == "F8") & (compared["metric"] == "attack_precision")]
    assert len(rows) == 10
    for row in rows.itertuples():
        ours = f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"
        assert ours in README, f"README lacks {row.our_target} {row.setting} {row.variant}: {ours}"


@pytest.mark.parametrize("name", ["01_cifar10", "02_cifar100"])
def test_the_medians_on_cifar_are_those_of_the_committed_runs(name):
    compared = committed("paper", name, "compared")
    rows = compared[(compared["metric"] == "attack_precision_p50") & compared["counts"]]
    assert len(rows) >= 2
    for row in rows.itertuples():
        ours = f"| {row.published:.2f} | {row.value:.3f} [{row.low:.3f}, {row.high:.3f}] |"
        assert ours in README, f"README lacks {row.dataset} at {row.our_train_size:,.0f}: {ours}"


def test_the_numbers_of_made_up_shadow_data_are_those_of_the_committed_run():
    summary = committed("paper-standin", "07_shadow_data", "summary").query("attack == 'one network a class'")
    wide = summary.pivot_table(index=["dataset", "our_target", "setting"], columns="metric", values="value").dropna()
    assert len(wide) >= 10
    for row in wide.itertuples():
        assert f"{row.precision:.3f} / {row.recall:.3f}" in README, row.Index


def test_the_numbers_of_mitigations_are_those_of_the_committed_run():
    leakage = committed("paper-standin", "08_mitigations", "leakage").query(
        "variant == 'aware' and attack == 'one network a class'"
    )
    wide = leakage.pivot_table(index=["dataset", "setting"], columns="metric", values="value")
    for setting in ("none", "top_k=1_label_only", "temperature_t=20", "l2_lambda=1e-3", "epochs=5"):
        for row in wide.xs(f"mitigation:{setting}", level="setting").itertuples():
            assert f"{row.target_test_accuracy:.3f} / {row.attack_accuracy:.3f}" in README, (setting, row.Index)


def test_what_explains_cifar_is_that_of_the_committed_runs():
    repaired = committed("paper", "01_cifar10", "without_failed").query("train_size == 10000 and metric == 'precision_p50'")
    explained = committed("paper", "02_cifar100", "explained").query(
        "train_size == 10520 and variant == 'none' and attack == 'one threshold a class' and metric == 'precision_p50'"
    )
    medians = explained.set_index("shadows")["value"]
    for value in (repaired["value"].item(), medians["the target's own"], medians["all"]):
        assert f"{value:.3f}" in README, f"README lacks {value:.3f}"


def test_the_members_found_after_2017_are_those_of_the_committed_run():
    rates = committed("paper-standin", "09_modern_attacks", "rates")
    targets = committed("paper-standin", "09_modern_attacks", "targets")
    at_low = rates[(rates["metric"] == "tpr") & (rates["fpr"] == 0.001) & ~rates["pooled"]].set_index(["dataset", "attack"])
    average = rates[rates["metric"] == "balanced_accuracy"].set_index(["dataset", "attack"])["value"]
    for row in targets.itertuples():
        found = [f"{100 * at_low['value'][row.dataset, a]:.1f}%" for a in ("confidence", "shokri", "watson", "rmia_online")]
        lira = at_low.loc[(row.dataset, "lira_online_global")]
        best = f"{100 * lira['value']:.1f}% [{100 * lira['low']:.1f}, {100 * lira['high']:.1f}]"
        front = f"{row.n_models} x {row.members:,} | {row.test_accuracy:.3f} | {average[row.dataset, 'shokri']:.3f}"
        assert f"| {' | '.join([front, *found, best])} |" in README, f"README lacks {row.dataset}"


def test_what_stands_around_the_attack_is_that_of_the_committed_run():
    tables = {
        "inversion_summary": "measure == 'auc' and access == 'white box'",
        "bridge": "metric == 'auc' and way in ['inside the copy', 'inside a shadow model', 'shadow models']",
        "white_box": "metric == 'auc' and learned_on == 'shadows' and features in ['everything', 'answers']",
        "overlaps": "metric == 'auc' and attack == 'shokri' and share in [0, 1]",
        "indirect": "metric == 'auc' and attack == 'shokri' and app in ['all answers', 'label alone']",
    }
    for name, asked in tables.items():
        rows = committed("paper-standin", "10_related_attacks", name).query(asked)
        rows = rows[rows["dataset"] == "location"] if name == "indirect" else rows
        assert len(rows) >= 2, name
        for row in rows.itertuples():
            assert f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]" in README, (name, row)


@pytest.mark.parametrize(
    ("notebook", "table", "claims"),
    [("09_modern_attacks", "modern_claims", MODERN_CLAIMS), ("10_related_attacks", "related_claims", RELATED_CLAIMS)],
)
def test_the_tests_of_claims_are_counted_as_in_the_committed_run(notebook, table, claims):
    said = committed("paper-standin", notebook, table)
    for claim, statement in claims.items():
        counts = said.loc[said["claim"] == claim, "outcome"].value_counts()
        tests = [f"{outcome} ({counts[outcome]})" for outcome in ALL_OUTCOMES if outcome in counts]
        assert f"{statement} | {', '.join(tests)} |" in README, claim
