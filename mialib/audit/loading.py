"""Models from disk: skops, ONNX, TorchScript, an import path; and, where they are trusted, files that run code when read."""

import importlib
import inspect
import logging
import re
import sys
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

from mialib.core import checks

log = logging.getLogger(__name__)

PICKLES = (".joblib", ".pkl", ".pickle")
TORCH = (".pt", ".pth", ".ts", ".torchscript")
MODEL_FILES = (".skops", ".onnx", *TORCH, *PICKLES)
MODEL_OUTPUTS = ("probabilities", "logits")
IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
HARMLESS = {"numpy.dtype", "scipy.interpolate._bsplines.BSpline"}  # of what estimators hold, data that skops does not know


def load_model(source: str | Path, *, trust: bool = False, outputs: str = "probabilities") -> Any:
    """A model that an audit can ask: an object with predict_proba (or predict), or a function.

    source: a file of MODEL_FILES, or an import path package.module:name, looked for in the current directory, too. trust: read
    files that can run code: pickles, and skops files with types that neither skops nor scikit-learn know. (Without, a forged
    file of trees can crash the process, but run nothing.) outputs: "logits" where a torch module or ONNX graph answers those.

    Raises ValueError or TypeError that name the source and what is wrong; ExtraMissing (an ImportError) where ONNX is not
    installed.
    """
    checks.flag("trust", trust)
    checks.choice("outputs", outputs, MODEL_OUTPUTS)
    if not isinstance(source, str | Path):
        raise TypeError(f"model must be the name of a file or an import path, got {type(source).__name__}")
    if isinstance(source, str) and IMPORT_PATH.fullmatch(source) and not Path(source).exists():
        return _target(_no_recipe(import_named(source), source), source, outputs)
    path = Path(source)
    suffix = path.suffix.lower()
    if suffix not in MODEL_FILES:
        raise ValueError(f"model must end in {', '.join(MODEL_FILES)}, or be package.module:name, got {str(source)!r}")
    if not path.is_file():
        raise ValueError(f"model must be a file, and there is none at {path}")
    if suffix == ".onnx":
        from mialib.audit.onnx_models import OnnxModel

        return OnnxModel(path, outputs)
    reader = _skops if suffix == ".skops" else _torch if suffix in TORCH else _pickle
    return _target(reader(path, trust), str(path), outputs)


def import_named(source: str) -> Any:
    """What an import path "package.module:name" names.

    The current directory is put on the import path, where it is not, as `python -m` does, and stays there: processes that train
    import from it, too. Raises ValueError where there is no such module or name, or the module fails.
    """
    if not isinstance(source, str) or not IMPORT_PATH.fullmatch(source):
        raise ValueError(f"an import path must be like package.module:name, got {source!r}")
    module_name, _, name = source.partition(":")
    _import_from_here()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the user's module raises
        raise ValueError(
            f"{module_name} cannot be imported (from {Path.cwd()}, too): {type(error).__name__}: {error}"
        ) from error
    try:
        return reduce(getattr, name.split("."), module)
    except AttributeError:
        there = [each for each in vars(module) if not each.startswith("_")]
        raise ValueError(f"{module_name} has no {name!r}; it has {', '.join(there[:20]) or 'nothing'}") from None


def _import_from_here() -> None:
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def _no_recipe(found: Any, source: str) -> Any:
    """`found`, if it is no class and no function that makes a model: an audit is of one model, which has been trained."""
    name = source.partition(":")[2]
    if isinstance(found, type):
        raise ValueError(f"{source} is a class: name a trained model, such as model = {name}(…).fit(x, y) in that module")
    if inspect.isroutine(found):
        try:
            inspect.signature(found).bind(None)
        except TypeError:
            raise ValueError(
                f"{source} takes no records: if it makes a model, name that, such as model = {name}() in that module; a "
                "function that is a model takes records alone"
            ) from None
        except ValueError:  # builtins may have no signature
            pass
    return found


