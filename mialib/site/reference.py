"""The reference: what the front door and each room's door hand on, with signature, docstring and the module it comes from."""

import inspect
import pkgutil
import re
from collections.abc import Iterator
from html import escape
from importlib import import_module
from types import ModuleType
from typing import Any

from mialib.core.extras import extra
from mialib.site.frame import SitePage
from mialib.site.markup import folded, inline_code
from mialib.site.sources import Sources

NOT_SHOWN = ("site", "lab")  # rooms that make pages and notebooks look as they do, no library
FRONT_DOOR = import_module("mialib")
MODULES_OF_NAMES = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def reference_pages(sources: Sources) -> Iterator[SitePage]:
    """One page: the front door, then room by room. sources: as for every maker of pages; the package itself is asked."""
    rooms = {name: import_room(name) for name in room_names()}
    parts = [_front_door(), *(_room(name, room) for name, room in rooms.items())]
    links = "".join(f'<li><a href="#room-{name}">{name}</a></li>' for name in rooms)
    contents = (
        '<nav class="contents no-print" aria-label="Rooms"><ul><li><a href="#front-door">the front door</a></li>'
        f"{links}</ul></nav>"
    )
    head = (
        "<h1>Reference</h1>\n<p>What <code>import mialib</code> gives, and what the door of each room hands on. Every entry "
        "opens to what its docstring says: arguments, shapes, what is raised.</p>"
    )
    yield SitePage("reference.html", "Reference", "\n".join([head, contents, *parts]))


def room_names() -> list[str]:
    """The rooms of the package that have a door."""
    found = (each.name for each in pkgutil.iter_modules(FRONT_DOOR.__path__))
    return sorted(name for name in found if name not in (*NOT_SHOWN, "__main__"))


def import_room(name: str) -> ModuleType:
    with extra("study"):
        return import_module(f"mialib.{name}")


def door_of(room: ModuleType) -> list[str]:
    """The public names of a room: its `__all__`, or what a room of one module defines itself."""
    if hasattr(room, "__all__"):
        return list(room.__all__)
    own = [name for name, value in vars(room).items() if getattr(value, "__module__", "") == room.__name__]
    return sorted(name for name in own if not name.startswith("_"))


def _front_door() -> str:
    rows = "".join(
        f'<tr><th scope="row"><a href="#{ident(room, name)}"><code>{name}</code></a></th><td>{room}</td>'
        f"<td>{_sentence(getattr(FRONT_DOOR, name))}</td></tr>"
        for name, room in FRONT_DOOR.ROOM_OF.items()
    )
    return (
        f'<section><h2 id="front-door">The front door</h2>\n{_prose(FRONT_DOOR.__doc__)}\n'
        '<div class="scroll whole" tabindex="0" role="region" aria-label="The front door"><table>'
        '<caption class="visually-hidden">The names of the front door</caption>'
        '<thead><tr><th scope="col">name</th><th scope="col">room</th><th scope="col">what it is</th></tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _room(name: str, room: ModuleType) -> str:
    entries = "\n".join(_entry(name, each, getattr(room, each)) for each in door_of(room))
    return f'<section><h2 id="room-{name}"><code>mialib.{name}</code></h2>\n{_prose(room.__doc__)}\n{entries}</section>'


def ident(room: str, name: str) -> str:
    """The anchor of an entry: "attack.lira"."""
    return f"{room}.{name}"


def _entry(room: str, name: str, value: Any) -> str:
    summary = f'<code class="name">{name}</code> <span class="soft">{_sentence(value)}</span>'
    module = getattr(value, "__module__", "") if callable(value) else ""
    source = f'<p class="soft">from <code>{escape(module)}</code></p>' if module.startswith("mialib") else ""
    called = f'<pre class="signature" tabindex="0"><code>{escape(signature_of(name, value))}</code></pre>'
    body = f"{called}\n{_prose(_doc(value))}{source}{_methods(value)}"
    return f'<div id="{ident(room, name)}" class="entry">{folded(summary, body)}</div>'


def signature_of(name: str, value: Any) -> str:
    """How a name is called, as it is written; of a constant its kind."""
    if not callable(value):
        return f"{name}: {type(value).__name__}"
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # made by a library that says nothing of it
        return f"{name}(…)"
    written = _written(signature)
    back = signature.return_annotation
    end = "" if back is signature.empty or inspect.isclass(value) else f" -> {_kind(back)}"
    line = f"{name}({', '.join(written)}){end}"
    return line if len(line) <= 100 else "\n".join([f"{name}(", *(f"    {each}," for each in written), f"){end}"])


def _written(signature: inspect.Signature) -> list[str]:
    """The parameters as they are written, with the star before those that go by name alone."""
    written: list[str] = []
    for each in signature.parameters.values():
        if each.kind is each.KEYWORD_ONLY and not any(part.startswith("*") for part in written):
            written.append("*")
        stars = "*" if each.kind is each.VAR_POSITIONAL else "**" if each.kind is each.VAR_KEYWORD else ""
        kind = "" if each.annotation is each.empty else f": {_kind(each.annotation)}"
        default = "" if each.default is each.empty else f"{' = ' if kind else '='}{_default(each.default)}"
        written.append(f"{stars}{each.name}{kind}{default}")
    return written


def _kind(annotation: Any) -> str:
    """An annotation without the modules that its names come from."""
    said = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return MODULES_OF_NAMES.sub("", said.replace("numpy.ndarray", "np.ndarray")).replace("'", "")


def _default(value: Any) -> str:
    said = ADDRESS.sub("", repr(value))
    return (
        f'"{value}"'
        if isinstance(value, str)
        else f"{value.__module__}.{value.__name__}"
        if inspect.isfunction(value)
        else said
    )


def _methods(value: Any) -> str:
    """The public methods of a class of ours that say what they do."""
    if not inspect.isclass(value):
        return ""
    own = [
        (name, method)
        for name, method in vars(value).items()
        if not name.startswith("_") and (inspect.isfunction(method) or isinstance(method, property)) and inspect.getdoc(method)
    ]
    items = "".join(
        f"<dt><code>{escape(name if isinstance(method, property) else signature_of(name, method))}</code></dt>"
        f"<dd>{_prose(inspect.getdoc(method))}</dd>"
        for name, method in own
    )
    return f'<dl class="methods">{items}</dl>' if items else ""


def _doc(value: Any) -> str:
    """What is written about a value itself, not about its type."""
    if not callable(value):
        return ""
    doc = inspect.getdoc(value) or ""
    made = inspect.isclass(value) and doc.startswith(f"{value.__name__}(")  # written by dataclass or NamedTuple
    return "" if made else doc


def _sentence(value: Any) -> str:
    return inline_code((_doc(value).split("\n\n")[0]).strip())


def _prose(doc: str | None) -> str:
    """A docstring as HTML: paragraphs; lines that are set in stay as they are."""
    parts = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(doc or "")):
        indented = block.startswith("    ") or "\n    " in block or block.lstrip().startswith(">>>")
        parts.append(f'<pre tabindex="0">{escape(block)}</pre>' if indented else f"<p>{inline_code(block)}</p>")
    return "\n".join(parts) if doc else ""
