"""The page of one run."""

from __future__ import annotations

from clustersim.analysis.critical_path import critical_path
from clustersim.analysis.waits import find_waits
from clustersim.report.html.accounts import accounts_section
from clustersim.report.html.bubble import bubble_section
from clustersim.report.html.critical import critical_section, is_shown_first, path_columns
from clustersim.report.html.fabric import fabric_picture
from clustersim.report.html.findings import findings, warnings
from clustersim.report.html.links import links_section
from clustersim.report.html.markup import Numbers, joined
from clustersim.report.html.memory import memory_section
from clustersim.report.html.opening import banner, headline, where_time_went
from clustersim.report.html.page import page
from clustersim.report.html.provenance import provenance_section
from clustersim.report.html.slices import gantt_columns, shown_ranks, slices_of
from clustersim.report.html.timeline import timeline_facts, timeline_section
from clustersim.result import Result
from clustersim.topology.table import build_cluster

_SCRIPTS = (
    "quantities.js",
    "unpack.js",
    "palette.js",
    "tooltip.js",
    "gantt_data.js",
    "gantt_pixels.js",
    "gantt_ink.js",
    "gantt_pointers.js",
    "gantt.js",
    "memory.js",
    "fabric.js",
    "page.js",
    "tables.js",
    "run.js",
)


def run_page(result: Result) -> str:
    """Return the report of a run as one HTML file."""
    document = result.to_dict()
    numbers, waits = Numbers(document), find_waits(result.trace)
    rank_rows = shown_ranks(result.trace, waits, result.ranks[0].replica)
    path = critical_path(result.trace, waits)
    slices = slices_of(result.trace, waits, rank_rows)
    fabric, links = fabric_picture(result.trace, build_cluster(result.scenario.cluster.topology))
    sections = [
        where_time_went(result, numbers, findings(result, numbers)),
        timeline_section(result, slices, rank_rows, is_shown_first(result, path)),
        critical_section(result, numbers, path),
        memory_section(result, numbers),
        bubble_section(result, waits, numbers),
        links_section(result, numbers),
        accounts_section(result, numbers),
        provenance_section(result),
    ]
    return page(
        title=f"{result.name or 'clustersim'} – {result.schedule}",
        top=joined(banner(result), headline(result, numbers), warnings(result)),
        sections=[each for each in sections if each is not None],
        scripts=_SCRIPTS,
        known={"result": document, "gantt": timeline_facts(result, rank_rows), "fabric": fabric},
        columns=gantt_columns(slices) | path_columns(result.trace, path, rank_rows) | links,
    )
