"""A cluster: named GPUs, directed links numbered from 0, and the route between any two GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import Fault, TopologyError, UnroutableError
from clustersim.scenario.fabrics import Library, LinkSpec
from clustersim.scenario.units import PS_PER_S

if TYPE_CHECKING:
    import networkx as nx

MAX_SLOWDOWN = 1000
FULL_SPEED = Fraction(1)

Ints = NDArray[np.int64]
Router = Callable[[int, int], tuple[int, ...] | None]


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of a wire; None is unlimited bandwidth.

    Examples
    --------
    >>> link = Link("gpu0", "gpu1", bandwidth_bytes_per_s=Fraction(3), latency_ps=0)
    >>> link.name, link.transfer_ps(1)
    ('gpu0->gpu1', 333333333334)
    """

    source: str
    target: str
    bandwidth_bytes_per_s: Fraction | None
    latency_ps: int
    sharing: Literal["fair", "fifo"] | None = None  # None: as its senders ask for
    overhead_ps: int = 0  # of each message, whatever its size

    @property
    def make(self) -> tuple[int, int, int]:
        """What tells links with other times apart from this one, and costs little to compare.

        The bandwidth is told by its object, as hashing a fraction takes longer than all else that is done with a link:
        links of two makes may yet be alike.
        """
        return id(self.bandwidth_bytes_per_s), self.latency_ps, self.overhead_ps

    @property
    def name(self) -> str:
        """The link as reports write it."""
        return f"{self.source}->{self.target}"

    @property
    def delay_ps(self) -> int:
        """What a message waits for an idle link, its bytes aside: latency and overhead. [ps]"""
        return self.latency_ps + self.overhead_ps

    def transfer_ps(self, size_bytes: int | Fraction) -> int:
        """Return how long so many bytes take: size over bandwidth, rounded up; latency comes on top. [ps]"""
        if self.bandwidth_bytes_per_s is None:
            return 0
        bytes_per_s, per = self.bandwidth_bytes_per_s.as_integer_ratio()
        size, parts = size_bytes.as_integer_ratio()  # whole numbers throughout: fractions would be reduced at each step
        return -(-size * PS_PER_S * per // (bytes_per_s * parts))

    def hold_ps(self, size_bytes: int) -> int:
        """Return how long a message holds this link if it is FIFO: its overhead and its bytes. [ps]"""
        return self.overhead_ps + self.transfer_ps(size_bytes)


def one_way(source: str, target: str, spec: LinkSpec) -> Link:
    """Return the link from `source` to `target` that `spec` describes."""
    return Link(source, target, spec.bandwidth, spec.latency, spec.sharing, spec.overhead)


def both_ways(first: str, second: str, spec: LinkSpec) -> tuple[Link, Link]:
    """Return the two links of a full-duplex wire: `first` to `second`, then back."""
    return one_way(first, second, spec), one_way(second, first, spec)


def gpu_attributes(device: str | None, host: str | None = None) -> dict[str, object]:
    """Return the node attributes of a GPU; GPUs of one host may share the mapping."""
    attributes: dict[str, object] = {"kind": "gpu"}
    if device is not None:
        attributes["device"] = device
    if host is not None:
        attributes["host"] = host
    return attributes


@dataclass(frozen=True, eq=False)
class Cluster:
    """GPUs, links and routes of one fabric.

    Parameters
    ----------
    name
        What the fabric calls itself.
    nodes
        Attributes of every node (``kind``, and ``device``, ``host``, ``rail`` where known), in node order.
    gpus
        Node name of each GPU, by GPU number.
    links
        Directed links; a link's index is its id.
    router
        Link ids from one GPU to another, in order; None where there is no path. Called once per pair.
    directed
        Whether a link may lack an equal one the other way round.
    library
        How the communication library behaves on it.
    """

    name: str
    nodes: Mapping[str, Mapping[str, object]]
    gpus: tuple[str, ...]
    links: Sequence[Link]
    router: Router = field(repr=False)
    directed: bool = False
    library: Library = field(default_factory=Library)
    _routes: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict, init=False, repr=False)
    _links: dict[int, Link] = field(default_factory=dict, init=False, repr=False)

    def link(self, number: int) -> Link:
        """Return a link; those of large fabrics are made when first asked for, and kept."""
        link = self._links.get(number)
        if link is None:
            link = self._links[number] = self.links[number]
        return link

    @property
    def devices(self) -> tuple[str | None, ...]:
        """Device name of each GPU, by GPU number; None where the topology names none."""
        devices = (self.nodes[gpu].get("device") for gpu in self.gpus)
        return tuple(device if isinstance(device, str) else None for device in devices)

    def slowdown(self, gpu: int) -> Fraction:
        """Return how many times as long compute takes on a GPU.

        Raises
        ------
        TopologyError
            What the topology says of it is no number from 1 to 1,000.
        """
        given = self.nodes[self.gpus[gpu]].get("slowdown")
        if given is None:
            return FULL_SPEED
        try:
            slowdown = Fraction(str(given))
        except ValueError:
            slowdown = Fraction(0)
        if not 1 <= slowdown <= MAX_SLOWDOWN:
            what = f"slowdown: got {given!r}; it is a number from 1 to {MAX_SLOWDOWN}"
            raise TopologyError(Fault(f"node {self.gpus[gpu]}", what))
        return slowdown

    def route(self, source_gpu: int, destination_gpu: int) -> tuple[int, ...]:
        """Return the ids of the links from one GPU to another, in order; none for a GPU to itself.

        Raises
        ------
        UnroutableError
            When there is no path between the two.
        """
        pair = (source_gpu, destination_gpu)
        if pair not in self._routes:
            self._routes[pair] = self._find_route(source_gpu, destination_gpu)
        return self._routes[pair]

    def routes(self, sources: Ints, destinations: Ints) -> tuple[Ints, Ints]:
        """Return the links of many routes one after the other, and how many each route has.

        Fabrics whose routes have a closed form find them all at once.

        Raises
        ------
        UnroutableError
            As :meth:`route` does.
        """
        many = getattr(self.router, "many", None)
        if many is not None and len(sources) and max(sources.max(), destinations.max()) < len(self.gpus):
            links, lengths = many(sources, destinations)
            return links, lengths
        found = [self.route(*pair) for pair in zip(sources.tolist(), destinations.tolist(), strict=True)]
        lengths = np.array([len(route) for route in found], dtype=np.int64)
        return np.fromiter(chain.from_iterable(found), dtype=np.int64), lengths

    def message_ps(self, source_gpu: int, destination_gpu: int, size_bytes: int) -> int:
        """Return how long a message takes at least: the transfer on its slowest link, and the delay of each. [ps]

        So long takes a flow with nothing in its way. From one FIFO link to the next a message is stored and forwarded,
        which takes longer.
        """
        numbers = self.route(source_gpu, destination_gpu)
        return self.delay_ps(numbers) + max(
            (self.link(number).transfer_ps(size_bytes) for number in numbers), default=0
        )

    def delay_ps(self, numbers: Iterable[int]) -> int:
        """Return what a message waits over these links together, its bytes aside. [ps]"""
        return sum(self.link(number).delay_ps for number in numbers)

    def drain_ps(self, numbers: Iterable[int], streams: Iterable[int], volume_bytes: Fraction) -> int:
        """Return how long streams of equal size take with nothing in their way: the time of the fullest link. [ps]

        Parameters
        ----------
        numbers, streams
            The links that they cross, and how many of them each.
        volume_bytes
            Size of each stream.
        """
        bandwidths = (self.link(number).bandwidth_bytes_per_s for number in numbers)
        shares = [count / bandwidth for bandwidth, count in zip(bandwidths, streams, strict=True) if bandwidth]
        return -int(-volume_bytes * PS_PER_S * max(shares, default=Fraction(0)) // 1)

    def _find_route(self, source_gpu: int, destination_gpu: int) -> tuple[int, ...]:
        for gpu in (source_gpu, destination_gpu):
            if not 0 <= gpu < len(self.gpus):
                raise TopologyError(
                    Fault(self.name, f"there is no GPU {gpu}; GPUs are numbered 0 to {len(self.gpus) - 1}")
                )
        if source_gpu == destination_gpu:
            return ()
        route = self.router(source_gpu, destination_gpu)
        if route is None:
            source, destination = self.gpus[source_gpu], self.gpus[destination_gpu]
            what = f"no path from GPU {source_gpu} ({source}) to GPU {destination_gpu} ({destination})"
            raise UnroutableError(Fault(self.name, what, hint="connect them, or place the ranks that talk elsewhere"))
        return route

    @cached_property
    def graph(self) -> nx.Graph[str]:
        """The topology as networkx sees it, built when first asked for.

        Nodes carry their attributes, edges ``bandwidth_bytes_per_s`` (None: unlimited) and ``latency_ps``. An
        undirected edge stands for two equal links, one each way.
        """
        import networkx as nx  # takes a tenth of a second, and few runs need it

        graph: nx.Graph[str] = nx.DiGraph() if self.directed else nx.Graph()
        graph.add_nodes_from((node, dict(attributes)) for node, attributes in self.nodes.items())
        graph.add_edges_from(
            (
                link.source,
                link.target,
                {"bandwidth_bytes_per_s": link.bandwidth_bytes_per_s, "latency_ps": link.latency_ps},
            )
            for link in self.links
        )
        return graph
