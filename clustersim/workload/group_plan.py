"""A collective on the links of a cluster: which algorithm, and what its streams load.

An algorithm knows members and hosts; here its streams become routes, its steps latencies, and its shares bytes. What
the topology says of the communication library comes on top: the launch, a time for each step, and the share of a link's
bandwidth that data reaches, so that more bytes than the data's own cross the wire.

Where no algorithm is asked for, the one that would be done first on an idle fabric is taken, of those that a library
chooses among: as NCCL does, by a model of its own (``src/graph/tuning.cc``), for each size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations

from clustersim.collectives.members import GroupPhase, Host, MemberGroup, Operation, Stream
from clustersim.collectives.table import ALGORITHMS, OPERATIONS
from clustersim.errors import Fault, TopologyError, nearest
from clustersim.ops import CollectivePlan, Phase
from clustersim.scenario.fabrics import Protocol
from clustersim.scenario.units import PS_PER_S
from clustersim.topology.cluster import Cluster, Link

_PROTOCOLS = {"nvls": ("nvls",), "in-network": ("in_network",), "tree": ("tree", "low_latency")}
_USUAL = ("simple", "low_latency")


def plan_collective(
    operation: str, size_bytes: int, gpus: Sequence[int], cluster: Cluster, algorithm: str | None = None
) -> CollectivePlan:
    """Return how `gpus` do a collective, by the named algorithm or by the fastest on an idle fabric.

    Parameters
    ----------
    operation
        One of `OPERATIONS`.
    size_bytes
        Its size, as nccl-tests count it. [bytes]
    gpus
        The members, by GPU number; a broadcast starts from the first.
    cluster
        Where they are.
    algorithm
        Name in `ALGORITHMS`; None: whichever is fastest.

    Raises
    ------
    TopologyError
        No such operation or algorithm, or the algorithm is not for this group.
    UnroutableError
        Two GPUs that exchange something have no path between them.
    """
    return GroupPlanner(gpus, cluster).plan(operation, size_bytes, algorithm)


def idle_ps(plan: CollectivePlan, cluster: Cluster) -> int:
    """Return how long a collective takes on an idle fabric. [ps]"""
    return sum(
        phase.latency_ps + cluster.drain_ps(phase.links, phase.streams, phase.volume_bytes) for phase in plan.phases
    )


class GroupPlanner:
    """Plans of one group, for any operation and size; what does not depend on the size is worked out once.

    Parameters
    ----------
    gpus, cluster
        The members, by GPU number, and where they are.
    in_training
        Whether they compute beside it, which leaves less of the bandwidth to collectives.
    """

    def __init__(self, gpus: Sequence[int], cluster: Cluster, in_training: bool = False) -> None:
        self.gpus, self.cluster = tuple(gpus), cluster
        self._share = Fraction(str(cluster.library.in_training)) if in_training else Fraction(1)
        self.group = member_group(self.gpus, cluster)
        self._known: dict[tuple[str, Operation], tuple[_RoutedPhase, ...]] = {}
        self._links: dict[int, Link] = {}
        self._timed: dict[Operation, list[tuple[tuple[int, Fraction], ...]]] = {}

    def plan(self, operation: str, size_bytes: int, algorithm: str | None = None) -> CollectivePlan:
        """Return the plan of a collective; see :func:`plan_collective`."""
        known = next((name for name in OPERATIONS if name == operation), None)
        if known is None:
            hint = nearest(operation, OPERATIONS)
            what = f"no collective is called '{operation}'; there are {', '.join(OPERATIONS)}"
            raise TopologyError(Fault("collective", what, hint=hint))
        if len(self.gpus) == 1:
            return CollectivePlan(operation, algorithm or "none", size_bytes, ())
        if algorithm is not None:
            self._require(algorithm, known)
            candidates = list(self._candidates(algorithm, known, size_bytes, asked_for=True))
        else:
            candidates = [plan for name in self._chosen(known) for plan in self._candidates(name, known, size_bytes)]
        return min(candidates, key=lambda plan: idle_ps(plan, self.cluster))

    def idle_ps(self, operation: str, size_bytes: int, num_calls: int = 1) -> int:
        """Return how long so many collectives take one after the other on an idle fabric, planned as `plan` does. [ps]

        Examples
        --------
        >>> from clustersim.scenario.fabrics import Ring
        >>> from clustersim.topology.table import build_cluster
        >>> planner = GroupPlanner((0, 1, 2), build_cluster(Ring(fabric="ring", gpus=4)))
        >>> plan = planner.plan("all-reduce", 3000).repeated(2)
        >>> planner.idle_ps("all-reduce", 3000, 2) == idle_ps(plan, planner.cluster)
        True
        """
        if len(self.gpus) == 1:
            return 0
        known = next(name for name in OPERATIONS if name == operation)
        if known not in self._timed:
            self._timed[known] = [
                tuple(phases) for name in self._chosen(known) for phases in self._timed_candidates(name, known)
            ]
        return _many_ps(
            min(self._timed[known], key=lambda phases: _many_ps(phases, size_bytes, 1)), size_bytes, num_calls
        )

    def _timed_candidates(self, name: str, operation: Operation) -> Iterator[list[tuple[int, Fraction]]]:
        """Yield, as `_candidates` yields plans, the latency of each phase and what a byte adds to it. [ps]"""
        routed = self._routed(name, operation)
        for plan in self._candidates(name, operation, 1):
            shares = [phase.fullest_ps_per_byte(self.cluster) for phase in routed]
            yield [
                (phase.latency_ps, phase.volume_bytes * share) for phase, share in zip(plan.phases, shares, strict=True)
            ]

    @property
    def probes(self) -> list[Stream] | None:
        """Whose routes tell how members of a host are joined; None where every link's ends have to be looked at."""
        if not all(host.has_switch for host in self.group.hosts):
            return None
        return [(host.members[0], host.members[1]) for host in self.group.hosts if len(host.members) > 1]

    @property
    def routed_streams(self) -> list[tuple[tuple[int, ...], list[Stream]]]:
        """The links of each phase that was looked at for any plan so far, and the streams that take them."""
        return [(phase.links, list(phase.phase.streams)) for phases in self._known.values() for phase in phases]

    def _chosen(self, operation: Operation) -> Iterator[str]:
        for name, entry in ALGORITHMS.items():
            if operation in entry.operations and entry.allows(self.group) and entry.is_chosen(self.group):
                yield name

    def _require(self, name: str, operation: Operation) -> None:
        """Refuse an algorithm that there is not, or not for this."""
        fitting = [known for known, entry in ALGORITHMS.items() if operation in entry.operations]
        if name not in fitting:
            what = f"no algorithm of {operation} is called '{name}'; there are {', '.join(fitting)}"
            raise TopologyError(Fault("algorithm", what, hint=nearest(name, fitting)))
        if not ALGORITHMS[name].allows(self.group):
            sizes = ", ".join(str(len(host.members)) for host in self.group.hosts[:8])
            more = ", ..." if len(self.group.hosts) > 8 else ""
            what = f"{name} is for {ALGORITHMS[name].needs}; this group has hosts of {sizes}{more} GPUs"
            raise TopologyError(Fault("algorithm", what))

    def _candidates(
        self, name: str, operation: Operation, size_bytes: int, asked_for: bool = False
    ) -> Iterator[CollectivePlan]:
        """Yield the algorithm's plan under each protocol that the library has."""
        routed = self._routed(name, operation)
        for key in _PROTOCOLS.get(name, _USUAL):
            protocol = getattr(self.cluster.library, key)
            if protocol is None and key == "tree":
                protocol = self.cluster.library.simple
            if protocol is None and asked_for and key != "low_latency":
                protocol = Protocol()  # what is asked for by name is there, with wires that alone count
            if protocol is not None:
                label = f"{name} (low latency)" if key == "low_latency" else name
                phases = [phase.of_size(size_bytes / self._share, protocol) for phase in routed]
                phases[0] = _delayed(phases[0], protocol.launch)
                yield CollectivePlan(operation, label, size_bytes, tuple(phases))

    def _routed(self, name: str, operation: Operation) -> tuple[_RoutedPhase, ...]:
        key = (name, operation)
        if key not in self._known:
            phases = ALGORITHMS[name].phases(self.group, operation)
            self._known[key] = tuple(self._on_links(phase) for phase in phases if phase.streams)
        return self._known[key]

    def _on_links(self, phase: GroupPhase) -> _RoutedPhase:
        streams_by_link: dict[int, int] = {}
        is_relayed = False
        delay_ps: dict[Stream, int] = {}
        crossing: dict[Stream, bool] = {}
        for (source, target), count in phase.streams.items():
            numbers = self.cluster.route(self.gpus[source], self.gpus[target])
            links = [self._link(number) for number in numbers]
            delay_ps[source, target] = sum(link.delay_ps for link in links)
            crossing[source, target] = crosses_network(self.gpus[source], self.gpus[target], self.cluster)
            is_relayed = is_relayed or any(self.cluster.nodes[link.target].get("kind") == "gpu" for link in links[:-1])
            for number, link in zip(numbers, links, strict=True):
                if link.bandwidth_bytes_per_s is not None:
                    streams_by_link[number] = streams_by_link.get(number, 0) + count
        return _RoutedPhase(
            phase, tuple(streams_by_link), tuple(streams_by_link.values()), delay_ps, crossing, is_relayed
        )

    def _link(self, number: int) -> Link:
        """Return a link, looked up once: large fabrics make theirs when asked, and many streams cross the same."""
        if number not in self._links:
            self._links[number] = self.cluster.links[number]
        return self._links[number]


