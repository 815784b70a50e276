"""What pages are drawn from: columns that come back, slices without a gap, links where they are in the fabric."""

from __future__ import annotations

import base64
import zlib
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from drawing import result_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import clustersim as cs
from clustersim.analysis.bubble import rank_times
from clustersim.analysis.critical_path import critical_path
from clustersim.analysis.memory import measure_memory
from clustersim.analysis.waits import PHASES, find_waits
from clustersim.report.html import slices as slices_module
from clustersim.report.html.columns import packed
from clustersim.report.html.critical import hidden_share, path_columns
from clustersim.report.html.fabric import fabric_picture
from clustersim.report.html.slices import CATEGORIES, gantt_columns, shown_ranks, slices_of
from clustersim.scenario.load import scenario_from_mapping
from clustersim.topology.table import build_cluster

JOBS: dict[str, dict[str, Any]] = {
    "1f1b": {},
    "parted": {"schedule": "zb-h1"},
    "overlapped": {"schedule": "dualpipev"},
    "interleaved": {"schedule": "interleaved-1f1b", "parallelism": {"pp": 4, "vpp": 2}},
    "blocking": {"runtime": {"p2p": "blocking"}},
    "three steps": {"steps": 3},
}


def unpacked(layout: list[dict[str, Any]], text: str) -> dict[str, list[int]]:
    """Return columns as a browser reads them."""
    data, place, columns = zlib.decompress(base64.b64decode(text)), 0, {}
    for column in layout:
        rows, planes = column["rows"], column["planes"]
        values = [0] * rows
        for plane in range(planes):
            for row in range(rows):
                values[row] += data[place + plane * rows + row] << (8 * plane)
        place += rows * planes
        signed = column["signed"]
        columns[column["name"]] = [-(each + 1) // 2 if each % 2 else each // 2 for each in values] if signed else values
    assert place == len(data)
    return columns


@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=2),
        arrays(np.int64, st.integers(0, 9), elements=st.integers(-(2**52), 2**52)),
    )
)
def test_columns_come_back(columns: dict[str, Any]) -> None:
    assert unpacked(*packed(columns)) == {name: values.tolist() for name, values in columns.items()}


@pytest.fixture(params=[*JOBS, "collision-scattered"])
def run(request: pytest.FixtureRequest) -> cs.Result:
    name = request.param
    return result_of(**JOBS[name]) if name in JOBS else cs.simulate(name)


def test_slices_are_the_account_of_every_rank(run: cs.Result) -> None:
    trace, waits = run.trace, find_waits(run.trace)
    rows = shown_ranks(trace, waits, run.ranks[0].replica)
    assert rows == list(range(len(trace.ranks)))
    slices, times = slices_of(trace, waits, rows), rank_times(trace, waits)
    row = np.repeat(np.arange(len(rows)), np.diff(slices.first))

    def total(category: slice) -> list[int]:
        mine = np.isin(slices.category, range(len(CATEGORIES))[category])
        return [int(slices.duration_ps[(row == number) & mine].sum()) for number in range(len(rows))]

    assert total(slice(None)) == [trace.makespan_ps] * len(rows)
    assert total(slice(0, -2)) == times.compute_ps.tolist()
    assert total(slice(-2, -1)) == times.exposed_ps.tolist()
    assert total(slice(-1, None)) == times.bubble_ps.tolist()
    bubble = slices.category == CATEGORIES.index("bubble")
    by_phase = [int(slices.duration_ps[bubble & (slices.phase == phase)].sum()) for phase in range(len(PHASES))]
    assert by_phase == waits.bubble_by(waits.phase, len(PHASES))


def test_slices_carry_the_memory(run: cs.Result) -> None:
    trace, waits = run.trace, find_waits(run.trace)
    slices = slices_of(trace, waits, range(len(trace.ranks)))
    peaks = measure_memory(trace).activations_peak_bytes.tolist()
    for rank, peak in enumerate(peaks):
        held = most = 0
        changes: dict[int, int] = {}
        time_ps = 0
        for index in range(slices.first[rank], slices.first[rank + 1]):
            changes[time_ps] = changes.get(time_ps, 0) + int(slices.start_bytes[index])
            time_ps += int(slices.duration_ps[index])
            changes[time_ps] = changes.get(time_ps, 0) + int(slices.end_bytes[index])
        for _, change in sorted(changes.items()):
            held += change
            most = max(most, held)
        assert (held, most) == (0, peak)


