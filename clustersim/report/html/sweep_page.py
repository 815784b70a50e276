"""The page of a sweep: a chart of any result over any axis, and a table of its points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clustersim.report.html.compare_page import account_keys, time_bar
from clustersim.report.html.markup import Markup, Numbers, element, joined, name_of
from clustersim.report.html.page import page
from clustersim.report.html.parts import Section, facts, one_of, section, table
from clustersim.report.quantities import counted, number, percent, seconds, size
from clustersim.report.sweep_files import axis_text, has_run, short_axis

MAX_ROWS = 1_000
"""Most points in the table; the chart has all of them."""
_SCRIPTS = ("quantities.js", "unpack.js", "palette.js", "tooltip.js", "page.js", "tables.js", "sweep.js")
# The first ending that fits says how a result column is written.
_WRITTEN: tuple[tuple[str, Callable[[Any], str]], ...] = (
    ("_per_s", number),
    ("_s", seconds),
    ("_bytes", size),
    ("_fraction", percent),
    ("_overhead", percent),
)


def sweep_page(name: str, document: Mapping[str, Any]) -> str:
    """Return the page of a sweep, from the document of ``sweep --json``."""
    axes: Mapping[str, Sequence[Any]] = document["axes"]
    rows = document["rows"]
    heading = element("h1", name_of(name) if name else "A sweep")
    varied = [f"{axis}: {len(values)} values" for axis, values in axes.items()]
    said = facts(counted(len(rows), "point"), *(name_of(text) for text in varied))
    measures = [key for key in (rows[0] if rows else ()) if key not in axes and key not in ("status", "reason")]
    sections = [_chart(document, measures), _points(document, measures), _refusals(document)]
    texts = {axis: [str(axis_text(value)) for value in values] for axis, values in axes.items()}
    return page(
        title=f"{name or 'clustersim'} – sweep",
        top=joined(heading, said),
        sections=[each for each in sections if each is not None],
        scripts=_SCRIPTS,
        known={"sweep": document, "texts": texts},
    )


def measure_name(measure: str) -> str:
    """Return what a result column is called.

    Examples
    --------
    >>> measure_name("samples_per_s"), measure_name("step_time_s"), measure_name("peak_bytes")
    ('samples/s', 'step time', 'peak memory')
    """
    if measure.endswith("_per_s"):
        return measure.removesuffix("_per_s").replace("_", " ") + "/s"
    if measure.endswith("_bytes"):
        return measure.removesuffix("_bytes").replace("_", " ") + " memory"
    name = measure.removesuffix("_s").replace("_", " ")
    return {"exposed communication": "exposed"}.get(name, name)


def written_by(measure: str) -> Callable[[Any], str]:
    """Return the function that writes a result column."""
    return next((written for ending, written in _WRITTEN if measure.endswith(ending)), number)


def _chart(document: Mapping[str, Any], measures: Sequence[str]) -> Section:
    """Return the chart that the scripts draw: a line for each combination of what is not on its axes."""
    axes = [axis for axis, values in document["axes"].items() if len(values) > 1] or list(document["axes"])
    shown = [name for name in measures if name != "capacity_bytes"]
    controls = [
        one_of("Show", "sweep-measure", [(name, measure_name(name)) for name in shown]),
        one_of("over", "sweep-axis", [(axis, axis) for axis in axes]),
    ]
    canvas = element(
        "canvas",
        id="sweep-chart",
        class_="chart",
        role="img",
        aria_label="Chart of the sweep; the table below has its numbers",
    )
    legend = element("ul", id="sweep-legend", class_="facts")
    unfit = any(row["status"] == "unfit" for row in document["rows"])
    hollow = element("p", "A hollow point does not fit in memory.", class_="hint") if unfit else ""
    return section(
        "chart",
        "Chart",
        element("figure", element("div", *controls, class_="controls"), canvas, legend, hollow, class_="needs-script"),
    )


def _points(document: Mapping[str, Any], measures: Sequence[str]) -> Section:
    numbers, axes = Numbers(document), list(document["axes"])
    ran = [index for index, row in enumerate(document["rows"]) if has_run(row)]
    whole_s = max((document["rows"][index]["step_time_s"] for index in ran), default=0.0) or 1.0
    body = [_row(numbers, axes, measures, index, whole_s) for index in ran[:MAX_ROWS]]
    header = [*(short_axis(axis, axes) for axis in axes), "", "", *map(measure_name, measures)]
    left = len(ran) - len(body)
    said = element("p", f"{counted(left, 'more point')} in the chart, not in the table.", class_="hint") if left else ""
    return section(
        "points", "Points", account_keys(), table("Every point that ran", header, body, class_="ranks sortable"), said
    )


def _row(numbers: Numbers, axes: Sequence[str], measures: Sequence[str], index: int, whole_s: float) -> list[Markup]:
    row = numbers.document["rows"][index]
    values = [name_of(str(axis_text(row[axis]))) for axis in axes]
    cells = [numbers.show(f"rows.{index}.{measure}", written_by(measure)) for measure in measures]
    unfit = element("span", "does not fit" if row["status"] == "unfit" else "", class_="bad")
    return [*values, unfit, time_bar(row, row["compute_s"], row["bubble_s"], whole_s), *cells]


def _refusals(document: Mapping[str, Any]) -> Section | None:
    axes = list(document["axes"])
    refused = [row for row in document["rows"] if not has_run(row)][:MAX_ROWS]
    if not refused:
        return None
    rows = [[*(name_of(str(axis_text(row[axis]))) for axis in axes), name_of(row["reason"])] for row in refused]
    return section(
        "refused", "Could not be run", table("Points that can't be run", [*axes, "reason"], rows, class_="texts")
    )
