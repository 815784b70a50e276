"""Slurm's topology files in both formats: trees, blocks, rings and tori, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from clustersim.errors import TopologyError
from clustersim.scenario.fabrics import GraphFile
from clustersim.topology import Cluster, build_cluster
from clustersim.topology.drawn_graph import DrawnGraph
from clustersim.topology.importers import Asked, import_slurm, node_link_text

SPEEDS: dict[str, Any] = {
    "gpus-per-node": 2,
    "scaleup-bandwidth": "450 GB/s",
    "link-bandwidth": "400 Gbps",
    "switch-bandwidth": "1.6 Tbps",
}
TREE = """\
# two leaves below a root
SwitchName=s0 Nodes=dev[0-1] LinkSpeed=100
switchname=s1 nodes=dev[02-03],login \\
  linkspeed=100
SwitchName=root Switches=s[0-1]  # the rest is a comment
"""
YAML = """\
---
- topology: topo-tree
  cluster_default: true
  tree:
    switches:
      - switch: root
        children: s[1-2]
      - {switch: s1, nodes: "node[1-2]"}
      - {switch: s2, nodes: "node[3-4]"}
- topology: topo-block
  block:
    block_sizes: [2, 4]
    blocks:
      - {block: b1, nodes: "node[1-2]"}
      - {block: b2, nodes: "node[3-4]"}
- topology: topo-torus
  torus3d:
    toruses:
      - {name: pod1, dims: {x: 4, y: 2, z: 3}, nodes: "node[1-24]"}
- topology: topo-flat
  flat: true
