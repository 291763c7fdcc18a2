"""Bars: one for all that a call makes, those that are on disk among them, and none of trials. Notes below a cell."""

import io
import logging
import re
import sys
import threading
import warnings
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
from test_algorithm1 import constant
from test_training import bits, rows_of

from mialib.core import executors, notes, progress
from mialib.core.executors import Work
from mialib.core.types import Features
from mialib.shadow import synthesis
from mialib.training import EstimatorTrainer, NeuralTrainer, Recipe, mlp

DRAWS = progress.tqdm_bar


class Drawn:
    """A bar that keeps what was shown, and when it ended."""

    made: ClassVar[list["Drawn"]] = []

    def __init__(self, **options):
        self.options, self.total, self.n, self.initial = options, options["total"], options["initial"], options["initial"]
        self.texts, self.shown, self.closed = [options["desc"]], [], False
        Drawn.made.append(self)

    def set_description_str(self, text, refresh):
        self.texts.append(text)

    def update(self, n):
        self.shown.append(self.n)

    def refresh(self):
        self.shown.append(self.n)

    def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    monkeypatch.setattr(progress, "tqdm_bar", Drawn)
    Drawn.made = []
    return Drawn.made


def work(k, name="a", fails=False):
    keys = [{"work": name, "piece": i} for i in range(k)]

    def make(pieces):
        for i in pieces:
            if fails and i == k - 1:
                raise RuntimeError("the last piece")
            yield {"x": np.array(i)}

    return Work(range(k), make, "pieces", keys, unit="piece", doing="making")


def test_a_work_has_one_bar_that_ends_at_its_total(drawn):
    executors.finished(work(3))
    (bar,) = drawn
    assert (bar.total, bar.initial, bar.closed) == (3, 0, True)
    assert bar.shown[-1] == 3 and bar.texts[0] == "making: 0 of 3 pieces" and bar.texts[-1] == "making: 3 of 3 pieces"


def test_what_is_on_disk_counts_and_is_named_and_all_of_it_needs_no_bar(drawn):
    executors.finished(work(2))
    executors.finished(work(5))
    assert drawn[1].initial == 2 and drawn[1].texts[-1] == "making: 5 of 5 pieces, 2 from disk"
    executors.finished(work(5))
    assert len(drawn) == 2


def test_works_within_a_whole_share_its_bar(drawn):
    executors.finished(work(2, "known"))
    with progress.one_bar(8, "piece", "making all"):
        for k, name in ((3, "one"), (2, "known"), (3, "another")):
            executors.finished(work(k, name))
    _, bar = drawn
    assert bar.total == 8 and bar.texts[-1] == "making all: 8 of 8 pieces, 2 from disk"
    assert bar.initial == 2 and bar.shown == sorted(bar.shown)


def test_a_whole_that_was_counted_too_small_grows(drawn):
    with progress.one_bar(2, "piece", "making"):
        executors.finished(work(3))
    assert drawn[0].total == 3 and drawn[0].texts[-1] == "making: 3 of 3 pieces"


def test_a_bar_ends_where_the_work_fails(drawn):
    with pytest.raises(RuntimeError, match="the last piece"):
        executors.finished(work(3, fails=True))
    assert drawn[0].closed and drawn[0].shown[-1] == 2 and not progress._wholes()


@pytest.mark.parametrize("trainer", [NeuralTrainer(partial(mlp, 20, 4, 8), Recipe(4, 20, 1e-3), "cpu"), None])
def test_epochs_move_the_bar_between_models(drawn, trainer):
    from sklearn.tree import DecisionTreeClassifier

    trainer = trainer or EstimatorTrainer(DecisionTreeClassifier())
    dataset = bits()
    trainer.fit_many(dataset, rows_of(dataset, 3, 45), seed=0)
    (bar,) = drawn
    assert bar.total == 3 and bar.shown[-1] == 3 and bar.shown == sorted(bar.shown) and bar.closed
    assert (len({round(n % 1, 6) for n in bar.shown}) > 1) == isinstance(trainer, NeuralTrainer)


def test_what_is_trained_for_a_piece_is_a_share_of_it(drawn):
    dataset = bits()
    trainer = NeuralTrainer(partial(mlp, 20, 4, 8), Recipe(4, 20, 1e-3), "cpu")

    def make(pieces):
        trainer.fit_many(dataset, rows_of(dataset, 2, 45), seed=0)
        return [{"x": np.array(0)} for _ in pieces]

    executors.finished(Work([0, 1], make))
    (bar,) = drawn
    assert bar.texts[-1] == "training: 2 of 2 models" and max(bar.shown) == bar.shown[-1] == 2


