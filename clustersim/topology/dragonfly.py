"""Dragonfly: nodes on routers in groups; a message crosses at most one link between groups.

Router r of a group has wires to all other routers of it. Two groups have ``links_per_pair`` links. Seen from a group,
the others are numbered from the next one on; its link number c to the one numbered j leaves from router
``(j * links_per_pair + c) % routers_per_group``, so that a group's links are spread evenly over its routers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from clustersim.scenario.fabrics import Dragonfly, LinkSpec
from clustersim.topology.cluster import Cluster
from clustersim.topology.hosts import hosts_of_nodes
from clustersim.topology.wires import WireLinks, Wires, part_of


@dataclass(frozen=True, slots=True)
class DragonflyRoutes:
    """Routes between NICs: of all that cross at most one link between groups, the shortest.

    References
    ----------
    J. Kim, W. Dally, S. Scott, D. Abts, "Technology-driven, highly-scalable dragonfly topology", ISCA 2008, section 4.1
    (minimal routing).
    """

    nics_per_router: int
    routers_per_group: int
    num_groups: int
    links_per_pair: int
    first_wire: int

    @property
    def local_wires_per_group(self) -> int:
        """Number of wires inside a group: one for each two routers."""
        return self.routers_per_group * (self.routers_per_group - 1) // 2

    def gateway(self, group: int, other: int, copy: int) -> int:
        """Return the router, counted within `group`, from which link number `copy` to the group `other` leaves."""
        place = (other - group - 1) % self.num_groups
        return (place * self.links_per_pair + copy) % self.routers_per_group

    def __call__(self, source_nic: int, destination_nic: int, spread: int) -> tuple[int, ...]:
        """Return the links between the routers of two NICs; equally short ways are chosen from by the flow's hash."""
        group, router = divmod(source_nic // self.nics_per_router, self.routers_per_group)
        last_group, last_router = divmod(destination_nic // self.nics_per_router, self.routers_per_group)
        if group == last_group:
            return self._local(group, router, last_router)
        ways = [
            (self.gateway(group, last_group, copy), self.gateway(last_group, group, copy), copy)
            for copy in range(self.links_per_pair)
        ]
        hops = [(leaving != router) + (entering != last_router) for leaving, entering, _ in ways]
        shortest = [way for way, num_hops in zip(ways, hops, strict=True) if num_hops == min(hops)]
        leaving, entering, copy = shortest[spread % len(shortest)]
        return (
            *self._local(group, router, leaving),
            self._global(group, last_group, copy),
            *self._local(last_group, entering, last_router),
        )

    def _local(self, group: int, router: int, last_router: int) -> tuple[int, ...]:
        if router == last_router:
            return ()
        lower, upper = sorted((router, last_router))
        wire = self.first_wire + group * self.local_wires_per_group + _pair(lower, upper, self.routers_per_group)
        return (2 * wire + (router > last_router),)

    def _global(self, group: int, last_group: int, copy: int) -> int:
        lower, upper = sorted((group, last_group))
        first = self.first_wire + self.num_groups * self.local_wires_per_group
        wire = first + _pair(lower, upper, self.num_groups) * self.links_per_pair + copy
        return 2 * wire + (group > last_group)


def dragonfly(spec: Dragonfly) -> Cluster:
    """Return the cluster of `spec`."""
    hosts = hosts_of_nodes(spec)
    network = DragonflyRoutes(
        spec.nics_per_router, spec.routers_per_group, spec.num_groups, spec.links_per_pair, hosts.first_network_wire
    )
    kind: dict[str, object] = {"kind": "router"}
    routers = (f"router{router}" for router in range(spec.num_groups * spec.routers_per_group))
    gpus = tuple(f"gpu{gpu}" for gpu in range(spec.num_gpus))
    links = WireLinks((*hosts.wires(lambda nic: f"router{nic // spec.nics_per_router}"), *_wires(spec, network)))
    nodes = hosts.nodes() | dict.fromkeys(routers, kind)
    return Cluster(spec.fabric, nodes, gpus, links, hosts.routes(network, hashes=True))


def _wires(spec: Dragonfly, routes: DragonflyRoutes) -> tuple[Wires, Wires]:
    """Return the wires inside groups, then those between groups."""
    local_link, global_link = spec.local_link or spec.nic, spec.global_link or spec.nic
    trunk = part_of(global_link, spec.wires_per_link)
    size = spec.routers_per_group

    def local_wire(number: int) -> tuple[str, str, LinkSpec]:
        group, pair = divmod(number, routes.local_wires_per_group)
        lower, upper = _nth_pair(pair, size)
        return f"router{group * size + lower}", f"router{group * size + upper}", local_link

    def global_wire(number: int) -> tuple[str, str, LinkSpec]:
        pair, copy = divmod(number, spec.links_per_pair)
        lower, upper = _nth_pair(pair, spec.num_groups)
        leaving, entering = routes.gateway(lower, upper, copy), routes.gateway(upper, lower, copy)
        return f"router{lower * size + leaving}", f"router{upper * size + entering}", trunk

    num_pairs = spec.num_groups * (spec.num_groups - 1) // 2
    return (
        Wires(spec.num_groups * routes.local_wires_per_group, local_wire, "in a group"),
        Wires(num_pairs * spec.links_per_pair, global_wire, "between groups"),
    )


def _pair(lower: int, upper: int, size: int) -> int:
    """Return the number of a pair among all pairs of `size` things, in lexical order.

    Examples
    --------
    >>> [_pair(lower, upper, 4) for lower, upper in ((0, 1), (0, 3), (1, 2), (2, 3))]
    [0, 2, 3, 5]
    """
    return lower * size - lower * (lower + 1) // 2 + upper - lower - 1


def _nth_pair(number: int, size: int) -> tuple[int, int]:
    """Return the pair of that number: the inverse of `_pair`.

    Counted from the last pair back, those whose lower end is the k-th from the end begin at k (k + 1) / 2.

    Examples
    --------
    >>> [_nth_pair(number, 4) for number in range(6)]
    [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    """
    from_end = size * (size - 1) // 2 - 1 - number
    lower = size - 2 - (isqrt(8 * from_end + 1) - 1) // 2
    return lower, lower + 1 + number - _pair(lower, lower + 1, size)
