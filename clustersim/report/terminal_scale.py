"""A scaling curve in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType

from clustersim.report.quantities import count, percent, seconds, usd
from clustersim.report.terminal import Column, Paragraph, Table
from clustersim.report.terminal_plans import Document, between, heading, refusals, rests_on

_MILLION = 1_000_000


def scale_report(document: Document) -> RenderableType:
    """Return the table of a curve, when the network is the limit, and what all that rests on."""
    parts = heading(document)
    kind = "weak: the batch grows with the GPUs" if document["weak"] else "strong: the batch stays"
    parts.append(Paragraph(f"scaling, {kind}"))
    if document["points"]:
        parts += [_table(document), *_verdict(document)]
    return Group(*parts, *refusals(document["refused"]), *rests_on(document))


def _table(document: Document) -> Table:
    shown = document["points"]
    points = [one["point"] for one in shown]
    columns = [
        Column("GPUs", [count(point["num_gpus"]) for point in points]),
        Column("dp", [count(point["layout"]["dp"]) for point in points], rank=4),
        Column("batch", [count(point["global_batch_size"]) for point in points], rank=3),
        Column("step time", [seconds(point["step_time_s"]) for point in points]),
        Column("nine of ten", [between(point["step_time_interval_s"]) for point in points], rank=5),
        Column("speed-up", [f"{one['speedup']:.2f}" for one in shown], rank=1),
        Column("efficiency", [percent(one["efficiency"]) for one in shown]),
        Column("exposed", [percent(point["exposed_communication_share"]) for point in points], rank=2),
        Column("bubble", [percent(point["bubble_share"]) for point in points], rank=2),
        Column("network", [percent(point["network_share"]) for point in points]),
        Column("a million tokens", [_cost(point) for point in points], rank=4),
        Column("memory", ["does not fit" if point["fits"] is False else "" for point in points], left=True),
    ]
    columns = [column for column in columns if any(column.cells)]
    return Table(columns, ["red" if one["is_network_limited"] else "" for one in shown])


def _cost(point: Document) -> str:
    if point["cost_usd"] is None or not point["tokens"]:
        return ""
    return usd(point["cost_usd"] * _MILLION / point["tokens"])


def _verdict(document: Document) -> Iterator[RenderableType]:
    limit, limited = percent(document["network_limit"]), document["network_limited_from"]
    words = f"at least {limit} of the critical path on links outside scale-up domains, and on latencies"
    if limited is None:
        yield Paragraph(f"the network is not the limit: on the largest there is less than {words[9:]}", "bold")
    else:
        yield Paragraph(f"the network is the limit from {count(limited)} GPUs on: {words}", "bold")
    yield Paragraph("exposed, bubble: shares of the time of all GPUs; network: share of the critical path", "dim")
