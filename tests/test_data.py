"""Data sets: sources in their order, damaged and foreign files, downloads on a loopback server, stand-ins, splits."""

import dataclasses
import hashlib
import http.server
import logging
import os
import pickle
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from archives import NOWHERE, describe_file, replace_source, tar_gz

from mialib.core import cache
from mialib.core.types import Dataset, Features
from mialib.data import catalogue, download, loading, official, parsers, prepared
from mialib.data.__main__ import main
from mialib.data.download import DataCorrupt, DataUnavailable, File
from mialib.data.loading import load


class SmallLocation:
    """A Location of 40 x 11 in the official format, pinned in the table instead of the real one."""

    def __init__(self, monkeypatch):
        rng = np.random.default_rng(0)
        self.x = rng.integers(0, 2, (40, 11), np.uint8)
        self.y = (np.arange(40) % 5).astype(np.uint8)
        rows = (f'"{label + 1}",{",".join(map(str, bits))}' for label, bits in zip(self.y, self.x, strict=True))
        self.archive = tar_gz({"bangkok": "\n".join(rows).encode()})
        self.monkeypatch = monkeypatch
        self.pin(self.archive)

    def pin(self, archive: bytes, url: str = NOWHERE):
        files = official.FlatFiles((describe_file(archive, url),), parsers.parse_location)
        pinned = (prepared.content_digest(self.x, self.y),)
        stand_in = lambda: (np.zeros((40, 11), np.uint8), self.y)  # noqa: E731
        shape = self.x.shape
        replace_source(self.monkeypatch, "location", official=files, pinned=pinned, shape=shape, n_classes=5, stand_in=stand_in)

    def put(self, content: bytes | None = None) -> Path:
        path = cache.data_folder() / "dataset_location.tgz"
        path.write_bytes(self.archive if content is None else content)
        return path

    def is_real(self, dataset: Dataset) -> bool:
        return dataset.source == "real" and np.array_equal(dataset.x, self.x) and np.array_equal(dataset.y, self.y)


@pytest.fixture
def small(monkeypatch):
    return SmallLocation(monkeypatch)


# The official file


def test_official_file_is_parsed_and_prepared(small):
    small.put()
    dataset = load("location", "real")
    assert small.is_real(dataset) and dataset.x.dtype == np.uint8 and dataset.y.dtype == np.int64
    with np.load(cache.data_folder() / "location.npz") as stored:
        assert set(stored.files) == {"x_packed", "n_features", "y", "meta"} and stored["y"].dtype == np.uint8


def test_the_prepared_form_alone_is_enough(small, monkeypatch):
    small.put()
    load("location")
    (cache.data_folder() / "dataset_location.tgz").unlink()
    replace_source(monkeypatch, "location", official=None)
    assert small.is_real(load("location", "real"))


@pytest.mark.parametrize("mode", ["auto", "real"])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "foreign", "empty"])
def test_a_wrong_official_file_is_named_and_kept(small, mode, damage):
    wrong = {
        "flipped": small.archive[:50] + bytes([small.archive[50] ^ 1]) + small.archive[51:],
        "truncated": small.archive[:-20],
        "foreign": b"<html>sign in to this network</html>",
        "empty": b"",
    }[damage]
    path = small.put(wrong)
    with pytest.raises(DataCorrupt) as caught:
        load("location", mode)
    message = str(caught.value)
    assert str(path) in message and "move" in message
    assert hashlib.sha256(small.archive).hexdigest() in message and hashlib.sha256(wrong).hexdigest() in message
    assert damage == "flipped" or f"expected size {len(small.archive)}, found {len(wrong)}" in message
    assert path.read_bytes() == wrong and [p.name for p in cache.data_folder().iterdir()] == [path.name]


def test_missing_and_unreachable(small, caplog):
    with pytest.raises(DataUnavailable) as caught:
        load("location", "real")
    for part in (NOWHERE, str(cache.data_folder() / "dataset_location.tgz"), "MIALIB_DATA"):
        assert part in str(caught.value)
    dataset = load("location", "auto")
    assert dataset.source == "standin" and not dataset.x.any()
    assert "STAND-IN" in caplog.text and NOWHERE in caplog.text


def test_an_archive_without_the_expected_member(small):
    archive = tar_gz({"tokyo": b"1,0"})
    small.pin(archive)
    small.put(archive)
    with pytest.raises(DataCorrupt, match="holds bangkok, found no bangkok"):
        load("location")


