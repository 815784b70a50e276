"""The document of ``describe --json``: what a topology is, with units in every key; null bandwidth is unlimited."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clustersim.scenario.fabrics import Topology
    from clustersim.topology.bisection import Bisection
    from clustersim.topology.cluster import Cluster
    from clustersim.topology.facts import FabricFacts, HostKind, LinkClass
    from clustersim.topology.farthest import Diameter
    from clustersim.topology.tiers import Islands, NodeKind

TOPOLOGY_SCHEMA = "clustersim/topology/1"


def topology_document(name: str, fabric: Topology, cluster: Cluster) -> dict[str, Any]:
    """Return what is told of a topology."""
    from clustersim.topology.facts import fabric_facts

    values = fabric.model_dump(mode="json", exclude_none=True)
    parameters = [
        {"name": key, "value": values.get(key), "description": field.description or ""}
        for key, field in type(fabric).model_fields.items()
    ]
    return {
        "schema": TOPOLOGY_SCHEMA,
        "name": name,
        "description": (type(fabric).__doc__ or "").partition("\n")[0].replace("``", ""),
        "num_gpus": len(cluster.gpus),
        "num_links": len(cluster.links),
        **_facts(fabric_facts(cluster, fabric)),
        "parameters": parameters,
        "route": _route(cluster),
    }


def _facts(facts: FabricFacts) -> dict[str, Any]:
    return {
        "family": facts.family,
        "num_hosts": facts.num_hosts,
        "num_parts": facts.num_parts,
        "num_groups": facts.num_groups,
        "hosts": [_host_kind(kind) for kind in facts.hosts],
        "devices": [{"device": device, "gpus": count} for device, count in facts.devices.items()],
        "nodes": [_node_kind(kind) for kind in facts.nodes],
        "links": [_link_class(links) for links in facts.links],
        "islands": _islands(facts.islands),
        "bisection": None if facts.bisection is None else _bisection(facts.bisection),
        "diameter": None if facts.diameter is None else _diameter(facts.diameter),
    }


def _host_kind(kind: HostKind) -> dict[str, Any]:
    return {
        "count": kind.count,
        "gpus_per_host": kind.gpus_per_host,
        "devices": list(kind.devices),
        "reserved": kind.is_reserved,
    }


def _node_kind(kind: NodeKind) -> dict[str, Any]:
    return {
        "kind": kind.kind,
        "tier": kind.tier,
        "count": kind.count,
        "fewest_ports": kind.fewest_ports,
        "most_ports": kind.most_ports,
        "below_bytes_per_s": _number(kind.below_bytes_per_s),
        "above_bytes_per_s": _number(kind.above_bytes_per_s),
        "beside_bytes_per_s": _number(kind.beside_bytes_per_s),
        "oversubscription": _number(kind.oversubscription),
        "first": kind.first,
        "second": kind.second,
        "last": kind.last,
    }


def _link_class(links: LinkClass) -> dict[str, Any]:
    return {
        "lower": links.lower.kind,
        "lower_tier": links.lower.tier,
        "upper": links.upper.kind,
        "upper_tier": links.upper.tier,
        "role": links.make.role,
        "count": links.count,
        "one_way": links.is_one_way,
        "bandwidth_bytes_per_s": _number(links.make.bandwidth_bytes_per_s),
        "latency_s": _seconds(links.make.latency_ps),
    }


def _islands(islands: Islands) -> dict[str, Any]:
    kinds = [
        {"count": count, "name": island.name, "num_hosts": island.num_hosts, "nodes": dict(island.nodes)}
        for count, island in islands.kinds
    ]
    return {"count": islands.count, "kinds": kinds, "shown": list(islands.shown)}


def _bisection(halves: Bisection) -> dict[str, Any]:
    return {
        "bandwidth_bytes_per_s": _number(halves.bandwidth_bytes_per_s),
        "full_bytes_per_s": _number(halves.full_bytes_per_s),
        "fraction": halves.fraction,
        "is_exact": halves.is_exact,
        "halves_by": halves.by,
        "first_half_gpus": halves.first_half,
        "second_half_gpus": halves.second_half,
    }


def _diameter(diameter: Diameter) -> dict[str, Any]:
    return {
        "num_links": diameter.num_links,
        "farthest": dict(zip(("source_gpu", "destination_gpu"), diameter.farthest, strict=True)),
        "latency_s": _seconds(diameter.latency_ps),
        "slowest": dict(zip(("source_gpu", "destination_gpu"), diameter.slowest, strict=True)),
        "is_exact": diameter.is_exact,
    }


def _route(cluster: Cluster) -> dict[str, Any]:
    """Return the route from the first GPU to the last and its hops, or the reason why there is none."""
    from clustersim.errors import UnroutableError

    ends = {"source_gpu": 0, "destination_gpu": len(cluster.gpus) - 1}
    try:
        links = [cluster.links[link] for link in cluster.route(*ends.values())]
    except UnroutableError as error:
        return {**ends, "hops": [], "unroutable": error.faults[0].what}
    hops = [
        {
            "link": link.name,
            "bandwidth_bytes_per_s": _number(link.bandwidth_bytes_per_s),
            "latency_s": _seconds(link.latency_ps),
        }
        for link in links
    ]
    return {**ends, "hops": hops, "latency_s": _seconds(sum(link.latency_ps for link in links))}


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def _seconds(value_ps: int) -> float:
    from clustersim.scenario.units import PS_PER_S

    return value_ps / PS_PER_S
