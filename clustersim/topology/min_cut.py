"""How much two sets of GPUs can exchange at most: the smallest cut of the links between them.

The flow is found on classes of nodes that are alike, which makes fabrics of 100,000 GPUs as cheap as small ones.

References
----------
M. Grohe, K. Kersting, M. Mladenov, E. Selman, "Dimension reduction via colour refinement", ESA 2014: a linear program,
such as that of the largest flow, has the same value when what colour refinement can't tell apart is merged. Here: a
flow summed over the links between two classes is one between the classes, and a flow between classes, divided among
these links by their bandwidth, keeps the balance at every node, as nodes of one class have equal links to each class.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.topology.link_table import LinkTable, Numbers

FIRST, SECOND, NEITHER = 0, 1, 2
# networkx takes about a second for a flow over so many pairs of classes.
MAX_CLASS_PAIRS = 8_000
_MAX_ROUNDS = 64
_MAX_MOVES = 4


@dataclass(frozen=True, slots=True)
class Cut:
    """Bandwidth of a cut in one direction; None is unlimited. [bytes/s]

    `is_exact` is False for an upper bound, where the fabric is large and too irregular to find the smallest cut.
    """

    bandwidth_bytes_per_s: Fraction | None
    is_exact: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Links between the first set (node 0), the second (node 1) and the other nodes; equal ones are one row."""

    num_nodes: int
    source: Numbers
    target: Numbers
    make: Numbers
    count: Numbers


def smallest_cut(table: LinkTable, side: Numbers) -> Cut:
    """Return the bandwidth from the nodes of one set to those of another, every link used at capacity.

    By the theorem of Ford and Fulkerson it is the largest flow from all of the first set to all of the second, over
    any path, however the fabric routes.

    Parameters
    ----------
    table
        The links.
    side
        `FIRST`, `SECOND` or `NEITHER` (what only forwards), by node.
    """
    side = _pulled(table, side)
    from_first, to_second = side[table.source] == FIRST, side[table.target] == SECOND
    across = table.make[from_first & to_second]
    if table.is_unlimited[across].any():
        return Cut(None)
    direct = int(table.capacities[across].sum())
    rows = _rows(table, side)
    classes = _refined(rows, len(table.makes))
    pairs = _merged(rows, classes, len(table.makes))
    if len(pairs.count) > MAX_CLASS_PAIRS:
        return Cut(Fraction(direct + _bound(rows, table), table.denominator), is_exact=False)
    return _flow(pairs, table, direct)


def _pulled(table: LinkTable, side: Numbers) -> Numbers:
    """Return `side` with all nodes that unlimited links tie to one: no limited cut parts them."""
    unlimited = table.is_unlimited[table.make]
    source, target = table.source[unlimited], table.target[unlimited]
    side = side.copy()
    while True:
        to_first = target[(side[source] == FIRST) & (side[target] == NEITHER)]
        side[to_first] = FIRST
        to_second = source[(side[target] == SECOND) & (side[source] == NEITHER)]
        side[to_second] = SECOND
        if not len(to_first) and not len(to_second):
            return side


def _rows(table: LinkTable, side: Numbers) -> _Rows:
    """Return the links that a flow may take beside those straight across, each set as one node."""
    others = np.flatnonzero(side == NEITHER)
    number = side.copy()
    number[others] = np.arange(2, 2 + len(others))
    source, target = number[table.source], number[table.target]
    useful = (source != target) & (source != SECOND) & (target != FIRST) & ((source > SECOND) | (target > SECOND))
    every = _Rows(len(others) + 2, source[useful], target[useful], table.make[useful], np.ones(useful.sum(), np.int64))
    return _merged(every, np.arange(every.num_nodes), len(table.makes))


def _merged(rows: _Rows, classes: Numbers, num_makes: int) -> _Rows:
    """Return the rows between classes of nodes; links inside a class carry nothing anywhere."""
    num_classes = int(classes.max()) + 1
    source, target = classes[rows.source], classes[rows.target]
    apart = source != target
    key = (source[apart] * num_classes + target[apart]) * num_makes + rows.make[apart]
    keys, row_of = np.unique(key, return_inverse=True)
    count = np.zeros(len(keys), dtype=np.int64)
    np.add.at(count, row_of, rows.count[apart])
    pair, make = np.divmod(keys, num_makes)
    return _Rows(num_classes, *np.divmod(pair, num_classes), make, count)


