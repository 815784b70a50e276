"""Many routes and kinds of links at once are those that are found one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clustersim.scenario.load import scenario_from_mapping
from clustersim.topology.cluster import Cluster
from clustersim.topology.link_roles import link_kinds, link_roles
from clustersim.topology.table import build_cluster

HOSTS: dict[str, Any] = {
    "nodes": 12,
    "gpus_per_node": 4,
    "nics_per_node": 4,
    "scaleup": {"bandwidth": "100 GB/s", "latency": "500 ns"},
    "nic": {"bandwidth": "10 GB/s", "latency": "1 us"},
}
SLOW = {"hosts": [{"match": "node5", "nic": {"bandwidth": "5 GB/s"}}, {"match": "node7", "slowdown": 2.0}]}
TOPOLOGIES: dict[str, dict[str, Any]] = {
    "leaf-spine": HOSTS | {"fabric": "leaf-spine", "nodes_per_leaf": 2, "oversubscription": 2.0},
    "one leaf": HOSTS | {"fabric": "leaf-spine", "nodes_per_leaf": 12},
    "slow host": HOSTS | {"fabric": "leaf-spine", "nodes_per_leaf": 2} | SLOW,
    "few NICs": HOSTS | {"fabric": "leaf-spine", "nodes_per_leaf": 4, "nics_per_node": 2},
    "three tiers": HOSTS | {"fabric": "fat-tree", "radix": 8, "nodes": 8},
    "rails": HOSTS | {"fabric": "rail-fat-tree", "cross_rail": "spine"},
    "relayed rails": HOSTS | {"fabric": "rail-fat-tree", "cross_rail": "scaleup"},
    "domains": HOSTS | {"fabric": "nvl-domain", "nodes_per_domain": 4, "cross_rail": "spine"},
    "hashed": HOSTS | {"fabric": "leaf-spine", "nodes_per_leaf": 2, "routing": "ecmp"},
    "torus": {"fabric": "torus", "dims": [4, 6], "link": {"bandwidth": "10 GB/s"}},
    "ring": {"fabric": "ring", "gpus": 9, "link": {"bandwidth": "10 GB/s"}},
}


def cluster_of(topology: dict[str, Any]) -> Cluster:
    """Return the cluster of a topology as a scenario has it."""
    mapping = {
        "version": 1,
        "stage_costs": {"forward": "1 ms", "backward": "2 ms"},
        "cluster": {"topology": topology},
        "parallelism": {"pp": 1},
        "batch": {"num_microbatches": 1},
        "schedule": "1f1b",
    }
    return build_cluster(scenario_from_mapping(mapping).cluster.topology)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_many_routes_are_those_of_one_pair_at_a_time(name: str) -> None:
    cluster = cluster_of(TOPOLOGIES[name])
    pairs = [(source, target) for source in range(len(cluster.gpus)) for target in range(len(cluster.gpus))]
    pairs = [(source, target) for source, target in pairs if source != target]
    links, lengths = cluster.routes(*np.array(pairs).T)
    expected = [cluster.route(*pair) for pair in pairs]
    assert lengths.tolist() == [len(route) for route in expected]
    assert links.tolist() == [link for route in expected for link in route]


def test_routes_with_a_closed_form_are_found_at_once() -> None:
    for name in ("leaf-spine", "three tiers", "rails", "domains"):
        cluster = cluster_of(TOPOLOGIES[name])
        cluster.routes(np.array([0, 1]), np.array([5, 17]))
        assert not cluster._routes, name


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_links_of_one_kind_differ_in_nothing_but_their_ends(name: str) -> None:
    cluster = cluster_of(TOPOLOGIES[name])
    numbers = np.arange(len(cluster.links))
    roles = link_roles(cluster, numbers.tolist())

    def make(number: int) -> tuple[object, ...]:
        link = cluster.link(number)
        ends = [cluster.nodes[end].get("kind") for end in (link.source, link.target)]
        return (link.bandwidth_bytes_per_s, *link.make[1:], link.sharing, roles[number], *ends)

    kinds = link_kinds(cluster, numbers).tolist()
    makes = [make(number) for number in range(len(cluster.links))]
    assert len(set(kinds)) == len(set(makes)) == len(set(zip(kinds, makes, strict=True)))
