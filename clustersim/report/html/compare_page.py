"""The page of a comparison: every schedule's account, memory against time, and their timelines on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clustersim.analysis.waits import find_waits
from clustersim.report.html.markup import Markup, Numbers, element, joined, name_of
from clustersim.report.html.page import page
from clustersim.report.html.parts import Part, Section, bar, facts, key, section, table
from clustersim.report.html.scatter import Axis, Point, scatter
from clustersim.report.html.slices import MAX_SLICES, gantt_columns, slices_of
from clustersim.report.html.timeline import kind_keys, timeline_facts
from clustersim.report.quantities import counted, percent, seconds, size, size_unit, time_unit
from clustersim.result import Result
from clustersim.trace import Ints

_SCRIPTS = (
    "quantities.js",
    "unpack.js",
    "palette.js",
    "gantt_data.js",
    "gantt_pixels.js",
    "page.js",
    "tables.js",
    "compare.js",
)

Row = Mapping[str, Any]
"""A row of the document of ``compare --json``."""


class ComparisonPage:
    """A page that is told of each run as it is done, so that no trace has to be kept."""

    def __init__(self) -> None:
        self._runs: list[dict[str, Any]] = []
        self._columns: dict[str, Ints] = {}
        self._categories: set[int] = set()
        self._num_slices = 0

    def add(self, schedule: str, result: Result) -> None:
        """Keep what the timeline of a run is drawn from, as long as there is room for it on the page."""
        trace, waits = result.trace, find_waits(result.trace)
        rows = np.flatnonzero(trace.ranks.replica == result.ranks[0].replica).tolist()
        slices = slices_of(trace, waits, rows)
        self._num_slices += len(slices)
        if self._num_slices > MAX_SLICES:
            return
        number = len(self._runs)
        self._runs.append({"schedule": schedule, **timeline_facts(result, rows)})
        self._columns |= {f"{number}.{name}": values for name, values in gantt_columns(slices).items()}
        self._categories |= set(slices.category[slices.duration_ps > 0].tolist())

    def text(self, name: str, comparison: Mapping[str, Any]) -> str:
        """Return the page of a comparison, from the document of ``compare --json``."""
        ran = [index for index, row in enumerate(comparison["rows"]) if row["status"] != "refused"]
        heading = element("h1", name_of(name) if name else "A comparison of schedules")
        fits = sum(row["status"] == "ok" for row in comparison["rows"])
        said = facts(counted(len(comparison["rows"]), "schedule"), f"{fits} ran and fit", *self._best(comparison))
        sections = [_accounts(comparison, ran), _trade_off(comparison, ran), self._timelines(), _refusals(comparison)]
        return page(
            title=f"{name or 'clustersim'} – schedules compared",
            top=joined(heading, said),
            sections=[each for each in sections if each is not None],
            scripts=_SCRIPTS,
            known={"comparison": comparison, "runs": self._runs},
            columns=self._columns,
        )

    def _best(self, comparison: Mapping[str, Any]) -> list[Markup]:
        return [joined("best: ", element("strong", name_of(comparison["best"])))] if comparison["best"] else []

    def _timelines(self) -> Section | None:
        """Return the timelines, to which the scripts add a canvas a run."""
        if not self._runs:
            return None
        drawn = [
            element(
                "figure",
                element("figcaption", element("b", name_of(run["schedule"]))),
                element("canvas", data_run=str(number), role="img", aria_label=f"Timeline of {run['schedule']}"),
            )
            for number, run in enumerate(self._runs)
        ]
        keys = element("p", kind_keys(sorted(self._categories)), class_="keys")
        said = element(
            "p",
            "One scale of time for all: the one that ends first is the fastest. Ranks from the first, above.",
            class_="hint",
        )
        return section("timelines", "Timelines", keys, *drawn, said)


def time_bar(row: Row, compute_s: float, bubble_s: float, whole_s: float) -> Markup:
    """Return the time of a step as a bar, on the scale of the longest."""
    times = {"compute": compute_s, "exposed": row["exposed_communication_s"], "bubble": bubble_s}
    label = ", ".join(f"{name} {seconds(time_s)}" for name, time_s in times.items())
    return bar((Part(name, time_s / whole_s, name) for name, time_s in times.items()), label)


def account_keys() -> Markup:
    """Return what the colours of `time_bar` stand for."""
    return element(
        "p", key("compute", "compute"), key("exposed", "exposed communication"), key("bubble", "bubble"), class_="keys"
    )


def _accounts(comparison: Mapping[str, Any], ran: Sequence[int]) -> Section:
    numbers, rows = Numbers(comparison), comparison["rows"]
    whole_s = max((rows[index]["step_time_s"] for index in ran), default=0.0) or 1.0
    body = [_account(numbers, index, whole_s, comparison["best"]) for index in ran]
    header = (
        "schedule",
        "",
        "step time",
        "exposed",
        "bubble fraction",
        "bubble overhead",
        "above bound",
        "peak memory",
        "",
    )
    return section(
        "schedules", "Schedules", account_keys(), table("Mean per GPU and step", header, body, class_="ranks sortable")
    )


def _account(numbers: Numbers, index: int, whole_s: float, best: str | None) -> list[Markup]:
    row, place = numbers.document["rows"][index], f"rows.{index}"
    bubble_s = sum(row["bubble"]["by_cause"].values())
    compute_s = row["step_time_s"] - row["exposed_communication_s"] - bubble_s
    said = "best" if row["schedule"] == best else "does not fit" if row["status"] == "unfit" else ""
    name = name_of(row["schedule"])
    return [
        element("strong", name) if said == "best" else name,
        time_bar(row, compute_s, bubble_s, whole_s),
        numbers.show(f"{place}.step_time_s", seconds),
        numbers.show(f"{place}.exposed_communication_s", seconds),
        numbers.show(f"{place}.bubble.fraction", percent),
        numbers.show(f"{place}.bubble.overhead", percent),
        numbers.show(f"{place}.gap_to_bound", percent),
        numbers.show(f"{place}.memory.peak_bytes", size),
        element("span", said, class_="bad" if row["status"] == "unfit" else "good"),
    ]


def _trade_off(comparison: Mapping[str, Any], ran: Sequence[int]) -> Section | None:
    rows = [comparison["rows"][index] for index in ran]
    if len(rows) < 2 or not any(row["memory"]["peak_bytes"] for row in rows):
        return None
    kinds = {True: "best", False: ""}
    points = [
        Point(
            float(row["memory"]["peak_bytes"]),
            row["step_time_s"],
            row["schedule"],
            "unfit" if row["status"] == "unfit" else kinds[row["schedule"] == comparison["best"]],
        )
        for row in rows
    ]
    factor, unit = size_unit(max(row["memory"]["peak_bytes"] for row in rows))
    time_factor, time_name = time_unit(max(row["step_time_s"] for row in rows))
    capacity = rows[0]["memory"]["capacity_bytes"]
    drawn = scatter(
        points,
        Axis(f"peak memory [{unit}]", factor, capacity),
        Axis(f"step time [{time_name}]", time_factor),
        "Step time against peak memory; the table above has the numbers",
    )
    said = element("p", "Lower is faster, further left takes less memory.", class_="hint")
    return section("trade-off", "Memory against time", drawn, said)


def _refusals(comparison: Mapping[str, Any]) -> Section | None:
    refused = [row for row in comparison["rows"] if row["status"] == "refused"]
    if not refused:
        return None
    rows = [(name_of(row["schedule"]), name_of(row["reason"])) for row in refused]
    return section(
        "refused",
        "Could not be run",
        table("Schedules that refuse this job", ("schedule", "reason"), rows, class_="texts"),
    )
