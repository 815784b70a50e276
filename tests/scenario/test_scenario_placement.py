"""What a scenario says of placement: shorthand, positions of mistakes, and room in gallery topologies."""

from __future__ import annotations

from pathlib import Path

import pytest

from clustersim.errors import ScenarioError
from clustersim.scenario.hostlist import expand_hostlist, expand_hosts
from clustersim.scenario.load import load_scenario
from clustersim.scenario.placement import Placement
from clustersim.scenario.show import resolved, resolved_mapping

SCENARIO = """\
version: 1
stage_costs: {{forward: 10 ms, backward: 20 ms}}
cluster:
  topology: {topology}
  placement: {placement}
parallelism: {{pp: 4, dp: {dp}}}
batch: {{num_microbatches: 8}}
schedule: 1f1b
"""
NODES = "{fabric: fat-tree, nodes: 4, gpus_per_node: 4, scaleup: {}, nic: {}}"


def written(folder: Path, placement: str, topology: str = NODES, dp: int = 1) -> Path:
    path = folder / "s.yaml"
    path.write_text(SCENARIO.format(placement=placement, topology=topology, dp=dp), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "placement"),
    [
        ("contiguous", Placement()),
        ("rail-aligned", Placement(name="rail-aligned")),
        ("{name: scattered, seed: 3}", Placement(name="scattered", seed=3)),
        ("{hosts: [node2, node0]}", Placement(hosts=("node2", "node0"))),
        ("{exclude: node1-2}", Placement(exclude=("node1-2",))),
    ],
)
def test_forms_of_a_placement(tmp_path: Path, text: str, placement: Placement) -> None:
    assert load_scenario(written(tmp_path, text)).cluster.placement == placement


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("contigous", "5:14: cluster.placement.name: 'contigous' is no placement; did you mean 'contiguous'?"),
        ("{name: random}", "5:21: cluster.placement.name: 'random' is no placement; allowed: contiguous, rail-aligned"),
        ("7", "5:14: cluster.placement: must be the name of a placement, or a mapping of keys; got 7"),
        ("{seed: 3}", "5:21: cluster.placement.seed: means nothing to contiguous; it is for scattered"),
        ("{name: scattered, seed: -1}", "5:38: cluster.placement.seed: must be at least 0; got -1"),
        ("{host: node1}", "5:15: cluster.placement.host: unknown key"),
        (
            "{hosts: [node0, node9]}",
            "5:30: cluster.placement.hosts.1: there is no host 'node9'; the topology has node0",
        ),
        ("{hosts: []}", "5:22: cluster.placement.hosts: must be the name of a host"),
        ("{hosts: 'node[0'}", "5:22: cluster.placement.hosts: got 'node[0'; a bracket is not closed"),
        ("{hosts: [node0, node0]}", "5:22: cluster.placement.hosts: the host 'node0' stands in the list twice"),
        ("{exclude: 'node[0-3]'}", "5:14: cluster.placement: 4 ranks; 0 of 16 GPUs are left to place them on"),
    ],
)
def test_mistakes_stand_where_they_are(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        load_scenario(written(tmp_path, text))
    (found,) = refused.value.faults
    assert found.position is not None
    assert f"{found.position.line}:{found.position.column}: {found.where}: {found.what}".startswith(fault)


def test_a_shorthand_may_be_set_further(tmp_path: Path) -> None:
    path = written(tmp_path, "scattered")
    assert load_scenario(path, ["cluster.placement.seed=7"]).cluster.placement == Placement(name="scattered", seed=7)
    rows = {row.key: row for row in resolved(load_scenario(path))}
    assert (rows["cluster.placement.name"].value, rows["cluster.placement.name"].origin) == ("scattered", f"{path}:5")


def test_a_resolved_scenario_loads_again(tmp_path: Path) -> None:
    from clustersim.scenario.load import scenario_from_mapping

    scenario = load_scenario(written(tmp_path, "{name: scattered, exclude: node0}"))
    assert scenario_from_mapping(resolved_mapping(scenario)).cluster == scenario.cluster


@pytest.mark.parametrize(
    ("placement", "nodes"),
    [
        ("contiguous", 2),
        ("{exclude: node0}", 3),
        ("{exclude: 'node[0,5]'}", 6),
        ("{hosts: [node7, node2]}", 8),
        ("{name: scattered, seed: 1}", 2),
    ],
)
def test_a_gallery_topology_has_room_for_what_the_placement_names(tmp_path: Path, placement: str, nodes: int) -> None:
    path = written(tmp_path, placement, "dgx-h100\n  gpus: 16", dp=4)
    assert load_scenario(path).cluster.topology.num_gpus == 8 * nodes


def test_the_device_of_single_hosts_is_looked_up(tmp_path: Path) -> None:
    nodes = NODES.replace("nic: {}", "nic: {}, hosts: [{match: node0}, {match: node1, device: H100-SXM5-81GB}]")
    with pytest.raises(ScenarioError) as refused:
        load_scenario(written(tmp_path, "contiguous", nodes))
    (found,) = refused.value.faults
    assert found.where == "cluster.topology.hosts.1.device"
    assert "did you mean 'H100-SXM5-80GB'?" in found.hint


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node0", ["node0"]),
        ("node[0-2,7]", ["node0", "node1", "node2", "node7"]),
        ("n[08-11]", ["n08", "n09", "n10", "n11"]),
        ("a,b[1-2]-ib,c", ["a", "b1-ib", "b2-ib", "c"]),
        ("r[0-1]n[0-1]", ["r0n0", "r0n1", "r1n0", "r1n1"]),
    ],
)
def test_host_lists(text: str, names: list[str]) -> None:
    assert list(expand_hostlist(text)) == names


@pytest.mark.parametrize(
    "text",
    ["", "a,,b", "a[", "a]", "a[]", "a[1-]", "a[2-1]", "a[x]", "a[0-9999999]", "[0-999][0-999][0-999]", "a[[1]]"],
)
def test_no_host_lists(text: str) -> None:
    with pytest.raises(ValueError, match="got "):
        expand_hostlist(text)


def test_a_hosts_own_name_is_never_a_list() -> None:
    assert expand_hosts("rack3-5", lambda name: name == "rack3-5") == ("rack3-5",)
    assert expand_hosts("node08-10", lambda _: False) == ("node08", "node09", "node10")
