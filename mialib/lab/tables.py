"""Tables as a notebook shows them: numbers right and rounded, a value with its interval in one cell, words in place of codes.

In JupyterLab a long table is one to page, sort and search (itables, without a network); where the runner executes the notebook
it is plain HTML, whole.
"""

import re
from collections.abc import Hashable, Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from mialib.core import checks
from mialib.core.cache import output_folder
from mialib.core.progress import in_notebook
from mialib.plots.names import in_words

LONG_TABLE = 15  # rows from which on a table is to be paged, and that a page has
COLUMN_WORDS: dict[Hashable, str] = {
    "our_target": "target", "our_train_size": "records", "train_size": "records", "cls": "class", "n_targets": "targets",
    "n_classes": "classes", "published": "paper", "value": "ours", "fpr": "FPR", "n_nonmembers": "non-members",
    "auc_rest": "AUC of the rest", "n_references": "references",
    "n_members": "members", "p": "p-value", "nonmembers": "non-members",
}  # fmt: skip
_NUMBER = re.compile(r"(≥ )?-?[\d,]+\.\d+( \[|$)")
_LONG_WORD, _NAME = re.compile(r"\S{31,}"), re.compile(r"(?=\S*-)\S{1,12}")
CAPTIONED = (
    "dataset",
    "source",
    "our_target",
    "train_size",
    "our_train_size",
    "attack",
    "setting",
    "variant",
    "id",
    "n_targets",
    "level",
)
EMPTY_IF = {"undefined": 0, "variant": "none"}  # what says nothing, where a whole column says it
_NAMED = ("dataset", "our_target", "setting", "attack", "variant", "metric", "name", "drawn")  # columns whose values have words
_SOURCES = {"real": "real", "standin": "stand-in"}


class TableView:
    """A table to look at: HTML in a notebook, text elsewhere. Made by `show_table`; `frame` is what it shows, all texts."""

    def __init__(self, frame: pd.DataFrame, numeric: list[bool], caption: str, has_index: bool) -> None:
        self.frame, self.numeric, self.caption, self.has_index = frame, numeric, caption, has_index

    def __repr__(self) -> str:
        text = self.frame.to_string(index=self.has_index, max_colwidth=None)
        return f"{self.caption}\n{text}" if self.caption else text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self._live_html() if self._is_live else self.html(), "text/plain": repr(self)}

    @property
    def _is_live(self) -> bool:
        return len(self.frame) > LONG_TABLE and in_notebook() and output_folder() is None

    def html(self) -> str:
        """The whole table, without script or style sheet."""
        parts = ["<table>", f"<caption>{escape(self.caption)}</caption>" if self.caption else "", "<thead>"]
        parts += [*_head(self.frame, self.numeric, self.has_index), "</thead>", "<tbody>"]
        spans = _spans(self.frame.index) if self.has_index else [[] for _ in range(len(self.frame))]
        for labels, row in zip(spans, self.frame.itertuples(index=False), strict=True):
            cells = "".join(_cell(text, number) for text, number in zip(row, self.numeric, strict=True))
            parts.append(f"<tr>{''.join(labels)}{cells}</tr>")
        return "\n".join(filter(None, [*parts, "</tbody>", "</table>"]))

    def _live_html(self) -> str:
        import itables

        _prepare_itables()
        flat = self.frame.reset_index() if self.has_index else self.frame
        flat.columns = [" ".join(filter(None, map(str, c))) if isinstance(c, tuple) else str(c) for c in flat.columns]
        right = [i for i, number in enumerate([False] * (flat.shape[1] - len(self.numeric)) + self.numeric) if number]
        shown: str = itables.to_html_datatable(
            flat, self.caption or None, connected=False, showIndex=False, pageLength=LONG_TABLE, order=[], 
            classes="display compact",
            lengthMenu=[LONG_TABLE, 50, 100, -1], style="width:100%", maxBytes=0,
            columnDefs=[{"className": "dt-right dt-nowrap", "targets": right}, {"className": "dt-left", "targets": "_all"}],
        )  # fmt: skip
        return shown


