"""Adult: its columns, its parser, its stand-in."""

import shutil

import numpy as np
import pytest

from mialib.core import cache
from mialib.core.types import Dataset, Features
from mialib.data import adult
from mialib.data.download import DataCorrupt
from mialib.data.loading import load

STATE_GOV = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, United-States"
)
UNKNOWN = "17, ?, 12285, 11th, 1, Divorced, ?, Unmarried, Black, Female, 0, 4356, 99, ?"


def write(tmp_path, records=f"{STATE_GOV}, <=50K\n{UNKNOWN}, >50K\n\n", test=f"|1x3 Cross validator\n{STATE_GOV}, >50K.\n"):
    paths = tmp_path / "adult.data", tmp_path / "adult.test"
    for path, text in zip(paths, (records, test)):
        path.write_text(text, encoding="ascii")
    return paths


def column(name, value=None):
    """Place of an attribute's column, or of the one of its value."""
    sizes = [len(adult.CATEGORIES.get(attribute, "1")) for attribute in adult.ATTRIBUTES]
    first = sum(sizes[: adult.ATTRIBUTES.index(name)])
    return first + (adult.CATEGORIES[name].index(value) if value else 0)


def test_records_come_in_the_order_of_the_files(tmp_path):
    x, y = adult.parse(*write(tmp_path))
    assert x.shape == (3, 108) and x.dtype == np.float32 and y.tolist() == [0, 1, 1] and y.dtype == np.uint8
    assert np.array_equal(x[0], x[2]) and not np.array_equal(x[0], x[1])


def test_columns(tmp_path):
    (first, unknown, _), _ = adult.parse(*write(tmp_path))
    assert first[column("age")] == np.float32((39 - 17) / (90 - 17)) and unknown[column("age")] == 0
    assert unknown[column("fnlwgt")] == 0 and unknown[column("capital-loss")] == 1 and unknown[column("hours-per-week")] == 1
    assert first[column("workclass", "State-gov")] == 1 and unknown[column("workclass", "?")] == 1
    assert first[column("native-country", "United-States")] == 1 and unknown[column("native-country", "?")] == 1
    for name in adult.CATEGORIES:
        own = [place for place, kind in enumerate(adult.KINDS) if kind == ("category", name)]
        assert first[own].sum() == unknown[own].sum() == 1


def test_kinds_describe_the_columns():
    assert len(adult.KINDS) == 108
    assert [place for place, kind in enumerate(adult.KINDS) if kind == ("real", 0.0, 1.0)] == [
        column(name) for name in adult.ATTRIBUTES if name in adult.RANGES
    ]
    for name, values in adult.CATEGORIES.items():
        assert adult.KINDS.count(("category", name)) == len(values) == len(set(values))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("39", "16", r"adult.data, line 2: expected age to be a whole number in 17..90, found '16'"),
        ("39", "x", "found 'x'"),
        ("39", "39.5", "found '39.5'"),
        ("State-gov", "Pirate", r"line 2: expected workclass to be one of \?, Federal-gov.*, found 'Pirate'"),
        (", 40", "", "line 2: expected 15 values, found 14"),
        ("<=50K", "50K", "line 2: expected income to be one of <=50K, >50K, found '50K'"),
    ],
)
def test_a_bad_line_is_named(tmp_path, old, new, message):
    good = f"{UNKNOWN}, >50K\n"
    with pytest.raises(DataCorrupt, match=message):
        adult.parse(*write(tmp_path, good + f"{STATE_GOV}, <=50K\n".replace(old, new, 1)))


def test_an_empty_file(tmp_path):
    with pytest.raises(DataCorrupt, match=r"adult.test: expected records of 15 values, found none"):
        adult.parse(*write(tmp_path, test="|1x3 Cross validator\n"))


def test_standin_has_the_columns_and_the_skew_of_the_real_one():
    dataset = load("adult", "standin")
    assert dataset.x.shape == (48_842, 108) and dataset.x.dtype == np.float32
    assert dataset.x.min() == 0 and dataset.x.max() == 1 and abs(dataset.y.mean() - 0.2393) < 1e-3
    assert dataset.features == Features((108,), adult.KINDS)
    for name in adult.CATEGORIES:
        own = [place for place, kind in enumerate(adult.KINDS) if kind == ("category", name)]
        assert np.array_equal(dataset.x[:, own].sum(1), np.ones(48_842))
    assert 0.07 < (dataset.x[:, column("capital-gain")] > 0).mean() < 0.09


def test_standin_is_deterministic():
    (x, y), (again, labels) = (adult.people(np.random.default_rng(2), 500) for _ in range(2))
    assert np.array_equal(x, again) and np.array_equal(y, labels)


def test_the_official_files(official_folder):
    for name in ("adult.data", "adult.test"):
        if not (official_folder / name).is_file():
            pytest.skip(f"{name} is not in the folder that MIALIB_DATA names")
        shutil.copyfile(official_folder / name, cache.data_folder() / name)
    first, second = load("adult", "real"), load("adult", "real")
    assert first.x.shape == (48_842, 108) and first.y.sum() == 11_687 and first.y[:32_561].sum() == 7_841
    assert np.array_equal(first.x, second.x) and first.features == second.features == Features((108,), adult.KINDS)


# As the table that UCI publishes


@pytest.mark.parametrize("seed", [0, 1])
def test_a_table_of_adult_and_its_numbers_are_two_forms_of_one_thing(seed):
    x, y = adult.people(np.random.default_rng(seed), 3000)
    frame = adult.adult_frame(Dataset("adult", x, y.astype(np.int64), 2, "standin"))
    assert [*frame.columns] == [*adult.ATTRIBUTES, "income"]
    assert frame["income"].tolist() == [adult.INCOMES[c] for c in y]
    columns = {
        name: np.array([adult.CATEGORIES[name].index(value) for value in frame[name]])
        if name in adult.CATEGORIES
        else frame[name].to_numpy()
        for name in adult.ATTRIBUTES
    }
    assert (adult.table(columns) == x).all()
    assert all((frame[name].min() >= low) and (frame[name].max() <= high) for name, (low, high) in adult.RANGES.items())


def test_every_number_of_a_range_comes_back_as_it_was():
    low, high = adult.RANGES["fnlwgt"]
    weights = np.random.default_rng(0).integers(low, high + 1, 20_000)
    columns = {name: np.zeros(20_000, int) for name in adult.CATEGORIES} | {
        name: np.full(20_000, ends[0]) for name, ends in adult.RANGES.items()
    }
    x = adult.table(columns | {"fnlwgt": weights})
    assert (adult.adult_frame(Dataset("adult", x, np.zeros(20_000, np.int64), 2, "standin"))["fnlwgt"] == weights).all()


def test_a_table_of_another_data_set_is_refused():
    x = np.zeros((4, 3), np.float32)
    with pytest.raises(ValueError, match=r"dataset must be adult, records of 108, got digits of \(3,\)"):
        adult.adult_frame(Dataset("digits", x, np.array([0, 1, 0, 1]), 2, "standin"))
    with pytest.raises(TypeError, match="dataset must be"):
        adult.adult_frame(x)
