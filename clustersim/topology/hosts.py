"""Nodes of GPUs with NICs: their names, wires, and routes up to the NICs; the network above is each family's own.

Inside a node, or a domain of several nodes, a message takes the scale-up links only; between them it goes from GPU to
NIC, through the network, and from NIC to GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from clustersim.scenario.fabrics import Dragonfly, FatTree, HostedFabric, LeafSpine, LinkSpec, RailFatTree
from clustersim.topology.cluster import Ints, gpu_attributes
from clustersim.topology.flow_hash import flow_hash
from clustersim.topology.layouts import LAYOUTS, Inside, Wire, part_attributes
from clustersim.topology.wires import Wires, part_of

# A GPU reaches its NIC over PCIe that is built to be at least as fast as the NIC, and a NIC's latency is quoted from
# GPU memory: what limits and delays a message is the NIC's own wire, so this one is ideal.
_PCIE = LinkSpec()

Network = Callable[[int, int, int], tuple[int, ...]]
"""Links between the switches above two NICs, in order; the third number is the flow's hash."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """Nodes of a fabric, in domains that share the scale-up wiring `inside`.

    Parameters
    ----------
    spec
        The fabric.
    gpus_per_domain
        GPUs that share one scale-up wiring: a node's, or those of several nodes. The last domain may have fewer.
    inside
        The wiring of one domain.
    domain_prefix
        What a domain is called before its number.
    socket_link
        Link between the two sockets of a node, if its wiring has any.
    """

    spec: HostedFabric
    gpus_per_domain: int
    inside: Inside
    domain_prefix: str = "node"
    socket_link: LinkSpec | None = None

    @property
    def num_nics(self) -> int:
        """Number of NICs of all nodes."""
        return self.spec.nodes * self.spec.nics_per_node

    @property
    def num_domains(self) -> int:
        """Number of domains."""
        return -(-self.spec.num_gpus // self.gpus_per_domain)

    @property
    def num_scaleup_wires(self) -> int:
        """Number of wires inside domains. Only switches, one wire a GPU, have a last domain with fewer GPUs."""
        if self.spec.num_gpus % self.gpus_per_domain:
            return self.spec.num_gpus
        return self.num_domains * len(self.inside.wires)

    @property
    def pcie_wires_per_node(self) -> int:
        """Number of wires between a node's GPUs and NICs: each of the more numerous has one."""
        return max(self.spec.gpus_per_node, self.spec.nics_per_node)

    @property
    def first_nic_wire(self) -> int:
        """Number of the wire between the first NIC and its switch."""
        return self.num_scaleup_wires + self.spec.nodes * self.pcie_wires_per_node

    @property
    def first_network_wire(self) -> int:
        """Number of the first wire above the switches that NICs are on."""
        return self.first_nic_wire + self.num_nics

    def wires(self, switch_of_nic: Callable[[int], str]) -> tuple[Wires, Wires, Wires]:
        """Return the wires inside domains, between GPUs and NICs, and between NICs and switches."""
        own = {key for given in self.spec.override_by_node.values() for key in given}
        inside = 0 if "scaleup" in own else len(self.inside.wires)
        return (
            Wires(self.num_scaleup_wires, self._scaleup_wire, "scale-up", inside),
            Wires(self.spec.nodes * self.pcie_wires_per_node, self._pcie_wire, "PCIe", 1),
            Wires(self.num_nics, partial(self._nic_wire, switch_of_nic), "NIC", 0 if "nic" in own else 1),
        )

    def nic_name(self, nic: int) -> str:
        """Return the name of a NIC."""
        node, local = divmod(nic, self.spec.nics_per_node)
        return f"node{node}/nic{local}"

    def nodes(self, has_rails: bool = False) -> dict[str, dict[str, object]]:
        """Return the attributes of GPUs, then of what else is inside domains, then of NICs."""
        nodes: dict[str, dict[str, object]] = {}
        spec = self.spec
        rails = [self._first_nic(local) for local in range(spec.gpus_per_node)]
        reserved = frozenset(spec.reserved_hosts)
        for node in range(spec.nodes):
            attributes = gpu_attributes(spec.of_node(node, "device"), host=f"node{node}")
            if self.gpus_per_domain != spec.gpus_per_node:
                attributes["domain"] = f"{self.domain_prefix}{node * spec.gpus_per_node // self.gpus_per_domain}"
            if slowdown := spec.override_by_node.get(node, {}).get("slowdown"):
                attributes["slowdown"] = slowdown
            if node in reserved:
                attributes["reserved"] = True
            first = node * spec.gpus_per_node
            for local in range(spec.gpus_per_node):
                nodes[f"gpu{first + local}"] = attributes | {"rail": rails[local]} if has_rails else attributes
        for part in self.inside.parts:
            names = (self._part_name(domain, part) for domain in range(self.num_domains))
            nodes |= dict.fromkeys(names, part_attributes(part))
        kind: dict[str, object] = {"kind": "nic"}
        return nodes | dict.fromkeys(map(self.nic_name, range(self.num_nics)), kind)

    def routes(self, network: Network, relays: bool = False, hashes: bool = False) -> HostRoutes:
        """Return the router of the whole fabric, given that of the network above the NICs."""
        return HostRoutes(
            gpus_per_domain=self.gpus_per_domain,
            inside=self.inside,
            gpus_per_node=self.spec.gpus_per_node,
            nics_per_node=self.spec.nics_per_node,
            first_pcie_wire=self.num_scaleup_wires,
            first_nic_wire=self.first_nic_wire,
            network=network,
            relays=relays,
            hashes=hashes or self.spec.nics_per_node > self.spec.gpus_per_node,
        )

    def _first_nic(self, local_gpu: int) -> int:
        return local_gpu * self.spec.nics_per_node // self.spec.gpus_per_node

    def _scaleup_wire(self, number: int) -> tuple[str, str, LinkSpec]:
        domain, wire_number = divmod(number, len(self.inside.wires))
        wire = self.inside.wires[wire_number]
        lower, upper = self._part_name(domain, wire.lower), self._part_name(domain, wire.upper)
        return lower, upper, self._scaleup_link(domain, wire)

    def _scaleup_link(self, domain: int, wire: Wire) -> LinkSpec:
        if not wire.of:
            return self.socket_link or LinkSpec()
        local = wire.lower if isinstance(wire.lower, int) else 0
        node = (domain * self.gpus_per_domain + local) // self.spec.gpus_per_node
        link: LinkSpec = self.spec.of_node(node, "scaleup")
        # Of a whole link, the usual case, no part is looked up: that would cost more than the rest.
        return link if wire.parts == wire.of else part_of(link, wire.parts, wire.of)

    def _part_name(self, domain: int, end: int | str) -> str:
        if isinstance(end, int):
            return f"gpu{domain * self.gpus_per_domain + end}"
        return f"{self.domain_prefix}{domain}/{end}"

    def _pcie_wire(self, number: int) -> tuple[str, str, LinkSpec]:
        node, local = divmod(number, self.pcie_wires_per_node)
        gpus, nics = self.spec.gpus_per_node, self.spec.nics_per_node
        # With more NICs than GPUs a wire is NIC `local`'s, and its GPU the last one whose first NIC is not after it.
        gpu, nic = (((local + 1) * gpus - 1) // nics, local) if nics > gpus else (local, self._first_nic(local))
        return f"gpu{node * gpus + gpu}", f"node{node}/nic{nic}", _PCIE

    def _nic_wire(self, switch_of_nic: Callable[[int], str], nic: int) -> tuple[str, str, LinkSpec]:
        return self.nic_name(nic), switch_of_nic(nic), self.spec.of_node(nic // self.spec.nics_per_node, "nic")


def hosts_of_nodes(spec: LeafSpine | FatTree | RailFatTree | Dragonfly) -> Hosts:
    """Return the nodes of a fabric, each a domain of its own."""
    return Hosts(spec, spec.gpus_per_node, LAYOUTS[spec.layout](spec.gpus_per_node), socket_link=spec.socket_link)


@dataclass(frozen=True, slots=True)
class HostRoutes:
    """Routes between GPUs as a closed form, so that none is ever searched for.

    Parameters
    ----------
    relays
        Whether a message for another rail first crosses its node's scale-up links.
    hashes
        Whether the network, or the choice among a GPU's NICs, asks for a hash of the flow.
    """

    gpus_per_domain: int
    inside: Inside
    gpus_per_node: int
    nics_per_node: int
    first_pcie_wire: int
    first_nic_wire: int
    network: Network
    relays: bool
    hashes: bool

    def __call__(self, source: int, destination: int) -> tuple[int, ...]:
        """Return the links from one GPU to another."""
        if source // self.gpus_per_domain == destination // self.gpus_per_domain:
            return self._within(source, destination)
        spread = flow_hash(source, destination) if self.hashes else 0
        relay: tuple[int, ...] = ()
        if self.relays and source % self.gpus_per_node != destination % self.gpus_per_node:
            on_rail = source - source % self.gpus_per_node + destination % self.gpus_per_node
            if self._nic(on_rail, spread)[0] % self.nics_per_node != self._nic(source, spread)[0] % self.nics_per_node:
                relay, source = self._within(source, on_rail), on_rail
        source_nic, source_pcie = self._nic(source, spread)
        destination_nic, destination_pcie = self._nic(destination, spread)
        return (
            *relay,
            2 * source_pcie,
            2 * (self.first_nic_wire + source_nic),
            *self.network(source_nic, destination_nic, spread),
            2 * (self.first_nic_wire + destination_nic) + 1,
            2 * destination_pcie + 1,
        )

    @property
    def many(self) -> Callable[[Ints, Ints], tuple[Ints, Ints]] | None:
        """The routes of many pairs of GPUs at once, if the network above has such a form; see `Cluster.routes`."""
        above = getattr(self.network, "many", None)
        return None if above is None or self.relays or self.hashes else partial(self._many, above)

    def _many(self, above: Callable[[Ints, Ints], list[Ints]], source: Ints, destination: Ints) -> tuple[Ints, Ints]:
        is_within = source // self.gpus_per_domain == destination // self.gpus_per_domain
        ends = [gpu // self.gpus_per_node * self.nics_per_node for gpu in (source, destination)]
        nics = [
            end + gpu % self.gpus_per_node * self.nics_per_node // self.gpus_per_node
            for end, gpu in zip(ends, (source, destination), strict=True)
        ]
        hops = [
            2 * (self.first_pcie_wire + source),
            2 * (self.first_nic_wire + nics[0]),
            *above(*nics),
            2 * (self.first_nic_wire + nics[1]) + 1,
            2 * (self.first_pcie_wire + destination) + 1,
        ]
        between = np.stack(hops, axis=1)
        between[is_within] = -1
        rows = np.flatnonzero(is_within)
        inside = self._many_within(source[rows], destination[rows])
        links = np.full((len(source), max(between.shape[1], inside.shape[1])), -1, dtype=np.int64)
        links[:, : between.shape[1]] = between
        links[rows, : inside.shape[1]] = inside
        return links[links >= 0], (links >= 0).sum(axis=1)

    def _many_within(self, source: Ints, destination: Ints) -> Ints:
        """Return the links of routes within domains, a row each, with -1 after the last."""
        size = self.gpus_per_domain
        domain, local = np.divmod(source, size)
        kinds, kind = np.unique(local * size + destination % size, return_inverse=True)
        found = [self.inside.route(*divmod(number, size)) for number in kinds.tolist()]
        table = np.full((len(found), max(map(len, found), default=1)), -1, dtype=np.int64)
        for row, route in enumerate(found):
            table[row, : len(route)] = route
        own = table[kind.reshape(-1)]
        first = 2 * domain * len(self.inside.wires)
        return np.where(own >= 0, own + first[:, np.newaxis], -1)

    def _within(self, source: int, destination: int) -> tuple[int, ...]:
        domain, local = divmod(source, self.gpus_per_domain)
        first = 2 * domain * len(self.inside.wires)
        return tuple(first + link for link in self.inside.route(local, destination % self.gpus_per_domain))

    def _nic(self, gpu: int, spread: int) -> tuple[int, int]:
        """Return the NIC that a flow of `gpu` takes, and the wire between the two."""
        node, local = divmod(gpu, self.gpus_per_node)
        nic, end = (place * self.nics_per_node // self.gpus_per_node for place in (local, local + 1))
        if self.nics_per_node > self.gpus_per_node:
            nic += spread % (end - nic)
            return node * self.nics_per_node + nic, self.first_pcie_wire + node * self.nics_per_node + nic
        return node * self.nics_per_node + nic, self.first_pcie_wire + gpu
