"""The explorer page: made-up tables packed and unpacked again, and the page of the committed results."""

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from mialib.site import explorer, explorer_data
from mialib.site.explorer_charts import explorer_charts
from mialib.site.sources import NotebookRun, read_sources
from mialib.study.explored import CURVE, RATE_GRID
from mialib.study.exposure import EXPOSURES

ROOT = Path(__file__).resolve().parent.parent
FIRST = 20  # of the toy's curves: they begin at a rate of 1%


def made_up() -> explorer_data.ExplorerTables:
    """A real data set with pictures and a stand-in without, four models each, three of which are targets."""
    rng = np.random.default_rng(0)
    curves, records, answers, widths, pictures, targets = [], [], [], [], [], []
    for dataset, source in (("cifar10", "real"), ("texas", "standin")):
        for attack, n in (("confidence", 0), ("lira_online_global", 2), ("lira_online_global", 4)):
            for fpr in RATE_GRID[FIRST:]:
                tpr = round(min(1.0, (n + 1) * fpr), 5)
                row = (dataset, source, attack, n, fpr, tpr, tpr / 2, min(1, 2 * tpr), 3, fpr < 0.05)
                curves.append(dict(zip(CURVE, row, strict=True)))
        for record, chosen in ((7, "most exposed"), (3, "least exposed"), (5, "at random")):
            facts = (dataset, source, record, 1, "ship" if dataset == "cifar10" else "61", 2, 0.5, 1.25, 0.5)
            records.append(dict(zip(EXPOSURES, facts, strict=True)) | {"chosen": chosen})
            for model in range(4):
                rate = [0.002, np.nan, 0.0, np.nan][model]  # found; never called; above every non-member; no target
                told = {"dataset": dataset, "record": record, "model": model, "member": model % 2 == 0}
                answers.append(told | {"signal": rng.normal(), "rate": rate})
            if dataset == "cifar10":
                pixels = rng.integers(0, 256, (4, 5, 3)).astype(np.uint8).tobytes().hex()
                size = {"height": 4, "width": 5, "channels": 3}
                pictures.append({"dataset": dataset, "record": record} | size | {"pixels": pixels})
        widths += [{"dataset": dataset, "model": model, "inside": 1.5, "outside": np.nan} for model in range(3)]
        facts = {"dataset": dataset, "source": source, "network": "cnn", "members": 2500, "n_models": 4}
        targets.append(facts | {"train_accuracy": 1.0, "test_accuracy": 0.5})
    return explorer_data.ExplorerTables(*(pd.DataFrame(rows) for rows in (curves, records, answers, widths, pictures, targets)))


