"""NCCL's topology dumps: the tree with its speeds, NVLinks to switches and between GPUs, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clustersim.errors import TopologyError
from clustersim.scenario.fabrics import GraphFile
from clustersim.topology import build_cluster
from clustersim.topology.drawn_graph import DrawnGraph
from clustersim.topology.importers import Asked, import_nccl, node_link_text

GEN5 = 'link_speed="32.0 GT/s PCIe" link_width="16"'
DUMP = f"""<system version="1">
  <cpu host_hash="0x16fe" numaid="0" affinity="0000ffff" arch="x86_64" vendor="GenuineIntel" familyid="6" modelid="207">
    <pci busid="0000:16:00.0" class="0x060400" vendor="0x1000" device="0xc030" {GEN5}>
      <pci busid="0000:18:00.0" class="0x030200" vendor="0x10de" {GEN5}>
        <gpu dev="1" sm="90" rank="1" gdr="1">
          <nvlink target="0000:07:00.0" count="5" tclass="0x068000"/>
          <nvlink target="0000:06:00.0" count="4" tclass="0x068000"/>
        </gpu>
      </pci>
      <pci busid="0000:19:00.0" class="0x020000" {GEN5}>
        <nic>
          <net name="mlx5_0" dev="0" speed="400000" port="1" latency="0.000000" guid="0xa8" maxconn="131072" gdr="1"/>
        </nic>
      </pci>
    </pci>
  </cpu>
  <cpu host_hash="0x16fe" numaid="1" affinity="ffff0000" arch="x86_64" vendor="GenuineIntel" familyid="6" modelid="207">
    <pci busid="0000:98:00.0" class="0x030200" link_speed="" link_width="0">
      <gpu dev="0" sm="90" rank="0" gdr="1">
        <nvlink target="0000:07:00.0" count="9" tclass="0x068000"/>
      </gpu>
    </pci>
    <nic>
      <net name="eth0" dev="1" speed="100000" port="0" guid="0x0" maxconn="65536" gdr="0"/>
      <net name="vNIC" speed="100000"/>
    </nic>
  </cpu>
