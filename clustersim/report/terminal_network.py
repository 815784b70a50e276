"""Flows on a topology, in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from clustersim.report.quantities import counted, percent, seconds, size
from clustersim.report.terminal import Column, Paragraph, Table


def network_report(topology: str, document: Mapping[str, Any]) -> RenderableType:
    """Return when each flow ends and which links are busiest, from the document of ``network --json``."""
    flows = document["flows"]
    last_s = max(flow["end_s"] for flow in flows)
    return Group(
        Paragraph(topology, "bold"),
        Paragraph(f"{counted(len(flows), 'flow')}, the last ends at {seconds(last_s)}"),
        Text(),
        _flows(flows),
        Text(),
        _links(document["busiest_links"]),
    )


def _flows(flows: Sequence[Mapping[str, Any]]) -> Table:
    """Return a line for each flow; ends in full, since they are what the simulation is for."""
    return Table(
        [
            Column("source", [str(flow["source"]) for flow in flows]),
            Column("destination", [str(flow["destination"]) for flow in flows]),
            Column("bytes", [size(flow["bytes"]) for flow in flows]),
            Column("start", [seconds(flow["start_s"]) for flow in flows]),
            Column("end_s", [f"{flow['end_s']:.12f}" for flow in flows]),
        ]
    )


def _links(links: Sequence[Mapping[str, Any]]) -> RenderableType:
    busy = [link for link in links if link["utilization"]]
    if not busy:
        return Paragraph("no link was held: all have unlimited bandwidth, and latency occupies nothing")
    return Table(
        [
            Column("busiest links", [link["link"] for link in busy], left=True, flexible=True),
            Column("busy", [percent(link["utilization"]) for link in busy]),
            Column("bytes", [size(link["bytes"]) for link in busy], rank=2),
            Column("queued", [seconds(link["queued_s"]) for link in busy], rank=1),
            Column("slowed", [seconds(link["slowed_s"]) for link in busy], rank=1),
        ]
    )