def test_another_unit_has_a_bar_of_its_own(drawn):
    with progress.one_bar(1, "record", "synthesis") as records:
        records.begin()
        executors.finished(work(2))
        records.count(1)
    assert [bar.texts[-1] for bar in drawn] == ["synthesis: 1 of 1 record", "making: 2 of 2 pieces"]


def test_trials_draw_none(drawn):
    with progress.no_bars(), progress.one_bar(2, "piece", "making"):
        executors.finished(work(2))
    assert not drawn and not progress._wholes()


def test_threads_do_not_lose_shares(drawn):
    with progress.one_bar(8) as whole:
        whole.begin()
        ticks = progress.ticks(500)
        threads = [threading.Thread(target=lambda: [ticks.update() for _ in range(500)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert drawn[0].shown[-1] == pytest.approx(8)


def test_outside_of_a_whole_ticks_count_for_nobody(drawn):
    progress.ticks(3).update()
    assert not drawn


def test_a_terminal_gets_a_line_and_none_where_bars_are_off(monkeypatch):
    monkeypatch.setattr(progress, "tqdm_bar", DRAWS)
    for off in ("", "1"):
        monkeypatch.setenv("TQDM_DISABLE", off)
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        executors.finished(work(1, "known" + off))
        with progress.one_bar(4, "piece", "making"):
            executors.finished(work(3, "line" + off))
            executors.finished(work(1, "known" + off))
        text = sys.stderr.getvalue()
        assert (re.search(r"making: 0 of 4 pieces +0%\|", text) is None) == bool(off) and (text == "") == bool(off)


def test_synthesis_counts_records_of_all_classes(drawn):
    synthesis.all_classes(constant(1, 0), Features((6,)), 2, 3, 0, key={"model": 1}, iter_max=5, tries=1)
    (bar,) = drawn
    assert bar.total == 6 and bar.texts[-1] == "synthesis: 6 of 6 records"
    assert 3.0 in bar.shown, "those of the class that is answered come before the others are given up"


# Notes


@pytest.fixture
def notebook(monkeypatch):
    """As if in a kernel: the logger and Python's warnings as they were, afterwards."""
    logger = logging.getLogger("mialib")
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr(progress, "running_cell", lambda: 1)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "parent", None)
    monkeypatch.setattr(logger, "propagate", True)
    return logger


def test_in_a_notebook_the_log_is_a_plain_line_below_the_cell(notebook, capsys):
    notes.quiet_log()
    notes.quiet_log()
    logging.getLogger("mialib.attack").warning("classes %s\n lack members", [3])
    logging.getLogger("mialib.attack").info("not said")
    assert capsys.readouterr() == ("note: classes [3] lack members\n", "")


def test_a_note_is_said_once_a_cell(notebook, capsys, monkeypatch):
    notes.quiet_log()
    for cell in (1, 2):
        monkeypatch.setattr(progress, "running_cell", lambda cell=cell: cell)
        for classes in ([3], [3], [4], [3]):
            logging.getLogger("mialib.attack").warning("classes %s lack members", classes)
    said = ["note: classes [3] lack members", "note: classes [4] lack members"]
    assert capsys.readouterr().out.splitlines() == said * 2


def test_a_log_that_is_set_up_is_left_alone(notebook):
    notebook.addHandler(logging.NullHandler())
    notes.quiet_log()
    assert len(notebook.handlers) == 1 and notebook.propagate


def test_in_a_notebook_a_warning_names_what_warns_and_no_folder(notebook, capsys):
    notes.quiet_warnings()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = notes._show_warning
        warnings.warn_explicit("did not\nconverge", UserWarning, np.__file__, 3)
        warnings.warn_explicit("of a cell", UserWarning, "".join(["/", "tmp/ipykernel_1/2.py"]), 3)
    assert capsys.readouterr() == ("note: numpy: did not converge\nnote: of a cell\n", "")


def test_elsewhere_nothing_is_changed(notebook, monkeypatch):
    monkeypatch.setattr(progress, "in_notebook", lambda: False)
    before = warnings.showwarning
    notes.quiet_log()
    notes.quiet_warnings()
    assert warnings.showwarning is before and not notebook.handlers