def show_table(
    table: pd.DataFrame | pd.Series,
    *,
    digits: int = 3,
    across: str | None = None,
    words: Mapping[Hashable, str] | None = None,
    index: bool | None = None,
) -> TableView:
    """A table for the eye, which a cell's last line shows; the table itself stays as it is.

    Floats have so many digits, whole numbers a comma at thousands, what is missing is left empty. X, X_low and X_high (or low
    and high, of `value` or what stands before them) become one column, "0.612 [0.580, 0.644]"; where a lower bound alone is
    known it is "≥ 0.95". Left out are columns that are empty or say nothing (no class undefined, no variant, `counts` alike
    everywhere); what is the same in all rows stands in the caption. across: a column each of whose values becomes a column,
    with what stands in `value`. words: what columns are called, and values in them. index: show it; None: unless it only
    counts rows. TypeError for no table.
    """
    if isinstance(table, pd.Series):
        table = table.to_frame(str(table.name) if table.name is not None else "value")
    checks.instance("table", table, pd.DataFrame)
    checks.whole("digits", digits, 0)
    counts_rows = table.index.nlevels == 1 and table.index.name is None and pd.api.types.is_integer_dtype(table.index)
    has_index = not counts_rows if index is None else index
    table, caption, words = table.copy(deep=False), "", {**_words_of(table), **(words or {})}
    if table.columns.nlevels == 1:
        table = _joined(_without_silent(table), digits)
        if not has_index:
            caption, table = _captioned(table, digits, words)
        if across is not None:
            table = _spread(table, across)
    numeric = [_is_numeric(table.iloc[:, i]) for i in range(table.shape[1])]
    columns = [_texts(table.iloc[:, i], table.columns[i], digits, words) for i in range(table.shape[1])]
    frame = pd.DataFrame(
        dict(enumerate(columns)), index=_labels(table.index, digits, words) if has_index else None, dtype=object
    )
    frame.columns = _labels(table.columns, digits, words, of_columns=True)
    return TableView(frame, numeric, caption, has_index)


# What is shown


def _words_of(table: pd.DataFrame) -> dict[Hashable, str]:
    """What its columns are called: where the paper's values, targets or sizes are beside ours, otherwise than alone."""
    words, there = dict(COLUMN_WORDS), set(map(str, table.columns))
    if not there & {"published", "paper"}:
        words["value"] = "value"
    if {"target", "our_target"} <= there:
        numbered = pd.api.types.is_numeric_dtype(table["target"])
        words |= {"our_target": "kind of target"} if numbered else {"target": "paper's target", "our_target": "our target"}
    if {"train_size", "records"} <= there:
        words["train_size"] = "of a target"
    if {"train_size", "our_train_size"} <= there:
        words |= {"train_size": "paper's records", "our_train_size": "our records"}
    return words


def _spread(table: pd.DataFrame, across: str) -> pd.DataFrame:
    kept = [name for name in table.columns if name not in (across, "value", "undefined")]
    if not {across, "value"} <= {*table.columns}:
        raise ValueError(f"across must name a column beside `value`, got {across!r}; there are {', '.join(table.columns)}")
    wide = table.fillna({name: "" for name in kept}).pivot_table("value", kept, across, "first", sort=False).reset_index()
    wide.columns.name = None
    return wide


def _without_silent(table: pd.DataFrame) -> pd.DataFrame:
    silent = []
    for name in table.columns:
        column = table[name]
        nothing = column.isna() | (column.astype(str) == "")
        alike = name == "counts" and column.nunique(dropna=False) <= 1
        if len(table) and (nothing.all() or alike or (nothing | (column.astype(str) == str(EMPTY_IF.get(name, "")))).all()):
            silent.append(name)
    return table.drop(columns=silent)


