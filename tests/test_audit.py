"""Audits from end to end: what users bring, what they get, what is refused, and what is left behind."""

import json
import logging
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from served import Served
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from torch import nn

from mialib import audit
from mialib.audit import engine, plan, private, targets
from mialib.audit.asking import rows_within
from mialib.audit.given import given
from mialib.training import EstimatorTrainer, FunctionTrainer


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Private folders of audits are made here."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("mialib-audits-*/*")]


def people(n=240, seed=0):
    """A table of mixed columns, some values missing, and labels that are texts."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "town": pd.Categorical(rng.choice(["Bern", "Uri", "Zug"], n)),
            "pay": rng.lognormal(size=n),
            "sex": rng.choice(["f", "m"], n),
        }
    )
    noise = rng.normal(scale=15, size=n)
    label = np.where(frame["age"] + 20 * (frame["town"] == "Uri") + noise > 60, "high", "low")
    return frame, pd.Series(label, name="income")


def pipeline(depth=None):
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["town", "sex"]), remainder="passthrough")
    return make_pipeline(columns, DecisionTreeClassifier(max_depth=depth, min_samples_leaf=2, random_state=0))


def halves(n_members=140):
    x, y = people()
    return (x[:n_members], y[:n_members]), (x[n_members:], y[n_members:])


@pytest.fixture(scope="module")
def audited():
    """A pipeline that memorises, on a table of unequal sides, with two columns to look at."""
    members, nonmembers = halves()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", folder)
        target = pipeline().fit(*members)
        return audit.model(target, members, nonmembers, n_shadows=8, groups=["sex", "age"])


def test_a_pipeline_on_a_table_is_audited_as_it_is(audited):
    assert audited.verdict == "leaks" and "gives away who was in its training set" in audited.summary
    first = int(audited.records["member"].head(30).sum())
    assert f"Of the 30 records that look most like members, {first} are." in audited.summary and first > 20
    attacks = audited.attacks
    assert set(attacks["attacker"]) == {"no shadows", "auditor"} and attacks["headline"].sum() == 1
    assert {"confidence", "quantile", "blind", "lira_online_global", "rmia_online", "shokri", "label_noise"} <= {
        *attacks["attack"]
    }
    assert ((attacks["auc_low"] <= attacks["auc"]) & (attacks["auc"] <= attacks["auc_high"])).all()
    assert (attacks["n_members"].max(), attacks["n_nonmembers"].max()) == (140, 100)
    assert (attacks["epsilon"] <= attacks["epsilon_ceiling"] + 1e-9).all()
    rehearsed = (attacks["attacker"] == "auditor") & (attacks["attack"] != "blind_references")
    assert (attacks["threshold_set_on"] == np.where(rehearsed, "references", "the other half of the records")).all()


def test_records_are_named_as_their_table_names_them(audited):
    records = audited.records
    assert len(records) == 240 and records["rank"].tolist() == [*range(1, 241)]
    assert (records.loc[records["member"], "index"] == records.loc[records["member"], "record"]).all()
    assert (records.loc[~records["member"], "index"] == records.loc[~records["member"], "record"] + 140).all()
    assert records["score"].dropna().is_monotonic_decreasing
    told = records.dropna(subset=["probability_in", "probability_out"])
    assert told["probability_in"].mean() > told["probability_out"].mean() + 0.05
    assert records["seeds_in"].isin([3, 4, 5]).all() and records["seeds_agree"].dropna().between(0, 1).all()
    assert set(records["label"]) == {"high", "low"}


def test_the_moment_is_the_record_at_the_top(audited):
    moment, top = audited.moment, audited.records.iloc[0]
    (x, _), (others, _) = halves()
    record = (x if top["member"] else others).loc[top["index"]]
    assert {name: str(value) for name, value in moment.fields.items()} == {name: str(value) for name, value in record.items()}
    assert (moment.label, moment.member) == (top["label"], top["member"])
    assert moment.score == pytest.approx(top["score"]) and moment.target == pytest.approx(top["probability"])
    assert np.mean(moment.members) == pytest.approx(top["probability_in"])
    assert np.mean(moment.strangers) == pytest.approx(top["probability_out"])


def test_groups_are_classes_and_the_columns_that_were_named(audited):
    groups = audited.groups
    assert set(groups["column"]) == {"class", "sex", "age"}
    for _, rows in groups.groupby("column"):
        assert (rows["n_members"].sum(), rows["n_nonmembers"].sum()) == (140, 100)
    assert len(groups[groups["column"] == "age"]) == 4  # quarters
    assert set(groups["exposed"]) <= {"more", "less", "no difference shown", "too few records"}
    assert (groups["p"].isna() == (groups["exposed"] == "too few records")).all()


def test_mitigations_are_measured_beside_none(audited):
    remedies = audited.remedies.set_index(["measured_on", "mitigation"])
    assert remedies.loc[("target", "none"), "auc_change"] == 0 == remedies.loc[("references", "none"), "accuracy_change"]
    assert ("references", "min_samples_leaf 20, not 2") in remedies.index
    assert remedies.loc[("references", "min_samples_leaf 20, not 2"), "auc_change"] < 0
    assert remedies.loc[("target", "the label alone"), "auc"] <= remedies.loc[("target", "none"), "auc_high"]


def test_all_that_determines_an_audit_is_json(audited):
    about = json.loads(json.dumps(dict(audited.about), allow_nan=False))
    assert about["n_shadows"] == 8 and about["answers"] == "full vectors" and about["classes"] == ["high", "low"]
    assert about["references"][0]["size"] == 120 and about["rows_asked"] >= 240


def test_an_audit_is_the_same_again(audited):
    members, nonmembers = halves()
    again = audit.model(pipeline().fit(*members), members, nonmembers, n_shadows=8, groups=["sex", "age"])
    pd.testing.assert_frame_equal(again.attacks, audited.attacks)
    pd.testing.assert_frame_equal(again.records, audited.records)


def test_nothing_is_left_behind_unless_asked(temporary, monkeypatch):
    store = temporary / "store"
    monkeypatch.setenv("MIALIB_CACHE", str(store))
    members, nonmembers = halves()
    target = pipeline(3).fit(*members)
    first = audit.model(target, members, nonmembers, n_shadows=6)
    assert left_behind(temporary) == [] and not [*store.rglob("*.npz")]
    kept = audit.model(target, members, nonmembers, n_shadows=6, keep=True)
    assert [*store.rglob("*.npz")] and left_behind(temporary) == []
    pd.testing.assert_frame_equal(first.attacks, kept.attacks)


class Broken(Exception):
    pass


def test_a_stopped_audit_goes_on_with_what_was_trained(temporary, monkeypatch):
    monkeypatch.delenv("MIALIB_CACHE", raising=False)
    members, nonmembers = halves()
    target = DecisionTreeClassifier(min_samples_leaf=2).fit(members[0][["age", "pay"]], members[1])
    members, nonmembers = ((x[["age", "pay"]], y) for x, y in (members, nonmembers))

    def stop(*_):
        raise Broken

    with monkeypatch.context() as patch:
        patch.setattr(engine, "without_shadows", stop)
        with pytest.raises(Broken):
            audit.model(target, members, nonmembers, n_shadows=6)
    assert len(left_behind(temporary)) == 1
    (folder,) = temporary.glob("mialib-audits-*")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    trained = []
    fit_many = EstimatorTrainer.fit_many
    monkeypatch.setattr(plan, "_seconds", lambda *_: "")

    def counted(self, dataset, rows, seed, first=0):
        trained.append(rows.shape)
        return fit_many(self, dataset, rows, seed, first)

    monkeypatch.setattr(EstimatorTrainer, "fit_many", counted)
    audit.model(target, members, nonmembers, n_shadows=6)
    assert sum(k for k, n in trained) == 6  # of the other training that is compared; of the references, none
    assert left_behind(temporary) == []


def test_a_folder_that_others_may_read_is_refused(temporary):
    folder = temporary / f"mialib-audits-{os.getuid()}"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with pytest.raises(PermissionError, match="its user alone may read"), private.kept_until_done(False, "audit"):
        pass


def digits(n=300):
    x, y = load_digits(return_X_y=True)
    return x[:n], y[:n]


def fit_network(x, y, seed):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    records, labels = torch.as_tensor(np.asarray(x)).float() / 16, torch.as_tensor(np.asarray(y))
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(records), labels).backward()
        optimizer.step()
    return network.eval()


class Scaled(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x / 16)


def fit_scaled(x, y, seed):
    return Scaled(fit_network(x, y, seed)).eval()


def test_a_torch_network_with_a_loop_of_ones_own_is_audited():
    x, y = digits()
    network = fit_scaled(x[:150], y[:150], 0)
    found = audit.model(network, (x[:150], y[:150]), (x[150:], y[150:]), trainer=FunctionTrainer(fit_scaled), n_shadows=6)
    assert found.about["trainer"] == "FunctionTrainer" and found.about["references"][0]["train_accuracy"] > 0.95
    assert found.about["train_accuracy"] > found.about["test_accuracy"]


def test_an_outsider_is_told_apart_from_the_auditor():
    x, y = digits(900)
    target = DecisionTreeClassifier(random_state=0).fit(x[:200], y[:200])
    found = audit.model(target, (x[:200], y[:200]), (x[200:400], y[200:400]), pool=(x[400:], y[400:]), n_shadows=6)
    by_attacker = found.attacks.groupby("attacker")["attack"].agg(set)
    assert "lira_online_global" in by_attacker["auditor"] and "lira_online_global" not in by_attacker["outsider"]
    assert {"shokri", "watson", "rmia_offline"} <= by_attacker["outsider"]
    assert [each["attacker"] for each in found.about["references"]] == ["auditor", "outsider"]
    assert found.about["references"][1]["size"] == 200 and found.about["n_pool"] == 500


# What is answered


@pytest.mark.parametrize(
    "shown, kind",
    [
        (lambda p: p, "full vectors"),
        (lambda p: p.round(2), "vectors in steps of 0.01"),
        (lambda p: np.where(p >= np.sort(p, 1)[:, -3:-2], p, 0), "the 3 highest probabilities"),
        (lambda p: p.argmax(1), "labels"),
        (lambda p: np.eye(10)[p.argmax(1)], "labels"),
    ],
)
def test_it_finds_out_what_is_answered(shown, kind):
    x, y = digits()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(x[:150], y[:150])
    judged = given((x[:150], y[:150]), (x[150:], y[150:]))
    target = targets.target_of(lambda records: shown(model.predict_proba(records)))
    found = targets.answers_of(target, judged.judged, judged.member)
    assert found.kind == kind
    assert (found.predictions.argmax(1) == model.predict_proba(x).argmax(1)).mean() > 0.98
    assert (found.sees is None) == (kind == "full vectors")
    if found.sees is not None:  # references carry the same
        full = model.predict_proba(x).astype(np.float32)
        np.testing.assert_allclose(found.sees(full), found.predictions, atol=1e-6)


def test_a_classifier_of_labels_alone_is_audited_by_its_labels(caplog):
    x, y = digits()
    target = make_pipeline(StandardScaler(), LinearSVC()).fit(x[:150], y[:150])
    found = audit.model(target, (x[:150], y[:150]), (x[150:], y[150:]), n_shadows=6)
    assert found.about["answers"] == "labels" and "labels alone" in " ".join(found.assumptions)
    assert {"label_gap", "label_noise"} <= {*found.attacks["attack"]}
    assert set(found.remedies["kind"]) == {"none", "training"}  # no filter shows less than a label


def test_a_service_is_asked_within_its_budget_and_never_twice(temporary, monkeypatch):
    monkeypatch.delenv("MIALIB_CACHE", raising=False)
    x, y = digits()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(x[:150], y[:150])
    pairs = (x[:150], y[:150]), (x[150:], y[150:])
    with Served(model, faults={3: "500"}) as server:
        with pytest.raises(OSError, match="500"):
            audit.model(audit.Remote(server.url, model="digits", batch=20, max_queries=300), *pairs)
        assert sum(server.rows) == 60 and len(left_behind(temporary)) == 1
        remote = audit.Remote(server.url, model="digits", batch=20, max_queries=300)
        found = audit.model(remote, *pairs)
        assert remote.queries == 240 and sum(server.rows) == 300 and left_behind(temporary) == []
    assert found.about["target"].startswith("service at http://127.0.0.1") and found.about["n_asked"] == 300
    assert set(found.attacks["attacker"]) == {"no shadows"}


def test_a_budget_asks_about_some_of_both_sides():
    x, y = digits()
    whole = given((x[:200], y[:200]), (x[200:], y[200:]))
    for budget in (60, 150, 250, 299, 300, 1000):
        rows = rows_within(whole, budget, seed=0)
        assert len(rows) == min(budget, 300) == len(np.unique(rows))
        inside = int((rows < 200).sum())
        assert inside == (min(budget // 2, 200) if budget <= 200 else min(200, budget - 100))
    constant = audit.model(answering(np.full((300, 10), 0.1)), (x[:200], y[:200]), (x[200:], y[200:]), max_queries=100)
    assert constant.about["n_asked"] == 100 == constant.about["rows_asked"]
    records = constant.records
    assert (records["record"] == records["index"]).all() and records["record"].max() > 100  # places among all that were given
    assert "Of 300 records 100 were asked" in " ".join(constant.assumptions)


# Files of answers


def test_two_files_of_answers_are_audited_without_a_model(tmp_path):
    (x, y), (others, z) = halves()
    model = pipeline().fit(x, y)
    for name, records, labels in (("in", x, y), ("out", others, z)):
        table = records.assign(income=labels, **{f"p_{c}": p for c, p in zip(model.classes_, model.predict_proba(records).T)})
        table.assign(person=[f"{name}{i}" for i in range(len(table))]).to_csv(tmp_path / f"{name}.csv", index=False)
    found = audit.answers(tmp_path / "in.csv", tmp_path / "out.csv", label="income", groups=["sex"])
    assert found.verdict == "leaks" and set(found.attacks["attacker"]) == {"no shadows"}
    assert {"confidence", "quantile", "blind"} <= {*found.attacks["attack"]}
    assert set(found.groups["column"]) == {"class", "sex"} and found.moment is None
    assert "No reference models were trained" in " ".join(found.assumptions)
    blind = found.attacks.set_index("attack").loc["blind", "auc"]
    assert blind < 0.7  # a column that names each record tells nothing


def test_sides_that_were_swapped_are_no_leak_and_no_comfort():
    members, nonmembers = halves(120)
    target = pipeline().fit(*members)
    found = audit.model(target, nonmembers, members, n_shadows=6)
    assert found.verdict == "members differ" and "Are the two sides swapped" in found.summary
    assert repr(found).startswith("Audit(members differ: Non-members look more like members")


def test_one_table_on_two_sides_is_refused():
    (x, y), _ = halves()
    table = x.assign(truth=y, p_high=np.linspace(0, 1, len(x)), p_low=1 - np.linspace(0, 1, len(x)))
    with pytest.raises(ValueError, match="different records, got 140 of 140 nonmembers' rows that are among the members'"):
        audit.answers(table, table, label="truth")


def test_an_array_of_numbers_and_texts_is_a_table():
    x, y = people()
    mixed = x[["pay", "sex"]].to_numpy(object)
    model = make_pipeline(make_column_transformer((OneHotEncoder(), [1]), remainder="passthrough"), DecisionTreeClassifier())
    whole = given((mixed[:140], y[:140]), (mixed[140:], y[140:]))
    assert whole.dataset.x.shape == (240, 1 + 3) and whole.dataset.records(np.array([3]))[0, 1] == mixed[3, 1]
    answering = targets.answers_of(targets.target_of(model.fit(mixed[:140], y[:140])), whole.judged, whole.member)
    assert answering.predictions.shape == (240, 2)


def test_labels_of_a_service_in_the_wrong_order_are_named():
    x, y = digits()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(x[:150], y[:150])
    with Served(model) as server, pytest.raises(ValueError, match="far better"):
        wrong = audit.Remote(server.url, model="digits", classes=[1, 2, 3, 4, 5, 6, 7, 8, 9, 0])
        audit.model(wrong, (x[:150], y[:150]), (x[150:], y[150:]))


def test_a_model_that_cannot_answer_is_told_so_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(EstimatorTrainer, "fit_many", None)
    with pytest.raises(ValueError, match="not fitted"):
        audit.model(DecisionTreeClassifier(), *pairs())


# Bad input


def pairs(n_members=40, n=80, classes=2):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3))
    y = np.arange(n) % classes
    return (x[:n_members], y[:n_members]), (x[n_members:], y[n_members:])


FLAT = np.full((80, 2), 0.5)


def answering(answers):
    def model(records):
        return answers[: len(records)]

    return model


def with_shared():
    (x, y), (z, w) = pairs()
    return (x, y), (np.concatenate([z, x[:3]]), np.concatenate([w, y[:3]]))


def with_columns(columns):
    (x, y), (z, w) = halves()
    return (x, y), (z.rename(columns=columns), w)


def lacking_class():
    (x, y), (z, w) = pairs(classes=4)
    return (x, y), (z[w != 3], w[w != 3])


def with_nan():
    answers = FLAT.copy()
    answers[7, 1] = np.nan
    return answers


FITTED = DecisionTreeClassifier().fit(*pairs()[0])


@pytest.mark.parametrize(
    "call, error, words",
    [
        (
            lambda: audit.model(answering(FLAT), *with_shared()),
            ValueError,
            r"must share no record, got 3 of members .* \(records 0, 1, 2\)",
        ),
        (
            lambda: audit.model(answering(FLAT), *pairs(), pool=pairs()[1]),
            ValueError,
            "nonmembers and pool must share no record, got 40 of nonmembers",
        ),
        (
            lambda: audit.model(answering(FLAT), *with_columns({"pay": "wage"})),
            ValueError,
            "nonmembers must have the members' columns: it lacks pay, and has wage",
        ),
        (
            lambda: audit.model(FITTED, (pairs()[0][0], pairs()[0][1] + 1), pairs()[1]),
            ValueError,
            "labels must be among those that the model knows, 0, 1, got 2",
        ),
        (lambda: audit.model(answering(FLAT), *lacking_class()), ValueError, r"got none among nonmembers of 3 \(10 members\)"),
        (
            lambda: audit.model(answering(FLAT * 0.8), *pairs()),
            ValueError,
            "rows that sum to one within 1e-3, row 0 sums to 0.8",
        ),
        (
            lambda: audit.model(answering(with_nan()), *pairs()),
            ValueError,
            "finite numbers, got 1 that are not, first for record 7",
        ),
        (
            lambda: audit.model(answering(FLAT[:40]), *pairs()),
            ValueError,
            r"a row a record, \(80, 2\) or 80 labels, got shape \(40, 2\)",
        ),
        (lambda: audit.model(answering(np.full((80, 3), 1 / 3)), *pairs()), ValueError, "a probability for each of 2 classes"),
        (lambda: audit.model(answering(np.full(80, "x")), *pairs()), ValueError, r"labels among \[0, 1\] …, got 'x'"),
        (
            lambda: audit.model(answering(FLAT), *pairs(), max_queries=20),
            ValueError,
            "allow at least 50 rows, .* got 20; 80 would ask",
        ),
        (lambda: audit.model(answering(FLAT), *pairs(20, 40)), ValueError, "at least 50 records together, .* got 20 and 20"),
        (lambda: audit.model(answering(FLAT), *pairs(75)), ValueError, "and 10 each, .* got 75 and 5"),
        (lambda: audit.model(answering(FLAT), pairs()[0][0], pairs()[1]), TypeError, r"members must be a pair \(x, y\)"),
        (
            lambda: audit.model(answering(FLAT), (pairs()[0][0], [0, 1]), pairs()[1]),
            ValueError,
            "a label for each, got 40 and labels",
        ),
        (
            lambda: audit.model(DecisionTreeClassifier, *pairs()),
            TypeError,
            "a fitted model, got the class DecisionTreeClassifier",
        ),
        (lambda: audit.model(LinearSVC(), *pairs()), TypeError, "got a LinearSVC that is not fitted"),
        (
            lambda: audit.model(DecisionTreeRegressor().fit(*pairs()[0]), *pairs()),
            TypeError,
            "DecisionTreeRegressor: no classifier",
        ),
        (lambda: audit.model(object(), *pairs()), TypeError, "target must have predict_proba, .* got a object"),
        (lambda: audit.model(FITTED, *pairs(), n_shadows=4), ValueError, "n_shadows must be at least 6, got 4"),
        (lambda: audit.model(FITTED, *pairs(), trainer=3), TypeError, "trainer must have fit_many and keys"),
        (lambda: audit.model(FITTED, *pairs(), groups="sex"), TypeError, r"write \['sex'\]"),
        (
            lambda: audit.model(FITTED, *pairs(), groups=["sex"]),
            ValueError,
            "columns of x, of which an array has none, got sex",
        ),
        (lambda: audit.model(FITTED, *pairs(), groups={"sex": ["f"]}), ValueError, r"a value a record, members first, \(80,\)"),
        (
            lambda: audit.model(FITTED, (halves()[0]), pairs()[1]),
            TypeError,
            "nonmembers must be of one kind with members, DataFrame",
        ),
        (
            lambda: audit.model(FITTED, pairs()[0], (np.zeros((9, 4)), np.zeros(9))),
            ValueError,
            r"of the members' shape, \(3,\)",
        ),
        (lambda: audit.model(FITTED, (pairs()[0][0], [None] * 40), pairs()[1]), ValueError, "labels must be known, got 40"),
        (lambda: audit.model(FITTED, *pairs(), seed=-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: audit.model(FITTED, *pairs(), keep="yes"), TypeError, "keep must be True or False"),
    ],
)
def test_what_cannot_be_audited_is_named(call, error, words, temporary):
    with pytest.raises(error, match=words):
        call()


def test_copies_on_one_side_are_counted(caplog):
    (x, y), others = pairs()
    with caplog.at_level(logging.WARNING):
        given((np.concatenate([x, x[:5]]), np.concatenate([y, y[:5]])), others)
    assert "5 of members are copies of others on their side" in caplog.text


def test_the_front_of_the_room_is_cheap():
    code = "import sys; from mialib import audit; print({'torch', 'sklearn', 'pandas', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
