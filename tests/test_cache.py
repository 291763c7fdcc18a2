"""The store: keys follow from the source of all that is imported; what is read is what was written, or it is made again."""

import json
import logging
import os
import sys
import zipfile

import numpy as np
import pytest
from torch import get_num_threads

from mialib import attack, shadow
from mialib.attack import learned
from mialib.core import cache, source
from mialib.core.types import Dataset
from mialib.training import NeuralTrainer, Recipe, mlp

KEY = {"of": "a test", "rate": 0.1, "none": None}
ARRAYS = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "names": np.array(["a", "bc"]), "n": np.array(3)}


def entry():
    (path,) = (cache.cache_folder() / "things").rglob("*.npz")
    return path


# Keys


PACKAGE = {
    "__init__.py": "from kept_by.door import everything",
    "door.py": "everything = 1",
    "work.py": "from kept_by import helper\nfrom .deep import steps\nimport json\n\ndef work():\n    return helper.help()",
    "helper.py": "def help():\n    from kept_by.late import value\n    return value",
    "late.py": '"""A docstring."""\n\nvalue = 1  # a comment',
    "deep/__init__.py": "",
    "deep/steps.py": "from ..other import rate",
    "other.py": "rate = 0.5",
    "unused.py": "import torch",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose module `work` imports others, some only indirectly."""
    folder = tmp_path / "lib" / "kept_by"
    (folder / "deep").mkdir(parents=True)
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(folder.parent)
    yield folder
    for name in [name for name in sys.modules if name.startswith("kept_by")]:
        del sys.modules[name]


def digest_of_work():
    cache.code_digest.cache_clear()
    return cache.code_digest("kept_by.work")


def test_source_is_that_of_all_modules_that_are_imported_and_of_no_other(package):
    assert [*source.of("kept_by.work")] == [f"kept_by.{name}" for name in ("deep.steps", "helper", "late", "other", "work")]


@pytest.mark.parametrize("name", ["work.py", "helper.py", "late.py", "deep/steps.py", "other.py"])
def test_an_edit_of_what_is_imported_changes_the_digest(name, package):
    before = digest_of_work()
    (package / name).write_text(PACKAGE[name] + "\nmore = 2")
    assert digest_of_work() != before


def test_comments_docstrings_and_what_is_not_imported_do_not_count(package):
    before = digest_of_work()
    (package / "late.py").write_text('"""Another docstring."""\nvalue = (\n    1)\n')
    (package / "door.py").write_text("everything = 2")
    (package / "unused.py").write_text("import numpy")
    assert digest_of_work() == before
    (package / "__init__.py").write_text("import kept_by.unused\nhelper = 3")
    (package / "helper.py").write_text("from kept_by import name_of_no_module")
    assert {"kept_by", "kept_by.unused"} <= {*source.of("kept_by.work")}  # code that lives in the door counts


def test_source_that_cannot_be_had_is_said():
    with pytest.raises(OSError, match="the source of builtins cannot be had"):
        source.of("builtins")


@pytest.mark.parametrize(
    ("module", "imported"),
    [  # a kind of kept work, and where functions are defined that it goes through
        (
            "training.neural",
            "training.stacked training.session training.sparse training.networks training.fitting training.keys",
        ),
        ("training.neural", "core.randomness core.threads training.recipe training.black_boxes"),
        ("training.private", "training.session training.stacked training.fitting core.randomness"),
        ("training.estimators", "training.keys core.randomness training.recipe"),
        ("attack.learned", "attack.thresholds training.stacked training.session training.recipe core.randomness core.threads"),
        ("shadow.synthesis", "shadow.algorithm1 shadow.space shadow.records core.streams core.types"),
        ("shadow.answers", "core.types core.checks"),
        ("data.standins", "data.kmeans"),
        ("study.amazon", "training.neural training.stacked training.session"),
        ("study.google", "training.stacked training.session training.sparse"),
    ],
)
def test_kept_work_depends_on_every_module_that_it_goes_through(module, imported):
    found = source.of(f"mialib.{module}")
    assert {f"mialib.{name}" for name in [module, *imported.split()]} <= {*found}
    assert not {name for name in found if name == "mialib" or name.count(".") == 1}, "a door leads to everything"


@pytest.mark.parametrize(
    ("module", "name"),
    [("training.private", "_factors"), ("attack.learned", "_rows_by_class"), ("training.stacked", "_loss_and_slope")],
)
def test_private_helpers_are_part_of_the_source(module, name):
    assert f"def {name}(" in source.of(f"mialib.{module}")[f"mialib.{module}"]


def kept_kinds(dataset):
    """Do work of every kind that is kept in a few steps, and say under which keys."""
    splits = shadow.sample_splits(np.arange(len(dataset.y)), 20, 2, seed=0)
    trainer = NeuralTrainer(lambda: mlp(12, 3, hidden=4), Recipe(1, 10, 1e-2), "cpu")
    attack.fit_attack(shadow.shadow_attack_data(trainer, dataset, splits, seed=0))


def bits(n=120, d=12, n_classes=3):
    rng = np.random.default_rng(0)
    return Dataset("bits", rng.integers(0, 2, (n, d), dtype=np.uint8), rng.integers(0, n_classes, n), n_classes, "standin")


@pytest.mark.parametrize(
    ("edited", "made_again"),
    [("mialib.training.sparse", {"weights", "answers", "attacks"}), ("mialib.attack.thresholds", {"attacks"})],
)
def test_an_edit_of_an_indirect_import_makes_kept_work_again(edited, made_again, monkeypatch):
    kept_kinds(bits())
    before = {path for path in cache.cache_folder().rglob("*.npz")}
    read = source.of

    def with_edit(module):
        found = read(module)
        return found | ({edited: found[edited] + "\nmore = 2"} if edited in found else {})

    monkeypatch.setattr("mialib.core.source.of", with_edit)
    cache.code_digest.cache_clear()
    kept_kinds(bits())
    cache.code_digest.cache_clear()
    assert {path.parts[-3] for path in {*cache.cache_folder().rglob("*.npz")} - before} == made_again


def test_answers_are_kept_under_the_rows_asked_and_before_any_mitigation():
    dataset, trainer = bits(), NeuralTrainer(lambda: mlp(12, 3, hidden=4), Recipe(1, 10, 1e-2), "cpu")
    (split,) = shadow.sample_splits(np.arange(120), 20, 1, seed=0)
    others = shadow.Split(split.members, np.setdiff1d(np.arange(120), split.rows)[:20])
    halved = shadow.shadow_attack_data(trainer, dataset, [split], seed=0, mitigation=lambda answers: answers / 2)
    whole = shadow.shadow_attack_data(trainer, dataset, [split], seed=0)
    np.testing.assert_array_equal(2 * halved.predictions, whole.predictions)
    asked = shadow.shadow_attack_data(trainer, dataset, [others], seed=0)
    np.testing.assert_array_equal(asked.predictions[:20], whole.predictions[:20])
    assert not np.array_equal(asked.predictions[20:], whole.predictions[20:])


def test_an_attack_that_diverges_is_named_and_not_kept(monkeypatch):
    dataset = bits()
    splits = shadow.sample_splits(np.arange(120), 20, 2, seed=0)
    trainer = NeuralTrainer(lambda: mlp(12, 3, hidden=4), Recipe(1, 10, 1e-2), "cpu")
    data = shadow.shadow_attack_data(trainer, dataset, splits, seed=0)
    monkeypatch.setattr("mialib.attack.learned.RECIPE", Recipe(1, 64, 1e30))
    with pytest.raises(FloatingPointError, match=r"the attack model of class \d: its \S+ is not finite"):
        attack.fit_attack(data)
    assert not (cache.cache_folder() / "attacks").exists()


@pytest.mark.parametrize("n_classes", [3, 25])
def test_an_attack_s_jobs_compute_on_one_thread_each(n_classes, monkeypatch):
    threads, fit = [], learned._fit_part
    rng = np.random.default_rng(0)
    answers = rng.dirichlet(np.ones(n_classes), 400).astype(np.float32)
    data = shadow.AttackData(answers, rng.integers(0, n_classes, 400), rng.random(400) < 0.5)
    monkeypatch.setattr(learned, "_fit_part", lambda *given, **named: threads.append(get_num_threads()) or fit(*given, **named))
    before = get_num_threads()
    attack.fit_attack(data)
    assert {*threads} == {1} and get_num_threads() == before


# The store


def test_what_is_stored_is_found_again_with_its_key_only():
    assert cache.load("things", KEY) is None and not cache.exists("things", KEY)
    cache.save("things", KEY, ARRAYS, device="cpu")
    assert cache.exists("things", KEY) and cache.load("things", KEY | {"rate": 0.2}) is None
    found = cache.load("things", dict(reversed(KEY.items())))
    assert {*found} == {*ARRAYS}
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    with zipfile.ZipFile(entry()) as stored:
        assert json.loads(stored.read("key.json"))["record"] == {"device": "cpu"}


def test_names_that_functions_of_numpy_take_are_names_as_others():
    arrays = {"file": np.zeros(2), "key": np.ones(2), "allow_pickle": np.arange(2)}
    cache.save("things", KEY, arrays)
    assert {*cache.load("things", KEY)} == {*arrays}


def another_key(path):
    cache.save("things", {"of": "another"}, ARRAYS)
    (other,) = {*path.parent.parent.rglob("*.npz")} - {path}
    other.replace(path)


def changed(path):
    """The same archive with other numbers, but the key and the digest that were written."""
    with zipfile.ZipFile(path) as stored:
        about = stored.read("key.json")
    with path.open("wb") as file:
        np.savez(file, **(ARRAYS | {"x": ARRAYS["x"] + 1}))
    with zipfile.ZipFile(path, "a") as stored:
        stored.writestr("key.json", about)


def empty_archive(path):
    with zipfile.ZipFile(path, "w"):
        pass


def bare_array(path):
    with path.open("wb") as file:
        np.save(file, ARRAYS["x"])


def in_place_of(make):
    def damage(path):
        path.unlink()
        make(path)

    return damage


DAMAGES = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "a byte flipped": lambda path: path.write_bytes(path.read_bytes().replace(ARRAYS["x"].tobytes(), bytes(24))),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not an archive"),
    "no key": lambda path: np.savez(path, **ARRAYS),
    "another entry's file": another_key,
    "other content": changed,
    "an empty archive": empty_archive,
    "a bare array": bare_array,
    "a directory": in_place_of(lambda path: path.mkdir()),
    "a directory with files": in_place_of(lambda path: (path / "more").mkdir(parents=True)),
    "a pipe": in_place_of(os.mkfifo),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_whole_entry_is_named_once_and_counts_as_missing(damage, caplog):
    cache.save("things", KEY, ARRAYS)
    path = entry()
    DAMAGES[damage](path)
    assert cache.load("things", KEY) is None
    cache.save("things", KEY, ARRAYS)  # over what is there, if that can be
    (warning,) = caplog.records
    assert str(path) in warning.getMessage() and warning.levelno == logging.WARNING
    assert (cache.load("things", KEY) is None) == damage.startswith("a directory")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": np.full((2, 3), np.nan, np.float32)}, "finite x"),
        ({"x": ARRAYS["x"][:1]}, r"x float32 \(2, 3\), found float32 \(1, 3\)"),
        ({"x": ARRAYS["x"].astype(float)}, "found float64"),
        ({"x": ARRAYS["x"][0]}, r"found float32 \(3,\)"),
        ({"more": np.zeros(1)}, "expected n, x, found more, n, x"),
    ],
)
def test_arrays_that_the_caller_did_not_store_count_as_missing(change, words, caplog):
    expected = {"x": ((2, 3), "float32"), "n": ((), "int64")}
    right = {"x": ARRAYS["x"], "n": ARRAYS["n"]}
    cache.save("things", KEY, right)
    assert cache.load("things", KEY, lambda arrays: cache.expect(arrays, expected)) is not None
    cache.save("things", KEY, right | change)
    assert cache.load("things", KEY, lambda arrays: cache.expect(arrays, expected)) is None
    with pytest.raises(ValueError, match=words):
        cache.expect(right | change, expected)
    assert len(caplog.records) == 1


def bad_answers(answers):
    return [np.full_like(answers, np.nan), answers[1:], 5 * answers, answers / 2, answers[:, 1:], answers.astype(float)]


@pytest.mark.parametrize("case", range(6))
def test_answers_that_are_none_are_made_again(case, caplog):
    dataset, splits = bits(), shadow.sample_splits(np.arange(120), 20, 1, seed=0)
    trainer = NeuralTrainer(lambda: mlp(12, 3, hidden=4), Recipe(1, 10, 1e-2), "cpu")
    before = shadow.shadow_attack_data(trainer, dataset, splits, seed=0).predictions
    (path,) = (cache.cache_folder() / "answers").rglob("*.npz")
    with zipfile.ZipFile(path) as stored:
        key = json.loads(stored.read("key.json"))["key"]
    cache.save("answers", key, {"answers": bad_answers(before)[case]})
    after = shadow.shadow_attack_data(trainer, dataset, splits, seed=0).predictions
    np.testing.assert_array_equal(before, after)
    assert [str(path) in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("kind", ["weights", "attacks"])
def test_weights_of_another_shape_are_made_again(kind, caplog):
    kept_kinds(bits())
    paths = [*(cache.cache_folder() / kind).rglob("*.npz")]
    for path in paths:
        with zipfile.ZipFile(path) as stored:
            key = json.loads(stored.read("key.json"))["key"]
        arrays = cache.load(kind, key)
        cache.save(kind, key, {name: array[1:] for name, array in arrays.items()})
    for path in (cache.cache_folder() / "answers").rglob("*.npz"):
        path.unlink()
    kept_kinds(bits())
    assert len(caplog.records) == len(paths)
    caplog.clear()
    kept_kinds(bits())
    assert not caplog.records


def test_a_folder_that_cannot_be_written_to_is_named_once_and_stops_nothing(monkeypatch, tmp_path, caplog):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "taken" / "cache"))
    assert cache.cache_folder() == tmp_path / "taken" / "cache"
    kept_kinds(bits())
    (warning,) = caplog.records
    assert "the cache cannot be written" in warning.getMessage() and "taken" in warning.getMessage()


def test_a_full_disk_is_named_once_and_leaves_no_part_of_a_file(monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    kept_kinds(bits())
    assert ["No space left on device" in record.getMessage() for record in caplog.records] == [True]
    assert not [path for path in cache.cache_folder().rglob("*") if path.is_file()]


def test_off_keeps_nothing(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("MIALIB_CACHE", "off")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    kept_kinds(bits())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()] and not caplog.records
    assert not (tmp_path / "off").exists()


def test_a_key_that_says_why_it_is_not_kept_is_not(caplog):
    key = {"models": [{"described": {cache.NOT_KEPT: "a thing without source"}}], "asked": "this"}
    for _ in range(2):
        cache.save("things", key, ARRAYS)
        assert cache.load("things", key) is None and not cache.exists("things", key)
    (warning,) = caplog.records
    assert "a thing without source: what depends on it is not kept" in warning.getMessage()
    assert not [*cache.cache_folder().rglob("*.npz")]
