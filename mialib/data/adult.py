"""Adult (UCI census income; paper, Sec. V-A): its columns, its parser, and a stand-in of the same columns.

A record has 14 attributes. A category becomes one column a value ("?", not known, is a value like any other); a number becomes
one column in 0..1. That makes 108 columns, in the order of the attributes. The class is 1 for an income above 50,000 dollars.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mialib.core import checks
from mialib.core.types import Dataset
from mialib.data.download import DataCorrupt

RANGES = {  # of the official records, both ends included
    "age": (17, 90),
    "fnlwgt": (12_285, 1_490_400),
    "education-num": (1, 16),
    "capital-gain": (0, 99_999),
    "capital-loss": (0, 4_356),
    "hours-per-week": (1, 99),
}
CATEGORIES = {
    name: tuple(values.split())
    for name, values in {
        "workclass": "? Federal-gov Local-gov Never-worked Private Self-emp-inc Self-emp-not-inc State-gov Without-pay",
        "education": (
            "10th 11th 12th 1st-4th 5th-6th 7th-8th 9th Assoc-acdm Assoc-voc Bachelors Doctorate HS-grad Masters Preschool "
            "Prof-school Some-college"
        ),
        "marital-status": (
            "Divorced Married-AF-spouse Married-civ-spouse Married-spouse-absent Never-married Separated Widowed"
        ),
        "occupation": (
            "? Adm-clerical Armed-Forces Craft-repair Exec-managerial Farming-fishing Handlers-cleaners Machine-op-inspct "
            "Other-service Priv-house-serv Prof-specialty Protective-serv Sales Tech-support Transport-moving"
        ),
        "relationship": "Husband Not-in-family Other-relative Own-child Unmarried Wife",
        "race": "Amer-Indian-Eskimo Asian-Pac-Islander Black Other White",
        "sex": "Female Male",
        "native-country": (
            "? Cambodia Canada China Columbia Cuba Dominican-Republic Ecuador El-Salvador England France Germany Greece "
            "Guatemala Haiti Holand-Netherlands Honduras Hong Hungary India Iran Ireland Italy Jamaica Japan Laos Mexico "
            "Nicaragua Outlying-US(Guam-USVI-etc) Peru Philippines Poland Portugal Puerto-Rico Scotland South Taiwan Thailand "
            "Trinadad&Tobago United-States Vietnam Yugoslavia"
        ),
    }.items()
}
ATTRIBUTES = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race", "sex",
    "capital-gain", "capital-loss", "hours-per-week", "native-country",
)  # fmt: skip
INCOMES = ("<=50K", ">50K")
KINDS = tuple(
    kind
    for name in ATTRIBUTES
    for kind in ([("category", name)] * len(CATEGORIES[name]) if name in CATEGORIES else [("real", 0.0, 1.0)])
)


def parse(data: Path, test: Path) -> tuple[np.ndarray, np.ndarray]:
    """Records of `adult.data`, then of `adult.test`: x float32 (n, 108), y uint8 0/1 (n,), in the order of the files.

    `test` begins with a comment, and its classes end in ".". Raises DataCorrupt naming file, line and attribute of a value that
    no official record has.
    """
    x, y = zip(*(_parse_file(path) for path in (data, test)), strict=True)
    return np.concatenate(x), np.concatenate(y)


def _parse_file(path: Path) -> tuple[np.ndarray, np.ndarray]:
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    kept = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("|")]
    rows = [[value.strip() for value in line.removesuffix(".").split(",")] for _, line in kept]
    for (number, _), row in zip(kept, rows):
        if len(row) != len(ATTRIBUTES) + 1:
            raise DataCorrupt(f"{path}, line {number}: expected {len(ATTRIBUTES) + 1} values, found {len(row)}")
    if not rows:
        raise DataCorrupt(f"{path}: expected records of {len(ATTRIBUTES) + 1} values, found none")
    *attributes, incomes = zip(*rows)
    columns = {}
    for name, values in zip((*ATTRIBUTES, "income"), (*attributes, incomes)):
        try:
            columns[name] = _column(name, values)
        except ValueError as error:
            place, problem = error.args
            raise DataCorrupt(f"{path}, line {kept[place][0]}: {problem}") from error
    y = columns.pop("income").astype(np.uint8)
    return table(columns), y


def _column(name: str, values: tuple[str, ...]) -> np.ndarray:
    """Numbers, or places in the list of the categories; ValueError(place of the bad value, what is wrong with it)."""
    if name in RANGES:
        low, high = RANGES[name]
        numbers = [int(value) if value.isdecimal() else low - 1 for value in values]
        bad = next((i for i, number in enumerate(numbers) if not low <= number <= high), None)
        expected = f"a whole number in {low}..{high}"
    else:
        known = INCOMES if name == "income" else CATEGORIES[name]
        place = {value: i for i, value in enumerate(known)}
        numbers = [place.get(value, -1) for value in values]
        bad = next((i for i, number in enumerate(numbers) if number < 0), None)
        expected = f"one of {', '.join(known)}"
    if bad is not None:
        raise ValueError(bad, f"expected {name} to be {expected}, found {values[bad]!r}")
    return np.array(numbers)


def table(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """x float32 (n, 108) of attributes: numbers in their official ranges, categories as places in their lists."""
    parts = []
    for name in ATTRIBUTES:
        values = columns[name]
        if name in CATEGORIES:
            parts.append(values[:, None] == np.arange(len(CATEGORIES[name])))
        else:
            low, high = RANGES[name]
            parts.append(((values - low) / (high - low))[:, None])
    return np.concatenate(parts, 1, dtype=np.float32)


def adult_frame(dataset: Dataset) -> pd.DataFrame:
    """The records of Adult as UCI has them: ATTRIBUTES (whole numbers, and categories as texts) and "income", one of INCOMES.

    A row a record, in the order of `dataset`, which is Adult, official or stand-in, or some of its records; `table` takes the
    same way forth, and nothing is lost on either. Raises TypeError or ValueError for another data set.
    """
    checks.instance("dataset", dataset, Dataset)
    if dataset.name != "adult" or dataset.x.shape[1:] != (len(KINDS),):
        raise ValueError(f"dataset must be adult, records of {len(KINDS)}, got {dataset.name} of {dataset.x.shape[1:]}")
    columns, start = {}, 0
    for name in ATTRIBUTES:
        if name in CATEGORIES:
            end = start + len(CATEGORIES[name])
            columns[name] = np.array(CATEGORIES[name], object)[dataset.x[:, start:end].argmax(1)]
        else:
            end, (low, high) = start + 1, RANGES[name]
            columns[name] = np.rint(low + (high - low) * dataset.x[:, start].astype(np.float64)).astype(np.int64)
        start = end
    return pd.DataFrame(columns | {"income": np.array(INCOMES, object)[dataset.y]})


def stand_in() -> tuple[np.ndarray, np.ndarray]:
    """Stand-in for Adult: x float32 (48842, 108) with the columns of the official set, y uint8 0/1 (48842,), 24% ones.

    A person has six hidden traits. Each attribute depends on them: categories through scores above a skewed popularity, numbers
    through a logistic curve, capital gains and losses only beyond a threshold (8% and 5% have any). Income depends on the
    attributes and on pairs of them, with noise.
    """
    return people(np.random.Generator(np.random.PCG64(20170525)), 48_842)


def people(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The generator behind `stand_in`, for n records."""
    traits = rng.standard_normal((n, 6))
    columns = {}
    for name in ATTRIBUTES:
        if name in CATEGORIES:
            columns[name] = _categories(rng, traits, len(CATEGORIES[name]))
        else:
            share = {"capital-gain": 0.083, "capital-loss": 0.047}.get(name, 1.0)
            columns[name] = _numbers(rng, traits, *RANGES[name], share)
    x = table(columns)
    sums = (x - x.mean(0, dtype=np.float64)) @ rng.standard_normal((x.shape[1], 3))
    single, first, second = sums.T / sums.std(0)[:, None]
    score = single + 0.4 * first * second + NOISE * rng.logistic(size=n)
    return x, (score > np.quantile(score, 1 - 0.2393)).astype(np.uint8)


NOISE = 0.33  # of the income, where the attributes weigh 1: a network is then right about 0.85 of the time


def _categories(rng: np.random.Generator, traits: np.ndarray, n_values: int) -> np.ndarray:
    popularity = -1.5 * np.log(rng.permutation(n_values) + 1)
    loadings = 0.6 * rng.standard_normal((traits.shape[1], n_values))
    return (popularity + traits @ loadings + rng.gumbel(size=(len(traits), n_values))).argmax(1)


def _numbers(rng: np.random.Generator, traits: np.ndarray, low: int, high: int, share: float) -> np.ndarray:
    loadings = rng.standard_normal(traits.shape[1]) / np.sqrt(traits.shape[1])
    latent = traits @ loadings + 0.5 * rng.standard_normal(len(traits))
    values = np.rint(low + (high - low) / (1 + np.exp(1 - latent)))
    return values if share == 1 else np.where(latent > np.quantile(latent, 1 - share), values, low)
