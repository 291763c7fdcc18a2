"""The explorer's charts, drawn by Vega-Lite from data that the page's script hands them; colours come from the page."""

from collections.abc import Sequence
from typing import Any

from mialib.core.extras import extra

LEAST_SHOWN = 1e-4  # where both axes of a ROC curve begin
PER_CENT = "format(100 * datum.value, '~g') + '%'"
SHAPES = ["circle", "square", "cross", "diamond", "triangle-up", "triangle-down"]  # those of the swatches in explorer.css
GROUPS_OF_MODELS = ["had the record", "had it not"]


def explorer_charts(attacks: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Vega-Lite specifications by name: "roc", "counts", "answers". attacks: their names, in the order of their colours.

    Data sources that the script fills: curves (attack, fpr, tpr, low, high), points (the same at the chosen rate), rate (fpr),
    coin (fpr, tpr, high); counts (attack, n, tpr, low, high), chosen (n); bars (group, start, end, floor: 0, count), bells
    (group, x, count), target (x, label). The parameter top of "counts" is where its upright axis ends. Colours are those of the
    configuration's range "category": of attacks, or of models that had the record and had it not.
    """
    with extra("site"):
        import altair  # noqa: F401
    charts = {"roc": _roc(attacks), "counts": _counts(attacks), "answers": _answers_of_a_record()}
    return {name: chart.to_dict() for name, chart in charts.items()}


def _roc(attacks: Sequence[str]) -> Any:
    import altair as alt

    ends = alt.Scale(type="log", domain=[LEAST_SHOWN, 1], nice=False)
    axis = alt.Axis(values=[0.0001, 0.001, 0.01, 0.1, 1], labelExpr=PER_CENT)
    x = alt.X("fpr:Q", scale=ends, title="others accused falsely (false positive rate)", axis=axis)
    y = alt.Y("tpr:Q", scale=ends, title="members found (true positive rate)", axis=axis)
    colour, shape = _colour("attack:N", attacks), _shape(attacks)
    tip = [_tip("attack:N", "attack"), _tip("fpr:Q", "accused falsely", ".3~%"), _tip("tpr:Q", "found", ".3~%")]
    curves = alt.Chart(alt.NamedData("curves"))
    band = curves.mark_area(opacity=0.16, clip=True).encode(x, alt.Y("low:Q", scale=ends), alt.Y2("high:Q"), colour)
    line = curves.mark_line(strokeWidth=2.2, clip=True).encode(x, y, colour, tooltip=tip)
    dashed = alt.Chart(alt.NamedData("coin")).mark_rule(strokeDash=[5, 4], opacity=0.6)
    coin = dashed.encode(x, y, alt.X2("high:Q"), alt.Y2("high:Q"))
    rule = alt.Chart(alt.NamedData("rate")).mark_rule(strokeWidth=1.2).encode(x)
    dots = alt.Chart(alt.NamedData("points")).mark_point(filled=True, size=75, opacity=1)
    return _sized(alt.layer(band, coin, line, rule, dots.encode(x, y, colour, shape, tooltip=tip)), 430)


def _counts(attacks: Sequence[str]) -> Any:
    import altair as alt

    powers = alt.Scale(type="log", base=2, domain=[2, 64], nice=False, padding=12)
    top = alt.param(name="top", value=1)  # the chart may be empty: then no data tell where the axis ends
    ticks = alt.Axis(values=[2, 4, 8, 16, 32, 64], labelExpr="format(datum.value, '~g')")
    x = alt.X("n:Q", scale=powers, title="reference models", axis=ticks)
    shares = alt.Scale(domain=[0, alt.ExprRef("top")], nice=True)
    y = alt.Y("tpr:Q", scale=shares, title="members found", axis=alt.Axis(labelExpr=PER_CENT, tickCount=5))
    colour, shape = _colour("attack:N", attacks), _shape(attacks)
    tip = [_tip("attack:N", "attack"), _tip("n:Q", "references"), _tip("tpr:Q", "found", ".3~%")]
    base = alt.Chart(alt.NamedData("counts"))
    band = base.mark_area(opacity=0.16).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour)
    line = base.mark_line(strokeWidth=1.8).encode(x, y, colour)
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x, y, colour, shape, tooltip=tip)
    rule = alt.Chart(alt.NamedData("chosen")).mark_rule(strokeWidth=1.2).encode(x)
    return _sized(alt.layer(band, rule, line, points).add_params(top), 230)


def _answers_of_a_record() -> Any:
    import altair as alt

    spread = alt.Scale(nice=True, zero=False)
    x = alt.X("start:Q", title="log-odds of the record’s true class", scale=spread, axis=alt.Axis(grid=False))
    y = alt.Y("count:Q", title="models", axis=alt.Axis(tickMinStep=1, format="d"))
    colour, tip = _colour("group:N", GROUPS_OF_MODELS), [_tip("group:N", "models that"), _tip("count:Q", "how many")]
    counted = alt.Chart(alt.NamedData("bars")).mark_rect(opacity=0.5)
    bars = counted.encode(x, alt.X2("end:Q"), y, alt.Y2("floor:Q"), colour, tooltip=tip)
    bells = alt.Chart(alt.NamedData("bells")).mark_line(strokeWidth=2).encode(alt.X("x:Q"), alt.Y("count:Q"), colour)
    target = alt.Chart(alt.NamedData("target"))
    rule = target.mark_rule(strokeWidth=2).encode(alt.X("x:Q"))
    text = target.mark_text(align="left", dx=5, baseline="top")
    word = text.encode(alt.X("x:Q"), y=alt.value(2), text="label:N")
    return _sized(alt.layer(bars, bells, rule, word), 250)


def _colour(field: str, names: Sequence[str]) -> Any:
    import altair as alt

    return alt.Color(field, scale=alt.Scale(domain=list(names)), legend=None)


def _shape(attacks: Sequence[str]) -> Any:
    import altair as alt

    return alt.Shape("attack:N", scale=alt.Scale(domain=list(attacks), range=SHAPES), legend=None)


def _tip(field: str, title: str, form: str = "") -> Any:
    import altair as alt

    return alt.Tooltip(field, title=title, format=form) if form else alt.Tooltip(field, title=title)


def _sized(chart: Any, height: int) -> Any:
    return chart.properties(width="container", height=height, autosize={"type": "fit-x", "contains": "padding"})
