"""Layouts: how the GPUs of one node, or of one scale-up domain, are wired to one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations

from clustersim.scenario.fabrics import Layout
from clustersim.topology.ring import ring_route

SWITCH = "switch"
SOCKETS = ("socket0", "socket1")


@dataclass(frozen=True, slots=True)
class Wire:
    """A wire between two ends, each a GPU by its number in the node or another part by its name.

    Its bandwidth is ``parts / of`` of the node's scale-up link; ``of`` is 0 for the link between two sockets.
    """

    lower: int | str
    upper: int | str
    parts: int = 1
    of: int = 1


@dataclass(frozen=True, slots=True)
class Inside:
    """The inside of a node.

    Parameters
    ----------
    wires
        Its wires; wire w is link 2w from the lower end and 2w + 1 back.
    route
        Links from one GPU of the node to another, in order.
    """

    wires: tuple[Wire, ...]
    route: Callable[[int, int], tuple[int, ...]]

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what is no GPU, in the order of the wires."""
        ends = (end for wire in self.wires for end in (wire.lower, wire.upper))
        return tuple(dict.fromkeys(end for end in ends if isinstance(end, str)))


def part_attributes(part: str) -> dict[str, object]:
    """Return the node attributes of what is no GPU: its kind is its name without a number."""
    return {"kind": part.rstrip("0123456789")}


def switch_route(source: int, destination: int) -> tuple[int, ...]:
    """Return the sender's link up (2 * GPU) and the receiver's link down (2 * GPU + 1).

    Examples
    --------
    >>> switch_route(0, 3)
    (0, 7)
    """
    return (2 * source, 2 * destination + 1)


def nvswitch(num_gpus: int) -> Inside:
    """Return GPUs on one switch; several switches that each GPU has an equal part of act as one."""
    return Inside(tuple(Wire(gpu, SWITCH) for gpu in range(num_gpus)), switch_route)


def mesh(num_gpus: int) -> Inside:
    """Return GPUs of which each pair has a wire, with an equal part of a GPU's scale-up link."""
    pairs = tuple(combinations(range(num_gpus), 2))
    return _direct(dict.fromkeys(pairs, 1), num_gpus - 1)


def nvlink_ring(num_gpus: int) -> Inside:
    """Return GPUs in a ring, with half of a GPU's scale-up link to each neighbour; two GPUs share one whole wire."""
    if num_gpus < 3:
        return mesh(num_gpus)
    return Inside(tuple(Wire(gpu, (gpu + 1) % num_gpus, 1, 2) for gpu in range(num_gpus)), partial(_around, num_gpus))


def _around(num_gpus: int, source: int, destination: int) -> tuple[int, ...]:
    """Return the shorter way round: wire i leaves GPU i clockwise, and comes back from the GPU after it."""
    steps = ring_route(num_gpus, source, destination)
    return tuple(2 * step if step < num_gpus else 2 * ((step - 1) % num_gpus) + 1 for step in steps)


NVLINKS_OF_CUBE_MESH = {
    pair: nvlinks
    for nvlinks, pairs in {
        1: ((0, 1), (0, 2), (1, 3), (2, 6), (3, 7), (4, 5), (4, 6), (5, 7)),
        2: ((0, 3), (0, 4), (1, 2), (1, 5), (2, 3), (4, 7), (5, 6), (6, 7)),
    }.items()
    for pair in pairs
}
"""NVLinks between each two GPUs of a DGX-1V, as its ``nvidia-smi topo -m`` shows them; six for each GPU."""


def cube_mesh(num_gpus: int) -> Inside:  # noqa: ARG001
    """Return the hybrid cube mesh of a DGX-1V: two fully joined quads, GPU g of one joined to GPU g of the other.

    A message between quads that has no wire of its own is forwarded by the GPU opposite its sender or opposite its
    receiver, whichever way has more NVLinks at its narrowest, and on a tie the former.
    """
    return _direct(NVLINKS_OF_CUBE_MESH, 6)


def pcie(num_gpus: int) -> Inside:
    """Return GPUs on two sockets, the first half of them on the first; sockets have a link of their own."""
    sockets = [SOCKETS[gpu >= (num_gpus + 1) // 2] for gpu in range(num_gpus)]
    wires = [Wire(gpu, socket) for gpu, socket in enumerate(sockets)]
    between = 2 * num_gpus

    def route(source: int, destination: int) -> tuple[int, ...]:
        crossing = () if sockets[source] == sockets[destination] else (between + (sockets[source] == SOCKETS[1]),)
        return (2 * source, *crossing, 2 * destination + 1)

    return Inside((*wires, Wire(*SOCKETS, 1, 0)), route)


def _direct(nvlinks_by_pair: dict[tuple[int, int], int], nvlinks_of_gpu: int) -> Inside:
    """Return GPUs wired directly; where two have no wire, the GPU four on from one of them forwards."""
    number = {pair: wire for wire, pair in enumerate(nvlinks_by_pair)}
    wires = tuple(Wire(*pair, nvlinks, nvlinks_of_gpu) for pair, nvlinks in nvlinks_by_pair.items())

    def link(source: int, destination: int) -> int:
        if source < destination:
            return 2 * number[source, destination]
        return 2 * number[destination, source] + 1

    def narrowest(way: tuple[int, int]) -> int:
        return min(wires[hop // 2].parts for hop in way)

    def route(source: int, destination: int) -> tuple[int, ...]:
        if tuple(sorted((source, destination))) in number:
            return (link(source, destination),)
        ways = [(link(source, middle), link(middle, destination)) for middle in (source ^ 4, destination ^ 4)]
        return max(ways, key=narrowest)

    return Inside(wires, route)


LAYOUTS: dict[Layout, Callable[[int], Inside]] = {
    "nvswitch": nvswitch,
    "mesh": mesh,
    "nvlink-ring": nvlink_ring,
    "cube-mesh": cube_mesh,
    "pcie": pcie,
}
