"""``nvidia-smi topo -m``: real layouts in, graphs out; what is wrong is told with its position."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim.errors import TopologyError
from clustersim.topology.drawn_graph import DrawnGraph
from clustersim.topology.importers import Asked, import_nvidia_smi

SPEEDS = {"link-bandwidth": "25 GB/s", "pcie-bandwidth": "24 GB/s", "socket-bandwidth": "20 GB/s"}

# Tabs and spaces as the tool mixes them, its underlining of the header, and NICs by number with a legend.
SWITCHED = (
    "\t\x1b[4mGPU0\tGPU1\tGPU2\tGPU3\tNIC0\tNIC1\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\x1b[0m\n"
    "GPU0\t X \tNV18\tNV18\tNV18\tPIX\tSYS\t0-51\t0\t\tN/A\n"
    "GPU1\tNV18\t X \tNV18\tNV18\tNODE\tSYS\t0-51\t0\t\tN/A\n"
    "GPU2\tNV18\tNV18\t X \tNV18\tSYS\tPXB\t52-103\t1\t\tN/A\n"
    "GPU3  NV18  NV18\tNV18   X \tSYS\tPHB\t52-103\t1\t\tN/A\n"
    "NIC0\tPIX\tNODE\tSYS\tSYS\t X \tSYS\n"
    "NIC1\tSYS\tSYS\tPXB\tPHB\tSYS\t X \n"
    "\nLegend:\n\n  X    = Self\n\nNIC Legend:\n\n  NIC0: mlx5_0\n  NIC1: mlx5_1\n"
)


def imported(text: str, **answers: Any) -> DrawnGraph:
    return import_nvidia_smi("topo.txt", text, Asked(SPEEDS | {key.replace("_", "-"): a for key, a in answers.items()}))


def edges(graph: DrawnGraph) -> dict[str, object]:
    return {f"{edge.source} {edge.target}": edge.attributes["bandwidth"] for edge in graph.edges}


def faults(text: str, **answers: Any) -> list[str]:
    with pytest.raises(TopologyError) as refused:
        imported(text, **answers)
    return [f"{fault.position or fault.where}: {fault.what}" for fault in refused.value.faults]


def test_a_machine_with_nvlink_switches() -> None:
    graph = imported(SWITCHED, host="dgx7", latency="1 us")
    assert edges(graph) == {
        **{f"GPU{gpu} nvswitch": "450 GB/s" for gpu in range(4)},
        "GPU0 pcie0": "24 GB/s",
        "NIC0 pcie0": "24 GB/s",
        "GPU2 pcie-tree0": "24 GB/s",
        "NIC1 pcie-tree0": "24 GB/s",
        "GPU3 host-bridge0": "24 GB/s",
        "pcie-tree0 host-bridge0": "24 GB/s",
        "pcie0 numa0": "24 GB/s",
        "GPU1 numa0": "24 GB/s",
        "host-bridge0 numa1": "24 GB/s",
        "numa0 numa1": "20 GB/s",
    }
    assert [node.name for node in graph.nodes][:7] == ["GPU0", "GPU1", "GPU2", "GPU3", "NIC0", "NIC1", "nvswitch"]
    assert {node.attributes["host"] for node in graph.nodes} == {"dgx7"}
    assert {edge.attributes["latency"] for edge in graph.edges} == {"1 us"}


def test_a_cube_mesh_whose_sockets_only_the_affinity_tells() -> None:
    cube = {(0, 1): 1, (0, 2): 2, (1, 3): 2, (2, 3): 1}
    header = "\tGPU0\tGPU1\tGPU2\tGPU3\tCPU Affinity\n"
    rows = ""
    for row in range(4):
        cells = (cube.get((min(row, column), max(row, column)), 0) for column in range(4))
        codes = ("X" if row == column else f"NV{n}" if n else "SYS" for column, n in enumerate(cells))
        rows += f"GPU{row}\t" + "\t".join(codes) + f"\t{'0-13,28-41' if row < 2 else '14-27,42-55'}\n"
    found = edges(imported(header + rows))
    assert {key: value for key, value in found.items() if "numa" not in key} == {
        "GPU0 GPU1": "25 GB/s",
        "GPU0 GPU2": "50 GB/s",
        "GPU1 GPU3": "50 GB/s",
        "GPU2 GPU3": "25 GB/s",
    }
    assert [key for key in found if "numa" in key] == [f"GPU{gpu} numa{gpu // 2}" for gpu in range(4)] + ["numa0 numa1"]


def test_two_gpus_on_a_bridge_and_the_old_name_of_sys() -> None:
    text = "\tGPU0\tGPU1\tmlx5_0\tCPU Affinity\nGPU0\tX\tPIX\tSOC\t0-9\nGPU1\tPIX\tX\tSOC\t0-9\nmlx5_0\tSOC\tSOC\tX\n"
    assert edges(imported(text)) == {
        "GPU0 pcie0": "24 GB/s",
        "GPU1 pcie0": "24 GB/s",
        "pcie0 numa0": "24 GB/s",
        "mlx5_0 numa1": "24 GB/s",
        "numa0 numa1": "20 GB/s",
    }


def test_a_single_gpu() -> None:
    graph = import_nvidia_smi("t", "\tGPU0\tCPU Affinity\nGPU0\t X \t0-9\n", Asked({}))
    assert ([node.name for node in graph.nodes], graph.edges) == (["GPU0"], ())


def test_bandwidths_are_asked_for_together_and_only_if_needed() -> None:
    with pytest.raises(TopologyError) as refused:
        import_nvidia_smi("topo.txt", SWITCHED, Asked({"pcie-bandwidth": "24 GB"}))
    told = [(fault.where, fault.what[:30]) for fault in refused.value.faults]
    assert told == [
        ("--link-bandwidth", "is needed: the file does not t"),
        ("--pcie-bandwidth", "got '24 GB'; 'GB' is not a uni"),
        ("--socket-bandwidth", "is needed: the file does not t"),
    ]
    two = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\tX\tNV4\t0-9\nGPU1\tNV4\tX\t0-9\n"
    assert len(import_nvidia_smi("t", two, Asked({"link-bandwidth": "25 GB/s"})).edges) == 1


@pytest.mark.parametrize(
    ("written", "instead", "fault"),
    [
        (
            "GPU1\tNV18\t X \tNV18\tNV18",
            "GPU1\tNV18\t X \tNV18NV18\t",
            "topo.txt:3:15: row GPU1: got 'NV18NV18'; codes are X",
        ),
        ("GPU0\t X \tNV18", "GPU0\t X \tNV0", "topo.txt:2:10: row GPU0: got 'NV0'; codes are X"),
        (
            "NIC1\tSYS\tSYS\tPXB\tPHB\tSYS\t X ",
            "NIC1\tSYS\tSYS\tPXB\tPHB\tSYS",
            "topo.txt:7:1: row NIC1 has 5 codes; 6 are",
        ),
        ("GPU2\tNV18", "GPU3\tNV18", "topo.txt:4:1: got 'GPU3'; the row of GPU2 is expected here"),
        ("GPU0\t X ", "GPU0\tPIX", "topo.txt:2:6: row GPU0, column GPU0: got PIX; X stands for a device itself"),
        ("NIC0\tPIX", "NIC0\tPXB", "topo.txt:6:6: row NIC0, column GPU0: got PXB; the other way round it is PIX"),
        ("GPU3\tNIC0\tNIC1", "GPU3\tNIC0\tNIC0", "topo.txt:1:27: the column of NIC0 stands there twice"),
        ("\tNIC0\tNIC1\tCPU", "\tNIC0\tCPU", "topo.txt:2:29: row GPU0: got a code more than there are devices (5)"),
        ("\n\nLegend", "\nNIC2\tSYS\tSYS\tSYS\tSYS\tSYS\tSYS\n\nLegend", "topo.txt:8:1: the row of NIC2 has no column"),
        ("NIC1\tSYS", "MIC1\tSYS", "topo.txt:7:1: got 'MIC1'; the row of NIC1 is expected here"),
    ],
)
def test_mistakes_stand_where_they_are(written: str, instead: str, fault: str) -> None:
    assert written in SWITCHED
    assert faults(SWITCHED.replace(written, instead, 1))[0].startswith(fault)


def test_cells_that_contradict_one_another() -> None:
    far = SWITCHED.replace("GPU1\tNV18\t X \tNV18\tNV18\tNODE\tSYS", "GPU1\tNV18\t X \tNV18\tNV18\tNODE\tNODE")
    far = far.replace("NIC1\tSYS\tSYS\tPXB", "NIC1\tSYS\tNODE\tPXB")
    assert "by way of other devices the two are NODE" in faults(far)[0]
    uneven = SWITCHED.replace("GPU0\t X \tNV18", "GPU0\t X \tNV12").replace("GPU1\tNV18", "GPU1\tNV12")
    assert "on a machine with NVLink switches" in faults(uneven)[0]


@pytest.mark.parametrize("text", ["", "no such thing\n", "NVIDIA-SMI has failed\n", "GPU0\tX\tNV1\n"])
def test_no_matrix(text: str) -> None:
    assert faults(text) == ["topo.txt:1:1: no line with the names of GPUs: this is no matrix of devices"]


def test_a_matrix_that_ends_too_early() -> None:
    cut = SWITCHED.partition("NIC0\tPIX")[0]
    assert faults(cut) == [
        "topo.txt:6:1: the row of NIC0 is missing: the matrix ends after 4 rows",
        "topo.txt:6:1: the row of NIC1 is missing: the matrix ends after 4 rows",
    ]
