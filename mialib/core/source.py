"""The source that a module consists of: its own and that of the modules that it imports, found by reading their imports."""

import ast
import os
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType


def of(module: str | ModuleType) -> dict[str, str]:
    """By name, the source of a module and of every module that it imports, directly or not, and that lies beside it: in its
    package or, unless that is an installed library, in the same folder. Raises OSError where there is none to be had.

    `from package import name` leads to the module `name`, else to the package's door and all that this imports.
    """
    loaded = import_module(module) if isinstance(module, str) else module
    name = getattr(loaded.__spec__, "name", loaded.__name__)  # of a script, where it was run by name
    file = Path(getattr(loaded, "__file__", None) or "")
    if file.suffix != ".py":
        raise OSError(f"the source of {name} cannot be had")
    home = file.parents[name.count(".") + (file.name == "__init__.py")]
    only = name.partition(".")[0] if installed(home) else ""
    found: dict[str, str] = {}
    waiting = [(name, file)]
    while waiting:
        name, file = waiting.pop()
        if name not in found:
            found[name], imports = _parsed(file.read_text(encoding="utf-8"))
            inside = name if file.name == "__init__.py" else name.rpartition(".")[0]
            for targets in imports:
                waiting += list(filter(None, (_place(home, _absolute(target, inside), only) for target in targets)))[:1]
    return dict(sorted(found.items()))


def installed(folder: Path | str) -> bool:
    """Whether modules in `folder` belong to Python or to a library that was installed: their version tells their code."""
    folder = Path(folder)
    return folder == Path(os.__file__).parent or bool({"site-packages", "dist-packages"} & {*folder.parts})


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[str, list[tuple[str, ...]]]:
    """Source without comments, docstrings and layout; and what it imports: for each name, where that may lie."""
    tree = ast.parse(text)
    imports: list[tuple[str, ...]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(alias.name,) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            imports += [(f"{module}{'' if module.endswith('.') else '.'}{alias.name}", module) for alias in node.names]
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body[0] = ast.Pass()
    return ast.unparse(tree), imports


def _absolute(name: str, package: str) -> str:
    """`name` without leading dots, as seen from a module in `package`."""
    bare = name.lstrip(".")
    up = len(name) - len(bare)
    parts = package.split(".")[: 1 - up or None] if up else []
    return ".".join([part for part in [*parts, bare] if part])


def _place(home: Path, name: str, only: str) -> tuple[str, Path] | None:
    """A module's name and file below `home`, if it lies there, and in the package `only`, if any."""
    path = home.joinpath(*name.split("."))
    if only and name.partition(".")[0] != only:
        return None
    return next(((name, file) for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