def test_ragged_rows_are_corrupt(small):
    archive = tar_gz({"bangkok": b'"1",0,1\n"2",1\n'})
    small.pin(archive)
    small.put(archive)
    with pytest.raises(DataCorrupt, match=r"bangkok, row 2: expected a label and 2 bits \(0 or 1\), found"):
        load("location")


def test_a_folder_that_cannot_be_written_is_said(small, monkeypatch, caplog):
    path = small.put()

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("mialib.core.cache.atomic", refuse)
    assert small.is_real(load("location"))
    assert "cannot be written" in caplog.text and "location.npz" in caplog.text
    assert loading.provenance(["location"]).file[0] == str(path)


@pytest.mark.parametrize("mark", ["size", "sha256", "md5", "blob"])
def test_each_mark_is_checked(tmp_path, mark):
    path = tmp_path / "file"
    path.write_bytes(b"hello\n")
    right = {
        "size": 6,
        "sha256": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        "md5": "b1946ac92492d2347c6235b4d2611184",
        "blob": "ce013625030ba8dba906f756967f9e9ca394464a",  # git hash-object
    }[mark]
    assert download.verify(path, File("file", **{mark: right})) == path
    with pytest.raises(DataCorrupt, match=f"expected {mark} .*, found {right}"):
        download.verify(path, File("file", **{mark: 7 if mark == "size" else "0" * len(right)}))


# The prepared form


def write_prepared(**arrays) -> Path:
    path = cache.data_folder() / "location.npz"
    np.savez(path, **arrays)
    return path


def spoil(kind: str, small: SmallLocation) -> None:
    x, y = small.x, small.y
    if kind == "foreign":
        write_prepared(x=1 - x, y=y)
    elif kind == "keys":
        write_prepared(records=x, labels=y)
    elif kind == "shape":
        write_prepared(x=x[:-1], y=y[:-1])
    elif kind == "labels":
        write_prepared(x=x, y=y + 1)
    elif kind == "pickle":
        write_prepared(x=x.astype(object), y=y)
    elif kind == "bits":
        write_prepared(x=x + 1, y=y)
    else:
        path = write_prepared(x=x, y=y)
        content = bytearray(path.read_bytes())
        if kind == "flipped":
            content[content.index(x[:2].tobytes())] ^= 1
        path.write_bytes({"truncated": content[:-100], "flipped": content, "text": b"hello"}[kind])


PREPARED_DAMAGE = {
    "foreign": "sha256",
    "keys": "KeyError",
    "shape": r"expected x uint8 \(40, 11\), found uint8 \(39, 11\)",
    "labels": r"labels y in 0..4, found 1..5",
    "pickle": "allow_pickle",
    "bits": r"bits x in 0..1, found 1..2",
    "truncated": "BadZipFile",
    "flipped": "BadZipFile",
    "text": "BadZipFile",
}


@pytest.mark.parametrize("kind", PREPARED_DAMAGE)
def test_a_bad_prepared_file_is_named_and_made_again(small, kind, caplog):
    small.put()
    spoil(kind, small)
    assert small.is_real(load("location", "real"))
    warning = caplog.records[0]
    assert warning.levelno == logging.WARNING
    assert str(cache.data_folder() / "location.npz") in warning.message and "expected" in warning.message
    assert "found" in warning.message
    caplog.clear()
    assert small.is_real(load("location", "real")) and not caplog.records


@pytest.mark.parametrize("mode", ["auto", "real"])
@pytest.mark.parametrize("kind", PREPARED_DAMAGE)
def test_a_bad_prepared_file_is_never_papered_over(small, kind, mode):
    spoil(kind, small)
    path = cache.data_folder() / "location.npz"
    before = path.read_bytes()
    with pytest.raises(DataCorrupt, match=PREPARED_DAMAGE[kind]) as caught:
        load("location", mode)
    assert str(path) in str(caught.value) and NOWHERE in str(caught.value)
    assert path.read_bytes() == before


def test_a_bad_prepared_file_hides_no_bad_official_one(small):
    spoil("truncated", small)
    path = small.put(small.archive[:-1])
    with pytest.raises(DataCorrupt, match=r"dataset_location.tgz: not the official file"):
        load("location")
    assert path.exists() and (cache.data_folder() / "location.npz").exists()


def test_unpacked_bits_are_accepted(small):
    write_prepared(x=small.x, y=small.y)
    assert small.is_real(load("location"))


