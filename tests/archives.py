"""Small official files for the tests, in the places of the real ones."""

import dataclasses
import hashlib
import io
import tarfile

import numpy as np

from mialib.data import catalogue, official
from mialib.data.download import File

NOWHERE = "http://127.0.0.1:9/dataset_location.tgz"  # the discard port: nobody listens


def tar_gz(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def describe_file(content: bytes, url: str = NOWHERE, name: str = "dataset_location.tgz") -> File:
    return File(name, (url,), size=len(content), sha256=hashlib.sha256(content).hexdigest())


def replace_source(monkeypatch, name: str, **changes) -> official.Source:
    changed = dataclasses.replace(catalogue.CATALOGUE[name], **changes)
    monkeypatch.setitem(catalogue.CATALOGUE, name, changed)
    return changed


def rows_of(x: np.ndarray, y: np.ndarray | None = None, quote: str = "") -> bytes:
    """Rows of comma-separated bits, each behind its label, counted from 1."""
    bits = [",".join(map(str, row)) for row in x]
    if y is not None:
        bits = [f"{quote}{label + 1}{quote},{row}" for label, row in zip(y.tolist(), bits, strict=True)]
    return ("\n".join(bits) + "\n").encode()