def _refined(rows: _Rows, num_makes: int) -> Numbers:
    """Return the class of each node: in one class, all have as many links of each make to, and from, each class."""
    classes = np.full(rows.num_nodes, NEITHER, dtype=np.int64)
    classes[[FIRST, SECOND]] = FIRST, SECOND
    for _ in range(_MAX_ROUNDS):
        finer = _refined_once(rows, classes, num_makes)
        if finer.max() == classes.max():
            return classes
        classes = finer
    return np.arange(rows.num_nodes)


def _refined_once(rows: _Rows, classes: Numbers, num_makes: int) -> Numbers:
    node = np.concatenate([rows.source, rows.target])
    other = np.concatenate([classes[rows.target], classes[rows.source] + rows.num_nodes])
    key = (node * 2 * rows.num_nodes + other) * num_makes + np.concatenate([rows.make, rows.make])
    keys, row_of = np.unique(key, return_inverse=True)
    count = np.zeros(len(keys), dtype=np.int64)
    np.add.at(count, row_of, np.concatenate([rows.count, rows.count]))
    node, seen = np.divmod(keys, 2 * rows.num_nodes * num_makes)
    first = np.searchsorted(node, np.arange(rows.num_nodes + 1)).tolist()
    seen_and_count = np.stack([seen, count], axis=1)
    numbers: dict[tuple[int, bytes], int] = {(FIRST, b""): FIRST, (SECOND, b""): SECOND}
    finer = [FIRST, SECOND]
    for index in range(2, rows.num_nodes):
        links = seen_and_count[first[index] : first[index + 1]].tobytes()
        finer.append(numbers.setdefault((int(classes[index]), links), len(numbers)))
    return np.array(finer, dtype=np.int64)


def _flow(pairs: _Rows, table: LinkTable, direct: int) -> Cut:
    import networkx as nx

    capacities = table.capacities.tolist()
    columns = (pairs.source.tolist(), pairs.target.tolist(), pairs.make.tolist(), pairs.count.tolist())
    # More than all limited links together: a cut of less has no unlimited link.
    unlimited = 1 + sum(capacities[make] * count for *_, make, count in zip(*columns, strict=True))
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from((FIRST, SECOND))
    for source, target, make, count in zip(*columns, strict=True):
        given = graph.edges[source, target]["capacity"] if graph.has_edge(source, target) else 0
        capacity = unlimited if table.makes[make].bandwidth_bytes_per_s is None else capacities[make] * count
        graph.add_edge(source, target, capacity=given + capacity)
    flow = int(nx.maximum_flow_value(graph, FIRST, SECOND))
    return Cut(None) if flow >= unlimited else Cut(Fraction(direct + flow, table.denominator))


def _bound(rows: _Rows, table: LinkTable) -> int:
    """Return the smallest of some cuts: each node on the side to which most of its bandwidth leads.

    Nodes are first given to sides from the two sets outwards, ring after ring; then all move at once, some rounds.
    """
    capacity = table.capacities[rows.make] * rows.count
    capacity[table.is_unlimited[rows.make]] = int(capacity.sum()) + 1
    pull = np.zeros(rows.num_nodes, dtype=np.int64)
    pull[[FIRST, SECOND]] = 1, -1
    while True:
        outwards = _pulls(rows, capacity, pull > 0, pull < 0)
        outwards[pull != 0] = 0
        if not outwards.any():
            break
        pull += np.sign(outwards).astype(np.int64)
    cuts = [_cut_by(rows, capacity, pull > 0)]
    for _ in range(_MAX_MOVES):
        pull = _pulls(rows, capacity, pull > 0, pull <= 0)
        pull[[FIRST, SECOND]] = 1, -1
        cuts.append(_cut_by(rows, capacity, pull > 0))
    return min(cuts)


def _pulls(
    rows: _Rows, capacity: NDArray[Any], is_first: NDArray[np.bool_], is_second: NDArray[np.bool_]
) -> NDArray[Any]:
    """Return the bandwidth of each node from nodes of the first side, less that to nodes of the second."""
    pull = np.zeros(rows.num_nodes, dtype=capacity.dtype)
    np.add.at(pull, rows.target, capacity * is_first[rows.source])
    np.subtract.at(pull, rows.source, capacity * is_second[rows.target])
    return pull


def _cut_by(rows: _Rows, capacity: NDArray[Any], on_first: NDArray[np.bool_]) -> int:
    return int(capacity[on_first[rows.source] & ~on_first[rows.target]].sum())
