"""How official files lie in the data folder, and how they are read: flat, or as torchvision lays them out."""

import gzip
import logging
import os
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mialib.core import cache
from mialib.core.extras import extra
from mialib.data import kmeans, parsers
from mialib.data.download import DataCorrupt, File, fetch, locked, verify
from mialib.data.parsers import Arrays

log = logging.getLogger(__name__)

UNREADABLE_IDX = (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, AssertionError, RuntimeError)


class Official(Protocol):
    """The official files of a data set."""

    def read(self, folder: Path) -> Arrays:
        """x and y from the files in `folder`, downloaded if missing; DataCorrupt or DataUnavailable otherwise."""
        ...

    def paths(self, folder: Path) -> list[Path]:
        """The official files that lie in `folder`."""
        ...

    def origin(self) -> str:
        """Where the files come from."""
        ...


@dataclass(frozen=True)
class FlatFiles:
    """Official files that lie in the data folder under their own names; `parse` takes their paths."""

    files: tuple[File, ...]
    parse: Callable[..., Arrays]

    def read(self, folder: Path) -> Arrays:
        return self.parse(*[fetch(file, folder) for file in self.files])

    def paths(self, folder: Path) -> list[Path]:
        return [path for file in self.files if (path := folder / file.name).is_file()]

    def origin(self) -> str:
        return " ".join(file.urls[0] for file in self.files)


@dataclass(frozen=True)
class KeptBits(FlatFiles):
    """Official files of bits whose parsed content is known by no digest, so that no prepared file can count as real.

    What was parsed is kept in the cache instead, under the marks of the official files and the source of the parsers. The
    files must still be there, and are checked at each load.
    """

    def read(self, folder: Path) -> Arrays:
        paths = [fetch(file, folder) for file in self.files]
        marks = [file.marks() for file in self.files]
        key = {"files": marks, "parse": self.parse.__name__, "code": cache.code_digest(parsers)}
        return cache.kept("parsed", key, lambda: self.parse(*paths))


@dataclass(frozen=True)
class Clustered:
    """The records of other official files, with classes of our own making: see `kmeans.classes`."""

    official: Official
    n_classes: int

    def read(self, folder: Path) -> Arrays:
        x, _ = self.official.read(folder)
        return x, kmeans.classes(x, self.n_classes)

    def paths(self, folder: Path) -> list[Path]:
        return self.official.paths(folder)

    def origin(self) -> str:
        return f"{self.official.origin()} with {self.n_classes} classes by k-means"


@dataclass(frozen=True)
class TorchvisionCifar:
    """Official files in torchvision's layout, read by its loader. Names, addresses and md5 sums are torchvision's own."""

    loader: str

    def _class(self) -> Any:
        with extra("study"):
            from torchvision import datasets  # late: seconds of import, needed only when an official file is read

        return getattr(datasets, self.loader)

    def archive(self) -> File:
        cls = self._class()
        return File(cls.filename, (cls.url,), md5=cls.tgz_md5)

    def members(self) -> list[File]:
        cls = self._class()
        sums = [*cls.train_list, *cls.test_list, (cls.meta["filename"], cls.meta["md5"])]
        return [File(f"{cls.base_folder}/{name}", md5=md5) for name, md5 in sums]

    def read(self, folder: Path) -> Arrays:
        if (folder / self._class().base_folder).exists():
            return self._load(folder)
        archive = fetch(self.archive(), folder)
        try:
            with locked(archive):
                self._unpack(archive, folder)
        except OSError as error:
            log.warning("%s: cannot be unpacked in its folder (%s); reading it from a temporary one", archive, error)
            with tempfile.TemporaryDirectory() as temporary:
                self._unpack(archive, Path(temporary))
                return self._load(Path(temporary))
        return self._load(folder)

    def _unpack(self, archive: Path, folder: Path) -> None:
        """Only the expected members, by name; their folder appears when all are there."""
        base = self._class().base_folder
        if (folder / base).exists():
            return
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{base}.") as temporary:
            (Path(temporary) / base).mkdir()
            for name, content in parsers.tar_members(archive, [file.name for file in self.members()]).items():
                (Path(temporary) / name).write_bytes(content)
            os.rename(Path(temporary) / base, folder / base)

    def _load(self, folder: Path) -> Arrays:
        for file in self.members():
            verify(folder / file.name, file)
        parts = [self._class()(folder, train=train, download=False) for train in (True, False)]
        return np.concatenate([part.data for part in parts]), np.concatenate([part.targets for part in parts]).astype(np.uint8)

    def paths(self, folder: Path) -> list[Path]:
        return [path for file in [*self.members(), self.archive()] if (path := folder / file.name).is_file()]

    def origin(self) -> str:
        return self._class().url


@dataclass(frozen=True)
class TorchvisionMnist:
    """MNIST's four official files in torchvision's layout, `MNIST/raw`. Names, addresses and md5 sums are torchvision's own."""

    def files(self) -> list[File]:
        with extra("study"):
            from torchvision.datasets import MNIST

        return [
            File(f"MNIST/raw/{name}", tuple(f"{mirror}{name}" for mirror in MNIST.mirrors), md5=md5)
            for name, md5 in MNIST.resources
        ]

    def read(self, folder: Path) -> Arrays:
        """Training records, then test records, read by torchvision's readers.

        These take unpacked files, for which torchvision has no md5: so the checked ones are unpacked into a temporary folder.
        """
        with extra("study"):
            from torchvision.datasets import mnist

        readers = {"images": mnist.read_image_file, "labels": mnist.read_label_file}
        parts: dict[str, list[np.ndarray]] = {kind: [] for kind in readers}
        with tempfile.TemporaryDirectory() as temporary:
            for file in self.files():
                path, kind = fetch(file, folder), "images" if "images" in file.name else "labels"
                try:
                    unpacked = Path(temporary) / path.stem
                    unpacked.write_bytes(gzip.decompress(path.read_bytes()))
                    parts[kind].append(readers[kind](str(unpacked)).numpy().astype(np.uint8))
                except UNREADABLE_IDX as error:
                    raise DataCorrupt(f"{path}: expected a packed idx file, found {type(error).__name__}: {error}") from error
        return np.concatenate(parts["images"]), np.concatenate(parts["labels"])

    def paths(self, folder: Path) -> list[Path]:
        return [path for file in self.files() if (path := folder / file.name).is_file()]

    def origin(self) -> str:
        return self.files()[0].urls[0].rpartition("/")[0]


@dataclass(frozen=True)
class Source:
    """One data set: its shape, its official files, the digests of what counts as real, and its stand-in."""

    name: str
    shape: tuple[int, ...]
    n_classes: int
    official: Official
    pinned: tuple[str, ...]  # sha256 over x.tobytes() + y.tobytes(), y as uint8; none: no prepared file counts as real
    stand_in: Callable[[], Arrays]
    pinned_records: str | None = None  # `prepared.records_digest`: the same content in another order counts as real too
    dtype: str = "uint8"
    kinds: tuple[tuple[Any, ...], ...] | None = None  # of the columns, where they are not all bits or pixels

    @property
    def bits(self) -> bool:
        """Records are rows of bits, rather than pixels or numbers."""
        return self.dtype == "uint8" and len(self.shape) == 2
