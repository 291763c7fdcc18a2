"""Controls in a notebook: menus and sliders above a figure of `mialib.plots` that follows them.

A `Control` says what can be chosen, a function says which `Scene` is shown at a position of all of them; neither knows of
widgets, so both are tested without a browser. Where the runner executes a notebook, the figure of the first position is saved,
and stands.
"""

import html
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mialib.core import checks
from mialib.core.cache import output_folder
from mialib.lab.canvas import PLAY_SIZE, Canvas, Scene
from mialib.runs.run import Run

log = logging.getLogger(__name__)

KINDS_OF_CONTROL = ("slider", "menu", "buttons")
EVERY_CLASS = -1  # a menu shows nothing where its value is None
Options = Sequence[tuple[str, Any]]


class Control(NamedTuple):
    """What can be chosen. name: the argument of `shown`; options: texts and values, or a function that gives them at a position
    of the controls before this one; start: the value that is chosen first, where it is among them (else the first is), or
    such a function.
    """

    name: str
    label: str
    kind: str
    options: Options | Callable[[Mapping[str, Any]], Options]
    start: Any = None


def settle(controls: Sequence[Control], wanted: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Options]]:
    """The position nearest to what is wanted, and each control's options there: a value that its control does not offer gives
    way to the control's start, or to its first option.
    """
    position: dict[str, Any] = {}
    offered: dict[str, Options] = {}
    for control in controls:
        checks.choice("kind", control.kind, KINDS_OF_CONTROL)
        options = list(control.options(position) if callable(control.options) else control.options)
        if not options:
            raise ValueError(f"options of {control.name!r} must hold at least one at {position}, got none")
        values = [value for _, value in options]
        start = control.start(position) if callable(control.start) else control.start
        tried = [wanted[control.name]] if control.name in wanted else []
        position[control.name] = next((value for value in [*tried, start] if value in values), values[0])
        offered[control.name] = options
    return position, offered


def playground(
    run: Run,
    name: str,
    controls: Sequence[Control],
    shown: Callable[..., Scene],
    ahead: Callable[[], Any] = lambda: None,
) -> Any:
    """Controls above a figure, to be shown by a notebook's cell; or, under the runner, the figure `name` of the run alone.

    shown: what is shown at a position, given by the controls' names. ahead: called before the controls appear, for what takes
    longer than a move may.
    """
    if output_folder():
        first = shown(**settle(controls, {})[0])
        return run.figure(name, first.function, *first.tables, facet="panel", share=False, size=PLAY_SIZE)
    ahead()
    return _Playground(run, controls, shown).box


class _Playground:
    """The widgets of some controls, a picture and its words; `box` holds them."""

    def __init__(self, run: Run, controls: Sequence[Control], shown: Callable[..., Scene]) -> None:
        import ipywidgets

        self._controls, self._shown = controls, shown
        self._canvas, self._settling = Canvas(run.record), False
        position, offered = settle(controls, {})
        self._widgets = {each.name: _widget(each, offered[each.name], position[each.name]) for each in controls}
        self._picture = ipywidgets.Image(format="png", layout={"width": "100%", "max_width": f"{110 * PLAY_SIZE[0]:.0f}px"})
        self._words = ipywidgets.HTML()
        row = ipywidgets.Box(list(self._widgets.values()), layout={"flex_flow": "row wrap", "grid_gap": "2px 28px"})
        self.box = ipywidgets.VBox([row, self._picture, self._words], layout={"padding": "4px 0"})
        self._show(position)
        for widget in self._widgets.values():
            widget.observe(self._moved, "value")

    def _moved(self, change: Any) -> None:
        """A browser sends the next move when this one is done, and drops those between: nothing queues up behind a slider."""
        if self._settling:
            return
        self._settling = True
        try:
            position, offered = settle(self._controls, {name: widget.value for name, widget in self._widgets.items()})
            for name, widget in self._widgets.items():
                if list(widget.options) != list(offered[name]):
                    widget.options = offered[name]
                if widget.value != position[name]:
                    widget.value = position[name]
            self._show(position)
        except Exception as error:  # it would end in a log that nobody sees
            log.exception("the controls' figure could not be drawn")
            said = html.escape(f"{type(error).__name__}: {error}")
            self._words.value = f'<div role="alert" style="color:#B03A2E">{said}</div>'
        finally:
            self._settling = False

    def _show(self, position: Mapping[str, Any]) -> None:
        shown = self._shown(**position)
        self._picture.value = self._canvas.png(shown)
        style = "line-height:1.4;max-width:792px"
        self._words.value = f'<div role="status" aria-live="polite" style="{style}">{html.escape(shown.words)}</div>'


def _widget(control: Control, options: Options, value: Any) -> Any:
    import ipywidgets

    make = {"slider": ipywidgets.SelectionSlider, "menu": ipywidgets.Dropdown, "buttons": ipywidgets.ToggleButtons}
    style: dict[str, Any] = {"description_width": "initial"}
    layout = {"width": {"slider": "380px", "menu": "200px", "buttons": "auto"}[control.kind]}
    if control.kind == "buttons":
        style["button_width"] = "auto"
    return make[control.kind](options=options, value=value, description=control.label, style=style, layout=layout)


def counts_up_to(most: int, usual: Sequence[int] = (1, 2, 5, 10, 20, 50, 100)) -> list[int]:
    """The usual numbers of models below `most`, and `most` itself."""
    checks.whole("most", most, 1)
    return [*(k for k in usual if k < most), most]


def class_options(labels: np.ndarray, member: np.ndarray, names: Sequence[str] = ()) -> Options:
    """All records (`EVERY_CLASS`), or those of one class, if it has members and non-members."""
    both = np.intersect1d(labels[member], labels[~member])
    return [("all", EVERY_CLASS), *((str(names[c]) if len(names) else str(c), int(c)) for c in both)]


def rows_of_class(labels: np.ndarray, cls: int) -> np.ndarray:
    """Which records are of a class that `class_options` offers, bool (n,)."""
    return np.full(labels.shape, True) if cls == EVERY_CLASS else labels == cls
