"""What a topology is, in a terminal: a picture, its hosts, nodes and links, and what it can carry how far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType

from clustersim.report.fabric_picture import FabricPicture
from clustersim.report.fabric_words import NO_LINKS, UNLIMITED, kind_name, nodes_of, rate
from clustersim.report.quantities import bandwidth, count, counted, number, percent, seconds
from clustersim.report.terminal import Column, Facts, Paragraph, Table, title

Document = Mapping[str, Any]

_INDENT = 4
_LONG_ENDS = 20


def topology_report(document: Document) -> RenderableType:
    """Return what a topology is made of, from the document of ``describe --json``."""
    return Group(
        Paragraph(document["name"], "bold"),
        Paragraph(document["description"]),
        Facts(list(_sizes(document))),
        *_parts(document["num_parts"]),
        title("Picture"),
        FabricPicture(document),
        *_hosts(document["hosts"]),
        title("Nodes"),
        _nodes(document["nodes"]),
        title("Links, bandwidth in each direction"),
        _links(document["links"]),
        *_bisection(document["bisection"]),
        *_diameter(document["diameter"]),
        *_route(document["route"]),
        title("Parameters"),
        *_parameters(document["parameters"]),
    )


def _sizes(document: Document) -> Iterator[str]:
    yield document["family"]
    yield nodes_of(document["num_gpus"], "gpu")
    sizes = sorted({kind["gpus_per_host"] for kind in document["hosts"]})
    each = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    reserved = sum(kind["count"] for kind in document["hosts"] if kind["reserved"])
    hosts = f"{counted(document['num_hosts'], 'host')} of {each} {kind_name('gpu', sizes[-1])}"
    yield f"{hosts}, {count(reserved)} of them reserved" if reserved else hosts
    devices = [entry for entry in document["devices"] if entry["device"]]
    if len(document["devices"]) == 1:
        yield from (entry["device"] for entry in devices)
    else:
        yield ", ".join(f"{count(entry['gpus'])} {entry['device']}" for entry in devices)
    yield f"{counted(document['num_links'], 'link')} (one a direction)"


def _parts(num_parts: int) -> Iterator[RenderableType]:
    if num_parts > 1:
        yield Paragraph(f"not connected: {count(num_parts)} sets of GPUs with no path from one to another", "red")


def _hosts(kinds: Sequence[Document]) -> Iterator[RenderableType]:
    """Yield the kinds of hosts, where there are several."""
    if len(kinds) == 1:
        return
    yield title("Hosts")
    yield Table(
        [
            Column("hosts", [count(kind["count"]) for kind in kinds]),
            Column("GPUs each", [count(kind["gpus_per_host"]) for kind in kinds]),
            Column(
                "device",
                [", ".join(device or "none named" for device in kind["devices"]) for kind in kinds],
                left=True,
                flexible=True,
            ),
            Column("", ["reserved" if kind["reserved"] else "" for kind in kinds], left=True),
        ]
    )


def _nodes(kinds: Sequence[Document]) -> RenderableType:
    """Return the nodes by kind, with the bandwidth of the most oversubscribed of each; no column of nothing."""
    columns = [
        Column("kind", [kind_name(kind["kind"]) for kind in kinds], left=True, flexible=True),
        Column("count", [count(kind["count"]) for kind in kinds]),
        Column("ports", [_ports(kind) for kind in kinds], rank=2),
        Column("from below", [rate(kind["below_bytes_per_s"]) for kind in kinds], rank=1),
        Column("to above", [rate(kind["above_bytes_per_s"]) for kind in kinds], rank=1),
        Column("beside", [rate(kind["beside_bytes_per_s"]) for kind in kinds], rank=3),
        Column("oversubscribed", [_ratio(kind["oversubscription"]) for kind in kinds]),
    ]
    return Table([column for column in columns if set(column.cells) - {NO_LINKS, ""}])


def _ports(kind: Document) -> str:
    fewest, most = kind["fewest_ports"], kind["most_ports"]
    return count(most) if fewest == most else f"{count(fewest)}-{count(most)}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{number(value)} : 1"


def _links(classes: Sequence[Document]) -> RenderableType:
    if not classes:
        return Paragraph("none")
    one_way = classes[0]["one_way"]
    arrow = "->" if one_way else "-"
    ends = [f"{kind_name(made['lower'])} {arrow} {kind_name(made['upper'])}" for made in classes]
    columns = [
        Column("between", ends, left=True, flexible=max(map(cell_len, ends)) > _LONG_ENDS),
        Column("role", [made["role"] for made in classes], left=True, rank=1),
        Column("links" if one_way else "wires", [count(made["count"]) for made in classes]),
        Column("bandwidth", [rate(made["bandwidth_bytes_per_s"]) for made in classes]),
        Column("latency", [seconds(made["latency_s"]) for made in classes], rank=2),
    ]
    return Table([column for column in columns if any(column.cells)])


_HALVES = {
    "hosts": "from the first hosts to the last ({first} and {second})",
    "gpus": "from the first GPUs of the host to the last ({first} and {second})",
    "dimension": "from one half of the longest dimension to the other ({first} and {second})",
}


def _bisection(halves: Document | None) -> Iterator[RenderableType]:
    if halves is None:
        return
    yield title("Bisection bandwidth")
    found, full = halves["bandwidth_bytes_per_s"], halves["full_bytes_per_s"]
    at_most = "" if halves["is_exact"] else "at most "
    first, second = (nodes_of(halves[f"{half}_half_gpus"], "gpu") for half in ("first", "second"))
    by = _HALVES[halves["halves_by"]].format(first=first, second=second)
    yield Paragraph(f"{at_most}{UNLIMITED if found is None else bandwidth(found)} in one direction, {by}")
    if halves["fraction"] is not None:
        share = f"{at_most}{percent(halves['fraction'])} of full bisection bandwidth"
        yield Paragraph(f"{share}, {bandwidth(full)}: half of what all GPUs can send into the network")


def _diameter(diameter: Document | None) -> Iterator[RenderableType]:
    if diameter is None:
        return
    yield title("Diameter")
    of = "" if diameter["is_exact"] else " at least, of the routes that were compared"
    farthest, slowest = (_pair(diameter[key]) for key in ("farthest", "slowest"))
    latency = f"{seconds(diameter['latency_s'])} of latency"
    if farthest == slowest:
        yield Paragraph(f"{counted(diameter['num_links'], 'link')} and {latency}{of}: {farthest}")
    else:
        yield Paragraph(f"{counted(diameter['num_links'], 'link')}{of}: {farthest}")
        yield Paragraph(f"{latency}{of}: {slowest}")


def _pair(ends: Document) -> str:
    return f"GPU {ends['source_gpu']} to GPU {ends['destination_gpu']}"


def _parameters(parameters: Sequence[Document]) -> Iterator[RenderableType]:
    for parameter in parameters:
        yield Paragraph(f"{parameter['name']}: {_value(parameter['value'])}", indent=_INDENT)
        yield Paragraph(parameter["description"], "dim", indent=_INDENT, label=" " * _INDENT)


def _value(value: Any) -> str:
    if value is None:
        return "not given"
    if isinstance(value, Mapping):
        given = {key: entry for key, entry in value.items() if entry is not None}
        return ", ".join(f"{key} {entry}" for key, entry in given.items()) or "an ideal wire"
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
            Column("bandwidth", [rate(value) for value in given]),
            Column("latency", [seconds(hop["latency_s"]) for hop in hops]),
        ]
    )
    slowest = min((value for value in given if value is not None), default=None)
    narrowest = f"{UNLIMITED} bandwidth" if slowest is None else f"{bandwidth(slowest)} at its narrowest"
    yield Paragraph(f"{narrowest}, latency {seconds(route['latency_s'])} in all")
