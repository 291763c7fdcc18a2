"""What the attack networks should be told: judged on shadows and records of which the attack has seen no answer."""

import numpy as np
import pytest

from mialib import study
from mialib.attack import fit_attack
from mialib.core import cache
from mialib.core.types import AttackData, Dataset, each_model
from mialib.study import inputs
from mialib.study.experiments import REAL, Experiment, plan_jobs


class ByRecord:
    """Trainer: a model is as sure of a record as the record is easy, and surer of its members. What is left it gives to the
    other classes by a pattern that belongs to the record, so that who remembers patterns knows how easy a record is.
    """

    gain = 0.1

    def keys(self, dataset, rows, seed, first=0):
        return [{"by": "record", "x": cache.digest(dataset.x), "rows": cache.digest(row)} for row in rows]

    def fit_many(self, dataset, rows, seed, first=0):
        return [_Sure(dataset, row, self.gain) for row in rows]


class _Sure:
    def __init__(self, dataset, row, gain):
        self.known, self.gain, self.width = {dataset.x[i].tobytes() for i in row}, gain, dataset.n_classes

    def predict_proba(self, x):
        return np.stack([self.answer(record.tobytes()) for record in x]).astype(np.float32)

    def answer(self, record):
        rng = np.random.default_rng(int.from_bytes(record, "little"))
        sure = rng.uniform(0.3, 0.8) + self.gain * (record in self.known)
        return np.r_[sure, (1 - sure) * rng.dirichlet(np.full(self.width - 1, 0.3))]


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path))
    x = ((np.arange(1000)[:, None] >> np.arange(12)) & 1).astype(np.uint8)
    data = Dataset("patterns", np.random.default_rng(0).permutation(x), np.zeros(1000, int), 16, "standin")
    return Experiment(data, ByRecord(), "local", 200, 2, 12, 5)


def test_no_attack_has_seen_a_shadow_or_a_new_record_that_it_is_judged_by(experiment):
    """The last two of twelve shadows are held out, and a third of all shadows' records."""
    for job in plan_jobs(experiment)[1:]:
        asked, rows = each_model(job.answers(), 12), [split.rows for split in job.splits]
        row_of = {
            p.tobytes(): row for answers, own in zip(asked, rows) for p, row in zip(answers.predictions, own, strict=True)
        }
        parts = inputs._parts(experiment, job)
        fit, shared, new = ({row_of[p.tobytes()] for p in parts[name].predictions} for name in ("fit", "shared", "new"))
        assert not fit & new and shared <= set(np.concatenate(rows)) - new
        assert len(parts["shared"]) + len(parts["new"]) == 2 * 400
        assert len(parts["fit"]) == sum(np.isin(own, [*fit]).sum() for own in rows[:10])
        assert 0.25 < len(parts["new"]) / 800 < 0.42 and 0.6 < len(parts["fit"]) / 4000 < 0.72
        for name, held in (("shared", shared), ("new", new)):
            wanted = np.concatenate([answers.predictions[np.isin(own, [*held])] for answers, own in zip(asked[10:], rows[10:])])
            np.testing.assert_array_equal(parts[name].predictions, wanted)


def test_the_table_is_what_attacks_by_hand_say(experiment):
    table = study.held_out(experiment, inputs=["probabilities"])
    assert table[["setting", "variant"]].drop_duplicates().values.tolist() == [[*REAL]]
    assert set(table["records"]) == {"shared", "new", "target"} and (table["n_targets"] == 2).all()
    targets, *jobs = plan_jobs(experiment)
    accuracies, losses = [], []
    for job, own in zip(jobs, each_model(targets.answers(), 2), strict=True):
        attack = fit_attack(inputs._parts(experiment, job)["fit"], inputs="probabilities")
        accuracies.append((attack.infer(own) == own.member).mean())
        chance = 1 / (1 + np.exp(-attack.membership_score(own).astype(float)))
        losses.append(-np.log(np.where(own.member, chance, 1 - chance)).mean())
    values = table[table["records"] == "target"].set_index("metric")
    assert values.loc["accuracy", ["value", "low", "high"]].tolist() == pytest.approx(
        [np.mean(accuracies), min(accuracies), max(accuracies)]
    )
    assert values.loc["log_loss", "value"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_who_knows_records_by_heart_is_found_out(experiment):
    """The attack looks better on records that it knows than on new ones, and on the target it is as on new ones."""
    table = study.held_out(experiment, inputs=["log-odds"])
    values = table[table["metric"] == "log_loss"].set_index("records")["value"]
    assert values["shared"] < values["new"] - 0.05
    assert values["target"] > values["shared"] + 0.02


def test_sources_do_not_matter_and_one_shadow_is_refused(experiment):
    noise = experiment._replace(sources=study.noisy_sources(experiment.dataset, [0.1], ["flip"], 1))
    first, second = study.held_out(experiment, inputs=["probabilities"]), study.held_out(noise, inputs=["probabilities"])
    assert first.equals(second)
    with pytest.raises(ValueError, match="n_shadows must be at least 2, got 1"):
        study.held_out(experiment._replace(n_shadows=1))


def test_scores_beyond_what_float32_knows_count_as_its_end():
    class Sure:
        def membership_score(self, data):
            return np.full(len(data), np.finfo(np.float32).min)

        def infer(self, data):
            raise NotImplementedError

    data = AttackData(np.full((4, 2), 0.5), np.zeros(4, int), np.array([True, True, False, False]))
    told = inputs._told(Sure(), data)
    assert told["log_loss"] == pytest.approx(15) and np.isnan(told["tpr_at_0.01"])
