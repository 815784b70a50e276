"""The fabric models: what a topology may say, how it scales, what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from clustersim.scenario.fabrics import FullMesh, GraphFile, LeafSpine, LinkSpec, Ring, SingleNode, Topology
from clustersim.topology import FABRICS

ADAPTER: TypeAdapter[Topology] = TypeAdapter(Topology)
LEAF_SPINE = {"fabric": "leaf-spine", "nodes": 4, "gpus_per_node": 8, "scaleup": {}, "nic": {}}


def messages(mapping: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        ADAPTER.validate_python(mapping)
    return [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in refused.value.errors()]


def test_the_table_of_builders_has_every_model() -> None:
    models = ADAPTER.json_schema()["discriminator"]["mapping"]
    assert set(models) == set(FABRICS)


def test_every_parameter_is_described() -> None:
    definitions = ADAPTER.json_schema()["$defs"].values()
    undocumented = [
        (model["title"], name)
        for model in definitions
        for name, field in model["properties"].items()
        if not field.get("description", "").endswith((".", ")"))
    ]
    assert undocumented == []


def test_the_models_load_neither_networkx_nor_numpy() -> None:
    code = "import sys, clustersim.scenario.fabrics; print({'networkx', 'numpy', 'simpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"set()"


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"gpus": 8}, "Unable to extract tag"),
        ({"fabric": "moebius"}, "does not match any of the expected tags"),
        ({"fabric": "ring", "gpus": True}, "ring.gpus: "),
        ({"fabric": "ring", "gpus": 8.0}, "ring.gpus: "),
        ({"fabric": "ring", "gpus": "8"}, "ring.gpus: "),
        ({"fabric": "ring", "gpus": 0}, "greater than or equal to 1"),
        ({"fabric": "ring", "gpus": 1_000_001}, "less than or equal to 1000000"),
        ({"fabric": "ring", "gpus": 8, "nodes": 1}, "ring.nodes: Extra inputs"),
        ({"fabric": "full-mesh", "gpus": 8, "link": {"bandwidth": 100}}, "a bare number (100)"),
        ({"fabric": "full-mesh", "gpus": 8, "link": {"latency": "2 uS"}}, "'uS' is not a unit of time"),
        ({"fabric": "full-mesh", "gpus": 8, "link": {"sharing": "equal"}}, "'fair' or 'fifo'"),
        ({"fabric": "single-node", "gpus": 8, "gpus_per_node": 8, "scaleup": {}}, "single-node.gpus_per_node: Extra"),
        ({"fabric": "single-node", "gpus": 8}, "single-node.scaleup: Field required"),
        (LEAF_SPINE | {"nodes": 10**6}, "nodes * gpus_per_node is 8000000"),
        (LEAF_SPINE | {"nodes": 10**5, "nics_per_node": 11}, "nodes * nics_per_node is 1100000"),
        (LEAF_SPINE | {"oversubscription": 0}, "greater than 0"),
        (LEAF_SPINE | {"oversubscription": float("nan")}, "leaf-spine.oversubscription: "),
        (LEAF_SPINE | {"oversubscription": True}, "leaf-spine.oversubscription: "),
        ({"fabric": "graph", "file": "https://example.org/a.json"}, "not from a URL"),
        ({"fabric": "graph", "file": "a.yaml"}, "ends in .graphml or .json"),
    ],
)
def test_what_is_refused(mapping: dict[str, Any], expected: str) -> None:
    assert expected in "\n".join(messages(mapping))


def test_all_mistakes_of_a_link_are_reported_together() -> None:
    wrong = {"bandwidth": "80 GiB", "latency": 1, "sharing": "equal", "delay": "1 us"}
    assert len(messages({"fabric": "full-mesh", "gpus": 8, "link": wrong})) == 4


def test_single_node_takes_either_name_for_its_size() -> None:
    by_either = [
        ADAPTER.validate_python({"fabric": "single-node", key: 8, "scaleup": {}}) for key in ("gpus", "gpus_per_node")
    ]
    assert by_either[0] == by_either[1]


@given(gpus=st.integers(1, 10_000), gpus_per_node=st.integers(1, 72))
def test_scaling_takes_the_smallest_whole_number_of_nodes(gpus: int, gpus_per_node: int) -> None:
    fabric = LeafSpine(fabric="leaf-spine", nodes=1, gpus_per_node=gpus_per_node, scaleup=LinkSpec(), nic=LinkSpec())
    scaled = fabric.scaled_to(gpus)
    assert 0 <= scaled.num_gpus - gpus < gpus_per_node
    assert scaled.scaled_to(fabric.num_gpus) == fabric


def test_scaling_keeps_the_rest() -> None:
    link = LinkSpec(bandwidth="1 GB/s")
    assert Ring(fabric="ring", gpus=8, link=link, device="X").scaled_to(3) == Ring(
        fabric="ring", gpus=3, link=link, device="X"
    )
    assert FullMesh(fabric="full-mesh", gpus=8).scaled_to(64).num_gpus == 64
    assert SingleNode(fabric="single-node", gpus=8, scaleup=link).scaled_to(2).scaleup == link
    with pytest.raises(ValidationError):
        Ring(fabric="ring", gpus=8).scaled_to(2_000_000)


def test_a_graph_keeps_its_gpus_and_finds_its_file_from_a_folder(tmp_path: Path) -> None:
    graph = GraphFile(fabric="graph", file="my.graphml", device="X")
    assert graph.num_gpus is None
    assert graph.scaled_to(4) == graph
    resolved = graph.resolved(tmp_path)
    assert (resolved.file, resolved.device) == (str(tmp_path / "my.graphml"), "X")
    assert resolved.resolved(Path("/elsewhere")) == resolved


@pytest.mark.parametrize(
    ("nodes", "nics", "oversubscription", "leaves", "spines"),
    [
        (4, 8, 1.0, 1, 0),
        (5, 8, 1.0, 2, 32),
        (5, 8, 2.0, 2, 16),
        (5, 8, 3.0, 2, 11),
        (33, 1, 1.0, 2, 32),
        (2, 64, 1.0, 2, 64),
    ],
)
def test_default_switches(nodes: int, nics: int, oversubscription: float, leaves: int, spines: int) -> None:
    fabric = LeafSpine(
        fabric="leaf-spine",
        nodes=nodes,
        gpus_per_node=8,
        nics_per_node=nics,
        scaleup=LinkSpec(),
        nic=LinkSpec(),
        oversubscription=oversubscription,
    )
    assert (fabric.num_leaves, fabric.num_spines) == (leaves, spines)