@dataclass(frozen=True, slots=True)
class _RoutedPhase:
    """A phase on links, of any size."""

    phase: GroupPhase
    links: tuple[int, ...]
    streams: tuple[int, ...]
    delay_ps: dict[Stream, int]
    crossing: dict[Stream, bool]
    is_relayed: bool

    def fullest_ps_per_byte(self, cluster: Cluster) -> Fraction:
        """Return how long the fullest link takes for a byte of every stream. [ps]"""
        bandwidths = (cluster.links[number].bandwidth_bytes_per_s for number in self.links)
        shares = [count / bandwidth for bandwidth, count in zip(bandwidths, self.streams, strict=True) if bandwidth]
        return PS_PER_S * max(shares, default=Fraction(0))

    def of_size(self, size_bytes: int | Fraction, protocol: Protocol) -> Phase:
        """Return the phase for so many bytes under a protocol."""
        step_ps = {hop: delay + protocol.step_ps(self.crossing[hop]) for hop, delay in self.delay_ps.items()}
        latency_ps = max((chain.slowest(step_ps) for chain in self.phase.chains), default=0)
        efficiency = protocol.efficiency(any(self.crossing.values()), self.is_relayed)
        return Phase(self.links, self.streams, size_bytes * self.phase.share / efficiency, latency_ps)


