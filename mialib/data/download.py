"""Official files: what identifies their content, how they are checked, and how they are fetched.

A download resumes where an earlier one broke off, is checked before it appears under its name, and is never repeated.
"""

import hashlib
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests

from mialib.core import progress
from mialib.core.extras import extra

log = logging.getLogger(__name__)

CHUNK = 1 << 16  # bytes; what came of a chunk when a connection breaks is lost
TIMEOUT = (10, 60)  # seconds to connect, and between two packets


class DataUnavailable(RuntimeError):
    """A data set is neither on disk nor downloadable. what: the file; tried: where, and where it can be put by hand."""

    def __init__(self, what: str, tried: str) -> None:
        self.what, self.tried = what, tried
        super().__init__(f"{what} could not be downloaded. {tried}")


class DataCorrupt(ValueError):
    """A data file is there, but is damaged, cut short or another one; the message says what was expected and found."""


@dataclass(frozen=True)
class File:
    """An official file: its name below the data folder, its addresses, and any of the marks of its content (hex digests)."""

    name: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    blob: str | None = None  # git's id of the content: sha1 of "blob LENGTH\0" and the content

    def marks(self) -> dict[str, int | str]:
        """The marks that are known, by name."""
        known = {"size": self.size, "sha256": self.sha256, "md5": self.md5, "blob": self.blob}
        return {name: mark for name, mark in known.items() if mark is not None}


def found_marks(path: Path, names: Sequence[str]) -> dict[str, int | str]:
    """The named marks ("size", "sha256", "md5", "blob") of the content at `path`, read once."""
    size = path.stat().st_size
    hashes = {"sha256": hashlib.sha256(), "md5": hashlib.md5(), "blob": hashlib.sha1(b"blob %d\0" % size)}
    wanted = {name: hashes[name] for name in names if name != "size"}
    with open(path, "rb") as file:
        while wanted and (chunk := file.read(CHUNK)):
            for running in wanted.values():
                running.update(chunk)
    return {name: size if name == "size" else wanted[name].hexdigest() for name in names}


def difference(path: Path, file: File) -> str:
    """What tells the content at `path` from the official file, in words; empty when it is the official file."""
    expected = file.marks()
    found = found_marks(path, list(expected))
    wrong = [name for name in expected if expected[name] != found[name]]
    return "; ".join(f"expected {name} {expected[name]}, found {found[name]}" for name in wrong)


def verify(path: Path, file: File) -> Path:
    """`path`, if its content is the official file's; DataCorrupt otherwise, also when it is missing beside its companions."""
    if not path.is_file():
        raise DataCorrupt(f"{path}: this official file is missing, though others of its set are there. {_remedy(path.parent)}")
    if wrong := difference(path, file):
        raise DataCorrupt(f"{path}: not the official file, and not used: {wrong}. {_remedy(path)}")
    return path


def _remedy(path: Path) -> str:
    return f"Nothing was deleted: move {path} away to have it downloaded afresh, or put the official one in its place."


def fetch(file: File, folder: Path) -> Path:
    """Path of the official file in `folder`: as it lies there, or else downloaded; checked either way.

    Raises DataCorrupt when what lies there, or what an address delivers, is not the official file, and DataUnavailable when no
    address answers.
    """
    path = folder / file.name
    if path.exists():
        return verify(path, file)
    failures: list[Exception] = []
    for url in file.urls:
        try:
            return _download(url, file, path)
        except (OSError, DataCorrupt) as error:  # requests' errors are OSErrors
            failures.append(error)
    tries = [f"Tried {url}: {error}." for url, error in zip(file.urls, failures, strict=True)]
    unavailable = DataUnavailable(file.name, " ".join([*tries, _by_hand(path)]))
    raise DataCorrupt(str(unavailable)) if any(isinstance(error, DataCorrupt) for error in failures) else unavailable


def _by_hand(path: Path) -> str:
    return f"The file can be put by hand at {path} (the data folder is {path.parent}; the variable MIALIB_DATA sets another)."


def _download(url: str, file: File, path: Path) -> Path:
    with extra("study"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of widgets that are not installed
        import pooch

    pooch.get_logger().setLevel(logging.WARNING)  # what is loaded is said by the bar
    known_hash = file.sha256 or (file.md5 and f"md5:{file.md5}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        if not path.exists():  # another process may have been quicker
            pooch.retrieve(url, known_hash, path.name, path.parent, downloader=Resuming(file, path))
    return verify(path, file)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time works on `path`; where the system has no file locks, the checks of the content must do."""
    with open(path.with_name(f".{path.name}.lock"), "w") as handle:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class Resuming:
    """A downloader for pooch that keeps what came so far in NAME.part, and hands over only what has been checked."""

    def __init__(self, file: File, path: Path) -> None:
        self.file = file
        self.part = path.with_name(f"{path.name}.part")

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        if url.startswith("file:"):
            shutil.copyfile(url2pathname(urlsplit(url).path), self.part)
        else:
            self._whole(url)
        if wrong := difference(self.part, self.file):
            self.part.unlink()
            raise DataCorrupt(f"{url} delivers another file than the official {self.file.name}: {wrong}")
        os.replace(self.part, output_file)

    def _whole(self, url: str) -> None:
        resumed = self._have() > 0
        while True:
            before = self._have()
            try:
                self._stream(url, before)
                break
            except requests.RequestException:
                if self._have() <= before:
                    raise
                log.warning("%s broke off after %d bytes: going on from there", url, self._have())
        if resumed and difference(self.part, self.file):
            log.warning("%s did not fit the file at %s: loading it from its beginning", self.part, url)
            self._stream(url, 0)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _stream(self, url: str, have: int) -> None:
        """Append what is missing after `have` bytes, or write all of it where the server does not resume."""
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if have and response.status_code == requests.codes.requested_range_not_satisfiable:
                return self._past_end(url, have, response)
            response.raise_for_status()
            have = have if response.status_code == requests.codes.partial_content else 0
            self._write(response, have)

    def _past_end(self, url: str, have: int, response: requests.Response) -> None:
        if response.headers.get("Content-Range", "").rpartition("/")[2] != str(have):
            self._stream(url, 0)

    def _write(self, response: requests.Response, have: int) -> None:
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        bar = progress.tqdm_bar(desc=self.file.name, initial=have, total=total, unit="B", unit_scale=True)
        with bar, open(self.part, "ab" if have else "wb") as file:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
