"""The house: which room may import which, no circle, and a front door that costs nothing."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import mialib

PACKAGE = Path(mialib.__file__).parent
LIBRARY = {"core", "data", "training", "shadow", "attack", "metrics", "mitigations", "plots", "audit", "cluster"}
BELOW = {  # what each room may import
    "core": set(),
    "data": {"core"},
    "training": {"core"},
    "cluster": {"core"},
    "shadow": {"core"},
    "attack": {"core", "training", "shadow"},
    "metrics": {"core"},
    "mitigations": {"core"},
    "plots": {"core"},
    "audit": {"core", "training", "shadow", "attack", "metrics", "mitigations", "plots", "cluster"},
    "runs": {"core", "plots", "cluster"},
    "study": {"core", "data", "training", "shadow", "attack", "metrics", "mitigations"},
    "paper": {"core", "shadow", "metrics", "plots", "study", "runs"},
    "lab": {"core", "data", "training", "shadow", "attack", "metrics", "mitigations", "plots", "runs", "study", "paper"},
    "site": {"core", "data", "shadow", "attack", "metrics", "mitigations", "plots", "runs", "study", "paper"},
    "__main__": {"core", "audit", "runs", "site"},
}
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imported(name: str) -> set[str]:
    """The modules of ours that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mialib"):
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {each if each in MODULES else node.module for each in whole}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("mialib")}
    return found - {name}


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_every_room_is_known():
    assert {room(name) for name in MODULES} - {""} == set(BELOW)


@pytest.mark.parametrize("name", [name for name in MODULES if room(name)])
def test_a_room_imports_only_what_stands_below_it(name):
    others = {room(each) for each in imported(name)} - {room(name)}
    assert others <= BELOW[room(name)], f"{name} imports {others - BELOW[room(name)]}"


def test_no_name_of_the_plots_means_something_else_in_another_room():
    defined: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            stored = [part.id for target in targets if target for part in ast.walk(target) if isinstance(part, ast.Name)]
            for word in [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else stored:
                defined.setdefault(word, set()).add(name)
    shared = {name: modules for name, modules in defined.items() if len(modules) > 1 and not name.startswith("_")}
    assert not [f"{name} in {sorted(modules)}" for name, modules in shared.items() if "plots" in map(room, modules)]


def test_what_an_auditor_needs_knows_nothing_of_the_study():
    assert all(BELOW[each] <= LIBRARY for each in LIBRARY)


def test_there_is_no_circle():
    doors = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    order = {name: imported(name) - doors for name in MODULES if name not in doors}
    assert [*TopologicalSorter(order).static_order()]


def test_the_front_door_has_what_it_names_and_refuses_the_rest():
    assert 20 <= len(mialib.__all__) <= 30
    assert all(callable(getattr(mialib, name)) for name in mialib.__all__)
    assert set(mialib.__all__) <= set(dir(mialib))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mialib.nothing


def test_the_front_door_costs_nothing_until_it_is_used():
    code = "import sys, mialib; print({'numpy', 'pandas', 'torch', 'sklearn', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


CONVENTIONS = {"log", "main"}  # what each module of some kind has, by custom
TWICE = {"load"}  # of a data set, and from the cache: always written with its module; nothing may join it


def defined(name: str) -> set[str]:
    """The public names that a module defines at its top level."""
    found = set()
    for node in ast.parse(MODULES[name].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return {each for each in found if not each.startswith("_")}


def test_a_public_name_is_defined_in_one_module():
    """One word, one meaning: nobody has to look which `Found` or `KINDS` a line is about."""
    places: dict[str, list[str]] = {}
    for name in MODULES:
        for each in defined(name) - CONVENTIONS:
            places.setdefault(each, []).append(name)
    twice = {each: names for each, names in places.items() if len(names) > 1}
    assert set(twice) <= TWICE, {each: names for each, names in twice.items() if each not in TWICE}
