"""Parsers of the official archives: paths in, x and y (labels from 0, uint8) out. A record that does not fit is named.

All formats are from the public repository privacytrustlab/datasets. Archives are read in one pass, and never unpacked on disk.
"""

import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from mialib.data.download import DataCorrupt

Arrays = tuple[np.ndarray, np.ndarray]  # x, and y as uint8
BLOCK = 1 << 26  # bytes of text parsed at once: the text of Texas takes 800 MB
COMMA, NEWLINE, ZERO = b",\n0"


def tar_members(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Contents of the named files of a (compressed) tar archive, in one pass; nothing is unpacked. DataCorrupt if one lacks."""
    return read_members(archive, {name: lambda file: file.read() for name in names})


def read_members(archive: Path, readers: Mapping[str, Callable[[IO[bytes]], Any]]) -> dict[str, Any]:
    """What each reader makes of the file of its name in a (compressed) tar archive, in one pass. DataCorrupt if one lacks."""
    found: dict[str, Any] = {}
    try:
        with tarfile.open(archive) as tar:
            for entry in tar:
                if entry.isfile() and entry.name in readers:
                    file = tar.extractfile(entry)
                    assert file is not None, "only regular files are read"
                    found[entry.name] = readers[entry.name](file)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataCorrupt(f"{archive}: expected a tar archive, found {type(error).__name__}: {error}") from error
    if missing := set(readers) - set(found):
        raise DataCorrupt(
            f"{archive}: expected an archive that holds {', '.join(readers)}, found no {', '.join(sorted(missing))}"
        )
    return found


def parse_location(archive: Path) -> Arrays:
    """`bangkok`: rows of a quoted label 1..30, then bits."""
    return _labelled_bits(archive, "bangkok")


def parse_purchase(archive: Path) -> Arrays:
    """`dataset_purchase`: rows of a label 1..100, then bits."""
    return _labelled_bits(archive, "dataset_purchase")


def parse_texas(archive: Path) -> Arrays:
    """`texas/100/feats`: rows of bits; `texas/100/labels`: their labels 1..100."""
    feats, labels = "texas/100/feats", "texas/100/labels"
    readers: dict[str, Callable[[IO[bytes]], Any]] = {
        feats: lambda file: read_bits(file, f"{archive}: {feats}", labelled=False)[0],
        labels: lambda file: _labels(file.read().split(), f"{archive}: {labels}", first=1),
    }
    found = read_members(archive, readers)
    if len(found[feats]) != len(found[labels]):
        raise DataCorrupt(
            f"{archive}: expected a label for each record, found {len(found[feats])} records and {len(found[labels])} labels"
        )
    return found[feats], found[labels]


def _labelled_bits(archive: Path, name: str) -> Arrays:
    return read_members(archive, {name: lambda file: read_bits(file, f"{archive}: {name}", labelled=True)})[name]


def read_bits(file: IO[bytes], where: str, *, labelled: bool) -> Arrays:
    """Bits uint8 (n, d) and labels uint8 (n,) of rows of comma-separated 0/1, each behind its label (counted from 1, quoted or
    not) if `labelled`; labels are empty if not.

    The text is read in blocks, and parsed as one array of characters. Raises DataCorrupt naming `where` and the row.
    """
    packed, labels, n_features, first = [], [np.zeros(0, np.uint8)], 0, 1
    for block in _blocks(file):
        n_features = n_features or block.split(b"\n", 1)[0].count(b",") + (not labelled)
        bits, prefixes = _split_rows(block, n_features, f"{where}, row", first, labelled)
        packed.append(np.packbits(bits, axis=1))
        if labelled:
            labels.append(_labels(prefixes, where, first))
        first += len(bits)
    if not n_features:
        raise DataCorrupt(f"{where}: expected rows of a label and bits, found none")
    return np.unpackbits(np.concatenate(packed), axis=1, count=n_features), np.concatenate(labels)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Parts of the text that end at the end of a row, without empty rows at its very end."""
    rest = b""
    while chunk := file.read(BLOCK):
        whole, newline, rest = (rest + chunk.replace(b"\r", b"")).rpartition(b"\n")
        if whole := whole.rstrip(b"\n") if not rest else whole:
            yield whole + newline
    if rest.rstrip(b"\n"):
        yield rest.rstrip(b"\n") + b"\n"


def _split_rows(block: bytes, n_features: int, where: str, first: int, labelled: bool) -> tuple[np.ndarray, list[bytes]]:
    """Bits uint8 (n, d) of a block of rows, and the characters before them."""
    characters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(characters == NEWLINE)
    starts = np.concatenate([[0], ends[:-1] + 1])
    width = 2 * n_features - 1
    lengths = ends - starts
    right = lengths > width if labelled else lengths == width
    if not right.all():
        _refuse_row(block, starts, ends, right, where, first, n_features, labelled)
    rows = np.lib.stride_tricks.sliding_window_view(characters, width)[ends - width]
    bits = rows[:, ::2] ^ np.uint8(ZERO)
    right = (bits <= 1).all(1) & (rows[:, 1::2] == COMMA).all(1)
    if labelled:
        right &= characters[ends - width - 1] == COMMA
    if not right.all():
        _refuse_row(block, starts, ends, right, where, first, n_features, labelled)
    return bits, [block[start:end] for start, end in zip(starts, ends - width - 1)] if labelled else []


def _refuse_row(
    block: bytes, starts: np.ndarray, ends: np.ndarray, right: np.ndarray, where: str, first: int, n: int, labelled: bool
) -> None:
    bad = int(right.argmin())
    row = block[starts[bad] : ends[bad]].decode("ascii", "replace")
    shown = row if len(row) <= 60 else f"{row[:30]}…{row[-30:]} ({len(row)} characters)"
    raise DataCorrupt(f"{where} {first + bad}: expected {'a label and ' * labelled}{n} bits (0 or 1), found {shown!r}")


def _labels(texts: Sequence[bytes], where: str, first: int) -> np.ndarray:
    """Labels uint8 (n,), from 0, of texts of 1..256, quoted or not; `first` is the number of the first row."""
    labels = np.empty(len(texts), np.uint8)
    for place, text in enumerate(texts):
        number = text.strip(b'"')
        if not number.isdigit() or not 1 <= int(number) <= 256:
            raise DataCorrupt(f"{where}, row {first + place}: expected a label from 1 to 256, found {text[:60]!r}")
        labels[place] = int(number) - 1
    return labels
