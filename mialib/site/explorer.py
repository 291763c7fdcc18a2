"""The explorer: data set, attacks, number of references and false positive rate are the reader's choice, and so are records."""

import json
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mialib.plots.names import in_words
from mialib.site.charts import CHART_SCRIPTS
from mialib.site.explorer_charts import explorer_charts
from mialib.site.explorer_data import EXPLORER_ATTACKS, ExplorerTables, data_script, explorer_data, explorer_tables
from mialib.site.frame import STATIC, SitePage
from mialib.site.markup import Heading, TableCell, count_cell, folded, interval_cell, table_box, text_cell
from mialib.site.sources import Sources

EXPLORED_NOTEBOOK = "09_modern_attacks"
FIRST_SHOWN = ("lira_online_global", "rmia_online", "shokri", "confidence")  # attacks that are ticked when the page opens
FIRST_RATE = 0.001
TOLD_RATES = (0.1, 0.01, 0.001)


def explorer_pages(sources: Sources) -> Iterator[SitePage]:
    """The explorer, from the tables of 09_modern_attacks. ValueError, naming the run, where one is missing."""
    yield explorer_page(explorer_tables(sources.run_of(EXPLORED_NOTEBOOK)))


def explorer_page(tables: ExplorerTables) -> SitePage:
    """The page, its data, script and style. tables: `explorer_tables`."""
    data = explorer_data(tables)
    charts = explorer_charts([attack["name"] for attack in data["attacks"]])
    here = Path(__file__)
    files = {
        f"{STATIC}/explorer-data.js": data_script(data) + f"window.explorerCharts = {json.dumps(charts)};\n".encode(),
        f"{STATIC}/explorer.js": here.with_name("explorer.js").read_bytes(),
        f"{STATIC}/explorer.css": here.with_name("explorer.css").read_bytes(),
    }
    body = "\n".join([_opening(), _controls(data), _curves_part(), _records_part(), _all_numbers(tables)])
    return SitePage("explorer.html", "Explorer", body, (CHART_SCRIPTS, "explorer-data.js", "explorer.js"), files)


def _opening() -> str:
    return f"""<link rel="stylesheet" href="{STATIC}/explorer.css">
<h1>How many members does an attack find?</h1>
<p class="lead">On average the attacks since 2017 are much alike. Where an accusation must be right nearly always, they are not.
Choose how often an attack may be wrong, and see what each of them finds.</p>
<p>The precision on the first page counts all accusations alike, the surest and the least sure; here only those count that an
attack is surest of, so that hardly anybody is accused falsely.</p>
<p>Models were trained on complementary halves of a data set’s records. Each in turn is the target; of the others, the
attacker’s references, it is known which had a record and which had not. <em>Found</em> is the share of the target’s training
records that the attack calls members. All of it was measured in
<a href="notebooks/{EXPLORED_NOTEBOOK}.html">{EXPLORED_NOTEBOOK}</a>, on small networks, not on those of the papers that brought
these attacks.</p>
<noscript><p class="note">The controls and charts of this page need scripts. Its numbers are in the table at the end.</p>
</noscript>"""


def _controls(data: dict[str, Any]) -> str:
    counts = sorted({n for each in data["datasets"].values() for curves in each["curves"].values() for n in curves if n})
    options = "".join(f'<option value="{name}">{escape(_titled(each))}</option>' for name, each in data["datasets"].items())
    ticks = "".join(_attack_box(place, each) for place, each in enumerate(data["attacks"]))
    radios = "".join(_count_radio(n, checked=n == max(counts)) for n in counts)
    rates = data["rates"]
    first, decades = rates.index(FIRST_RATE), [rates.index(float(f"1e-{k}")) for k in range(5)]
    return f"""<form class="controls no-print" id="explorer" hidden>
<div><label class="head" for="dataset">Data set</label>
<select id="dataset" name="dataset">{options}</select>
<p class="note" id="about-dataset"></p></div>
<fieldset class="attacks"><legend class="head">Attacks</legend>{ticks}</fieldset>
<fieldset class="references"><legend class="head">Reference models</legend><div class="segments">{radios}</div>
<p class="note" id="about-references"></p></fieldset>
<div class="rate"><label class="head" for="rate">False positive rate</label>
<input type="range" id="rate" name="rate" min="0" max="{len(rates) - 1}" step="1" value="{first}" list="decades">
<datalist id="decades">{"".join(f'<option value="{place}"></option>' for place in decades)}</datalist>
<output for="rate" id="rate-words"></output></div>
</form>"""


