"""The links of a run where they are in the fabric: bands from the GPUs upwards, for a heat map.

Every node has an extent from 0 to 1: GPUs side by side, what is above them over all that it reaches below. A band of
nodes is followed by a band of the links that leave it for each kind of node above; a link has its part of the extent of
its lower node. So what belongs to a host, or is under a leaf switch, stands in one column, whatever the fabric.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clustersim.report.characters import one_line
from clustersim.report.fabric_words import kind_name
from clustersim.topology.cluster import Cluster
from clustersim.topology.full_mesh import MeshLinks
from clustersim.topology.link_table import LinkTable, link_table
from clustersim.topology.tiers import GPU_TIER, Tiers, tiers_of
from clustersim.trace import Flags, Floats, Ints, Trace

MAX_LINKS = 20_000
"""A fabric with more links is drawn without those that carried nothing."""
_GRID = 10**6  # extents are whole numbers of this part of the width

Extents = Floats
"""``[row] = (left, right)``."""


def fabric_picture(trace: Trace, cluster: Cluster) -> tuple[dict[str, Any], dict[str, Ints]]:
    """Return (names of nodes and of their kinds, columns of nodes and links) of the heat map of a run's links."""
    table = None if isinstance(cluster.links, MeshLinks) else link_table(cluster)
    tiers = tiers_of(cluster, table)
    source, target, row = _links(trace, cluster, table)
    extents = _extents(tiers, source, target)
    drawn = ~np.isnan(extents[source, 0] + extents[target, 0])
    source, target, row = source[drawn], target[drawn], row[drawn]
    group = tiers.group_of
    is_up = group[source] <= group[target]
    lower, upper = np.where(is_up, source, target), np.where(is_up, target, source)
    cells = _cells(extents, lower, group[upper], is_up, upper)
    once = {
        "names": [one_line(name) for name in cluster.nodes],
        "groups": [kind_name(kind.kind, 2) for kind in tiers.groups],
    }
    return once, {
        "node_group": np.where(np.isnan(extents[:, 0]), len(tiers.groups), group),
        **_on_grid("node_left", "node_right", np.nan_to_num(extents)),
        "link_source": source,
        "link_target": target,
        "link_lower": group[lower],
        "link_upper": group[upper],
        "link_up": is_up.astype(np.int64),
        **_on_grid("link_left", "link_right", cells),
        **_use(trace, row),
    }


def _on_grid(left: str, right: str, extents: Extents) -> dict[str, Ints]:
    whole = np.rint(extents * _GRID).astype(np.int64)
    return {left: whole[:, 0], right: whole[:, 1]}


def _use(trace: Trace, row: Ints) -> dict[str, Ints]:
    """Return columns of how links were used, zeros for those that carried nothing."""
    links = trace.links
    columns = {"busy": links.busy_ps, "bytes": links.size_bytes, "lost": links.queued_ps + links.slowed_ps}
    return {f"link_{name}": np.append(values, 0)[row] for name, values in columns.items()}


def _links(trace: Trace, cluster: Cluster, table: LinkTable | None) -> tuple[Ints, Ints, Ints]:
    """Return (source, target, row of the trace's Links); ends are numbers of nodes, and -1 a link that carried nothing.

    Of a very large fabric only the links that carried something are there.
    """
    number_by_name = {name: number for number, name in enumerate(cluster.nodes)}
    used = [cluster.links[number] for number in trace.links.number.tolist()]
    source = np.array([number_by_name[link.source] for link in used], dtype=np.int64)
    target = np.array([number_by_name[link.target] for link in used], dtype=np.int64)
    row = np.arange(len(used))
    if table is None or len(table.source) > MAX_LINKS:
        return source, target, row
    idle = ~np.isin(table.source * len(table.nodes) + table.target, source * len(table.nodes) + target)
    return (
        np.concatenate([source, table.source[idle]]),
        np.concatenate([target, table.target[idle]]),
        np.concatenate([row, np.full(int(idle.sum()), -1)]),
    )


def _extents(tiers: Tiers, source: Ints, target: Ints) -> Extents:
    """Return (left, right) of each node: what it reaches below, shared with nodes of its kind that reach it, too."""
    num_nodes = len(tiers.group_of)
    extents = np.full((num_nodes, 2), np.nan)
    gpus = np.flatnonzero(tiers.tier == GPU_TIER)
    extents[gpus] = np.stack([np.arange(len(gpus)), np.arange(1, len(gpus) + 1)], axis=1) / max(1, len(gpus))
    ends = np.concatenate([source, target]), np.concatenate([target, source])
    for group in range(len(tiers.groups)):
        mine = np.flatnonzero((tiers.group_of == group) & (tiers.tier != GPU_TIER))
        reached = _reached(num_nodes, tiers.group_of, group, extents, *ends)
        extents[mine] = _side_by_side(reached[mine])
    return extents


def _reached(num_nodes: int, group_of: Ints, group: int, extents: Extents, here: Ints, there: Ints) -> Extents:
    """Return what each node of a group reaches below it."""
    rows = np.flatnonzero((group_of[here] == group) & (group_of[there] < group) & ~np.isnan(extents[there, 0]))
    reached = np.stack([np.full(num_nodes, np.inf), np.full(num_nodes, -np.inf)], axis=1)
    np.minimum.at(reached[:, 0], here[rows], extents[there[rows], 0])
    np.maximum.at(reached[:, 1], here[rows], extents[there[rows], 1])
    return np.where(np.isinf(reached), np.nan, reached)


def _side_by_side(reached: Extents) -> Extents:
    """Return the extents with those that overlap set side by side in what they cover together."""
    result = reached.copy()
    order = [row for row in np.lexsort((reached[:, 1], reached[:, 0])).tolist() if not np.isnan(reached[row, 0])]
    overlapping: list[list[int]] = []
    until = -1.0
    for row in order:
        if overlapping and reached[row, 0] < until:
            overlapping[-1].append(row)
        else:
            overlapping.append([row])
        until = max(until, reached[row, 1])
    for rows in overlapping:
        edges = np.linspace(reached[rows[0], 0], reached[rows, 1].max(), len(rows) + 1)
        result[rows] = np.stack([edges[:-1], edges[1:]], axis=1)
    return result


def _cells(extents: Extents, lower: Ints, upper_group: Ints, is_up: Flags, upper: Ints) -> Extents:
    """Return (left, right) of each link: its part of the extent of its lower node, even with others that go its way."""
    order = np.lexsort((upper, is_up, upper_group, lower))
    ways = np.stack([lower, upper_group, is_up], axis=1)[order]
    begins = np.flatnonzero(np.append(True, (ways[1:] != ways[:-1]).any(axis=1))[: len(ways)])
    counts = np.diff(np.append(begins, len(ways)))
    position = np.arange(len(ways)) - np.repeat(begins, counts)
    share = np.repeat(counts, counts)
    left, width = extents[lower[order], 0], extents[lower[order], 1] - extents[lower[order], 0]
    cells = np.empty((len(ways), 2))
    cells[order] = np.stack([left + width * position / share, left + width * (position + 1) / share], axis=1)
    return cells
