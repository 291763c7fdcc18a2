"""Answers of a service as they came, on disk: after any stop no row that was answered is asked again."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mialib.core import cache

log = logging.getLogger(__name__)

SEGMENT_SCHEMA = 1


class KeptAnswers:
    """Answers by the digest of their row, in `folder`: a file a batch, written once, NumPy arrays without pickles.

    Each file holds digests uint8 (n, 32), answers (n,) or (n, n_classes), and JSON about them. Damaged files are named in a
    warning, and their rows are asked again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about: dict[str, Any] = {}  # of the latest file
        self._segments: list[np.ndarray] = []
        self._places: dict[bytes, tuple[int, int]] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(folder.glob("*.npz")):
            self._read(path)

    def __len__(self) -> int:
        return len(self._places)

    def _read(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as stored:
                digests, answers, about = stored["digests"], stored["answers"], json.loads(str(stored["about"]))
            if about["schema"] != SEGMENT_SCHEMA or digests.dtype != np.uint8 or digests.shape != (len(answers), 32):
                raise ValueError("not a file of answers")
        except cache.DAMAGE as error:
            log.warning("%s: a damaged file of kept answers (%s); its rows are asked again", path, error)
            return
        self._hold([digest.tobytes() for digest in digests], answers)
        self.about = about

    def _hold(self, digests: Sequence[bytes], answers: np.ndarray) -> None:
        self._places |= {digest: (len(self._segments), i) for i, digest in enumerate(digests)}
        self._segments.append(answers)

    def missing(self, digests: Sequence[bytes]) -> np.ndarray:
        """The places of rows without an answer, int64; of equal rows the first."""
        first: dict[bytes, int] = {}
        for place, digest in enumerate(digests):
            if digest not in self._places:
                first.setdefault(digest, place)
        return np.array([*first.values()], np.int64)

    def add(self, digests: Sequence[bytes], answers: np.ndarray, **about: Any) -> None:
        """Keep the answers to n rows; about: JSON-able. A folder that cannot be written to is named in a warning."""
        self._hold(digests, answers)
        self.about = {"schema": SEGMENT_SCHEMA, **about}
        table = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
        path = self.folder / f"{len(self._segments):06d}-{cache.digest(table)[:16]}.npz"
        try:
            with cache.atomic(path) as file:
                np.savez(file, digests=table, answers=answers, about=np.array(json.dumps(self.about)))
        except OSError as error:
            log.warning("%s: answers cannot be kept (%s); after a stop they are asked again", path, error.strerror or error)

    def of(self, digests: Sequence[bytes]) -> np.ndarray:
        """The answers to rows that all have one: (n,) or (n, n_classes)."""
        return np.array([self._segments[segment][i] for segment, i in map(self._places.__getitem__, digests)])

    def one(self) -> np.ndarray | None:
        """Any of the answers, (1,) or (1, n_classes); None if there are none."""
        return self._segments[-1][:1] if self._segments else None
