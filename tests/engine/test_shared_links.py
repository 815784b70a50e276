"""FIFO links by hand: who waits for whom, in what order, and for how long."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import clustersim as cs
from clustersim.analysis.invariants import check_invariants
from clustersim.scenario.load import scenario_from_mapping

MS = 10**9  # ps
SWITCHED = {
    "fabric": "single-node",
    "gpus": 8,
    "scaleup": {"bandwidth": "1 GB/s", "latency": "1 ms", "sharing": "fifo"},
}
COSTS = {"forward": "10 ms", "input_grad": "10 ms", "weight_grad": "10 ms", "message": "2 MB"}  # 2 ms a link


def result(topology: object, **sections: object) -> cs.Result:
    mapping = {
        "version": 1,
        "stage_costs": COSTS,
        "cluster": {"topology": topology},
        "batch": {"num_microbatches": 1},
        "schedule": "1f1b",
    }
    run = cs.simulate(scenario_from_mapping(mapping | sections))
    check_invariants(run.trace)
    return run


def forwards(run: cs.Result) -> list[tuple[int, int, int]]:
    """Return (sender's GPU, start, arrival) of each activation. [ms]"""
    transfers = run.trace.transfers
    columns = (run.trace.ranks.gpu[transfers.source], transfers.start_ps // MS, transfers.end_ps // MS)
    return [
        row
        for *row, kind in zip(*(column.tolist() for column in columns), transfers.kind.tolist(), strict=True)
        if kind == 0
    ]


def two_hosts(folder: Path, sharing: str = "fifo") -> dict[str, object]:
    """Return a fabric of two GPUs a side, and one wire of 1 GB/s and 1 ms between the sides."""
    gpus = [{"id": f"gpu{number}", "kind": "gpu"} for number in range(4)]
    wires = [{"source": f"gpu{number}", "target": "left" if number < 2 else "right"} for number in range(4)]
    middle = {"source": "left", "target": "right", "bandwidth": "1 GB/s", "latency": "1 ms", "sharing": sharing}
    graph = {"nodes": [*gpus, {"id": "left"}, {"id": "right"}], "edges": [*wires, middle]}
    path = folder / "hosts.json"
    path.write_text(json.dumps(graph))
    return {"fabric": "graph", "file": str(path)}


def test_each_hop_holds_its_link_in_turn_and_latencies_add_up() -> None:
    run = result(SWITCHED, parallelism={"pp": 2})
    # F 10; activation 2 + 1 up, 2 + 1 down; F 10; B 20; the gradient the same way; B 20.
    assert run.trace.makespan_ps == (10 + 6 + 10 + 20 + 6 + 20) * MS
    assert run.communication.contended_links == 0
    # Rank 1 waits 6 ms for the activation, rank 0 as long for the gradient.
    assert run.time_s.exposed_communication == pytest.approx(6e-3)


def test_a_sender_s_own_messages_queue_one_behind_the_other() -> None:
    costs = {"forward": "1 ms", "backward": "2 ms", "message": "2 MB"}
    run = result(SWITCHED, parallelism={"pp": 2}, stage_costs=costs, schedule="gpipe", batch={"num_microbatches": 4})
    # Message k is ready at k + 1 ms and holds the uplink for 2 ms; gradients come every 2 ms and find it free.
    assert [start for _, start, _ in forwards(run)] == [1, 3, 5, 7]
    assert run.trace.links.queued_ps.sum() == (1 + 2 + 3) * MS
    assert run.communication.contended_links == 1
    assert any("contended" in warning and "gpu0->" in warning for warning in run.warnings)


def test_senders_that_meet_at_one_time_are_served_by_rank(tmp_path: Path) -> None:
    run = result(two_hosts(tmp_path), parallelism={"pp": 2, "dp": 2})
    # Both send at 10 ms; rank 0 holds the wire from 10 to 12, rank 1 from 12 to 14; the latency occupies nothing.
    assert sorted((gpu, arrival) for gpu, _, arrival in forwards(run)) == [(0, 13), (1, 15)]
    queued = dict(zip(run.trace.links.name, run.trace.links.queued_ps.tolist(), strict=True))
    assert queued["left->right"] == 2 * MS
    # The gradients set out 2 ms apart, so they do not meet on the way back.
    assert queued["right->left"] == 0
    assert run.trace.makespan_ps == (10 + 2 + 2 + 1 + 10 + 20 + 3 + 20) * MS


def test_rendezvous_over_a_shared_wire_takes_turns_too(tmp_path: Path) -> None:
    run = result(two_hosts(tmp_path), parallelism={"pp": 2, "dp": 2}, runtime={"p2p": "blocking"})
    assert sorted((gpu, arrival) for gpu, _, arrival in forwards(run)) == [(0, 13), (1, 15)]


def test_a_link_serves_a_sender_s_short_and_long_routes_as_one_queue() -> None:
    # On a ring of 6 with 4 ranks, GPU 0 reaches GPU 1 over 0->1, and chunk 0 of rank 3 sends on to rank 0 the other way
    # round: 3->2->1->0. Both kinds of route begin on links that one-hop messages use as well.
    ring = {"fabric": "ring", "gpus": 6, "link": {"bandwidth": "100 GB/s", "latency": "1 us", "sharing": "fifo"}}
    run = result(
        ring,
        parallelism={"pp": 4, "vpp": 2},
        stage_costs=COSTS | {"message": "1 GB"},
        schedule="interleaved-1f1b",
        batch={"num_microbatches": 8},
    )
    queued = dict(zip(run.trace.links.name, run.trace.links.queued_ps.tolist(), strict=True))
    assert queued["gpu0->gpu1"] == 70 * MS


def test_a_message_of_no_bytes_still_pays_latency() -> None:
    run = result(SWITCHED, parallelism={"pp": 2}, stage_costs={"forward": "10 ms", "backward": "20 ms"})
    assert run.trace.makespan_ps == (10 + 2 + 10 + 20 + 2 + 20) * MS
