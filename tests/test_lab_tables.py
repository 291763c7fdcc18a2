"""Tables for the eye: nothing cut, nothing that says nothing, and the numbers of the table itself."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mialib.lab import show_table, tables

COMPARED = pd.DataFrame(
    {
        "dataset": "location", "our_target": ["local", "google surrogate"], "variant": "none",
        "metric": ["attack_precision", "attack_recall"], "published": [0.5, np.nan], "published_low": [np.nan, 0.95],
        "value": [0.51234, 0.97], "low": [0.5, 0.96], "high": [0.53, np.nan], "n_targets": 3, "undefined": 0,
        "counts": [False, False], "verdict": ["reproduced", "met"],
    }
)  # fmt: skip


def test_a_table_of_comparison_says_one_thing_a_column():
    view = show_table(COMPARED)
    assert view.caption == "dataset: Location; targets: 3"
    assert view.frame.to_dict("list") == {
        "target": ["local network", "Google surrogate"],
        "metric": ["attack precision", "attack recall"],
        "paper": ["0.500", "≥ 0.950"],
        "ours": ["0.512 [0.500, 0.530]", "0.970"],
        "verdict": ["reproduced", "met"],
    }
    assert view.numeric == [False, False, True, True, False]
    assert "undefined" in COMPARED and COMPARED["value"][0] == 0.51234, "the table itself is left alone"


def cells_of(table):
    """The head's cells and the others, as HTML."""
    shown = show_table(table).html()
    return re.findall("<th.*?</th>", shown), re.findall("<td.*?</td>", shown)


def test_numbers_stay_on_a_line_and_what_stands_above_them_need_not():
    table = pd.DataFrame({"what": ["a b"], "attack_precision_p10": [0.5], "low": [0.25], "high": [1.0]})
    heads, cells = cells_of(table)
    assert len(heads) == len(cells) == 2 and not any("nowrap" in cell or "&nbsp;" in cell for cell in heads)
    assert [re.sub("<.*?>", "", cell) for cell in cells] == ["a b", "0.500 [0.250,&nbsp;1.000]"]
    assert "attack precision, percentile 10" in heads[1] and all("right" in each[1] for each in (heads, cells))
    assert ">≥&nbsp;0.950<" in cells_of(COMPARED)[1][7]


def test_addresses_and_digests_do_not_widen_a_page():
    address, name = "https://example.org/a/very/long/address.tgz", "not longer than thirty letters"
    cells = cells_of(pd.DataFrame({"origin": [f"{address} (zip)", name]}))[1]
    assert [cell.count("overflow-wrap: anywhere") for cell in cells] == [1, 0]
    assert f'<span style="overflow-wrap: anywhere">{address}</span> (zip)' in cells[0]


def test_names_are_not_broken_at_their_hyphens():
    cells = cells_of(pd.DataFrame({"dataset": ["cifar100", "location"], "what": ["a-b c", "d"]}))[1]
    assert ["nowrap" in cell for cell in cells] == [True, False, False, False]


def test_what_says_something_stays():
    said = COMPARED.assign(undefined=[0, 2], counts=[True, False], variant=["none", "flip"])
    view = show_table(said)
    assert view.frame["undefined"].tolist() == ["0", "2"] and view.frame["counts"].tolist() == ["yes", "no"]
    assert view.frame["variant"].tolist() == ["", "bits flipped"]


@pytest.mark.parametrize(
    ("column", "digits", "texts"),
    [
        ([1, 12345], 3, ["1", "12,345"]),
        ([1.0, 1200.0], 3, ["1", "1,200"]),
        ([0.0, 1.0], 2, ["0.00", "1.00"]),
        ([0.12345, np.nan], 2, ["0.12", ""]),
        ([0.00001, 0.5], 3, ["0.000", "0.500"]),
        ([0.00001, 0.0], 3, ["1.0e-05", "0.000"]),
        ([True, False], 3, ["yes", "no"]),
        (["a_b", None], 3, ["a_b", ""]),
        ([-0.25, 2.5], 1, ["-0.2", "2.5"]),
    ],
)
def test_numbers_and_words(column, digits, texts):
    assert show_table(pd.DataFrame({"some_thing": column}), digits=digits).frame["some thing"].tolist() == texts


@pytest.mark.parametrize("index", [None, pd.Index(["a", "b"], name="which"), pd.MultiIndex.from_product([["a"], ["b", "c"]])])
def test_a_head_has_a_cell_for_each_column(index):
    html = show_table(COMPARED if index is None else COMPARED.set_index(index)).html()
    head, *rows = re.findall("<tr>.*?</tr>", html)
    assert len(re.findall("<th", head)) == len(re.findall("<t[hd]", rows[0]))


def test_labels_that_do_not_tell_what_they_are_have_a_head():
    counts = pd.DataFrame({"member": [True, False] * 2, "called a member": [True, True, False, False]}).value_counts(sort=False)
    head = show_table(counts.unstack()).html().partition("</thead>")[0]
    assert re.search(r'<th colspan="2"[^>]*>called a member</th>', head) and head.count("<tr>") == 2


