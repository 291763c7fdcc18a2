"""pyproject.toml, environment.yml and requirements.lock name the same packages with versions that agree."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
CONDA_NAMES = {"torch": "pytorch"}


def direct() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = [line for lines in project["optional-dependencies"].values() for line in lines]
    return [Requirement(line) for line in project["dependencies"] + extra]


def python_bound() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]


def conda() -> list[str]:
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert [line for line in dependencies if isinstance(line, dict)] == [{"pip": ["-e ."]}]
    return [line for line in dependencies if isinstance(line, str)]


def lock_lines() -> list[str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pins() -> dict[str, str]:
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in map(Requirement, lock_lines())}


def test_every_dependency_has_one_lower_bound():
    for requirement in direct():
        assert [specifier.operator for specifier in requirement.specifier] == [">="], requirement


def test_conda_environment_is_the_same_set_with_the_same_bounds():
    expected = {CONDA_NAMES.get(item.name, item.name) + str(item.specifier) for item in direct()}
    assert set(conda()) == expected | {f"python{python_bound()}", "pip"}


@pytest.mark.parametrize("requirement", direct(), ids=lambda requirement: requirement.name)
def test_lock_satisfies_the_bound(requirement):
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_lock_holds_exact_pins_and_no_address():
    for line in lock_lines():
        assert re.fullmatch(r'[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*( ; platform_system == "(Linux|Darwin)")?', line), line
    assert len(pins()) == len(lock_lines())


def test_lock_asks_for_gpu_packages_on_linux_only():
    gpu = [line for line in lock_lines() if re.match("nvidia|cuda|triton", line)]
    assert gpu and all(line.endswith('; platform_system == "Linux"') for line in gpu)


# Which packages the library imports

IMPORT_NAMES = {"scikit-learn": "sklearn", "pyyaml": "yaml"}
LIBRARY = ("core", "data", "training", "shadow", "attack", "metrics", "plots", "audit")


def declared(extra: str | None) -> set[str]:
    """Import names of the packages of an extra, or of the base."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] if extra is None else project["optional-dependencies"][extra]
    return {IMPORT_NAMES.get(name, name) for name in (Requirement(line).name for line in lines)}


def foreign_imports(path: Path) -> tuple[set[str], set[str]]:
    """Packages of others that a module imports when it is imported, and all that it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for nodes in (tree.body, ast.walk(tree)):
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        found.append(names)
    for place, nodes in enumerate((tree.body, ast.walk(tree))):
        found[place] += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    at_once, all_of_them = (
        {name.partition(".")[0] for name in names} - {*sys.stdlib_module_names, "mialib"} for names in found
    )
    return at_once, all_of_them


@pytest.mark.parametrize("room", [*LIBRARY, "."])
def test_what_the_library_imports_is_declared(room):
    """What audits import is in the base; what they may import late, in an extra that says so."""
    modules = sorted((ROOT / "mialib" / room).glob("*.py" if room == "." else "**/*.py"))
    assert modules
    base, extras = declared(None), declared("audit") | declared("study") | declared("private")
    for path in modules:
        at_once, all_of_them = foreign_imports(path)
        assert at_once <= base, path
        assert all_of_them <= base | extras, path


def test_the_base_is_without_notebooks_and_pictures():
    assert not declared(None) & (declared("study") | declared("audit") | declared("private") | declared("dev"))
    assert {"jupyterlab", "papermill", "torchvision"} <= declared("study")
