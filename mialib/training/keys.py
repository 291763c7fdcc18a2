"""What determines a model, as JSON-able values: of one that a user brings, its classes, parameters, state, source and versions.

What cannot be told has `cache.NOT_KEPT` in its key, and why: it is made again each time.
"""

import enum
import functools
import os
import sys
import types
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mialib.core import cache, source
from mialib.core.types import Dataset

KNOWN = {"builtins", "numpy", "scipy", "sklearn", "torch", *sys.stdlib_module_names} - {"__main__"}  # by their versions alone
BARE = vars(nn.Module())  # what torch itself keeps in a module


def of_models(
    trainer: Any,
    models: Iterable[Any],
    settings: Mapping[str, Any],
    dataset: Dataset,
    rows: np.ndarray,
    seed: int,
    first: int,
    *,
    versions: bool = True,
) -> list[dict[str, Any]]:
    """What determines the models that `trainer` makes: its settings and its code, stored data, their rows, (seed, number).

    models: what they are made from, one for all or one a row of `rows` (k, n); their code is part of the key, and so are the
    versions of the libraries that it comes from, unless `versions` is False.
    """
    describe = Description()
    described = [describe(model) for model in models]
    shared = {
        "trainer": describe(type(trainer)),
        "settings": dict(settings),
        "code": describe.code(),
        "versions": describe.versions() if versions else {},
        "data": dataset.digest(),
        "n_classes": int(dataset.n_classes),
        "seed": int(seed),
    }
    described = described * len(rows) if len(described) == 1 else described
    return [
        {**shared, "described": text, "rows": cache.digest(row), "model": first + j}
        for j, (text, row) in enumerate(zip(described, rows, strict=True))
    ]


class Untold(Exception):
    """Of what, and why, no key can be made."""