def test_counters_come_back(run: cs.Result) -> None:
    slices = slices_of(run.trace, find_waits(run.trace), range(len(run.trace.ranks)))
    columns = unpacked(*packed(gantt_columns(slices)))
    microbatches = []
    for row in range(len(slices.first) - 1):
        last = dict.fromkeys(range(len(CATEGORIES)), 0)
        for index in range(slices.first[row], slices.first[row + 1]):
            category = columns["category"][index]
            last[category] += columns["microbatch"][index]
            microbatches.append(last[category] - 1)
    assert microbatches == slices.microbatch.tolist()


def test_the_critical_path_fills_the_run(run: cs.Result) -> None:
    path = critical_path(run.trace)
    rows = np.flatnonzero(run.trace.ranks.replica == run.ranks[0].replica).tolist()
    columns = path_columns(run.trace, path, rows)
    assert int(columns["path_duration"].sum()) == run.trace.makespan_ps
    shown = int(columns["path_duration"][columns["path_row"] > 0].sum())
    assert shown / run.trace.makespan_ps == pytest.approx(1 - hidden_share(run, path))
    by_cause = np.bincount(columns["path_cause"], columns["path_duration"], minlength=6)
    assert by_cause.tolist() == np.bincount(path.cause, path.duration_ps, minlength=6).tolist()


def test_of_a_very_long_run_the_last_replica_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    run = cs.simulate("collision-scattered")
    waits, last = find_waits(run.trace), run.ranks[0].replica
    monkeypatch.setattr(slices_module, "MAX_SLICES", 1)
    rows = shown_ranks(run.trace, waits, last)
    assert run.trace.ranks.replica[rows].tolist() == [last] * 4
    monkeypatch.setattr(slices_module, "MAX_SLICES", 2_000)
    some = shown_ranks(run.trace, waits, last)
    assert 4 < len(some) < len(run.trace.ranks)
    slices = slices_of(run.trace, waits, some)
    assert len(slices.first) == len(some) + 1
    assert np.add.reduceat(slices.duration_ps, slices.first[:-1]).tolist() == [run.trace.makespan_ps] * len(some)


FABRICS = [
    "dgx-h100",
    "gb200-nvl72",
    "mi300x",
    "dgx-1v",
    "aws-p5",
    "dragonfly",
    "tpu-v4",
    "ring",
    "full-mesh",
    "two-hosts",
]


@pytest.mark.parametrize("topology", FABRICS)
def test_every_link_has_a_place_of_its_own(topology: str) -> None:
    gpus = {"two-hosts": 4, "full-mesh": 8, "ring": 8}.get(topology, 64)
    costs = {"forward": "1 ms", "backward": "2 ms", "message": "1 MiB", "gradients": "64 MiB"}
    job = {
        "version": 1,
        "stage_costs": costs,
        "cluster": {"topology": topology, "gpus": gpus},
        "parallelism": {"pp": 4, "dp": gpus // 4},
        "batch": {"num_microbatches": 4},
        "schedule": "1f1b",
    }
    result = cs.simulate(scenario_from_mapping(job))
    once, columns = fabric_picture(result.trace, build_cluster(result.scenario.cluster.topology))
    busy = columns["link_busy"]
    assert sorted(busy[busy > 0].tolist()) == sorted(
        result.trace.links.busy_ps[result.trace.links.busy_ps > 0].tolist()
    )
    ways = zip(columns["link_lower"], columns["link_upper"], columns["link_up"], strict=True)
    by_way: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for way, left, right in zip(ways, columns["link_left"], columns["link_right"], strict=True):
        by_way.setdefault(tuple(map(int, way)), []).append((int(left), int(right)))
    for cells in by_way.values():
        cells.sort()
        assert all(0 <= left < right <= 10**6 for left, right in cells)
        assert all(before[1] <= after[0] + 1 for before, after in pairwise(cells))
    names = once["names"]
    source, target = columns["link_source"], columns["link_target"]
    drawn = {f"{names[here]}->{names[there]}" for here, there in zip(source, target, strict=True)}
    assert set(result.trace.links.name) <= drawn
