"""What links are for: inside a scale-up domain, between GPU and NIC, from NIC to switch, or between kinds of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from clustersim.topology.changed_links import ChangedLinks
from clustersim.topology.cluster import Cluster, Ints, Link
from clustersim.topology.link_sequence import LinkSequence
from clustersim.topology.wires import WireLinks

SCALE_UP = "scale-up"
_OTHER = "other"


def link_roles(cluster: Cluster, numbers: Iterable[int]) -> tuple[str, ...]:
    """Return the role of each link: what its fabric calls it, or else the kinds of its two ends.

    Links within one host, NICs aside, are ``scale-up``.

    Examples
    --------
    >>> from clustersim.scenario.fabrics import FullMesh
    >>> from clustersim.topology.table import build_cluster
    >>> link_roles(build_cluster(FullMesh(fabric="full-mesh", gpus=2)), [0, 1])
    ('gpu-gpu', 'gpu-gpu')
    """
    return tuple(_role(cluster, number) for number in numbers)


def link_kinds(cluster: Cluster, numbers: Ints) -> Ints:
    """Return a number for each link that only links of one kind share: as fast, for the same, between like nodes.

    Such links have the same bandwidth, latency, overhead, sharing and role, and the kinds of their ends are the same.
    """
    first = cluster.links.alike(numbers) if isinstance(cluster.links, LinkSequence) else numbers
    which, index = np.unique(first, return_inverse=True)
    known: dict[object, int] = {}
    links = [cluster.link(number) for number in which.tolist()]
    kinds = [
        known.setdefault((*_make(link), role, *_kinds_of_ends(cluster, link)), len(known))
        for link, role in zip(links, link_roles(cluster, which.tolist()), strict=True)
    ]
    return np.array(kinds, dtype=np.int64)[index.reshape(-1)]


def _make(link: Link) -> tuple[object, ...]:
    return link.bandwidth_bytes_per_s, link.latency_ps, link.overhead_ps, link.sharing


def _kinds_of_ends(cluster: Cluster, link: Link) -> tuple[object, object]:
    return cluster.nodes[link.source].get("kind"), cluster.nodes[link.target].get("kind")


def _role(cluster: Cluster, number: int) -> str:
    links = cluster.links.original if isinstance(cluster.links, ChangedLinks) else cluster.links
    if isinstance(links, WireLinks) and (role := links.role_of(number)):
        return role
    link = cluster.link(number)
    source, target = cluster.nodes[link.source], cluster.nodes[link.target]
    kinds = str(source.get("kind", _OTHER)), str(target.get("kind", _OTHER))
    if cluster.name == "single-node" or ("nic" not in kinds and _are_in_one_host(source, target)):
        return SCALE_UP
    return "-".join(kinds if kinds[0] <= kinds[1] else kinds[::-1])


def _are_in_one_host(node: Mapping[str, object], other: Mapping[str, object]) -> bool:
    host = node.get("domain", node.get("host"))
    return host is not None and host == other.get("domain", other.get("host"))
