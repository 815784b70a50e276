"""``nvidia-smi topo -m``: the GPUs and NICs of one host.

References
----------
``nvidia-smi topo --help``: codes of the matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from clustersim.errors import Fault, TopologyError
from clustersim.topology.drawn_graph import DrawnEdge, DrawnGraph, DrawnNode
from clustersim.topology.importers.asked import Asked
from clustersim.topology.importers.matrix import PCIE_CODES, Cell, Matrix, read_matrix

MOST_NVLINKS = 18
"""NVLinks of a GPU of the generations 4 and 5; no GPU has more."""

_HUBS = ("pcie", "pcie-tree", "host-bridge", "numa")
"""What joins the devices of each of `PCIE_CODES` but the last, which is a link between NUMA nodes."""


def import_nvidia_smi(file: str, text: str, asked: Asked) -> DrawnGraph:
    """Return the graph of one host.

    Options asked for: ``link-bandwidth`` (one NVLink, per direction), ``pcie-bandwidth`` (between a device and a
    bridge, and between bridges), ``socket-bandwidth`` (between NUMA nodes), each if there is such a link; ``host`` may
    be left out.

    Raises
    ------
    TopologyError
        A matrix that can't be read or contradicts itself, or options that are missing.

    Notes
    -----
    GPUs whose NVLinks add up to more than any GPU has (`MOST_NVLINKS`) are on switches, where ``NV#`` counts all links
    of a GPU; else it counts the links between two. NVLinks hide how two GPUs are connected over PCIe: that is known
    where their connections to NICs tell, and that they are on one NUMA node where they are near the same CPUs.
    """
    matrix = read_matrix(file, text)
    host = asked.text("host") or "host0"
    kinds = dict.fromkeys(matrix.devices, "nic") | {matrix.devices[gpu]: "gpu" for gpu in matrix.gpus}
    nodes = [DrawnNode(name, {"kind": kind, "host": host}) for name, kind in kinds.items()]
    edges = [*_nvlinks(matrix, asked), *_pcie(matrix, asked)]
    asked.raise_if_missing()
    named = dict.fromkeys(end for edge in edges for end in (edge.source, edge.target))
    hubs = [DrawnNode(name, {"kind": name.rstrip("0123456789"), "host": host}) for name in named if name not in kinds]
    return DrawnGraph((*nodes, *hubs), tuple(edges))


def _nvlinks(matrix: Matrix, asked: Asked) -> Iterator[DrawnEdge]:
    joined = [(first, second, cell) for first, second, cell in matrix.pairs() if cell.num_nvlinks]
    if not joined:
        return
    nvlink = asked.bandwidth("link-bandwidth", "an NVLink")
    links_of: dict[int, list[int]] = {}
    for first, second, cell in joined:
        for gpu in (first, second):
            links_of.setdefault(gpu, []).append(cell.num_nvlinks)
    if max(map(sum, links_of.values())) <= MOST_NVLINKS:
        for first, second, cell in joined:
            yield asked.edge(matrix.devices[first], matrix.devices[second], nvlink * cell.num_nvlinks)
        return
    for first, _, cell in joined:
        if cell.num_nvlinks != links_of[first][0]:
            what = f"got {cell.code} on a machine with NVLink switches, where {matrix.devices[first]} has "
            raise TopologyError(Fault("", f"{what}NV{links_of[first][0]} to others", cell.position))
    for gpu in sorted(links_of):
        yield asked.edge(matrix.devices[gpu], "nvswitch", nvlink * links_of[gpu][0])


def _pcie(matrix: Matrix, asked: Asked) -> Iterator[DrawnEdge]:
    """Yield the edges of the tree that the PCIe codes describe."""
    known = [(first, second, cell) for first, second, cell in matrix.pairs() if cell.pcie_level is not None]
    if not known:
        return
    pcie = asked.bandwidth("pcie-bandwidth", "PCIe")
    tops = {place: matrix.devices[place] for pair in known for place in sorted(pair[:2])}
    groups = {place: place for place in sorted(tops)}
    crosses_sockets = any(cell.code == PCIE_CODES[-1] for _, _, cell in known)
    for level, hub in enumerate(_HUBS):
        _join(groups, [(first, second) for first, second, cell in known if cell.pcie_level == level])
        if hub == _HUBS[-1]:
            _join_by_affinity(matrix, groups, known)
        _check(matrix, groups, known, level)
        must = crosses_sockets and hub == _HUBS[-1]
        num_hubs = 0
        for group in dict.fromkeys(groups[place] for place in sorted(groups)):
            members = [place for place in sorted(groups) if groups[place] == group]
            below = list(dict.fromkeys(tops[place] for place in members))
            if len(below) > 1 or must:
                name = f"{hub}{num_hubs}"
                num_hubs += 1
                yield from (asked.edge(top, name, pcie) for top in below)
                tops |= dict.fromkeys(members, name)
    numas = list(dict.fromkeys(tops[place] for place in sorted(tops)))
    if crosses_sockets:
        between = asked.bandwidth("socket-bandwidth", "the link between two NUMA nodes (SYS)")
        yield from (asked.edge(first, second, between) for first, second in combinations(numas, 2))


def _join(groups: dict[int, int], pairs: list[tuple[int, int]]) -> None:
    """Join the groups of each pair; a group is named by its first member."""
    for first, second in pairs:
        kept, gone = sorted((groups[first], groups[second]))
        for place, group in groups.items():
            if group == gone:
                groups[place] = kept


def _join_by_affinity(matrix: Matrix, groups: dict[int, int], known: list[tuple[int, int, Cell]]) -> None:
    """Join GPUs whose PCIe connection NVLinks hide, but which are near the same CPUs, unless other cells part them."""
    for first, second, cell in matrix.pairs():
        if (
            not cell.num_nvlinks
            or not matrix.are_near_the_same_cpus(first, second)
            or not {first, second} <= set(groups)
        ):
            continue
        parted = {frozenset((groups[a], groups[b])) for a, b, far in known if far.code == PCIE_CODES[-1]}
        if frozenset((groups[first], groups[second])) not in parted:
            _join(groups, [(first, second)])


def _check(matrix: Matrix, groups: dict[int, int], known: list[tuple[int, int, Cell]], level: int) -> None:
    """Raise if two devices of one group are said to be further apart than the group."""
    for first, second, _ in known:
        cell = matrix.cells[second][first]
        if groups[first] == groups[second] and (cell.pcie_level or 0) > level:
            names = f"row {matrix.devices[second]}, column {matrix.devices[first]}"
            what = f"got {cell.code}; by way of other devices the two are {PCIE_CODES[level]}"
            raise TopologyError(Fault("", f"{names}: {what}", cell.position))