def test_labels_have_no_more_digits_than_they_need():
    wide = pd.DataFrame(
        [[1.0, 0.5]], columns=pd.Index([4600.0, 0.01], name="train_size"), index=pd.Index(["tpr"], name="metric")
    )
    frame = show_table(wide).frame
    assert [*frame.columns] == ["4,600", "0.01"] and [*frame.index] == ["TPR"] and frame.columns.name == "records"


def test_a_lower_bound_alone_is_said_so():
    assert show_table(pd.DataFrame({"value": [0.5, np.nan], "low": [np.nan, 0.95]})).frame["value"].tolist() == [
        "0.500",
        "≥ 0.950",
    ]


def test_words_of_rates():
    table = pd.DataFrame({"tpr_at_0.001": [0.5], "precision_at_0.1": [0.5], "auc_rest": [0.5], "attack_precision_p50": [0.5]})
    assert [*show_table(table).frame] == ["TPR at 0.1%", "precision at 10%", "AUC of the rest", "attack precision, low median"]


def test_an_interval_goes_with_what_stands_before_it():
    view = show_table(pd.DataFrame({"test": [0.5], "precision": [0.51], "low": [0.5], "high": [0.52]}), digits=2)
    assert view.frame.to_dict("list") == {"test": ["0.50"], "precision": ["0.51 [0.50, 0.52]"]}


def test_ours_is_told_from_the_papers_where_both_are_there():
    both = pd.DataFrame(
        {"target": ["google"], "our_target": ["local"], "train_size": [2], "our_train_size": [3.0], "value": [0.5]}
    )
    assert [*show_table(both).frame] == ["paper's target", "our target", "paper's records", "our records", "value"]
    assert [*show_table(pd.DataFrame({"train_size": [5], "records": [3]})).frame] == ["of a target", "records"]
    assert [*show_table(both.assign(target=1)).frame][:2] == ["target", "kind of target"]


def test_metrics_across_have_their_intervals():
    summary = pd.DataFrame(
        {
            "attack": ["b", "b", "a", "a"], "metric": ["precision", "recall"] * 2, "value": [0.5, 0.6, 0.7, 0.8],
            "low": 0.4, "high": 0.9, "variant": [np.nan, np.nan, "flip", "flip"], "undefined": [1, 0, 0, 0],
        }
    )  # fmt: skip
    view = show_table(summary, across="metric", digits=1)
    assert view.frame.to_dict("list") == {
        "attack": ["b", "a"], "variant": ["", "bits flipped"],
        "precision": ["0.5 [0.4, 0.9]", "0.7 [0.4, 0.9]"], "recall": ["0.6 [0.4, 0.9]", "0.8 [0.4, 0.9]"],
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"across must name a column beside `value`, got 'nothing'"):
        show_table(summary, across="nothing")


def test_rows_and_columns_of_several_levels_keep_their_names():
    settings = ["shadow:real", "shadow:noise10"] * 2
    long = pd.DataFrame({"our_target": "local", "target": [0, 0, 1, 1], "setting": settings, "value": [0.1, 0.2, 0.3, 0.4]})
    html = show_table(long.pivot(index=["our_target", "target"], columns="setting", values="value")).html()
    assert re.search(r'<th rowspan="2"[^>]*>local network</th>', html)
    assert ">kind of target</th>" not in html and ">10% noise</th>" in html and ">0.400</td>" in html


@pytest.mark.parametrize("n", [3, 500])
def test_static_html_is_whole_and_has_no_script(n, monkeypatch, tmp_path):
    monkeypatch.setattr(tables, "in_notebook", lambda: True)
    monkeypatch.setenv("MIALIB_OUT", str(tmp_path))
    view = show_table(pd.DataFrame({"a": np.arange(n) + 2, "b": "<b>" + "x" * 300}))
    html = view._repr_mimebundle_()["text/html"]
    assert html.count("<tr>") == n + 1 and "…" not in html and "..." not in html
    assert "<script" not in html and "<style" not in html and "<b>" not in html and "x" * 300 in html
    assert str(n + 1) in repr(view) and "..." not in repr(view)


def test_a_long_table_pages_where_it_is_alive_and_asks_no_network(monkeypatch):
    pytest.importorskip("itables")
    monkeypatch.setattr(tables, "in_notebook", lambda: True)
    monkeypatch.delenv("MIALIB_OUT", raising=False)
    monkeypatch.setattr(tables, "_prepare_itables", lambda: None)
    long, short = (show_table(pd.DataFrame({"a": np.arange(n) + 2.5})) for n in (40, 5))
    assert "<script" in long._repr_mimebundle_()["text/html"] and "<script" not in short._repr_mimebundle_()["text/html"]
    assert not re.search(r"(?:src|from|import)\W+https?://", long._repr_mimebundle_()["text/html"])


def test_a_series_is_a_table_and_anything_else_none():
    assert show_table(pd.Series({"precision": 0.5, "recall": 1.0})).frame["value"].tolist() == ["0.500", "1.000"]
    with pytest.raises(TypeError, match="table must be a pandas DataFrame, got list"):
        show_table([1, 2])


def test_an_empty_table_has_its_head():
    assert ">ours</th>" in show_table(COMPARED.iloc[:0]).html()


def test_tables_of_the_notebooks_are_shown_whole():
    for path in sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        assert ".style" not in text and "readable(" not in text