def test_without_a_pinned_digest_no_prepared_file_counts(small, monkeypatch):
    replace_source(monkeypatch, "location", pinned=())
    write_prepared(x=small.x, y=small.y)
    with pytest.raises(DataCorrupt, match="no digest of location is pinned"):
        load("location")
    (cache.data_folder() / "location.npz").unlink()
    small.put()
    assert small.is_real(load("location"))
    assert not (cache.data_folder() / "location.npz").exists()


# Downloads


class Server:
    """A loopback server of one content. `ranges`: it resumes. `cut`: it breaks off after so many bytes of each answer."""

    def __init__(self, content: bytes, ranges: bool = True, cut: int | None = None):
        self.content, self.ranges, self.cut, self.asked = content, ranges, cut, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/file"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request):
        asked = request.headers.get("Range")
        self.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.ranges else 0
        if start and start >= len(self.content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.content)}")
            request.send_header("Content-Length", "0")
            return request.end_headers()
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(self.content) - start))
        request.end_headers()
        request.wfile.write(self.content[start:][: self.cut])

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def serve():
    servers = []

    def start(*args, **settings):
        servers.append(Server(*args, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def fetch(content: bytes, url: str) -> Path:
    return download.fetch(describe_file(content, url), cache.data_folder())


CONTENT = np.random.default_rng(1).bytes(700_000)


def visible() -> list[str]:
    return sorted(path.name for path in cache.data_folder().iterdir() if not path.name.endswith(".lock"))


def test_download_once(small, serve):
    server = serve(small.archive)
    small.pin(small.archive, server.url)
    assert small.is_real(load("location", "real"))
    assert visible() == ["dataset_location.tgz", "location.npz"]
    (cache.data_folder() / "location.npz").unlink()
    assert small.is_real(load("location"))
    assert server.asked == [None]


def test_an_interrupted_download_goes_on(serve):
    server = serve(CONTENT, cut=5 * download.CHUNK)
    assert fetch(CONTENT, server.url).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=327680-", "bytes=655360-"]


def test_a_later_try_resumes_what_an_earlier_one_left(serve):
    part = cache.data_folder() / "dataset_location.tgz.part"
    part.write_bytes(CONTENT[:123_456])
    with pytest.raises(DataUnavailable):
        fetch(CONTENT, NOWHERE)
    assert part.stat().st_size == 123_456
    server = serve(CONTENT)
    assert fetch(CONTENT, server.url).read_bytes() == CONTENT
    assert server.asked == ["bytes=123456-"] and not part.exists()


def test_a_server_that_does_not_resume(serve):
    (cache.data_folder() / "dataset_location.tgz.part").write_bytes(CONTENT[:1000])
    server = serve(CONTENT, ranges=False)
    assert fetch(CONTENT, server.url).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


@pytest.mark.parametrize("left", [CONTENT, CONTENT + b"more", b"other bytes"])
def test_a_part_that_is_whole_too_long_or_foreign(serve, left):
    (cache.data_folder() / "dataset_location.tgz.part").write_bytes(left)
    assert fetch(CONTENT, serve(CONTENT).url).read_bytes() == CONTENT
    assert visible() == ["dataset_location.tgz"]


@pytest.mark.parametrize("mode", ["auto", "real"])
def test_wrong_content_is_named_and_does_not_poison_the_next_try(small, serve, mode):
    server = serve(b"<html>sign in</html>")
    small.pin(small.archive, server.url)
    with pytest.raises(DataCorrupt, match=f"expected size {len(small.archive)}, found 20") as caught:
        load("location", mode)
    assert server.url in str(caught.value) and visible() == []
    server.content = small.archive
    assert small.is_real(load("location"))


def test_not_found_is_unavailable(small, serve):
    server = serve(b"")
    server.answer = lambda request: request.send_error(404)
    small.pin(small.archive, server.url)
    with pytest.raises(DataUnavailable, match="404"):
        load("location", "real")
    assert load("location").source == "standin"


def test_the_next_address_is_tried(serve):
    server = serve(CONTENT)
    file = dataclasses.replace(describe_file(CONTENT), urls=(NOWHERE, server.url))
    assert download.fetch(file, cache.data_folder()).read_bytes() == CONTENT


def test_a_file_url(small, tmp_path):
    path = tmp_path / "a folder" / "copy.tgz"
    path.parent.mkdir()
    path.write_bytes(small.archive)
    small.pin(small.archive, path.as_uri())
    assert small.is_real(load("location", "real")) and path.exists()


def test_downloads_at_once_do_not_disturb_each_other(serve):
    server = serve(CONTENT, cut=200_000)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(CONTENT, server.url), range(4)))
    assert all(path.read_bytes() == CONTENT for path in paths)
    assert len(server.asked) == 4  # one download, in four pieces


