"""A collective on a topology, in a terminal: a table as nccl-tests print it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from clustersim.report.quantities import bandwidth, counted, seconds, size
from clustersim.report.terminal import Column, Paragraph, Table

_DEFINITIONS = (
    "algorithm bandwidth = size / time; bus bandwidth is that times what each GPU has to send of the size at least, "
    "so that it can be held against a link's: 2 (n - 1)/n for all-reduce, 1 for broadcast, else (n - 1)/n"
)


def collective_report(document: Mapping[str, Any]) -> RenderableType:
    """Return the table of a collective, from the document of ``collective --json``."""
    rows = document["rows"]
    return Group(
        Paragraph(f"{document['operation']} on {document['topology']}", "bold"),
        Paragraph(f"{counted(document['num_gpus'], 'GPU')}, nothing else going on"),
        Text(),
        Table(
            [
                Column("size", [size(row["bytes"]) for row in rows]),
                Column("time", [seconds(row["time_s"]) for row in rows]),
                Column("alg. bandwidth", [bandwidth(row["algorithm_bandwidth_bytes_per_s"]) for row in rows], rank=1),
                Column("bus bandwidth", [bandwidth(row["bus_bandwidth_bytes_per_s"]) for row in rows]),
                Column("algorithm", [row["algorithm"] for row in rows], left=True),
            ]
        ),
        Text(),
        Paragraph(_DEFINITIONS, "dim"),
    )
