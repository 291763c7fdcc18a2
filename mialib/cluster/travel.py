"""How work travels: pickled by value where the other side cannot import it, data sets by their digest."""

import io
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from mialib.core import source
from mialib.core.types import Dataset


class _Packer(cloudpickle.Pickler):
    """Leaves data sets out, and remembers them."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.datasets: dict[str, Dataset] = {}
        self._digests: dict[int, str] = {}

    def persistent_id(self, item: Any) -> str | None:
        if type(item) is not Dataset:
            return None
        if id(item) not in self._digests:
            self._digests[id(item)] = item.digest()
            self.datasets[self._digests[id(item)]] = item
        return self._digests[id(item)]


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, datasets: Mapping[str, Dataset]) -> None:
        super().__init__(file)
        self._datasets = datasets

    def persistent_load(self, digest: str) -> Dataset:
        return self._datasets[digest]


def packed(item: Any) -> tuple[bytes, dict[str, Dataset]]:
    """A value as bytes, and the data sets that it holds, by digest."""
    file = io.BytesIO()
    packer = _Packer(file)
    with _own_modules_by_value():
        packer.dump(item)
    return file.getvalue(), packer.datasets


def packed_dataset(dataset: Dataset) -> bytes:
    """A data set as bytes, for `unpacked`."""
    with _own_modules_by_value():
        return cloudpickle.dumps(dataset, protocol=5)


def unpacked(data: bytes, datasets: Mapping[str, Dataset]) -> Any:
    """What `packed` packed."""
    return _Unpacker(io.BytesIO(data), datasets).load()


@contextmanager
def _own_modules_by_value() -> Iterator[None]:
    """A user's modules, which no worker can import, travel as they are in memory."""
    known = cloudpickle.list_registry_pickle_by_value()
    there = (module for module in _own_modules(len(sys.modules)) if sys.modules.get(module.__name__) is module)
    own = [module for module in there if module.__name__ not in known]
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)


@lru_cache(maxsize=1)
def _own_modules(n_loaded: int) -> list[ModuleType]:
    """Of all that are loaded, and there are thousands; asked again when there are more."""
    loaded = [(name, module) for name, module in [*sys.modules.items()] if getattr(module, "__name__", None) == name]
    return [module for name, module in loaded if _is_own(name, getattr(module, "__file__", None))]


def _is_own(name: str, file: str | None) -> bool:
    top = name.partition(".")[0]
    if file is None or top in ("mialib", "__main__") or top in sys.stdlib_module_names:
        return False
    return not source.installed(Path(file).parent)
