"""Google's families, each fixed over all class counts: the surrogate's own models, and its own choice."""

from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest

from mialib import plots
from mialib.core.types import Dataset
from mialib.study import families, google
from mialib.study.experiments import Experiment, plan_jobs
from mialib.study.google import FixedFamily, PredictionAPI

matplotlib.use("Agg")


def bits(name="purchase10", n=400, d=24, n_classes=4):
    """Noisy copies of one pattern a class."""
    rng = np.random.default_rng(n_classes)
    y = rng.integers(0, n_classes, n)
    patterns = rng.random((n_classes, d)) < 0.4
    return Dataset(name, (patterns[y] ^ (rng.random((n, d)) < 0.15)).astype(np.uint8), y, n_classes, "standin")


ROWS = np.arange(120).reshape(2, 60)


@pytest.mark.parametrize("family", google.BIT_FAMILIES)
def test_a_fixed_family_is_what_the_surrogate_makes_where_it_takes_it(family, monkeypatch):
    data = bits()
    monkeypatch.setattr(google, "offered", lambda x: [google.BIT_FAMILIES[family]])
    expected = PredictionAPI().fit_many(data, ROWS, 5, first=3)
    found = FixedFamily(family).fit_many(data, ROWS, 5, first=3)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.predict_proba(data.x), theirs.predict_proba(data.x), atol=1e-6)


def test_the_families_are_those_that_the_surrogate_offers_records_of_bits():
    assert [*google.BIT_FAMILIES.values()] == google.offered(bits().x)


def test_keys_tell_families_apart():
    kept = [FixedFamily(family).keys(bits(), ROWS, 0, 0) for family in google.BIT_FAMILIES]
    assert kept[0] == FixedFamily("network").keys(bits(), ROWS, 0, 0)
    assert all(key not in kept[1] for key in kept[0])


def test_what_cannot_be_fixed_is_named():
    with pytest.raises(ValueError, match="got 'forest'"):
        FixedFamily("forest")
    data = bits()
    with pytest.raises(ValueError, match="dataset must hold records of at most 1024 bits"):
        FixedFamily("network").fit_many(replace(data, x=data.x.astype(np.float32)), ROWS, 0)
    with pytest.raises(ValueError, match="first must be at least 0"):
        FixedFamily("network").fit_many(data, ROWS, 0, first=-1)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    sets = [bits("purchase2", n_classes=2), bits("purchase10", n_classes=10)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIALIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        return families.family_table(families.family_experiments(sets, train_size=60, n_targets=2, n_shadows=1, seed=1))


def test_the_table_has_each_family_at_each_class_count_and_what_is_taken_there(table):
    assert list(table.columns[:3]) == ["dataset", "source", "our_target"]
    assert len(table) == 2 * 2 * 5 and set(table["our_target"]) == {"network surrogate", "kernel machine surrogate"}
    assert set(table.loc[table["dataset"] == "purchase10", "n_classes"]) == {10}
    shares = table.groupby(["n_classes", "family"])["taken"].first().unstack()
    assert (shares.sum(axis=1) == 1).all()
    values = table.set_index(["n_classes", "family", "metric"])["value"]
    assert values[2, "network", "target_test_accuracy"] > 0.8
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()


def test_what_the_table_calls_taken_is_what_the_surrogate_chooses(tmp_path, monkeypatch):
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path))
    chosen = []

    def choosing(candidates, learners, n_classes, seed):
        chosen.extend(choose(candidates, learners, n_classes, seed))
        return chosen[-len(learners) :]

    choose = google.choose
    monkeypatch.setattr(google, "choose", choosing)
    data, seed = bits(), 3
    surrogate = Experiment(data, PredictionAPI(), "google surrogate", 100, 3, 0, seed)
    targets = plan_jobs(surrogate)[0]
    targets.trainer.fit_many(data, np.stack([split.members for split in targets.splits]), targets.seed)
    assert len(chosen) == 3
    shares = families.family_table(families.family_experiments([data], 100, 3, 1, seed)).groupby("family")["taken"].first()
    for family, learn in google.BIT_FAMILIES.items():
        assert shares[family] == pytest.approx(np.mean([each is learn for each in chosen]))


def test_choices_have_a_row_a_class_count(table):
    choices = families.family_choices(table)
    assert choices["n_classes"].tolist() == [2, 10]
    values = table.set_index(["n_classes", "family", "metric"])["value"]
    assert choices["attack precision: network"].tolist() == [values[n, "network", "attack_precision"] for n in (2, 10)]
    split = table.assign(taken=np.where(table["family"] == "network", 0.25, 0.75))
    assert set(families.family_choices(split)["taken"]) == {"kernel machine (75% of targets)"}
    whole = table.assign(taken=np.where(table["family"] == "network", 1.0, 0.0))
    assert set(families.family_choices(whole)["taken"]) == {"network"}


def test_the_figure_rings_what_the_surrogate_takes(table):
    shown = table[table["metric"].isin(["target_test_accuracy", "attack_precision"])]
    shown = shown.assign(taken=np.where(shown["family"] == "network", 1.0, 0.0))
    published = pd.DataFrame(
        {"dataset": ["purchase2", "purchase10", "adult"], "metric": "attack_precision", "published": [0.5, 0.6, 0.7]}
    )
    figure = plots.draw(plots.family_lines, [shown, published], facet="metric", share=False)
    panels = {ax.get_ylabel(): ax for ax in figure.axes}
    assert set(panels) == {"test accuracy", "attack precision"}
    rings = [line for line in panels["attack precision"].lines if line.get_markersize() == 9]
    expected = shown[(shown["family"] == "network") & (shown["metric"] == "attack_precision")]["value"].tolist()
    assert [list(line.get_ydata()) for line in rings if len(line.get_ydata())] == [expected]
    squares = [line for line in panels["attack precision"].lines if line.get_marker() == "s"]
    assert list(squares[0].get_ydata()) == [0.5, 0.6] and list(squares[0].get_xdata()) == [0, 1]