"""


def imported(text: str, file: str = "topology.conf", **answers: Any) -> DrawnGraph:
    return import_slurm(file, text, Asked(SPEEDS | {key.replace("_", "-"): a for key, a in answers.items()}))


def faults(text: str, file: str = "topology.conf", **answers: Any) -> list[str]:
    with pytest.raises(TopologyError) as refused:
        imported(text, file, **answers)
    return [f"{fault.position or fault.where}: {fault.what}" for fault in refused.value.faults]


def built(graph: DrawnGraph, folder: Path) -> Cluster:
    path = folder / "slurm.json"
    path.write_text(node_link_text(graph, "a test"), encoding="utf-8")
    return build_cluster(GraphFile(fabric="graph", file=str(path)))


def stops(cluster: Cluster, source: int, destination: int) -> list[str]:
    return [cluster.links[link].target for link in cluster.route(source, destination)]


def test_a_tree(tmp_path: Path) -> None:
    cluster = built(imported(TREE, latency="1 us"), tmp_path)
    hosts = [cluster.nodes[gpu]["host"] for gpu in cluster.gpus]
    assert hosts == [host for host in ("dev0", "dev1", "dev02", "dev03", "login") for _ in range(2)]
    assert stops(cluster, 0, 1) == ["dev0/switch", "dev0/gpu1"]
    assert stops(cluster, 1, 2) == ["dev0/nic", "s0", "dev1/nic", "dev1/gpu0"]
    assert stops(cluster, 0, 9) == ["dev0/nic", "s0", "root", "s1", "login/nic", "login/gpu1"]
    speeds = [cluster.links[link].bandwidth_bytes_per_s for link in cluster.route(0, 9)]
    assert speeds == [None, 50 * 10**9, 200 * 10**9, 200 * 10**9, 50 * 10**9, None]
    assert sum(cluster.links[link].latency_ps for link in cluster.route(0, 9)) == 4 * 10**6


def test_a_yaml_file_takes_the_default_or_the_chosen_topology(tmp_path: Path) -> None:
    assert stops(built(imported(YAML, "t.yaml"), tmp_path), 0, 7)[1:4] == ["s1", "root", "s2"]
    blocks = built(imported(YAML, "t.yaml", topology="topo-block"), tmp_path)
    assert stops(blocks, 0, 3) == ["b1/switch", "node2/gpu1"]
    assert stops(blocks, 0, 1) == ["b1/switch", "node1/gpu1"]
    assert stops(blocks, 0, 4) == ["node1/nic", "network", "node3/nic", "node3/gpu0"]


def test_blocks_and_rings_of_the_older_format(tmp_path: Path) -> None:
    block = imported("BlockName=b0 Nodes=n[1-18]\nBlockSizes=18\n", gpus_per_node=4)
    assert len(block.nodes) == 72 + 1 + 18
    ring = built(imported("RingName=r Nodes=n[0-4]\n", gpus_per_node=1), tmp_path)
    assert stops(ring, 0, 3) == ["n0/nic", "n4/nic", "n3/nic", "n3/gpu0"]


def test_a_torus_is_that_of_networkx() -> None:
    graph = imported(YAML, "t.yaml", topology="topo-torus", gpus_per_node=1)
    wires = [
        (edge.source, edge.target)
        for edge in graph.edges
        if edge.target.endswith("/nic") and "bandwidth" in edge.attributes
    ]
    # Slurm numbers hosts along x first: node 1 + x + 4 * y + 8 * z
    places = {f"node{1 + x + 4 * y + 8 * z}/nic": (x, y, z) for x in range(4) for y in range(2) for z in range(3)}
    expected = nx.Graph()
    for x, y, z in places.values():
        expected.add_edges_from(
            ((x, y, z), other) for other in (((x + 1) % 4, y, z), (x, (y + 1) % 2, z), (x, y, (z + 1) % 3))
        )
    found = {frozenset((places[source], places[target])) for source, target in wires}
    assert found == {frozenset(edge) for edge in expected.edges}
    assert max(Counter(frozenset(wire) for wire in wires).values()) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["topology.conf:1:1: there is no SwitchName, BlockName or RingName in the file"]),
        ("SwitchName=a Node=b\n", ["topology.conf:1:14: got 'Node=b'; keys are SwitchName"]),
        ("SwitchName= Nodes=n1\n", ["topology.conf:1:1: SwitchName has no name after it"]),
        ("SwitchName=a Nodes=\n", ["topology.conf:1:14: got ''; a host list is written"]),
        ("SwitchName=a Nodes=n[3-1]\n", ["topology.conf:1:14: got 'n[3-1]'; 3-1 is no rising range"]),
        ("Nodes=a\n", ["topology.conf:1:1: a line has one of SwitchName, BlockName and RingName"]),
        ("SwitchName=a Nodes=n[1-\n", ["topology.conf:1:14: got 'n[1-'; a bracket is not closed"]),
        ("SwitchName=a\n", ["topology.conf:1:1: 'a' has neither hosts nor switches"]),
        ("SwitchName=a Nodes=n1\nBlockName=b Nodes=n2\n", ["topology.conf:2:1: units of several shapes: tree, block"]),
        ("SwitchName=a Nodes=n1 Nodes=n2\n", ["topology.conf:1:23: Nodes stands twice in one line"]),
        ("SwitchName=a Nodes=n1\nSwitchName=a Nodes=n2\n", ["topology.conf:2:1: 'a' is defined twice"]),
        (
            "SwitchName=a Nodes=n1\nSwitchName=b Nodes=n[0-1]\n",
            ["topology.conf:2:1: the host 'n1' is in 'b' and already in 'a'"],
        ),
        ("SwitchName=a Switches=b\n", ["topology.conf:1:1: 'a' has a switch 'b' that there is not"]),
        (
            "SwitchName=a Switches=b\nSwitchName=b Switches=a\n",
            ["topology.conf:1:1: 'a' is below itself", "topology.conf:2:1: 'b' is below itself"],
        ),
    ],
)
def test_conf_files_that_are_refused(text: str, expected: list[str]) -> None:
    found = faults(text)
    assert [told[: len(start)] for told, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("text", "answers", "expected"),
    [
        ("a: 1\n", {}, "t.yaml:1:1: a topology.yaml is a list of topologies"),
        ("- a: 1\n", {}, "t.yaml:1:3: the key 'topology' is missing; given: a"),
        ("", {}, "t.yaml:1:1: the file is empty"),
        ("[1", {}, "t.yaml:2:1: not valid YAML"),
        ("- topology: t\n  tree: 5\n", {}, "t.yaml:2:9: the key 'switches' is missing"),
        ("- topology: t\n  tree: {switches: 5}\n", {}, "t.yaml:2:20: switches: must be a list of one item at least"),
        ("- topology: t\n  tree: {switches: []}\n", {}, "t.yaml:2:20: switches: must be a list of one item at least"),
        ("- topology: t\n  flat: true\n- topology: t\n  flat: true\n", {}, "t.yaml:3:13: the topology 't' stands in"),
        (
            YAML.replace("  block:\n", "  flat: true\n  ring: {rings: []}\n  block:\n"),
            {"topology": "topo-block"},
            "t.yaml:10:3: 'topo-block' has several of tree, block, ring, torus3d",
        ),
        (YAML, {"topology": "topo-tre"}, "--topology: there is no topology 'topo-tre' in the file"),
        (YAML, {"topology": "topo-flat"}, "t.yaml:20:3: 'topo-flat' has none of tree, block, ring, torus3d"),
        (YAML.replace("  cluster_default: true\n", ""), {}, "t.yaml:2:1: several topologies and no cluster_default"),
        (
            YAML.replace("z: 3", "z: 4"),
            {"topology": "topo-torus"},
            "t.yaml:19:9: 'pod1' has 24 hosts; dims x * y * z = 32",
        ),
        (YAML.replace("x: 4", "x: four"), {"topology": "topo-torus"}, "t.yaml:19:32: x: got 'four'; a size is a whole"),
        (YAML.replace("switch: s1", "swich: s1"), {}, "t.yaml:8:9: the key 'switch' is missing; given: swich, nodes"),
        (YAML.replace("node[3-4]", "node[3-"), {}, "t.yaml:9:29: got 'node[3-'; a bracket is not closed"),
    ],
)
def test_yaml_files_that_are_refused(text: str, answers: dict[str, str], expected: str) -> None:
    assert faults(text, "t.yaml", **answers)[0].startswith(expected)


def test_all_mistakes_of_a_yaml_file_are_told_together() -> None:
    text = YAML.replace("node[3-4]", "node[3-").replace("node[1-2]", "node[1-")
    assert [fault.partition(": ")[0] for fault in faults(text, "t.yaml")] == ["t.yaml:8:29", "t.yaml:9:29"]


def test_what_a_file_does_not_tell_is_asked_for() -> None:
    with pytest.raises(TopologyError) as refused:
        import_slurm("topology.conf", TREE, Asked({}))
    assert [fault.where for fault in refused.value.faults] == [
        "--gpus-per-node",
        "--link-bandwidth",
        "--switch-bandwidth",
    ]
    one_gpu = {"gpus-per-node": 1, "link-bandwidth": "100 Gbps"}
    assert len(import_slurm("topology.conf", "SwitchName=a Nodes=n[0-3]", Asked(one_gpu)).edges) == 8
