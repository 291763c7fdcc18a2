"""Audit a model of one's own: what does it give away, about whom, how sure is that, what helps?

Nothing is imported before it is used: `mialib audit --help` waits for neither torch nor pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mialib.audit.audit import Audit, Moment
    from mialib.audit.connection import BadAnswer, ServiceFailed
    from mialib.audit.engine import answers, model
    from mialib.audit.meter import BudgetSpent
    from mialib.audit.remote import Remote
    from mialib.audit.serving import serve

__all__ = ["Audit", "BadAnswer", "BudgetSpent", "Moment", "Remote", "ServiceFailed", "answers", "model", "serve"]
_HOMES = {
    "audit": ("Audit", "Moment"),
    "connection": ("BadAnswer", "ServiceFailed"),
    "engine": ("answers", "model"),
    "meter": ("BudgetSpent",),
    "remote": ("Remote",),
    "serving": ("serve",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'mialib.audit' has no attribute {name!r}")
    return getattr(import_module(f"mialib.audit.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
