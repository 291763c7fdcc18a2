"""Parameters of the notebooks: their defaults, the profiles, and values given by hand, all checked before anything runs."""

import ast
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

LITERALS = (bool, int, float, str, list, dict, type(None))
OF_THE_RUNNER = {"PROFILE": "--profile", "DATA": "--data"}


class UsageError(ValueError):
    """A wrong name or value on the command line or in a profile; the message says what is allowed."""


def notebooks(root: Path) -> list[str]:
    """Names of the notebooks, in order: NN_name of every notebooks/NN_*.ipynb."""
    return sorted(path.stem for path in (root / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def profiles(root: Path) -> list[str]:
    """Names of the profiles: `quick` (the notebooks' own defaults) and the files of notebooks/profiles."""
    return ["quick", *sorted(path.stem for path in (root / "notebooks" / "profiles").glob("*.yaml") if path.stem != "quick")]


def notebook_parameters(root: Path, notebook: str) -> dict[str, Any]:
    """Names and defaults of a notebook's `parameters` cell, read as literals, without running it."""
    if notebook not in notebooks(root):
        raise UsageError(f"no notebook {notebook!r} in this folder; there are: {', '.join(notebooks(root)) or 'none'}")
    cells = json.loads((root / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise UsageError(f"{notebook} has {len(tagged)} cells tagged `parameters`; one is needed")
    return dict(_assignment(statement, notebook) for statement in ast.parse("".join(tagged[0]["source"])).body)


def profile_parameters(root: Path, profile: str) -> dict[str, dict[str, Any]]:
    """A profile's parameters by notebook; `quick` may be without a file."""
    if profile not in profiles(root):
        raise UsageError(f"no profile {profile!r}; there are: {', '.join(profiles(root))}")
    path = root / "notebooks" / "profiles" / f"{profile}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
    return {notebook: values or {} for notebook, values in (content or {}).items()}


def merged(root: Path, notebook: str, profile: str, data: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Parameters to hand to a notebook: PROFILE and DATA, the profile's, then those given by hand (as texts)."""
    defaults = notebook_parameters(root, notebook)
    values: dict[str, Any] = {"PROFILE": profile, "DATA": data}
    for name in values:
        if name not in defaults:
            raise UsageError(f"{notebook} has no parameter {name}: every notebook needs one")
    for name, value in profile_parameters(root, profile).get(notebook, {}).items():
        values[name] = _checked(f"{notebook}, profile {profile}", name, value, defaults)
    for name, text in given.items():
        values[name] = _checked(notebook, name, text, defaults)
    return values


def shared_out(
    root: Path, profile: str, data: str, given: Mapping[str, str], names: Sequence[str] = ()
) -> dict[str, dict[str, str]]:
    """Of parameters given by hand for all notebooks (or those of these names) what each one has, checked with its profile;
    UsageError for a parameter that none has.
    """
    known = {notebook: notebook_parameters(root, notebook) for notebook in names or notebooks(root)}
    if unknown := [name for name in given if not any(name in names for names in known.values())]:
        listing = "\n".join(f"  {notebook}: {_names(names)}" for notebook, names in known.items())
        raise UsageError(f"no notebook has a parameter {', '.join(unknown)}; there are:\n{listing}")
    shares = {notebook: {n: text for n, text in given.items() if n in names} for notebook, names in known.items()}
    for notebook, share in shares.items():
        merged(root, notebook, profile, data, share)
    return shares


def _names(defaults: Mapping[str, Any]) -> str:
    return ", ".join(name for name in defaults if name not in OF_THE_RUNNER)


def _assignment(statement: ast.stmt, notebook: str) -> tuple[str, Any]:
    try:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name) and len(statement.targets) == 1:
            value = ast.literal_eval(statement.value)
            if isinstance(value, LITERALS):
                return statement.targets[0].id, value
    except ValueError:
        pass
    raise UsageError(f"{notebook}: `{ast.unparse(statement)}` in the parameters cell is not NAME = plain literal")


def _checked(where: str, name: str, value: Any, defaults: Mapping[str, Any]) -> Any:
    if name in OF_THE_RUNNER:
        raise UsageError(f"{where}: {name} is set by {OF_THE_RUNNER[name]}")
    if name not in defaults:
        raise UsageError(f"{where}: no parameter {name!r}; there are: {_names(defaults)}")
    default = defaults[name]
    if isinstance(value, str) and not isinstance(default, str):
        value = _literal(value)
    if not _fits(value, default):
        raise UsageError(f"{where}: {name} is {value!r}; a value like {default!r} ({type(default).__name__}) is needed")
    if not name.endswith("SEED") and not _positive(value, default):
        raise UsageError(f"{where}: {name} is {value!r}; numbers above 0 are needed, as in the default {default!r}")
    return value


def _positive(value: Any, default: Any) -> bool:
    """Whether the numbers of a value are positive wherever those in the same place of the default are."""
    if isinstance(value, dict):
        known = default if isinstance(default, dict) else {}
        return all(_positive(item, known.get(key)) for key, item in value.items())
    if isinstance(value, list):
        numbers = isinstance(default, list) and default and all(map(_is_number, default))
        return all(_positive(item, min(default) if numbers else None) for item in value)
    return not (_is_number(value) and _is_number(default) and default > 0) or 0 < value < math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _fits(value: Any, default: Any) -> bool:
    """Whether a value is of the default's type; an int serves as a float, and a default of None takes any literal."""
    if default is None or value is None:
        return isinstance(value, LITERALS) and default is None
    if isinstance(default, float):
        return isinstance(value, float | int) and not isinstance(value, bool)
    if isinstance(default, list) and default and isinstance(value, list):
        return all(any(_fits(item, model) for model in default) for item in value)
    return type(value) is type(default)
