"""Kinds of model as targets and as shadows: the same splits for all, and tables of right and wrong guesses."""

import joblib
import numpy as np
import pytest

from mialib import plots
from mialib.attack.thresholds import confidence_threshold
from mialib.core.types import AttackData, Dataset
from mialib.study import experiments, kinds
from mialib.study.experiments import Case, Trial
from mialib.training.networks import mlp
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe

NETWORK = NeuralTrainer(lambda: mlp(12, 3, 8), Recipe(2, 10, 0.05), "cpu", chunk=4)
THRESHOLD = {"confidence": confidence_threshold}
TPR = {"metric": "tpr", "attack": "confidence", "fpr": 0.01}


@pytest.fixture(autouse=True)
def in_this_process():
    """Workers of their own take seconds to start."""
    with joblib.parallel_config(backend="threading"):
        yield


def tiny(name="location"):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 240)
    x = (rng.random((240, 12)) < 0.3 + 0.4 * (np.arange(12) % 3 == y[:, None])).astype(np.uint8)
    return Dataset(name, x, y, 3, "real")


def planned(**other):
    sizes = {"train_size": 30, "n_targets": 2, "n_shadows": 2, "seed": 7}
    return kinds.kind_experiments(**{"dataset": tiny(), "network": NETWORK} | sizes | other)


def test_every_kind_has_the_same_splits():
    rows = [[split.rows.tolist() for job in experiments.plan_jobs(e) for split in job.splits] for e in planned()]
    assert len(rows) == 7 and all(each == rows[0] for each in rows)
    assert [e.our_target for e in planned()] == list(kinds.MODEL_KINDS)


@pytest.mark.parametrize("kind", kinds.ESTIMATORS)
def test_every_kind_learns_answers_probabilities_and_depends_on_its_seed_alone(kind):
    (e,) = planned(kinds=[kind])
    dataset, rows = e.dataset, np.arange(120)[None]
    first, again = (e.trainer.fit_many(dataset, rows, 3)[0].predict_proba(dataset.x) for _ in range(2))
    assert np.array_equal(first, again)
    assert np.allclose(first.sum(1), 1, atol=1e-5) and first.shape == (240, 3)
    assert (first.argmax(1) == dataset.y)[120:].mean() > 0.6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kinds": ["SVM", "tree"]}, "kinds must be one of network, SVM, .*, naive Bayes, got 'tree'"),
        ({"kinds": []}, "kinds must hold at least one kind, each once"),
        ({"kinds": ["SVM", "SVM"]}, "kinds must hold at least one kind, each once"),
        ({"n_shadows": 0}, "n_shadows must be at least 1, got 0"),
        ({"train_size": 2}, "train_size must be larger .the SVM is calibrated on 2 folds.*, got 2"),
    ],
)
def test_bad_input_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        planned(**change)


def test_records_must_be_bits():
    pixels = Dataset("mnist", np.full((9, 4, 4), 255, np.uint8), np.zeros(9, np.int64), 2, "real")
    with pytest.raises(ValueError, match=r"dataset must hold records of bits, uint8 \(n, d\), got uint8 of shape \(9, 4, 4\)"):
        planned(dataset=pixels)


def planted(kind, target, sure, unsure, seed):
    """A trial whose models are `sure` of members and `unsure` of others."""
    rng, member = np.random.default_rng(seed), np.arange(400) < 200
    p = np.where(member, sure, unsure) + rng.uniform(-0.05, 0.05, 400)
    labels = rng.integers(0, 2, 400)
    predictions = np.stack([np.where(labels == c, p, 1 - p) for c in (0, 1)], 1).astype(np.float32)
    data = AttackData(predictions, labels, member)
    return Trial(Case("location", "real", kind, 200, "shadow:real", "none"), target, data, lambda: data, 1)


def both():
    """Kinds that leak alike, on scales of their own: what one says of members, the other says of non-members."""
    return [planted(kind, t, *sure, 9 * t) for kind, sure in (("A", (0.9, 0.7)), ("B", (0.7, 0.55))) for t in (0, 1)]


