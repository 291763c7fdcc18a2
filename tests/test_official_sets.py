"""Every data set from small official files: fetched from a local address, found again, and refused by name when wrong."""

import gzip
import hashlib
import pickle
import shutil
from typing import NamedTuple

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, CIFAR100, MNIST

from mialib.core import cache
from mialib.data import adult, parsers, prepared
from mialib.data.download import DataCorrupt, DataUnavailable, File
from mialib.data.kmeans import classes
from mialib.data.loading import load
from mialib.data.official import Clustered, FlatFiles, KeptBits
from tests.archives import replace_source, rows_of, tar_gz

RECORDS = 40
BITS = np.random.default_rng(0).integers(0, 2, (RECORDS, 11), np.uint8)
PIXELS = np.random.default_rng(1).integers(0, 256, (RECORDS, 3072), np.uint8)
DIGITS = np.random.default_rng(2).integers(0, 256, (RECORDS, 28, 28), np.uint8)
LABELS = (np.arange(RECORDS) % 3).astype(np.uint8)
PERSON = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, United-States"
)


class Small(NamedTuple):
    """A small data set: its name, its official files by name below the data folder, and its records."""

    name: str
    files: dict[str, bytes]
    x: np.ndarray
    y: np.ndarray


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def purchase(monkeypatch, at, n_classes):
    archive = tar_gz({"dataset_purchase": rows_of(BITS, LABELS)})
    official = KeptBits((at("dataset_purchase.tgz", archive, blob=blob(archive)),), parsers.parse_purchase)
    official = official if n_classes == 100 else Clustered(official, n_classes)
    labels = LABELS if n_classes == 100 else classes(BITS, n_classes)
    replace_source(monkeypatch, f"purchase{n_classes}", official=official, shape=BITS.shape)
    return Small(f"purchase{n_classes}", {"dataset_purchase.tgz": archive}, BITS, labels)


def texas(monkeypatch, at):
    labels = "\n".join(str(label + 1) for label in LABELS).encode()
    archive = tar_gz({"texas/100/feats": rows_of(BITS), "texas/100/labels": labels})
    official = KeptBits((at("dataset_texas.tgz", archive, blob=blob(archive)),), parsers.parse_texas)
    replace_source(monkeypatch, "texas", official=official, shape=BITS.shape)
    return Small("texas", {"dataset_texas.tgz": archive}, BITS, LABELS)


def location(monkeypatch, at):
    archive = tar_gz({"bangkok": rows_of(BITS, LABELS, '"')})
    official = FlatFiles(
        (at("dataset_location.tgz", archive, sha256=hashlib.sha256(archive).hexdigest()),), parsers.parse_location
    )
    pinned = (prepared.content_digest(BITS, LABELS),)
    replace_source(monkeypatch, "location", official=official, shape=BITS.shape, pinned=pinned)
    return Small("location", {"dataset_location.tgz": archive}, BITS, LABELS)


def census(monkeypatch, at, tmp_path):
    files = {"adult.data": f"{PERSON}, <=50K\n".encode() * 3, "adult.test": f"|1x3\n{PERSON}, >50K.\n".encode()}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    x, y = adult.parse(*(tmp_path / name for name in files))
    official = FlatFiles(tuple(at(name, content, md5=md5(content)) for name, content in files.items()), adult.parse)
    replace_source(monkeypatch, "adult", official=official, shape=x.shape, pinned=(prepared.content_digest(x, y),))
    return Small("adult", files, x, y)


def mnist(monkeypatch, at):
    def idx(array):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
        return gzip.compress(head + array.tobytes(), mtime=0)

    parts = {"train": slice(0, 30), "t10k": slice(30, RECORDS)}
    files = {}
    for part, rows in parts.items():
        files[f"{part}-images-idx3-ubyte.gz"] = idx(DIGITS[rows])
        files[f"{part}-labels-idx1-ubyte.gz"] = idx(LABELS[rows])
    urls = [at(name, content).urls[0] for name, content in files.items()]
    monkeypatch.setattr(MNIST, "mirrors", [urls[0].rpartition("/")[0] + "/"])
    monkeypatch.setattr(MNIST, "resources", [(name, md5(content)) for name, content in files.items()])
    replace_source(monkeypatch, "mnist", shape=DIGITS.shape, pinned=(prepared.content_digest(DIGITS, LABELS),))
    return Small("mnist", {f"MNIST/raw/{name}": content for name, content in files.items()}, DIGITS, LABELS)