</system>
"""
SPEEDS = {"link-bandwidth": "20.6 GB/s", "pcie-bandwidth": "24 GB/s", "socket-bandwidth": "40 GB/s"}


def imported(text: str, **answers: str) -> DrawnGraph:
    return import_nccl("dump.xml", text, Asked(SPEEDS | answers))


def faults(text: str) -> list[str]:
    with pytest.raises(TopologyError) as refused:
        imported(text)
    return [f"{fault.position or fault.where}: {fault.what}" for fault in refused.value.faults]


def edges(graph: DrawnGraph) -> dict[str, object]:
    return {f"{edge.source} {edge.target}": edge.attributes.get("bandwidth") for edge in graph.edges}


def test_a_dump_with_switches_and_two_sockets() -> None:
    graph = imported(DUMP)
    assert edges(graph) == {
        "pcie-0000:16:00.0 cpu0": "48 GB/s",  # 16 lanes of 24 Gbps
        "gpu1 pcie-0000:16:00.0": "48 GB/s",
        "nic-0000:19:00.0 pcie-0000:16:00.0": "48 GB/s",
        "mlx5_0 nic-0000:19:00.0": "50 GB/s",
        "gpu0 cpu1": "24 GB/s",
        "cpu1-nic0 cpu1": None,
        "eth0 cpu1-nic0": "12.5 GB/s",
        "gpu1 nvswitch": "185.4 GB/s",
        "gpu0 nvswitch": "185.4 GB/s",
        "cpu0 cpu1": "40 GB/s",
    }
    assert [node.name for node in graph.nodes][:3] == ["gpu0", "gpu1", "nvswitch"]


def test_gpus_that_are_wired_to_one_another() -> None:
    nvlink = '<nvlink target="{1}" count="12" tclass="0x030200"/>'
    pci = f'<pci busid="{{0}}" class="0x030200" {{2}}><gpu dev="{{0}}">{nvlink}</gpu></pci>'
    body = pci.format(1, 2, GEN5) + pci.format(2, 1, GEN5)
    graph = imported(f'<system version="1"><cpu numaid="-1">{body}</cpu></system>')
    assert edges(graph) == {"gpu1 cpu": "48 GB/s", "gpu2 cpu": "48 GB/s", "gpu1 gpu2": "247.2 GB/s"}
    lopsided = f'<system version="1"><cpu numaid="0">{body.replace("12", "11", 1)}</cpu></system>'
    assert "11 links from gpu1 to gpu2, and 12 back" in faults(lopsided)[0]


def test_nvlink_c2c_takes_the_place_of_pcie_to_the_cpu() -> None:
    gpu = '<pci busid="1" class="0x030200"><gpu dev="0"><c2c bw="45000" count="10"/></gpu></pci>'
    graph = import_nccl("d", f'<system version="1"><cpu numaid="0">{gpu}</cpu></system>', Asked({}))
    assert edges(graph) == {"gpu0 cpu0": "450 GB/s"}
    bridged = f'<system version="1"><cpu numaid="0"><pci busid="0" {GEN5}>{gpu}</pci></cpu></system>'
    assert edges(imported(bridged)) == {
        "pcie-0 cpu0": "48 GB/s",
        "gpu0 cpu0": "450 GB/s",
        "gpu0 pcie-0": "24 GB/s",
    }


def test_several_hosts_have_names_of_their_own() -> None:
    cpu = '<cpu host_hash="{0}" numaid="0"><pci busid="1" class="0x030200" {1}><gpu dev="0"/></pci></cpu>'
    graph = imported(f'<system version="1">{cpu.format("0xa", GEN5)}{cpu.format("0xb", GEN5)}</system>')
    assert [(node.name, node.attributes["host"]) for node in graph.nodes] == [
        ("host0/gpu0", "host0"),
        ("host1/gpu0", "host1"),
        ("host0/cpu0", "host0"),
        ("host1/cpu0", "host1"),
    ]


def test_what_is_written_is_a_topology(tmp_path: Path) -> None:
    path = tmp_path / "dump.json"
    path.write_text(node_link_text(imported(DUMP, latency="500 ns"), "a test", "H100-SXM5-80GB"), encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8"))["graph"] == {"comment": "a test"}
    cluster = build_cluster(GraphFile(fabric="graph", file=str(path)))
    assert cluster.devices == ("H100-SXM5-80GB",) * 2
    assert [cluster.links[link].name for link in cluster.route(0, 1)] == ["gpu0->nvswitch", "nvswitch->gpu1"]
    assert {cluster.links[link].latency_ps for link in cluster.route(0, 1)} == {500_000}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "dump.xml:1:1: not XML: no element found"),
        ("<system>", "dump.xml:1:9: not XML: no element found"),
        ("<!DOCTYPE system [<!ENTITY a 'b'>]>\n<system/>", "dump.xml:1:1: document types are not allowed"),
        ("<!-- <!DOCTYPE a> -->\n <!DOCTYPE system>\n<system/>", "dump.xml:2:2: document types are not allowed"),
        (
            DUMP.replace("0000:98:00.0", "0000:18:00.0"),
            "dump.xml:18:5: <pci>: the busid '0000:18:00.0' is that of gpu1, too",
        ),
        ('<graphs version="1"/>', 'dump.xml:1:1: <graphs>: a topology dump is <system version="1">'),
        ('<system version="2"/>', 'dump.xml:1:1: <system>: a topology dump is <system version="1">'),
        ('<system version="1"/>', "dump.xml:1:1: <system>: there is no <gpu> in the dump"),
        (
            DUMP.replace("<nic>", "<knick>", 1).replace("</nic>", "</knick>", 1),
            "dump.xml:11:9: <knick>: not known inside <pci>",
        ),
        (
            DUMP.replace('count="5"', 'count="five"'),
            "dump.xml:6:11: <nvlink>: count: got 'five'; a whole number from 1",
        ),
        (DUMP.replace('speed="400000"', 'speed="-1"'), "dump.xml:12:11: <net>: speed: got '-1'; a whole number from 1"),
        (DUMP.replace('dev="1" sm', 'dev="0" sm'), "dump.xml:18:5: <pci>: gpu0 stands in the dump twice"),
        (
            DUMP.replace('count="9" tclass="0x068000"', 'count="9" tclass="0x030200"'),
            "dump.xml:20:9: <nvlink>: target '0000:07:00.0' is no other GPU of the dump, and no NVLink switch",
        ),
        (
            '<system version="1"><cpu numaid="0"><pci busid="1" class="0x030200"/></cpu></system>',
            "dump.xml:1:37: <pci>: a GPU's device without <gpu>: this is a file for NCCL",
        ),
        ("<a>" * 70, "dump.xml:1:193: elements are nested deeper than 64 levels"),
    ],
)
def test_what_is_refused(text: str, fault: str) -> None:
    assert faults(text)[0].startswith(fault)


def test_speeds_are_asked_for_only_where_the_dump_has_none() -> None:
    with pytest.raises(TopologyError) as refused:
        import_nccl("dump.xml", DUMP, Asked({}))
    assert [fault.where for fault in refused.value.faults] == [
        "--pcie-bandwidth",
        "--link-bandwidth",
        "--socket-bandwidth",
    ]
