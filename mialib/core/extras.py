"""Packages that only some uses need: the package's extras, and what to say where one is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager


class ExtraMissing(ImportError):
    """A package of an extra is not installed; the message says which, and what to install."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around late imports: a package that is missing is named, with the extra of mialib that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ExtraMissing(f'this needs {error.name}, which is not installed: pip install "mialib[{name}]"') from error