def cifar(monkeypatch, at, name, loader, batches, key):
    """batches: the official batch files with the rows in each, the last one being the test batch."""
    base = loader.base_folder
    contents = {batch: pickle.dumps({"data": PIXELS[rows], key: LABELS[rows].tolist()}, 2) for batch, rows in batches.items()}
    meta = loader.meta["filename"]
    contents[meta] = pickle.dumps({loader.meta["key"]: [f"class {i}" for i in range(3)]}, 2)
    archive = tar_gz({f"{base}/{file}": content for file, content in contents.items()})
    listed = [[batch, md5(contents[batch])] for batch in batches]
    monkeypatch.setattr(loader, "train_list", listed[:-1])
    monkeypatch.setattr(loader, "test_list", listed[-1:])
    monkeypatch.setattr(loader, "meta", {**loader.meta, "md5": md5(contents[meta])})
    monkeypatch.setattr(loader, "tgz_md5", md5(archive))
    monkeypatch.setattr(loader, "url", at(loader.filename, archive).urls[0])
    x = PIXELS.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    pinned = (prepared.content_digest(np.ascontiguousarray(x), LABELS),)
    replace_source(monkeypatch, name, shape=x.shape, pinned=pinned, pinned_records=None)
    return Small(name, {loader.filename: archive}, x, LABELS)


def cifar10(monkeypatch, at):
    batches = {f"data_batch_{i + 1}": slice(6 * i, 6 * i + 6) for i in range(5)} | {"test_batch": slice(30, RECORDS)}
    return cifar(monkeypatch, at, "cifar10", CIFAR10, batches, "labels")


def cifar100(monkeypatch, at):
    return cifar(monkeypatch, at, "cifar100", CIFAR100, {"train": slice(0, 30), "test": slice(30, RECORDS)}, "fine_labels")


MAKERS = {
    "purchase100": lambda patch, at, _: purchase(patch, at, 100),
    "purchase2": lambda patch, at, _: purchase(patch, at, 2),
    "texas": lambda patch, at, _: texas(patch, at),
    "location": lambda patch, at, _: location(patch, at),
    "adult": census,
    "mnist": lambda patch, at, _: mnist(patch, at),
    "cifar10": lambda patch, at, _: cifar10(patch, at),
    "cifar100": lambda patch, at, _: cifar100(patch, at),
}


@pytest.fixture(params=MAKERS)
def small(request, monkeypatch, tmp_path):
    """A small data set whose official files lie behind file addresses, in a folder "server"."""
    server = tmp_path / "server"
    server.mkdir()

    def at(name, content, **marks):
        (server / name).write_bytes(content)
        return File(name, ((server / name).as_uri(),), **marks)

    return MAKERS[request.param](monkeypatch, at, tmp_path)


def put(small, change=lambda content: content):
    """The official files in the data folder, the first of them changed; the path of that one."""
    paths = [cache.data_folder() / name for name in small.files]
    for path, content in zip(paths, small.files.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(change(content) if path == paths[0] else content)
    return paths[0]


def assert_real(small):
    dataset = load(small.name, "real")
    assert dataset.source == "real"
    np.testing.assert_array_equal(dataset.x, small.x)
    np.testing.assert_array_equal(dataset.y, small.y)


def test_a_set_is_fetched_once_and_found_again(small, tmp_path):
    assert_real(small)
    shutil.rmtree(tmp_path / "server")
    assert_real(small)


def test_official_files_that_are_there_are_used(small, tmp_path):
    shutil.rmtree(tmp_path / "server")
    with pytest.raises(DataUnavailable, match=next(iter(small.files)).rpartition("/")[2]):
        load(small.name, "real")
    put(small)
    assert_real(small)


WRONG = {
    "flipped": lambda content: content[:40] + bytes([content[40] ^ 1]) + content[41:],
    "truncated": lambda content: content[:-9],
    "foreign": lambda content: tar_gz({"something": b"else"}),
    "empty": lambda content: b"",
}


@pytest.mark.parametrize("mode", ["auto", "real"])
@pytest.mark.parametrize("change", WRONG)
def test_a_wrong_file_is_refused_by_name_and_left_alone(small, change, mode):
    path = put(small, WRONG[change])
    before = path.read_bytes()
    with pytest.raises(DataCorrupt) as refused:
        load(small.name, mode)
    assert str(path) in str(refused.value) and "expected" in str(refused.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("change", ["flipped", "truncated", "foreign"])
def test_a_wrong_download_is_refused_by_name_and_not_kept(small, change, tmp_path):
    name = next(iter(small.files))
    served = tmp_path / "server" / name.rpartition("/")[2]
    served.write_bytes(WRONG[change](small.files[name]))
    with pytest.raises(DataCorrupt) as refused:
        load(small.name, "auto")
    assert served.name in str(refused.value)
    assert not (cache.data_folder() / name).exists()
    served.write_bytes(small.files[name])
    assert_real(small)  # the next try is not spoiled