def _target(found: Any, source: str, outputs: str) -> Any:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(found, torch.nn.Module):
        from mialib.training import black_box  # late: torch is heavy

        return black_box(found, outputs)
    if not (hasattr(found, "predict_proba") or hasattr(found, "predict") or callable(found)):
        raise TypeError(
            f"{source} must be a model, with predict_proba, a torch module or a function, got a {_type_name(found)}"
        )
    if outputs == "logits":
        raise ValueError(f"outputs must be 'probabilities' of a {_type_name(found)} ({source}): logits are for torch and ONNX")
    return found


def _skops(path: Path, trust: bool) -> Any:
    import skops.io  # late: with scikit-learn a second

    with _damage_named(path, "skops"):
        unknown = skops.io.get_untrusted_types(file=path)
    strange = [name for name in unknown if not _is_harmless(name)]
    if strange and trust:
        _import_from_here()
    elif strange:
        raise ValueError(
            f"{path} holds types that neither skops nor scikit-learn know to be safe: {', '.join(strange)}. Reading them can "
            "run code: --trust (trust=True) does, for a file of your own"
        )
    with _damage_named(path, "skops"), _version_told(path):
        return skops.io.load(path, trusted=unknown)


def _is_harmless(name: str) -> bool:
    """Whether a type is a class that scikit-learn itself defines, or a function by which it selects columns."""
    module_name, _, attribute = name.rpartition(".")
    if name in HARMLESS:
        return True
    if module_name.partition(".")[0] != "sklearn":
        return False
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError):
        return False
    scores = module_name == "sklearn.feature_selection._univariate_selection"
    return found.__module__.partition(".")[0] == "sklearn" if isinstance(found, type) else scores and inspect.isfunction(found)


def _torch(path: Path, trust: bool) -> Any:
    import torch  # late: heavy

    names = _members(path)
    if any(name.endswith("constants.pkl") for name in names):
        with _damage_named(path, "TorchScript"), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that torch.export is newer
            warnings.simplefilter("ignore", FutureWarning)
            return torch.jit.load(path, map_location="cpu")
    if not trust:
        raise ValueError(
            f"{path} is no TorchScript, but what torch.save wrote, or damaged. {_runs_code('torch.jit.script(module).save')}"
        )
    _import_from_here()
    with _damage_named(path, "torch"):
        found = torch.load(path, map_location="cpu", weights_only=False)
    if not isinstance(found, torch.nn.Module):
        raise ValueError(
            f"{path} must hold a torch module, got a {_type_name(found)}: weights alone do not say what to compute"
        )
    return found


def _pickle(path: Path, trust: bool) -> Any:
    if not trust:
        raise ValueError(f"{path} is not read. {_runs_code('skops.io.dump')}")
    import joblib

    _import_from_here()
    with _damage_named(path, "pickle"), _version_told(path):
        return joblib.load(path)


def _runs_code(safe: str) -> str:
    return (
        "A pickle runs whatever code it holds when it is read: --trust (trust=True) reads it all the same, a file of your own; "
        f"{safe} writes one that needs no trust"
    )


def _members(path: Path) -> list[str]:
    """Names in a zip; empty for anything else."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.namelist()
    except zipfile.BadZipFile:
        return []


@contextmanager
def _damage_named(path: Path, kind: str) -> Iterator[None]:
    """Whatever a reader raises about a damaged or foreign file is a ValueError that names it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ValueError(f"{path} needs {error.name}, which is not installed here, nor in {Path.cwd()}") from error
    except Exception as error:  # readers raise what they like
        raise ValueError(f"{path} cannot be read as {kind}, damaged? {type(error).__name__}: {error}") from error


@contextmanager
def _version_told(path: Path) -> Iterator[None]:
    """One line for all that scikit-learn warns of, estimator by estimator, in a model that another version made."""
    from sklearn.exceptions import InconsistentVersionWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    others = [each.message for each in caught if isinstance(each.message, InconsistentVersionWarning)]
    if others:
        was, now = others[0].original_sklearn_version, others[0].current_sklearn_version
        log.warning("%s was made with scikit-learn %s, and is asked with %s: its answers may differ", path, was, now)
    for each in caught:
        if not isinstance(each.message, InconsistentVersionWarning):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


def _type_name(value: Any) -> str:
    return f"{type(value).__module__.partition('.')[0]} {type(value).__name__}".removeprefix("builtins ")