class Description:
    """Describes values as JSON-able ones; `code` and `versions` are of all classes and functions that it met."""

    def __init__(self) -> None:
        self._modules: set[str] = set()
        self._classes: dict[type, Any] = {}
        self._seen: dict[int, Any] = {}
        self._fitted = False  # whether what an estimator has learned counts

    def __call__(self, value: Any) -> Any:
        """What is the same only for the same value; {cache.NOT_KEPT: why} if that cannot be told."""
        self._seen = {}
        try:
            return self._of(value)
        except (Untold, RecursionError) as error:
            return {cache.NOT_KEPT: str(error)}

    def code(self) -> dict[str, Any]:
        """The source of all classes and functions, and what their functions hold; {cache.NOT_KEPT: why} without a source."""
        self._seen = {}
        try:
            while waiting := [c for c, functions in self._classes.items() if functions is None]:
                for c in waiting:
                    self._classes[c] = self._functions(c)
            names = sorted(name for name in self._modules if name.partition(".")[0] not in KNOWN)
            return {"sources": {name: _source_digest(name) for name in names}, "functions": [*self._classes.values()]}
        except Untold as error:
            return {cache.NOT_KEPT: str(error)}

    def versions(self) -> dict[str, str]:
        """Versions of the libraries of all classes and functions, where they have one."""
        tops = sorted({name.partition(".")[0] for name in self._modules} - {"mialib"})
        return {top: str(getattr(sys.modules[top], "__version__", "")) for top in tops if top in sys.modules}

    def _of(self, value: Any) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind in (float, complex, bytes, range, slice, type(...)) or isinstance(value, np.dtype | torch.dtype | torch.device):
            return [kind.__name__, repr(value)]
        if kind in (list, tuple, torch.Size):
            return [kind.__name__, [self._of(part) for part in value]]
        if kind in (set, frozenset):
            return [kind.__name__, sorted((self._of(part) for part in value), key=repr)]
        if kind in (dict, OrderedDict):
            return [kind.__name__, [[self._of(name), self._of(part)] for name, part in value.items()]]
        if kind is np.ndarray or isinstance(value, np.generic):
            return self._of(value.tolist()) if value.dtype == object else ["array", cache.digest(np.asarray(value))]
        if isinstance(value, Tensor):
            return self._tensor(value)
        if id(value) in self._seen:
            return ["again", self._seen[id(value)][0]]
        self._seen[id(value)] = len(self._seen), value
        return self._named(value)

    def _named(self, value: Any) -> Any:
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, np.ufunc | types.BuiltinFunctionType):
            return self._builtin(value)
        if isinstance(value, types.MethodType):
            return ["method", self._of(value.__func__), self._of(value.__self__)]
        if isinstance(value, functools.partial):
            return ["partial", self._of(value.func), self._of(value.args), self._of(value.keywords)]
        if isinstance(value, enum.Enum):
            return [self._class(type(value)), value.name]
        if isinstance(value, tuple):
            return [self._class(type(value)), [self._of(part) for part in value]]
        if isinstance(value, nn.Module):
            return self._network(value)
        return self._estimator(value) if hasattr(value, "get_params") else self._object(value)

    def _tensor(self, value: Tensor) -> Any:
        try:
            numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        except (RuntimeError, ValueError, TypeError) as error:
            raise Untold(f"a tensor without plain numbers, {value.dtype}") from error
        return ["tensor", str(value.dtype), list(value.shape), value.requires_grad, cache.digest(numbers)]

    def _network(self, value: nn.Module) -> Any:
        """Every layer's class and attributes; every parameter and buffer."""
        layers = [
            [name, self._class(type(layer)), self._attributes(type(layer), _extra(layer))]
            for name, layer in value.named_modules(remove_duplicate=False)
        ]
        tensors = [*value.named_parameters(remove_duplicate=False), *value.named_buffers(remove_duplicate=False)]
        return ["network", layers, [[name, self._of(part)] for name, part in tensors]]

    def _estimator(self, value: Any) -> Any:
        """Class and parameters; where a clone keeps what was learned (`FrozenEstimator`), all that it holds."""
        from sklearn.base import BaseEstimator  # late: a second that networks need not wait for

        before = self._fitted
        clones = getattr(type(value), "__sklearn_clone__", BaseEstimator.__sklearn_clone__)
        self._fitted |= clones is not BaseEstimator.__sklearn_clone__
        held = vars(value) if self._fitted else value.get_params(deep=False)
        held = held | {"output": getattr(value, "_sklearn_output_config", None)}
        described = [self._class(type(value)), self._attributes(type(value), held)]
        self._fitted = before
        return described

    def _object(self, value: Any) -> Any:
        """All that an object holds, if it holds it as any class that is written in Python does; others may hide some."""
        kind = type(value)
        usual = all(getattr(kind, name) is getattr(object, name) for name in ("__reduce_ex__", "__reduce__", "__getstate__"))
        try:
            parts: Any = object.__reduce_ex__(value, 2) if usual else (value,) * 5
        except TypeError:  # a class in C
            parts = (value,) * 5
        _, made_from, state, *items = parts
        if any(item is not None for item in items):
            raise Untold(f"no key can hold a value of type {kind.__qualname__}")
        held = self._attributes(kind, state) if isinstance(state, dict) else self._of(state)
        return [self._class(kind), self._of(made_from[1:]), held]

    def _attributes(self, owner: type, values: Mapping[str, Any]) -> dict[str, Any]:
        described = {}
        for name, value in values.items():
            try:
                described[name] = self._of(value)
            except Untold as error:
                raise Untold(f"{owner.__qualname__}.{name}: {error}") from error.__cause__
        return described

    def _class(self, value: type) -> str:
        for base in value.__mro__:
            self._modules.add(base.__module__)
            if base.__module__.partition(".")[0] in KNOWN and not _holds(base):
                raise Untold(f"{base.__qualname__} has no source that can be had")
            self._classes.setdefault(base, [] if _is_installed(base.__module__) else None)
        return f"{value.__module__}.{value.__qualname__}"

    def _functions(self, c: type) -> Any:
        """A class as it is in memory: what its functions compute and hold, which its source alone may not tell."""
        inner = (getattr(part, "__func__", getattr(part, "fget", part)) for part in vars(c).values())
        described = [self._of(part) for part in inner if isinstance(part, types.FunctionType)]
        constants = {name: part for name, part in vars(c).items() if isinstance(part, int | float | str) and name[:2] != "__"}
        return [c.__qualname__, described, self._of(constants)]

    def _function(self, value: types.FunctionType) -> Any:
        self._modules.add(value.__module__ or "builtins")
        name = f"{value.__module__}.{value.__qualname__}"
        if _is_installed(value.__module__) and _holds(value):
            return name
        try:
            held = [cell.cell_contents for cell in value.__closure__ or ()]
        except ValueError as error:
            raise Untold(f"{name} uses a name that has no value yet") from error
        return [name, self._code(value.__code__), self._of([value.__defaults__, value.__kwdefaults__, *held])]

    def _code(self, code: types.CodeType) -> Any:
        inner = [self._code(part) if isinstance(part, types.CodeType) else self._of(part) for part in code.co_consts]
        return [code.co_code.hex(), [*code.co_names], inner]

    def _builtin(self, value: Any) -> str:
        owner = getattr(value, "__self__", None)
        if not (owner is None or isinstance(owner, types.ModuleType | type)):
            raise Untold(f"no key can hold what {value.__qualname__} belongs to, a {type(owner).__qualname__}")
        self._modules.add(getattr(value, "__module__", None) or "numpy")
        return f"{getattr(value, '__module__', None)}.{value.__name__}"


def _extra(layer: nn.Module) -> dict[str, Any]:
    """What a layer holds beside parameters, buffers and layers: its attributes, and hooks if it has any."""
    theirs = type(layer).__module__.startswith("torch.")
    held = {name: part for name, part in vars(layer).items() if name not in BARE and not (theirs and name[0] == "_")}
    return held | {name: [*hooks.values()] for name in BARE if "hooks" in name and (hooks := vars(layer).get(name))}


def _holds(item: Any) -> bool:
    """Whether a class or function is to be found in its module, under its name."""
    try:
        return functools.reduce(getattr, item.__qualname__.split("."), sys.modules[item.__module__]) is item
    except (AttributeError, KeyError):
        return False


def _is_installed(module: str | None) -> bool:
    top = (module or "").partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None)
    return top in KNOWN or top == "mialib" or (file is not None and source.installed(os.path.dirname(file)))


def _source_digest(module: str) -> str:
    try:
        return cache.code_digest(module) if module.startswith("mialib.") else cache.digest(source.of(module))
    except (OSError, ImportError, SyntaxError) as error:
        raise Untold(f"{module} has no source that can be had") from error
