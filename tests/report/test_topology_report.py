"""Descriptions of topologies: a picture that keeps to its width, and the figures in words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from drawing import drawn
from pydantic import TypeAdapter
from rich.cells import cell_len

from clustersim.cli.topology_document import topology_document
from clustersim.report.terminal_topology import topology_report
from clustersim.scenario.fabrics import Topology
from clustersim.scenario.gallery import gallery_names
from clustersim.scenario.topology_file import load_topology
from clustersim.topology import build_cluster

ADAPTER: TypeAdapter[Topology] = TypeAdapter(Topology)


def report(topology: Any, width: int = 80, encoding: str = "utf-8") -> str:
    """Return the report of a topology, by name or as a mapping, up to its parameters."""
    fabric: Any = load_topology(topology) if isinstance(topology, str) else ADAPTER.validate_python(topology)
    document = topology_document("it", fabric, build_cluster(fabric))
    return drawn(topology_report(document), width, encoding)


def picture(topology: Any, width: int = 80, encoding: str = "utf-8") -> list[str]:
    return report(topology, width, encoding).partition("Picture\n")[2].partition("\n\n")[0].splitlines()


@pytest.mark.parametrize("name", gallery_names("topologies"))
@pytest.mark.parametrize("width", [40, 50, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_wider_than_the_terminal(name: str, width: int, encoding: str) -> None:
    text = report(name, width, encoding).partition("\nParameters")[0]
    if encoding == "ascii":
        assert text.isascii()
    if "\\u" not in text:  # an ellipsis that a narrow terminal of ASCII would not have had
        assert max(map(cell_len, text.splitlines())) <= width
    assert not re.search(r"[^\S\n]$", text, re.MULTILINE)


def test_tiers_from_the_top_down() -> None:
    assert picture("dgx-h100") == [
        "┌─────────┐  ┌─────────┐     ┌─────────┐",
        "│ spine0  │  │ spine1  │  …  │ spine31 │  32 spines",
        "└────┬────┘  └────┬────┘     └────┬────┘",
        "     ├────────────┼───────────────┤       1,024 wires of 50.00 GB/s, 1.000 us",
        "┌────┴────┐  ┌────┴────┐     ┌────┴────┐",
        "│  leaf0  │  │  leaf1  │  …  │ leaf31  │  32 leaves",
        "└────┬────┘  └────┬────┘     └────┬────┘",
        "     ├────────────┼───────────────┤       NIC: 1,024 wires of 50.00 GB/s, 1.000",
        "     │            │               │       us",
        "┌────┴────┐  ┌────┴────┐     ┌────┴────┐",
        "│  node0  │  │  node1  │  …  │ node127 │  128 hosts of 8 GPUs, 1 switch, 8 NICs",
        "└─────────┘  └─────────┘     └─────────┘",
    ]


def test_labels_stand_above_where_there_is_no_room_beside() -> None:
    assert picture("two-hosts", 40, "ascii") == [
        "2 switches",
        "+--------+                   +--------+",
        "|switch0 |                   |switch1 |",
        "+----+---+                   +----+---+",
        "4 wires of 25.00 GB/s, 1.000 us",
        "     +----------------------------+",
        "2 hosts of 2 GPUs, 1 NIC",
        "+----+---+                   +----+---+",
        "|  left  |                   | right  |",
        "+--------+                   +--------+",
    ]


def test_a_domain_is_an_island_of_several_hosts() -> None:
    lines = picture("gb200-nvl72", 120)
    assert "8 domains of 18 hosts: 72 GPUs, 1 switch, 72 NICs" in lines[-2]
    assert "domain7" in lines[-2]


def test_groups_of_a_dragonfly_are_joined_above() -> None:
    assert picture("dragonfly")[:4] == [
        "     ┌───────────┬──────────────┐      between groups: 36 wires of 25.00 GB/s,",
        "     │           │              │      2.000 us",
        "┌────┴───┐  ┌────┴───┐     ┌────┴───┐  9 groups of 4 routers; in a group: 54",
        "│ group0 │  │ group1 │  …  │ group8 │  wires of 25.00 GB/s, 1.000 us",
    ]


def test_one_switch_is_as_wide_as_all_it_joins() -> None:
    assert picture({"fabric": "single-node", "gpus": 2, "scaleup": {"bandwidth": "450 GB/s"}}) == [
        "┌───────────────────────────────────┐",
        "│              switch               │  1 switch",
        "└────┬──────────────────────────┬───┘",
        "     ├──────────────────────────┤      2 wires of 450.0 GB/s",
        "┌────┴───┐                 ┌────┴───┐",
        "│  gpu0  │                 │  gpu1  │  2 GPUs",
        "└────────┘                 └────────┘",
    ]


def test_a_ring_is_closed() -> None:
    assert picture("ring") == [
        "┌──────┐  ┌──────┐     ┌──────┐",
        "│ gpu0 │──│ gpu1 │──…──│ gpu7 │  8 GPUs in a ring",
        "└───┬──┘  └──────┘     └───┬──┘",
        "    └──────────────────────┘",
    ]


@pytest.mark.parametrize(("is_closed", "stub"), [(True, "──"), (False, "  ")])
def test_a_plane_of_a_torus(is_closed: bool, stub: str) -> None:
    lines = picture({"fabric": "torus", "dims": [2, 3, 4], "wraparound": is_closed})
    assert [line for line in lines if "o───" in line] == [f"{stub}o───o───o───o{stub}".rstrip()] * 3
    text = " ".join(lines)
    assert "a plane of 3 × 4 GPUs of 2 × 3 × 4" in text
    assert "along 1 more dimension" in text
    assert ("closed to a ring" in text) == is_closed


def test_a_large_plane_is_left_out_in_part() -> None:
    line, between = "--o---o---o---o---o---o---o---...---o--", "  |   |   |   |   |   |   |         |"
    gap = between.replace("|", ":")
    drawn_plane = [between, line, between, line, between, line, gap, line, between]
    assert picture({"fabric": "torus", "dims": [32, 32]}, 40, "ascii")[:9] == drawn_plane


def test_an_open_line_is_no_ring() -> None:
    assert picture({"fabric": "torus", "dims": [1, 5], "wraparound": False}) == [
        "┌──────┐  ┌──────┐     ┌──────┐",
        "│ gpu0 │──│ gpu1 │──…──│ gpu4 │  5 GPUs in a line",
        "└──────┘  └──────┘     └──────┘",
    ]


def test_where_there_is_no_room_for_a_picture() -> None:
    assert picture("dgx-h100", 20) == ["(no room for it)"]


def test_figures_in_words() -> None:
    text = report("h100-8x400g-2to1", 120)
    assert "fat-tree · 1,024 GPUs · 128 hosts of 8 GPUs · H100-SXM5-80GB" in text
    assert re.search(r"^leaf +32 +48 +1\.600 TB/s +800\.0 GB/s +2\.000 : 1$", text, re.MULTILINE)
    assert re.search(r"^leaf - spine +512 +50\.00 GB/s +1\.000 us$", text, re.MULTILINE)
    assert "\n12.80 TB/s in one direction, from the first hosts to the last (512 GPUs and 512 GPUs)" in text
    assert "\n50.00 % of full bisection bandwidth, 25.60 TB/s" in text
    assert "\n6 links and 4.000 us of latency: GPU 0 to GPU 1016" in text


def test_hosts_that_differ_have_a_table() -> None:
    text = report("mixed-h100-a100")
    assert "16 hosts of 8 GPUs, 1 of them reserved\n96 H100-SXM5-80GB, 32 A100-SXM4-80GB" in text
    assert re.search(r"^ +1 +8 +A100-SXM4-80GB +reserved$", text, re.MULTILINE)
    assert "\nHosts\n" not in report("dgx-h100")


def test_what_one_gpu_has_is_not_much() -> None:
    text = report({"fabric": "ring", "gpus": 1})
    assert "1 host of 1 GPU" in text
    assert "Bisection" not in text
    assert "Diameter" not in text