# CIFAR-10, through torchvision


class SmallCifar:
    """Two records a batch file in the official layout, pinned in torchvision's lists instead of the real ones."""

    def __init__(self, monkeypatch):
        from torchvision.datasets import CIFAR10

        rng = np.random.default_rng(2)
        self.pixels, self.y = rng.integers(0, 256, (12, 3072), np.uint8), np.arange(12) % 10
        names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
        batches = {
            name: pickle.dumps({"data": self.pixels[2 * i : 2 * i + 2], "labels": self.y[2 * i : 2 * i + 2].tolist()}, 2)
            for i, name in enumerate(names)
        }
        batches["batches.meta"] = pickle.dumps({"label_names": [f"class {i}" for i in range(10)]}, 2)
        self.files = {f"cifar-10-batches-py/{name}": content for name, content in batches.items()}
        self.archive = tar_gz({"cifar-10-batches-py/readme.html": b"", **self.files, "../outside": b"no"})
        md5 = {name: hashlib.md5(content).hexdigest() for name, content in batches.items()}
        monkeypatch.setattr(CIFAR10, "train_list", [[name, md5[name]] for name in names[:-1]])
        monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
        monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5["batches.meta"]})
        monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(self.archive).hexdigest())
        monkeypatch.setattr(CIFAR10, "url", NOWHERE)
        self.x = self.pixels.reshape(12, 3, 32, 32).transpose(0, 2, 3, 1)
        pinned = (prepared.content_digest(self.x, self.y.astype(np.uint8)),)
        stand_in = lambda: (np.zeros((12, 32, 32, 3), np.uint8), self.y)  # noqa: E731
        replace_source(monkeypatch, "cifar10", shape=(12, 32, 32, 3), pinned=pinned, stand_in=stand_in)

    def put_layout(self):
        (cache.data_folder() / "cifar-10-batches-py").mkdir()
        for name, content in self.files.items():
            (cache.data_folder() / name).write_bytes(content)

    def is_real(self, dataset):
        return dataset.source == "real" and np.array_equal(dataset.x, self.x) and np.array_equal(dataset.y, self.y)


@pytest.fixture
def cifar(monkeypatch):
    return SmallCifar(monkeypatch)


def test_cifar_layout(cifar):
    cifar.put_layout()
    assert cifar.is_real(load("cifar10", "real"))
    with np.load(cache.data_folder() / "cifar10.npz") as stored:
        assert set(stored.files) == {"x", "y", "meta"}
    shutil.rmtree(cache.data_folder() / "cifar-10-batches-py")
    assert cifar.is_real(load("cifar10", "real"))


def test_cifar_archive_on_disk(cifar, tmp_path):
    (cache.data_folder() / "cifar-10-python.tar.gz").write_bytes(cifar.archive)
    assert cifar.is_real(load("cifar10"))
    assert visible() == ["cifar-10-batches-py", "cifar-10-python.tar.gz", "cifar10.npz"]
    assert not (tmp_path / "outside").exists()


def test_cifar_archive_in_a_folder_that_cannot_be_written(cifar, monkeypatch, caplog):
    (cache.data_folder() / "cifar-10-python.tar.gz").write_bytes(cifar.archive)
    rename = os.rename

    def refuse(source, target):
        if Path(target).is_relative_to(cache.data_folder()):
            raise PermissionError(13, "Permission denied", str(target))
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    assert cifar.is_real(load("cifar10"))
    assert "temporary" in caplog.text
    assert visible() == ["cifar-10-python.tar.gz", "cifar10.npz"]


def test_cifar_download(cifar, serve, monkeypatch):
    from torchvision.datasets import CIFAR10

    monkeypatch.setattr("mialib.data.download.CHUNK", 1024)
    server = serve(cifar.archive, cut=len(cifar.archive) - 1000)
    monkeypatch.setattr(CIFAR10, "url", server.url)
    assert cifar.is_real(load("cifar10", "real"))
    assert len(server.asked) == 2


@pytest.mark.parametrize("mode", ["auto", "real"])
def test_a_wrong_cifar_file_is_named(cifar, mode):
    cifar.put_layout()
    path = cache.data_folder() / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(b"spoiled")
    with pytest.raises(DataCorrupt, match=r"data_batch_3: not the official file.* expected md5 .*, found ") as caught:
        load("cifar10", mode)
    assert str(path) in str(caught.value) and hashlib.md5(b"spoiled").hexdigest() in str(caught.value)
    path.unlink()
    with pytest.raises(DataCorrupt, match="data_batch_3: this official file is missing"):
        load("cifar10", mode)