class Tags(HTMLParser):
    """All tags of a page with their attributes, and the texts of its labels and legends."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


# Data


def test_curves_are_packed_without_loss():
    tables = made_up()
    data = explorer_data.explorer_data(tables)
    assert [each["id"] for each in data["attacks"]] == ["lira_online_global", "confidence"]
    unpacked = []
    for dataset, packed in data["datasets"].items():
        for attack, by_count in packed["curves"].items():
            for n, curve in by_count.items():
                for i, (tpr, low, high) in enumerate(zip(curve["tpr"], curve["low"], curve["high"], strict=True)):
                    fpr, pooled = data["rates"][curve["from"] + i], i < curve["pooled"]
                    unpacked.append((dataset, attack, n, fpr, tpr, low, high, curve["targets"], pooled))
    known = tables.curves.drop(columns="source")
    pd.testing.assert_frame_equal(pd.DataFrame(unpacked, columns=list(known)), known)


def test_a_curve_off_the_grid_is_refused():
    tables = made_up()
    for curves in (tables.curves.drop(index=[5]), tables.curves.replace({"fpr": {0.1: 0.11}})):
        with pytest.raises(ValueError, match="confidence with 0 references does not follow the grid of rates"):
            explorer_data.explorer_data(tables._replace(curves=curves))


def test_records_keep_what_every_model_says():
    tables = made_up()
    packed = explorer_data.explorer_data(tables)["datasets"]
    for dataset, of_dataset in packed.items():
        for record in of_dataset["records"]:
            given = tables.answers[(tables.answers["dataset"] == dataset) & (tables.answers["record"] == record["record"])]
            np.testing.assert_allclose(record["signal"], given["signal"], atol=6e-4)
            assert record["member"] == "1010"
            assert record["rate"] == [0.002, None, 0.0]  # of the three targets; never is null
            assert (record["picture"] is None) == (dataset == "texas")
        assert of_dataset["widths"] == [[1.5, None]] * 3
    assert {record["name"] for record in packed["texas"]["records"]} == {"class 61"}
    assert packed["cifar10"]["real"] and not packed["texas"]["real"]


def test_the_script_of_data_is_one_assignment_of_json():
    data = explorer_data.explorer_data(made_up())
    text = explorer_data.data_script(data).decode()
    found = re.fullmatch(r"window\.explorerData = (.*);\n", text)
    assert found and json.loads(found[1])["datasets"].keys() == data["datasets"].keys()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_read_back_as_it_was(channels):
    pixels = np.random.default_rng(1).integers(0, 256, (6, 7, channels)).astype(np.uint8)
    read = matplotlib.image.imread(io.BytesIO(explorer_data.png(pixels)), format="png")
    np.testing.assert_array_equal(np.rint(255 * read).reshape(pixels.shape), pixels)


def test_a_picture_of_two_channels_is_refused():
    with pytest.raises(ValueError, match="channels must be one of 1, 3, got 2"):
        explorer_data.png(np.zeros((2, 2, 2), np.uint8))


def test_a_run_without_the_tables_is_named(tmp_path):
    folder = tmp_path / "results" / "paper" / "09_modern_attacks"
    folder.mkdir(parents=True)
    with pytest.raises(ValueError, match=r"results/paper/09_modern_attacks: .*explorer_curves"):
        explorer_data.explorer_tables(NotebookRun("09_modern_attacks", folder, folder, {}))


def test_a_table_without_a_column_is_named(tmp_path):
    folder = tmp_path / "results" / "paper" / "09_modern_attacks"
    folder.mkdir(parents=True)
    for name, table in made_up()._asdict().items():
        lacking = table.drop(columns="low") if name == "curves" else table
        lacking.to_csv(folder / (f"explorer_{name}.csv" if name != "targets" else "targets.csv"), index=False)
    with pytest.raises(ValueError, match=r"explorer_curves must have the columns .*, lacks low"):
        explorer_data.explorer_tables(NotebookRun("09_modern_attacks", folder, folder, {}))


# Charts


def test_charts_hold_no_data_and_name_each_axis():
    charts = explorer_charts(["LiRA", "RMIA"])
    assert set(charts) == {"roc", "counts", "answers"}
    for chart in charts.values():
        assert "datasets" not in chart and all("values" not in layer["data"] for layer in chart["layer"])
        titles = [layer["encoding"].get(axis, {}).get("title") for layer in chart["layer"] for axis in "xy"]
        assert len({title for title in titles if title}) == 2
    roc = charts["roc"]["layer"]
    scales = [layer["encoding"][axis]["scale"] for layer in roc for axis in "xy" if axis in layer["encoding"]]
    assert len(scales) == 9 and all(scale == {"type": "log", "domain": [1e-4, 1], "nice": False} for scale in scales)
    (line,) = [layer for layer in roc if layer["mark"]["type"] == "line"]
    assert line["encoding"]["color"]["scale"]["domain"] == ["LiRA", "RMIA"]


# The page


@pytest.fixture(scope="module")
def toy():
    return explorer.explorer_page(made_up())


@pytest.fixture(scope="module")
def committed():
    return explorer_data.explorer_tables(read_sources(ROOT).run_of(explorer.EXPLORED_NOTEBOOK))


def test_every_control_has_a_label_and_every_chart_a_table(toy):
    tags = Tags(toy.body)
    labelled = {each["for"] for each in tags.all("label") if "for" in each}
    controls = tags.all("select") + [each for each in tags.all("input") if each["type"] == "range"]
    assert {each["id"] for each in controls} == labelled == {"dataset", "rate", "group", "record", "model"}
    for each in tags.all("input"):
        if each["type"] in ("checkbox", "radio"):  # these stand within their labels
            assert re.search(
                rf'<label[^>]*><input type="{each["type"]}" name="{each["name"]}" value="{each["value"]}"', toy.body
            )
    assert len(tags.all("fieldset")) == len(tags.all("legend")) == 2
    ids = [each["id"] for _, each in tags.tags if "id" in each]
    assert len(ids) == len(set(ids))
    charts = [each for each in tags.all("div") if each.get("class") == "chart"]
    assert len(charts) == 3 and len(tags.all("details")) == 4  # the records beside them
    assert len(tags.all("h1")) == 1


def test_a_standin_is_marked_wherever_it_is_offered(toy):
    assert re.search(r'<option value="texas">Texas \(stand-in\)</option>', toy.body)
    assert toy.body.count("Texas") == toy.body.count("Texas (stand-in)") == 3  # the control, and a row an attack
    assert '"real":false' in toy.files["static/explorer-data.js"].decode()


def test_what_needs_scripts_is_hidden_without_them_and_the_numbers_stay(toy):
    tags = Tags(toy.body)
    assert all("hidden" in each for each in tags.all("section")) and len(tags.all("section")) == 2
    assert "hidden" in next(each for each in tags.all("form") if each.get("id") == "explorer")
    assert len(tags.all("noscript")) == 1
    rows = re.findall(r'<th scope="row">CIFAR-10</th><td>([^<]*)</td><td class="n" data-v="(\d+)">', toy.body)
    assert rows == [("LiRA, global variance", "4"), ("one threshold", "0")]
    assert toy.body.count('<td class="n">–</td>') + toy.body.count("<td>–</td>") == 4  # at 0.1% the toy's curves are not told


def test_the_page_brings_what_it_loads_and_loads_nothing_else(toy):
    assert set(toy.files) == {"static/explorer-data.js", "static/explorer.js", "static/explorer.css"}
    assert toy.scripts == ("charts.js", "explorer-data.js", "explorer.js")
    everything = toy.body + "".join(content.decode() for content in toy.files.values())
    outside = set(re.findall(r"\bhttps?://[^\s\"'<)]+", everything))
    assert outside == {"http://www.w3.org/2000/svg", explorer_charts(["a"])["roc"]["$schema"]}  # names, never loaded


# The committed results


def test_committed_curves_are_those_of_the_committed_tables(committed):
    run = read_sources(ROOT).run_of(explorer.EXPLORED_NOTEBOOK)
    known = run.table("by_references")
    known = known[known["metric"] == "tpr"]
    both = committed.curves.merge(known, on=["dataset", "attack", "n_references", "fpr"], suffixes=("", "_known"))
    expected = committed.curves[(committed.curves["n_references"] > 0) & committed.curves["fpr"].isin([0.01, 0.001])]
    assert len(both) == len(expected) > 100
    for ours, theirs in (("tpr", "value"), ("low", "low_known"), ("high", "high_known")):
        np.testing.assert_allclose(both[ours], both[theirs], atol=5.1e-6)


def test_committed_curves_meet_the_rates_with_all_references(committed):
    tpr = read_sources(ROOT).run_of(explorer.EXPLORED_NOTEBOOK).table("tpr")
    most = committed.curves.groupby(["dataset", "attack"])["n_references"].transform("max")
    both = committed.curves[committed.curves["n_references"] == most].merge(tpr, on=["dataset", "attack", "fpr"])
    assert set(both["dataset"]) == set(tpr["dataset"]) and set(both["attack"]) == set(explorer_data.EXPLORER_ATTACKS)
    np.testing.assert_allclose(both["tpr_x"], both["tpr_y"], atol=5.1e-6)


def test_committed_records_are_found_as_often_as_their_answers_say(committed):
    targets = committed.widths.groupby("dataset").size()
    answers = committed.answers[committed.answers["model"] < committed.answers["dataset"].map(targets)]
    had = answers[answers["member"]]
    found = (had["rate"] <= 0.01).groupby([had["dataset"], had["record"]]).mean()
    for row in committed.records.itertuples():
        assert found[row.dataset, row.record] == pytest.approx(row.found)


def test_no_record_of_closed_data_is_committed(committed):
    assert set(committed.pictures["dataset"]) <= {"cifar10", "cifar100", "mnist"}


def test_the_packed_page_is_small(committed):
    page = explorer.explorer_page(committed)
    assert sum(map(len, page.files.values())) + len(page.body) < 1_500_000
