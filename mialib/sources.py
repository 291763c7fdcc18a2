"""The data sets: one entry each, with its official files, how they are read, the digests that count as real, and the stand-in.

Location: the public repository privacytrustlab/datasets, at a fixed commit. CIFAR-10: torchvision, and its checksums.
"""

import io
import logging
import os
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mialib import standins
from mialib.official import DataCorrupt, File, fetch, locked, verify

log = logging.getLogger(__name__)

Arrays = tuple[np.ndarray, np.ndarray]  # x, and y as uint8


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
class TorchvisionCifar:
    """Official files in torchvision's layout, read by its loader. Names, addresses and md5 sums are torchvision's own."""

    loader: str

    def _class(self) -> Any:
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
            for name, content in tar_members(archive, [file.name for file in self.members()]).items():
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


def tar_members(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Contents of the named files of a (compressed) tar archive, in one pass; nothing is unpacked. DataCorrupt if one lacks."""
    try:
        with tarfile.open(archive) as tar:
            contents = {entry.name: _content(tar, entry) for entry in tar if entry.isfile() and entry.name in names}
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataCorrupt(f"{archive}: expected a tar archive, found {type(error).__name__}: {error}") from error
    if missing := set(names) - set(contents):
        raise DataCorrupt(
            f"{archive}: expected an archive that holds {', '.join(names)}, found no {', '.join(sorted(missing))}"
        )
    return contents


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry)
    assert file is not None, "only regular files are read"
    return file.read()


def parse_location(archive: Path) -> Arrays:
    """`bangkok`: rows of a quoted label 1..30, then bits. Labels are returned as 0..29."""
    text = tar_members(archive, ["bangkok"])["bangkok"].replace(b'"', b"")
    try:
        table = np.loadtxt(io.BytesIO(text), dtype=np.uint8, delimiter=",", ndmin=2)
    except ValueError as error:
        raise DataCorrupt(f"{archive}: expected rows of a label and bits in bangkok, found: {error}") from error
    return np.ascontiguousarray(table[:, 1:]), table[:, 0] - 1


@dataclass(frozen=True)
class Source:
    """One data set: its shape, its official files, the digests of what counts as real, and its stand-in."""

    name: str
    shape: tuple[int, ...]
    n_classes: int
    official: Official
    pinned: tuple[str, ...]  # sha256 over x.tobytes() + y.tobytes(), y as uint8
    stand_in: Callable[[], Arrays]
    dtype: str = "uint8"

    @property
    def bits(self) -> bool:
        """Records are rows of bits, rather than pixels or numbers."""
        return self.dtype == "uint8" and len(self.shape) == 2


def _privacytrustlab(name: str, **marks: Any) -> File:
    commit = "169de9de00de049dd2e571cf7279e64698ac046a"
    return File(name, (f"https://github.com/privacytrustlab/datasets/raw/{commit}/{name}",), **marks)


LOCATION = _privacytrustlab(
    "dataset_location.tgz",
    size=287_293,
    sha256="927203f85a868f8ee17a0ded1dc61699efe602167beabe34fbf45b4b1de94b33",
    blob="0cfc2caa0c8c8569cd68a5d4ab369a98c1f98447",
)

SOURCES = {
    source.name: source
    for source in (
        Source(
            name="location",
            shape=(5010, 446),
            n_classes=30,
            official=FlatFiles((LOCATION,), parse_location),
            pinned=("76e54a08f6bf9e2d4441a3c3a8e2169c4455445db163250c9e5fe0a1956acd3a",),
            stand_in=standins.location,
        ),
        Source(
            name="cifar10",
            shape=(60_000, 32, 32, 3),
            n_classes=10,
            official=TorchvisionCifar("CIFAR10"),
            pinned=("795f1793d7b8f8883c578442a02455d2469d49685325e98ea0621b15f4a88d69",),
            stand_in=standins.cifar10,
        ),
    )
}
