"""What the parts of a fabric are called, and what their links can do, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clustersim.report.quantities import bandwidth, count, seconds

UNLIMITED = "unlimited"
NO_LINKS = "-"

_NAMES = {
    "gpu": ("GPU", "GPUs"),
    "nic": ("NIC", "NICs"),
    "switch": ("switch", "switches"),
    "leaf": ("leaf", "leaves"),
    "agg": ("aggregation switch", "aggregation switches"),
    "cpu": ("CPU", "CPUs"),
    "nvswitch": ("NVSwitch", "NVSwitches"),
    "core": ("core switch", "core switches"),
}


def kind_name(kind: str, number_of: int = 1) -> str:
    """Return what one or several nodes of a kind are called.

    Examples
    --------
    >>> kind_name("leaf", 2), kind_name("router", 2), kind_name("nic")
    ('leaves', 'routers', 'NIC')
    """
    one, many = _NAMES.get(kind, (kind, f"{kind}s"))
    return one if number_of == 1 else many


def nodes_of(number_of: int, kind: str) -> str:
    """Return how many nodes of a kind there are.

    Examples
    --------
    >>> nodes_of(1024, "gpu"), nodes_of(1, "leaf")
    ('1,024 GPUs', '1 leaf')
    """
    return f"{count(number_of)} {kind_name(kind, number_of)}"


def rate(value: float | None) -> str:
    """Return a bandwidth of links, of which there may be none, or an unlimited one.

    Examples
    --------
    >>> rate(5e10), rate(None), rate(0.0)
    ('50.00 GB/s', 'unlimited', '-')
    """
    if value is None:
        return UNLIMITED
    return bandwidth(value) if value else NO_LINKS


def wires_of(links: Mapping[str, Any]) -> str:
    """Return how many wires of a class there are, and what each can do.

    Examples
    --------
    >>> wires_of({"count": 64, "one_way": False, "bandwidth_bytes_per_s": 5e10, "latency_s": 1e-6})
    '64 wires of 50.00 GB/s, 1.000 us'
    """
    thing = "link" if links["one_way"] else "wire"
    things = thing if links["count"] == 1 else f"{thing}s"
    latency = f", {seconds(links['latency_s'])}" if links["latency_s"] else ""
    return f"{count(links['count'])} {things} of {_made(links['bandwidth_bytes_per_s'])}{latency}"


def _made(value: float | None) -> str:
    return f"{UNLIMITED} bandwidth" if value is None else bandwidth(value)