def test_a_truncated_cifar_archive_is_named_and_kept(cifar):
    path = cache.data_folder() / "cifar-10-python.tar.gz"
    path.write_bytes(cifar.archive[:-10])
    with pytest.raises(DataCorrupt, match=r"cifar-10-python.tar.gz: not the official file"):
        load("cifar10")
    assert visible() == [path.name]


def test_cifar_missing(cifar, caplog):
    with pytest.raises(DataUnavailable, match=r"cifar-10-python.tar.gz could not be downloaded"):
        load("cifar10", "real")
    assert load("cifar10").source == "standin" and "STAND-IN" in caplog.text


# The real archive


def test_the_official_location_archive(official_folder):
    path = official_folder / "dataset_location.tgz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in the folder that MIALIB_DATA names")
    shutil.copyfile(path, cache.data_folder() / path.name)
    first, second = load("location", "real"), load("location", "real")
    assert first.x.shape == (5010, 446) and abs(first.x.mean() - 0.1204) < 5e-5
    sizes = np.bincount(first.y)
    assert (len(sizes), sizes.min(), sizes.max()) == (30, 97, 308)
    assert np.array_equal(first.x, second.x) and np.array_equal(first.y, second.y)
    (cache.data_folder() / path.name).unlink()
    assert load("location", "real").source == "real"


def test_the_pinned_location_archive_has_both_digests(official_folder):
    path = official_folder / "dataset_location.tgz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in the folder that MIALIB_DATA names")
    assert set(catalogue.LOCATION.marks()) == {"size", "sha256", "blob"} and download.verify(path, catalogue.LOCATION)


# Stand-ins


def test_standins_touch_neither_disk_nor_network(monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("the stand-in must not ask for this")

    for module, name in ((cache, "data_folder"), (download, "fetch"), (prepared, "read"), (prepared, "write")):
        monkeypatch.setattr(module, name, forbidden)
    replace_source(
        monkeypatch,
        "cifar10",
        stand_in=lambda: (np.zeros((50, 32, 32, 3), np.uint8), np.arange(50) % 10),
        shape=(50, 32, 32, 3),
    )
    for name in ("cifar10", "location", "adult"):
        assert load(name, "standin").source == "standin"


# Splits, checks, provenance


def toy(n=20, **changes) -> Dataset:
    return replace(Dataset("toy", np.zeros((n, 3), np.uint8), np.arange(n) % 2, 2, "real"), **changes)


def test_split_target_is_disjoint_and_complete():
    split, pool = loading.split_target(toy(21), 6, np.random.default_rng(0))
    assert len(split.members) == len(split.nonmembers) == 6 and len(pool) == 9
    assert sorted([*split.members, *split.nonmembers, *pool]) == list(range(21))
    assert np.all(np.diff(pool) > 0)
    again, _ = loading.split_target(toy(21), 6, np.random.default_rng(0))
    assert np.array_equal(again.members, split.members) and np.array_equal(again.nonmembers, split.nonmembers)


def test_split_target_may_leave_nothing():
    _, pool = loading.split_target(toy(20), 10, np.random.default_rng(0))
    assert pool.shape == (0,)


def test_split_target_says_the_largest_n():
    with pytest.raises(ValueError, match=r"n must be between 1 and 10 .*got 11"):
        loading.split_target(toy(21), 11, np.random.default_rng(0))
    with pytest.raises(ValueError, match="got 0"):
        loading.split_target(toy(), 0, np.random.default_rng(0))
    for wrong in (2.5, "3", True):
        with pytest.raises(TypeError, match="n must be a whole number"):
            loading.split_target(toy(), wrong, np.random.default_rng(0))
    for wrong in (0, np.random.RandomState(0)):
        with pytest.raises(TypeError, match=r"rng must be a numpy.random.Generator"):
            loading.split_target(toy(), 3, wrong)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": np.zeros((20, 3))}, TypeError, "dataset.x must be a uint8 or float32 array, got float64 of shape"),
        ({"x": [[0]] * 20}, TypeError, "dataset.x .* got a list"),
        ({"y": np.zeros(20, np.int32)}, TypeError, "dataset.y must be an int64 array, got int32 of shape"),
        ({"x": np.zeros((19, 3), np.uint8)}, ValueError, r"\(19, 3\) and \(20,\)"),
        ({"x": np.zeros(20, np.uint8)}, ValueError, "shapes"),
        ({"x": np.full((20, 3), np.nan, np.float32)}, ValueError, "dataset.x must be finite, got 60"),
        ({"y": np.arange(20)}, ValueError, r"dataset.y must lie in 0..1, got 0..19"),
        ({"y": np.arange(20) - 1}, ValueError, r"got -1..18"),
        ({"n_classes": 1}, ValueError, "dataset.n_classes must be at least 2, got 1"),
        ({"source": "made up"}, ValueError, "dataset.source must be one of real, standin, own"),
        ({"classes": ["a", "a"]}, ValueError, "dataset.classes must be 2 different labels"),
        ({"features": (3,)}, TypeError, "dataset.features"),
        ({"features": Features((4,))}, ValueError, r"dataset.features.shape .*\(3,\), got \(4,\)"),
        ({"features": Features((3,), [("bit",)])}, ValueError, "one entry a column, 3, got 1"),
    ],
)
def test_a_dataset_checks_itself(changes, error, message):
    with pytest.raises(error, match=message):
        toy(**changes)