def test_the_right_kind_is_told_and_a_kind_on_another_scale_is_not():
    table = kinds.wrong_kind_table(both(), THRESHOLD)
    assert list(table)[:7] == ["dataset", "source", "target_kind", "shadow_kind", "attack", "metric", "fpr"]
    found = table.set_index(["target_kind", "shadow_kind", "metric"])["value"]
    assert found["A", "A", "precision"] == 1 and found["A", "A", "recall"] == 1
    assert found["A", "B", "precision"] == 0.5  # B's threshold calls everything that A says a member
    assert found["B", "A", "recall"] == 0
    assert found["A", "B", "precision_gain"] == -0.5 and found["B", "A", "recall_gain"] == -1
    assert found["A", "B", "auc"] == 1  # one threshold ranks as it did, wherever it was learned
    assert ("A", "A", "auc_gain") not in found.index


def test_an_attack_is_fitted_once_on_shadows_that_serve_for_all_kinds():
    fitted = []
    kinds.wrong_kind_table(both(), {"confidence": lambda data: fitted.append(data) or confidence_threshold(data)})
    assert len(fitted) == 4


def test_the_diagonal_is_the_table_of_kinds():
    trials = both()
    own, crossed = kinds.kind_table(trials, THRESHOLD), kinds.wrong_kind_table(trials, THRESHOLD)
    diagonal = crossed[crossed["target_kind"] == crossed["shadow_kind"]]
    shared = ["attack", "metric", "value", "low", "high", "n_targets"]
    assert own[shared].equals(diagonal[shared].reset_index(drop=True))
    assert set(own["train_accuracy"]) == {1.0} and list(own["kind"].unique()) == ["A", "B"]


def test_trials_must_have_shadows_of_every_kind():
    with pytest.raises(ValueError, match="trials must hold shadows of every kind, B lacks those of target 1"):
        kinds.wrong_kind_table(both()[:3])
    with pytest.raises(ValueError, match="trials must hold each kind and target of a data set once, got 5 for 4 of them"):
        kinds.wrong_kind_table([*both(), both()[0]])
    for make in (kinds.kind_table, kinds.wrong_kind_table):
        with pytest.raises(ValueError, match="trials must hold at least one, got none"):
            make([])


def test_trials_of_two_data_sets_stay_apart():
    other = [t._replace(case=t.case._replace(dataset="purchase100", source="standin")) for t in both()]
    table = kinds.wrong_kind_table([*both(), *other], THRESHOLD)
    counts = table.groupby(["dataset", "source"]).size().to_dict()
    assert len(set(counts.values())) == 1 and set(counts) == {("location", "real"), ("purchase100", "standin")}


def test_models_are_trained_and_crossed():
    trials = experiments.run_trials(*planned(kinds=["naive Bayes", "network"]))
    table = kinds.wrong_kind_table(trials, THRESHOLD)
    assert len(table) == 4 * 5 + 2 * 4


def test_the_heat_map_writes_each_number_at_its_place_and_nothing_where_there_is_none():
    table = kinds.wrong_kind_table(both(), THRESHOLD)
    table.loc[(table["target_kind"] == "A") & (table["shadow_kind"] == "B"), "value"] = np.nan
    figure = plots.draw(plots.wrong_kinds, [table], facet="dataset", metric="recall", attack="confidence")
    (ax,) = figure.axes
    assert {text.get_position(): text.get_text() for text in ax.texts} == {
        (0, 0): "100",
        (1, 0): "",
        (0, 1): "0",
        (1, 1): "100",
    }
    assert [label.get_text() for label in ax.get_yticklabels()] == ["A", "B"]


def test_kinds_stand_at_their_gap_and_are_named():
    table = kinds.kind_table(both(), THRESHOLD)
    (ax,) = plots.draw(plots.kinds_of_model, [table], facet="dataset", **TPR).axes
    assert {"A", "B"} <= {text.get_text() for text in ax.texts}
    assert ax.containers[0].lines[0].get_xdata().tolist() == [0.0, 0.0]  # both are right about everybody


def test_figures_refuse_what_the_table_does_not_hold():
    for plot, of in ((plots.wrong_kinds, kinds.wrong_kind_table), (plots.kinds_of_model, kinds.kind_table)):
        table = of(both(), THRESHOLD)
        with pytest.raises(ValueError, match=r"table must hold rows of metric tpr at 0\.5 and attack confidence, got none"):
            plots.draw(plot, [table], **TPR | {"fpr": 0.5})
