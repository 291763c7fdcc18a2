"""What worker processes do: in a module that imports nothing heavy, for each of them imports it anew."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def fitted_clone(estimator: Any, x: Any, y: np.ndarray, random_state: int) -> Any:
    """A clone of a scikit-learn estimator, fitted on records of any kind."""
    return clone_of(estimator, random_state).fit(flat(x), y)


def clone_of(estimator: Any, random_state: int) -> Any:
    """An estimator with the same parameters, not fitted, all of its random states being this one."""
    from sklearn.base import clone

    model = clone(estimator)
    names = [name for name in model.get_params() if name == "random_state" or name.endswith("__random_state")]
    return model.set_params(**dict.fromkeys(names, random_state))


def flat(x: Any) -> Any:
    """Records of many dimensions as rows of numbers; all others, tables too, as they are."""
    return x.reshape(len(x), -1) if isinstance(x, np.ndarray) and x.ndim > 2 else x


def called(fit: Callable[..., Any], x: Any, y: np.ndarray, seed: int) -> Any:
    """What a user's training function returns; a torch module, on the CPU: another process may have another device."""
    model, torch = fit(x, y, seed), sys.modules.get("torch")
    return model.cpu() if torch is not None and isinstance(model, torch.nn.Module) else model