def _many_ps(phases: Sequence[tuple[int, Fraction]], size_bytes: int, num_calls: int) -> int:
    """Return how long collectives of such phases take, drained together phase by phase. [ps]"""
    num_bytes, total_ps = size_bytes * num_calls, 0
    for latency_ps, ps_per_byte in phases:
        total_ps += latency_ps * num_calls - (-num_bytes * ps_per_byte.numerator // ps_per_byte.denominator)
    return total_ps


def _delayed(phase: Phase, by_ps: int) -> Phase:
    return Phase(phase.links, phase.streams, phase.volume_bytes, phase.latency_ps + by_ps)


def member_group(gpus: Sequence[int], cluster: Cluster) -> MemberGroup:
    """Return `gpus` as members by position, on the hosts (or scale-up domains) that the cluster says."""
    by_host: dict[object, list[int]] = {}
    for member, gpu in enumerate(gpus):
        by_host.setdefault(domain_of(gpu, cluster), []).append(member)
    return MemberGroup(tuple(_host(tuple(members), gpus, cluster) for members in by_host.values()))


def domain_of(gpu: int, cluster: Cluster) -> object:
    """Return what tells the scale-up domain of a GPU from others: its domain's name, its host's, or itself."""
    attributes = cluster.nodes[cluster.gpus[gpu]]
    return attributes.get("domain", attributes.get("host", gpu))


def crosses_network(source: int, target: int, cluster: Cluster) -> bool:
    """Return whether two GPUs are on hosts, or scale-up domains, of their own."""
    domain = domain_of(source, cluster)
    return domain != domain_of(target, cluster) and not isinstance(domain, int)


def _host(members: tuple[int, ...], gpus: Sequence[int], cluster: Cluster) -> Host:
    """Return a host, with the lanes between its members if it has no switch that joins them."""
    if len(members) < 2 or _meets_switch(gpus[members[0]], gpus[members[1]], cluster):
        return Host(members)
    member_by_node = {cluster.gpus[gpus[member]]: member for member in members}
    direct: dict[Stream, Fraction] = {}
    ways: dict[Stream, tuple[Stream, ...]] = {}
    for near, far in permutations(members, 2):
        links = [cluster.links[number] for number in cluster.route(gpus[near], gpus[far])]
        ends = [(member_by_node.get(link.source), member_by_node.get(link.target)) for link in links]
        lanes = tuple((source, target) for source, target in ends if source is not None and target is not None)
        if len(lanes) == len(links):
            ways[near, far] = lanes
        if len(links) == 1 and links[0].bandwidth_bytes_per_s is not None:
            direct[near, far] = links[0].bandwidth_bytes_per_s
    narrowest = min(direct.values(), default=Fraction(1))
    num_lanes = {pair: int(bandwidth / narrowest) for pair, bandwidth in direct.items()}
    return Host(members, num_lanes, ways if direct else {}, has_switch=False)


def _meets_switch(source: int, target: int, cluster: Cluster) -> bool:
    numbers = cluster.route(source, target)
    return len(numbers) == 2 and cluster.nodes[cluster.links[numbers[0]].target].get("kind") == "switch"