def _count_radio(n: int, *, checked: bool) -> str:
    given = " checked" if checked else ""
    return f'<label><input type="radio" name="references" value="{n}"{given}><span>{n}</span></label>'


def _titled(dataset: dict[str, Any]) -> str:
    return dataset["name"] if dataset["real"] else f"{dataset['name']} (stand-in)"


def _attack_box(place: int, attack: dict[str, str]) -> str:
    name, ticked = attack["id"], " checked" if attack["id"] in FIRST_SHOWN else ""
    return (
        f'<label class="tick"><input type="checkbox" name="attack" value="{name}"{ticked}>'
        f'<span class="swatch a{place}"></span>'
        f'<span><b>{escape(attack["name"])}</b> <span class="note">{EXPLORER_ATTACKS[name]}</span></span></label>'
    )


def _curves_part() -> str:
    return f"""<section class="live" hidden>
<p class="verdict" role="status" id="headline"></p>
<ul class="found" id="found"></ul>
<h2 id="curves">The whole curve</h2>
<figure><div class="chart" id="roc"></div>
<figcaption>How many of the others are accused falsely (from left to right), and how many of the members are found
(upwards), both on log scales. Bands are 95% intervals over targets and records; dashed, what guessing finds; the upright
line stands at the rate chosen. Where one target’s non-members are too few for a rate, it is measured on all targets
together.</figcaption></figure>
{folded("These curves as a table", '<div id="roc-table"></div>')}
<h2 id="counts">With fewer reference models</h2>
<figure><div class="chart" id="counts-chart"></div>
<figcaption>What is found at the rate chosen, by how many models the attacker trained. The attack of 2017 was fitted on a few
alone; one threshold needs none.</figcaption></figure>
{folded("These numbers as a table", '<div id="counts-table"></div>')}
</section>"""


def _records_part() -> str:
    return f"""<section class="live" hidden>
<h2 id="records">Who is found</h2>
<p>The same rate, record by record, under {escape(in_words("lira_online_global"))} with all references: the records that
were found most often at a rate of 1%, those least, and some drawn at random.</p>
<form class="controls small no-print">
<div><label class="head" for="group">Records</label><select id="group" name="group"></select></div>
</form>
<p id="gallery-words"></p>
<ol class="gallery" id="gallery"></ol>
{folded("These records as a table", '<div id="gallery-table"></div>')}
<h2 id="one">One record, as the attacker sees it</h2>
<form class="controls small no-print">
<div><label class="head" for="record">Record</label><select id="record" name="record"></select></div>
<div><label class="head" for="model">Target</label><select id="model" name="model"></select></div>
</form>
<div class="one"><div class="portrait" id="portrait"></div><p class="verdict" role="status" id="verdict"></p></div>
<p id="reasons"></p>
<figure><div class="chart" id="answers"></div>
<figcaption>What the references say of the record, <b class="members">those that had it</b> and <b class="nonmembers">those that
had it not</b>, counted, with the bells that LiRA lays over them. The upright line is the target’s answer. Log-odds of 0 are a
probability of one half, of 5 one of 0.993.</figcaption></figure>
{folded("These answers as a table", '<div id="answers-table"></div>')}
</section>"""


def _all_numbers(tables: ExplorerTables) -> str:
    headings = [Heading("Data set"), Heading("Attack"), Heading("References", True)]
    headings += [Heading(f"Found at {rate:.1%}".replace(".0%", "%"), True) for rate in TOLD_RATES]
    box = table_box("Members found, with 95% intervals", headings, _rows_of_numbers(tables), ident="all-numbers")
    return f'<h2 id="numbers">All data sets at three rates</h2>\n<p>With as many references as an attack was given.</p>\n{box}'


def _rows_of_numbers(tables: ExplorerTables) -> Iterator[Sequence[TableCell]]:
    curves = tables.curves
    order = {name: place for place, name in enumerate(EXPLORER_ATTACKS)}
    for dataset, of_dataset in curves.groupby("dataset", sort=False):
        standin = "" if (of_dataset["source"] == "real").all() else " (stand-in)"
        for attack, table in sorted(of_dataset.groupby("attack"), key=lambda group: order[group[0]]):
            most = table[table["n_references"] == table["n_references"].max()].set_index("fpr")
            found = [most.loc[rate] if rate in most.index else None for rate in TOLD_RATES]
            cells = [text_cell(None) if row is None else interval_cell(row["tpr"], row["low"], row["high"], 4) for row in found]
            names = [text_cell(in_words(str(dataset)) + standin), text_cell(in_words(attack))]
            yield [*names, count_cell(most["n_references"].iloc[0]), *cells]
