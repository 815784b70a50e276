"""Lists of names, and descriptions of topologies, in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType

from clustersim.report.quantities import bandwidth, count, seconds
from clustersim.report.terminal import Column, Paragraph, Table, title

Document = Mapping[str, Any]

_INDENT = 4


def names_report(entries: Sequence[tuple[str, str]]) -> RenderableType:
    """Return a line for each name, with its description."""
    width = max(cell_len(name) for name, _ in entries) + 2
    return Group(*(Paragraph(description, indent=width, label=name) for name, description in entries))


def topology_report(document: Document) -> RenderableType:
    """Return what a topology is made of, from the document of ``describe --json``."""
    return Group(
        Paragraph(document["name"], "bold"),
        Paragraph(document["description"]),
        Paragraph(f"{count(document['num_gpus'])} GPUs, {count(document['num_links'])} links (one a direction)"),
        title("Parameters"),
        *_parameters(document["parameters"]),
        *_route(document["route"]),
    )


def _parameters(parameters: Sequence[Document]) -> Iterator[RenderableType]:
    for parameter in parameters:
        yield Paragraph(f"{parameter['name']}: {_value(parameter['value'])}", indent=_INDENT)
        yield Paragraph(parameter["description"], "dim", indent=_INDENT, label=" " * _INDENT)


def _value(value: Any) -> str:
    if value is None:
        return "not given"
    if isinstance(value, Mapping):
        given = {key: entry for key, entry in value.items() if entry is not None}
        return ", ".join(f"{key} {entry}" for key, entry in given.items())
    return str(value)


def _route(route: Document) -> Iterator[RenderableType]:
    yield title(f"Route from GPU {route['source_gpu']} to GPU {route['destination_gpu']}")
    if "unroutable" in route:
        yield Paragraph(route["unroutable"], "red")
        return
    hops = route["hops"]
    if not hops:
        yield Paragraph("none is needed")
        return
    given = [hop["bandwidth_bytes_per_s"] for hop in hops]
    yield Table(
        [
            Column("link", [hop["link"] for hop in hops], left=True, flexible=True),
            Column("bandwidth", ["unlimited" if value is None else bandwidth(value) for value in given]),
            Column("latency", [seconds(hop["latency_s"]) for hop in hops]),
        ]
    )
    slowest = min((value for value in given if value is not None), default=None)
    narrowest = "unlimited bandwidth" if slowest is None else f"{bandwidth(slowest)} at its narrowest"
    yield Paragraph(f"{narrowest}, latency {seconds(route['latency_s'])} in all")
