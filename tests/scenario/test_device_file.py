"""Device files of one's own: they read back as they were written, and topologies name them by their path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import clustersim as cs
from clustersim.errors import ScenarioError, TopologyError
from clustersim.scenario.device_file import device_text
from clustersim.scenario.devices import device_names, load_device
from clustersim.scenario.load import load_scenario, scenario_from_mapping, vary
from clustersim.scenario.topology_file import load_topology

TOPOLOGY = """\
fabric: leaf-spine
device: devices/mine.yaml
nodes: 2
gpus_per_node: 1
nodes_per_leaf: 1
scaleup: {bandwidth: 300 GB/s}
nic: {bandwidth: 200 Gbps}
hosts: [{match: node1, device: A100-SXM4-80GB}]
"""


@pytest.mark.parametrize("name", device_names())
def test_a_device_reads_back_as_it_was_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / "device.yaml"
    path.write_text(device_text(load_device(name), "Two\nlines."))
    assert load_device(str(path)) == load_device(name)


def write_device(folder: Path, **kernels: Any) -> None:
    device = load_device("A100-SXM4-80GB")
    assert device.kernels is not None
    folder.mkdir(exist_ok=True)
    changed = device.model_copy(update={"kernels": device.kernels.model_copy(update=kernels)})
    (folder / "mine.yaml").write_text(device_text(changed))


def document(topology: object) -> dict[str, Any]:
    return {
        "version": 1, "model": "gpt-2", "cluster": {"topology": topology}, "parallelism": {"pp": 2},
        "batch": {"num_microbatches": 2}, "schedule": "1f1b",
    }  # fmt: skip


def test_a_path_starts_at_the_file_that_names_it(tmp_path: Path) -> None:
    write_device(tmp_path / "devices", gemm=0.1)
    (tmp_path / "mine-cluster.yaml").write_text(TOPOLOGY)
    assert load_topology(tmp_path / "mine-cluster.yaml").device == str(tmp_path / "devices" / "mine.yaml")
    slow = scenario_from_mapping(document("mine-cluster.yaml"), tmp_path)
    result, usual = cs.simulate(slow), cs.simulate(vary(slow, {"cluster.topology.device": "A100-SXM4-80GB"}))
    assert result.step_time_s > 1.2 * usual.step_time_s
    assert result.memory.capacity_bytes == usual.memory.capacity_bytes == 80 * 2**30


def test_an_option_names_a_device_for_a_topology_of_the_gallery(tmp_path: Path) -> None:
    write_device(tmp_path, gemm=0.2)
    path = tmp_path / "scenario.yaml"
    path.write_text(json.dumps(document("dgx-a100")))
    changed = load_scenario(path, ["cluster.topology.device=mine.yaml", "cluster.gpus=2"])
    assert changed.cluster.topology.device == str(tmp_path / "mine.yaml")
    again = vary(changed, {"batch.num_microbatches": 3})
    assert again.cluster.topology.device == str(tmp_path / "mine.yaml")


def test_an_option_of_a_scenario_of_the_gallery_names_a_file_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_device(tmp_path, gemm=0.2)
    monkeypatch.chdir(tmp_path)
    changed = load_scenario("gpt-22b-profiled", ["cluster.topology.device=mine.yaml"])
    assert changed.cluster.topology.device == str(tmp_path / "mine.yaml")
    assert changed.profile == load_scenario("gpt-22b-profiled").profile  # the file beside the scenario, as ever


def test_what_is_wrong_with_a_device_file_is_told_in_it(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(TOPOLOGY.replace("A100-SXM4-80GB", "./other.yaml"))
    with pytest.raises(ScenarioError) as caught:
        scenario_from_mapping(document("cluster.yaml"), tmp_path)
    missing = [fault for fault in caught.value.faults if "no such file" in fault.what]
    assert [str(fault.position).rpartition("cluster.yaml:")[2] for fault in missing] == ["2:9", "8:32"]
    write_device(tmp_path / "devices", launch=1)
    device = tmp_path / "devices" / "mine.yaml"
    device.write_text(device.read_text().replace("launch: 1 ps", "launch: 3"))
    with pytest.raises(TopologyError, match=r"mine.yaml:\d+:\d+: error: kernels.launch: got a bare number"):
        load_topology(tmp_path / "cluster.yaml")