def test_what_is_no_dataset_is_refused_by_name():
    with pytest.raises(TypeError, match="dataset must be a mialib Dataset, got tuple"):
        loading.split_target((1, 2), 1, np.random.default_rng(0))


def test_unknown_names_and_modes():
    with pytest.raises(ValueError, match=r"name must be one of cifar10, .*, location, .* got 'imagenet'"):
        load("imagenet")
    with pytest.raises(ValueError, match="mode must be one of auto, real, standin, got 'fake'"):
        load("location", "fake")
    with pytest.raises(ValueError, match="got 'fake'"):
        loading.provenance(mode="fake")
    with pytest.raises(ValueError, match="got 'imagenet'"):
        loading.provenance(["imagenet"])


def test_describe():
    record = toy().describe()
    assert record == {
        "name": "toy",
        "source": "real",
        "records": 20,
        "n_classes": 2,
        "digest": cache.digest(toy().x, toy().y),
    }


def test_provenance(small, cifar):
    path = small.put()
    table = loading.provenance(["location", "cifar10"]).set_index("name")
    assert list(table.index) == ["location", "cifar10"] and list(table.source) == ["real", "standin"]
    real, standin = table.loc["location"], table.loc["cifar10"]
    assert (real.records, real["shape"], real.n_classes, real.class_sizes) == (40, "11", 5, "8-8")
    assert real.origin == NOWHERE and real.file == str(path.with_name("location.npz"))
    assert standin["shape"] == "32x32x3" and standin.origin.startswith("generated by") and standin.file == ""
    assert standin.megabytes == 0 and len(standin.digest) == 64


def test_command(small, cifar, capsys, monkeypatch):
    monkeypatch.setattr("mialib.data.__main__.NAMES", ("cifar10", "location"))
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert "STAND-IN" in shown and "real" not in shown
    small.put()
    assert main(["--mode", "real"]) == 1
    shown = capsys.readouterr()
    assert "location    real: 40 records of 11, 5 classes of 8-8" in shown.out
    assert "cifar10: DataUnavailable" in shown.err and "MIALIB_DATA" in shown.err
    assert main(["location", "--mode", "real"]) == 0
    with pytest.raises(SystemExit):
        main(["imagenet"])


def test_command_tells_of_a_missing_archive_once(capsys, monkeypatch):
    asked = []

    def provenance(names, mode):
        if mode == "real":
            asked.extend(names)
            raise DataUnavailable(f"the archive of {names[0]}", "Tried in vain.")
        return pd.DataFrame([{"name": names[0], "source": mode}])

    monkeypatch.setattr("mialib.data.__main__.provenance", provenance)
    monkeypatch.setattr("mialib.data.__main__._report", str)
    assert main(["purchase2", "purchase100", "texas"]) == 0
    assert asked == ["purchase2", "texas"]
    assert capsys.readouterr().err.splitlines() == [
        "WARNING: the archive of purchase2 cannot be had: STAND-IN (generated records) for purchase2, purchase100",
        "WARNING: the archive of texas cannot be had: STAND-IN (generated records) for texas",
        "Tried in vain.",
    ]


def test_provenance_of_what_is_held_reads_nothing_again(small, monkeypatch):
    small.put()
    held = load("location")
    monkeypatch.setattr(loading, "_load", None)
    assert loading.provenance(["location"]).loc[0, "digest"] == held.describe()["digest"]
