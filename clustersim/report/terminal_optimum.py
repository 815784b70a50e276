"""The outcome of a search for the best order in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType

from clustersim.report.quantities import percent, seconds
from clustersim.report.terminal import Facts, Paragraph


def optimum_report(name: str, optimum: Mapping[str, Any]) -> RenderableType:
    """Return the makespan that was found, and how good it is; `optimum` is the document of ``optimize --json``."""
    makespan, bound = seconds(optimum["makespan_s"]), seconds(optimum["bound_s"])
    verdict = "no order is better" if optimum["proven"] else f"at most {percent(optimum['gap'])} above the best"
    parts: list[RenderableType] = [Paragraph(name, "bold")] if name else []
    facts = [f"makespan {makespan}", f"lower bound {bound}", f"largest span {seconds(optimum['span_s'])}"]
    return Group(*parts, Facts(facts), Paragraph(verdict, "bold"))