def _joined(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Intervals beside their values, and lower bounds in the place of values."""
    names = [name for name in table.columns if isinstance(name, str)]
    plain = "value" if "value" in names else names[names.index("low") - 1] if "low" in names[1:] else ""
    for value in names:
        low, high = ("low", "high") if value == plain else (f"{value}_low", f"{value}_high")
        if low in table and high in table:
            rows = zip(table[value], table[low], table[high], strict=True)
            table[value] = [_interval(*row, digits=digits) for row in rows]
            table = table.drop(columns=[low, high])
        elif value in ("published", "value") and low in table:
            known = zip(table[value], table[low], strict=True)
            table[value] = [a if pd.isna(b) else f"≥ {_number(b, digits)}" for a, b in known]
            table = table.drop(columns=[low])
    return table


def _interval(value: Any, low: Any, high: Any, digits: int) -> str:
    if pd.isna(value):
        return ""
    text = _number(value, digits)
    return text if pd.isna(low) or pd.isna(high) else f"{text} [{_number(low, digits)}, {_number(high, digits)}]"


def _captioned(table: pd.DataFrame, digits: int, words: Mapping[Hashable, str]) -> tuple[str, pd.DataFrame]:
    """What is the same in all rows, as a line, and the table without it."""
    if len(table) < 2:
        return "", table
    same = [name for name in CAPTIONED if name in table and table[name].nunique(dropna=False) == 1]
    same = same if len(same) < table.shape[1] else []
    said = [f"{_word(name, words)}: {_texts(table[name].iloc[:1], name, digits, words)[0]}" for name in same]
    return "; ".join(said), table.drop(columns=same)


def _is_numeric(column: pd.Series) -> bool:
    """Numbers, or texts that `_joined` made of them: these line up at the right."""
    if pd.api.types.is_bool_dtype(column):
        return False
    known = column[column.notna() & (column.astype(str) != "")]
    return pd.api.types.is_numeric_dtype(column) or (len(known) > 0 and known.map(_looks_numeric).all())


def _looks_numeric(value: Any) -> bool:
    if isinstance(value, bool | np.bool_):
        return False
    return isinstance(value, int | float | np.number) or bool(_NUMBER.match(str(value)))


def _texts(column: pd.Series, name: Hashable, digits: int, words: Mapping[Hashable, str]) -> list[str]:
    whole = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    whole = whole and bool((column.dropna() % 1 == 0).all()) and (column.dropna().abs() >= 2).any()
    first = name[0] if isinstance(name, tuple) else name
    return [_text(value, first, 0 if whole else digits, words, _is_tiny(column, first, digits)) for value in column]


def _is_tiny(column: pd.Series, name: Hashable, digits: int) -> bool:
    """Whether digits would leave nothing of a column's numbers; of rates and errors no small one may become 0."""
    if not pd.api.types.is_float_dtype(column):
        return False
    return name in ("fpr", "p") or bool((column.abs().max() < 0.5 * 10.0**-digits) and column.abs().max() > 0)


def _text(value: Any, name: Hashable, digits: int, words: Mapping[Hashable, str], tiny: bool = False) -> str:
    if value is None or (np.isscalar(value) and pd.isna(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | float | np.number):
        return _number(value, digits, tiny)
    if value in words:
        return words[value]
    if name == "source":
        return _SOURCES.get(str(value), str(value))
    if name == "variant" and value == EMPTY_IF[name]:
        return ""
    return _in_words(str(value)) if name in _NAMED else str(value)


def _in_words(name: str) -> str:
    """What a code is called: "attack_precision_p50" is "attack precision, low median"."""
    if (word := in_words(name)) != name:
        return word
    name = name.removeprefix("target_").removeprefix("mitigation:")
    if name in ("tpr", "fpr", "ppv"):
        return name.upper()
    if rate := re.fullmatch(r"(\w+?)_at_(0\.\d+)", name):
        return f"{rate[1].upper() if rate[1] in ('tpr', 'ppv') else rate[1].replace('_', ' ')} at {100 * float(rate[2]):g}%"
    if part := re.fullmatch(r"(\w+)_p(\d+)", name):
        return f"{_in_words(part[1])}, {'low median' if part[2] == '50' else f'percentile {int(part[2])}'}"
    return name.replace("_", " ")


def _number(value: Any, digits: int, tiny: bool = False) -> str:
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    text = f"{value:,.{digits}f}"
    return f"{value:.1e}" if tiny and value and float(text.replace(",", "")) == 0 else text


def _word(name: Hashable, words: Mapping[Hashable, str]) -> str:
    if not isinstance(name, str):
        return str(name)
    return words.get(name) or _in_words(name)


def _labels(index: pd.Index, digits: int, words: Mapping[Hashable, str], of_columns: bool = False) -> pd.Index:
    """Names, and labels by name, of rows or columns as texts."""
    names = ["" if name is None else _word(name, words) for name in index.names]
    levels = []
    for i, name in enumerate(index.names):
        values = index.get_level_values(i)
        if of_columns and len(index) == 1 and values[0] == 0:  # of a row that was turned
            levels.append([""])
        elif of_columns:
            levels.append([_word(v, words) if isinstance(v, str) else _label(v, name or "", digits, words) for v in values])
        else:
            levels.append([_label(v, name or "", digits, words) for v in values])
    if len(levels) == 1:
        return pd.Index(levels[0], name=names[0] or None, dtype=object)
    return pd.MultiIndex.from_arrays(levels, names=[name or None for name in names])


def _label(value: Any, name: Hashable, digits: int, words: Mapping[Hashable, str]) -> str:
    """As `_text`, but a number has no more digits than it needs."""
    if isinstance(value, float | np.floating) and not np.isnan(value):
        text = _number(value, digits, tiny=True)
        return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
    return _text(value, name, digits, words)


# HTML


def _cell(text: str, number: bool, tag: str = "td", span: str = "") -> str:
    """Text as a cell. A number is one line, so that digits stand below digits; where the page is narrow its interval is another
    one. A name such as CIFAR-10 is not broken; addresses and digests are, anywhere, rather than widen the page.
    """
    side, content = "right" if number else "left", escape(text)
    if number and tag == "td":
        content = re.sub(r" (?!\[)", "&nbsp;", content)
    else:
        content = _LONG_WORD.sub(r'<span style="overflow-wrap: anywhere">\g<0></span>', content)
    whole = "; white-space: nowrap" if _NAME.fullmatch(text) else ""
    return f'<{tag}{span} align="{side}" style="text-align: {side}{whole}">{content}</{tag}>'


def _head(frame: pd.DataFrame, numeric: list[bool], has_index: bool) -> list[str]:
    """A row for each level of the columns, the last with the names of the index."""
    levels, depth = frame.columns.nlevels, frame.index.nlevels if has_index else 0
    rows, last_labels, last_name = [], frame.columns.get_level_values(-1), frame.columns.names[-1]
    if depth and last_name and any(frame.index.names) and all(re.fullmatch(r"yes|no|[\d.,e-]+", str(v)) for v in last_labels):
        blank = _cell("", False, "th") * depth  # labels that do not tell what they are
        span = f' colspan="{len(last_labels)}"'
        rows.append(f"<tr>{blank}{_cell(last_name, False, 'th', span)}</tr>")
    for level in range(levels):
        values, name = list(frame.columns.get_level_values(level)), frame.columns.names[level] or ""
        last = level == levels - 1
        names = [""] * depth if not depth or not last else [each or "" for each in frame.index.names]
        if depth and name and not (last and any(names)):
            names[-1] = name
        cells = [_cell(each, False, "th") for each in names]
        for start, end in _runs(frame.columns, level):
            span = f' colspan="{end - start}"' if end - start > 1 else ""
            cells.append(_cell(str(values[start]), numeric[start], "th", span))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return rows


def _runs(index: pd.Index, level: int) -> list[tuple[int, int]]:
    """From where to where a label stands once for several, of a level; in the last level each stands alone."""
    if level == index.nlevels - 1:
        return [(i, i + 1) for i in range(len(index))]
    keys = [tuple(index.get_level_values(k)[i] for k in range(level + 1)) for i in range(len(index))]
    starts = [i for i in range(len(keys)) if i == 0 or keys[i] != keys[i - 1]]
    return [*zip(starts, [*starts[1:], len(keys)], strict=True)]


def _spans(index: pd.Index) -> list[list[str]]:
    """The cells of the index at the beginning of each row."""
    rows: list[list[str]] = [[] for _ in range(len(index))]
    for level in range(index.nlevels):
        values = index.get_level_values(level)
        for start, end in _runs(index, level):
            span = f' rowspan="{end - start}"' if end - start > 1 else ""
            rows[start].append(_cell(str(values[start]), False, "th", span))
    return rows


_prepared: list[bool] = []


def _prepare_itables() -> None:
    """Once in a kernel, what itables needs is put into the notebook: it asks no network for it."""
    if not _prepared:
        import itables
        from IPython.utils.capture import capture_output

        with capture_output() as parts:
            itables.init_notebook_mode(all_interactive=False, connected=False)
        for part in reversed(parts.outputs):  # what it shows first looks for what it shows last
            part.display()
        _prepared.append(True)
