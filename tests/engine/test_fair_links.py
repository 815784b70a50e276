"""Fairly shared links by hand, against exact flows solved anew at every event, and against SimGrid's times."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

import pytest
from progressive_filling import Sent, ends_of
from test_shared_links import COSTS, MS, SWITCHED, forwards, result, two_hosts

import clustersim as cs
from clustersim.analysis.invariants import check_flows
from clustersim.analysis.utilization import load_curve
from clustersim.engine.flows import GivenFlow, run_flows
from clustersim.scenario.fabrics import LinkSpec, SingleNode
from clustersim.topology.cluster import Cluster, Link
from clustersim.topology.shortest_paths import shortest_paths
from clustersim.topology.table import build_cluster
from clustersim.trace import Trace

FAIR = SWITCHED | {"scaleup": {"bandwidth": "1 GB/s", "latency": "1 ms", "sharing": "fair"}}
SIMGRID: list[dict[str, Any]] = json.loads((Path(__file__).parent / "simgrid_flows.json").read_text(), parse_float=str)


def tree(case: Mapping[str, Any]) -> Cluster:
    """Return the tree of hosts, switches and full-duplex wires that a case of SimGrid's describes."""
    links = []
    for wire in case["links"]:
        bandwidth = Fraction(wire["bytes_per_s"])
        links += [Link(wire["child"], wire["parent"], bandwidth, 0), Link(wire["parent"], wire["child"], bandwidth, 0)]
    gpus = tuple(f"h{number}" for number in range(case["hosts"]))
    switches = dict.fromkeys(end for link in links for end in (link.source, link.target) if end not in gpus)
    nodes = {name: {"kind": "gpu" if name in gpus else "switch"} for name in (*gpus, *switches)}
    return Cluster("tree", nodes, gpus, links, shortest_paths(tuple(nodes), gpus, links))


def capacities_of(cluster: Cluster) -> dict[int, Fraction]:
    bandwidths = {number: link.bandwidth_bytes_per_s for number, link in enumerate(cluster.links)}
    return {number: bandwidth for number, bandwidth in bandwidths.items() if bandwidth is not None}


def ends_solved_anew(cluster: Cluster, flows: list[GivenFlow]) -> list[int]:
    capacities = capacities_of(cluster)
    sent = []
    for flow in flows:
        route = cluster.route(flow.source, flow.destination)
        latency_ps = sum(cluster.links[number].latency_ps for number in route)
        limited = tuple(number for number in route if number in capacities)
        sent.append(Sent(limited, flow.size_bytes, flow.start_ps + latency_ps))
    return ends_of(capacities, sent)


@pytest.mark.parametrize("number", range(len(SIMGRID)))
def test_simgrid_agrees(number: int) -> None:
    case = SIMGRID[number]
    # Sizes and starts a thousandfold: ends too, and the picosecond to which they are rounded is of no account.
    flows = [
        GivenFlow(flow["source"], flow["destination"], flow["bytes"] * 1000, ceil(Fraction(flow["start"]) * 10**15))
        for flow in case["flows"]
    ]
    trace = run_flows(flows, tree(case))
    check_flows(trace)
    expected = [float(end_s) * 1000 for end_s in case["completion_s"]]
    assert (trace.transfers.end_ps / 1e12).tolist() == pytest.approx(expected, rel=1e-12, abs=0)
    assert trace.transfers.end_ps.tolist() == ends_solved_anew(tree(case), flows)


def test_random_flows_with_latencies_end_when_solving_anew_says() -> None:
    random = Random("fair links")
    for _ in range(40):
        case = SIMGRID[random.randrange(len(SIMGRID))]
        plain = tree(case)
        links = [
            replace(link, bandwidth_bytes_per_s=random.choice([link.bandwidth_bytes_per_s, None]))
            for link in plain.links
        ]
        links = [replace(link, latency_ps=random.choice([0, 1, 5 * 10**5])) for link in links]
        cluster = Cluster("random", plain.nodes, plain.gpus, links, plain.router, directed=True)
        gpus = range(len(cluster.gpus))
        sizes, starts = [0, 1, 10**6, 3 * 10**6], [0, 10, 4 * 10**8]
        flows = [
            GivenFlow(*random.sample(gpus, 2), random.choice(sizes), random.choice(starts))
            for _ in range(random.randint(1, 15))
        ]
        flows = [flow for flow in flows if set(cluster.route(*flow[:2])) & capacities_of(cluster).keys()]
        if flows:
            trace = run_flows(flows, cluster)
            check_flows(trace)
            assert trace.transfers.end_ps.tolist() == ends_solved_anew(cluster, flows)


def check_ends(run: cs.Result, cluster: Cluster) -> None:
    """Compare a job's transfers with flows solved anew: same starts, sizes and routes, hence same ends."""
    trace: Trace = run.trace
    number_by_name = {link.name: number for number, link in enumerate(cluster.links)}
    capacities = capacities_of(cluster)
    flows, ends = [], []
    for route, size_bytes, queued_ps, end_ps in zip(
        trace.transfers.route.tolist(),
        trace.transfers.size_bytes.tolist(),
        trace.transfers.queued_ps.tolist(),
        trace.transfers.end_ps.tolist(),
        strict=True,
    ):
        numbers = [number_by_name[name] for name in trace.routes[route]]
        latency_ps = sum(cluster.links[number].latency_ps for number in numbers)
        limited = tuple(number for number in numbers if number in capacities)
        flows.append(Sent(limited, size_bytes, queued_ps + latency_ps))
        ends.append(end_ps)
    assert trace.links.is_fair.sum() == sum(number in capacities for number in trace.links.number.tolist())
    assert ends == ends_of(capacities, flows)


@pytest.mark.parametrize("p2p", ["asynchronous", "blocking"])
@pytest.mark.parametrize("schedule", ["1f1b", "gpipe"])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_job_s_messages_end_when_solving_anew_says(p2p: str, schedule: str, steps: int) -> None:
    fabric = {
        "fabric": "leaf-spine",
        "nodes": 4,
        "gpus_per_node": 2,
        "nodes_per_leaf": 2,
        "spines": 1,
        "oversubscription": 2.0,
        "scaleup": {"bandwidth": "4 GB/s", "latency": "1 us", "sharing": "fair"},
        "nic": {"bandwidth": "1 GB/s", "latency": "3 us", "sharing": "fair"},
    }
    run = result(
        fabric,
        parallelism={"pp": 4, "dp": 2},
        stage_costs=COSTS | {"message": "7 MB"},
        schedule=schedule,
        batch={"num_microbatches": 5},
        runtime={"p2p": p2p},
        steps=steps,
    )
    assert run.communication.contended_links > 0
    check_ends(run, build_cluster(run.scenario.cluster.topology))


def test_a_flow_waits_the_latencies_then_drains_on_all_links_at_once() -> None:
    run = result(FAIR, parallelism={"pp": 2})
    # F 10; latencies 1 + 1, then 2 for 2 MB on both links at once; F 10; B 20; the gradient the same way; B 20.
    assert run.trace.makespan_ps == (10 + 4 + 10 + 20 + 4 + 20) * MS
    assert run.trace.transfers.start_ps.tolist() == [12 * MS, 46 * MS]
    assert run.communication.contended_links == 0
    assert run.time_s.exposed_communication == pytest.approx(4e-3)
    assert any("max-min" in text for text in run.provenance["constraints"])


def test_a_sender_s_own_messages_share_its_link_too() -> None:
    costs = {"forward": "1 ms", "backward": "2 ms", "message": "2 MB"}
    run = result(FAIR, parallelism={"pp": 2}, stage_costs=costs, schedule="gpipe", batch={"num_microbatches": 4})
    # They begin to drain at 3, 4, 5 and 6 ms, each with 2 ms of work for the link: 1, 1/2, 1/3, then 1/4 of it each.
    # The first is done at 6 2/3 ms; the others have 1, 3/2 and 11/6 ms left, and end 3, 4 and 4 1/3 ms later. Each end
    # is rounded up, and what it takes from the others meanwhile moves the last one by a picosecond.
    starts = [row[1] for row in forwards(run)]
    assert starts == [3, 4, 5, 6]
    ends = run.trace.transfers.end_ps[run.trace.transfers.kind == 0].tolist()
    assert ends == [6_666_666_667, 9_666_666_667, 10_666_666_667, 11_000_000_001]
    slowed = dict(zip(run.trace.links.name, run.trace.links.slowed_ps.tolist(), strict=True))
    # Of two links that are both full, the first on the way is the bottleneck.
    assert slowed.pop("gpu0->switch") == pytest.approx((5 + 3 + 11 + 11) * MS / 3 + 2 * MS, abs=4)
    assert set(slowed.values()) == {0}
    assert run.communication.contended_links == 1
    assert any("contended" in warning and "gpu0->" in warning for warning in run.warnings)


@pytest.mark.parametrize("p2p", ["asynchronous", "blocking"])
def test_senders_that_meet_share_the_wire(tmp_path: Path, p2p: str) -> None:
    run = result(two_hosts(tmp_path, "fair"), parallelism={"pp": 2, "dp": 2}, runtime={"p2p": p2p})
    # Both send 2 MB at 10 ms, and after 1 ms of latency have half of 1 GB/s each.
    assert sorted((gpu, arrival) for gpu, _, arrival in forwards(run)) == [(0, 15), (1, 15)]
    assert run.trace.makespan_ps == (10 + 5 + 10 + 20 + 5 + 20) * MS
    loads = {link.link: link for link in run.communication.busiest_links}
    # The wire was busy for 4 of 70 ms; each of the two flows lost 2 ms to the other.
    assert loads["left->right"].utilization == pytest.approx(4 / 70)
    assert loads["left->right"].slowed_s == pytest.approx(4e-3)


def test_a_link_written_fifo_that_a_flow_crosses_is_shared_fairly_and_the_result_says_so(tmp_path: Path) -> None:
    gpus = [{"id": f"gpu{number}", "kind": "gpu"} for number in range(4)]
    ends = [{"source": f"gpu{number}", "target": "left" if number < 2 else "right"} for number in range(4)]
    wires = [wire | {"bandwidth": "2 GB/s", "sharing": "fifo"} for wire in ends]
    middle = {"source": "left", "target": "right", "bandwidth": "1 GB/s", "sharing": "fair"}
    graph = {"nodes": [*gpus, {"id": "left"}, {"id": "right"}], "edges": [*wires, middle]}
    (tmp_path / "g.json").write_text(json.dumps(graph))
    run = result({"fabric": "graph", "file": str(tmp_path / "g.json")}, parallelism={"pp": 2, "dp": 2})
    assert sorted((gpu, arrival) for gpu, _, arrival in forwards(run)) == [(0, 14), (1, 14)]
    assert any("8 links written `sharing: fifo` were shared fairly" in warning for warning in run.warnings)


def test_what_a_link_carries_is_known_over_time(tmp_path: Path) -> None:
    trace = result(two_hosts(tmp_path, "fair"), parallelism={"pp": 2, "dp": 2}).trace
    curve = load_curve(trace)
    wire = trace.links.name.index("left->right")
    mine = curve.link == wire
    assert (curve.time_ps[mine] // MS).tolist() == [11, 15]
    assert curve.bytes_per_s[mine].tolist() == [10**9, 0]


def test_flows_of_a_list_share_fairly_unless_the_topology_says_fifo() -> None:
    node = {"bandwidth": "1 GB/s"}
    written = [LinkSpec(**node, sharing=sharing) for sharing in (None, "fair", "fifo")]
    clusters = [build_cluster(SingleNode(fabric="single-node", gpus=4, scaleup=spec)) for spec in written]
    flows = [GivenFlow(0, 3, 10**6, 0), GivenFlow(1, 3, 10**6, 0)]
    ends = [run_flows(flows, cluster).transfers.end_ps.tolist() for cluster in clusters]
    # FIFO: up for 1 ms, both at once; then down one after the other.
    assert ends == [[2 * MS, 2 * MS], [2 * MS, 2 * MS], [2 * MS, 3 * MS]]


def test_flows_of_no_bytes_and_to_oneself() -> None:
    node = build_cluster(SingleNode(fabric="single-node", gpus=3, scaleup=LinkSpec(bandwidth="1 GB/s", latency="1 us")))
    trace = run_flows([GivenFlow(0, 1, 0, 5), GivenFlow(2, 2, 10**9, 7), GivenFlow(1, 2, 1000, 0)], node)
    assert trace.transfers.end_ps.tolist() == [5 + 2 * 10**6, 7, 3 * 10**6]
    check_flows(trace)


def test_equal_replicas_cost_an_event_an_op_and_one_pipeline_two_a_message() -> None:
    for dp, most_by_op in ((1, 2.5), (4, 1.4)):
        node = FAIR | {"gpus": 4 * dp}
        run = result(node, parallelism={"pp": 4, "dp": dp}, batch={"num_microbatches": 16 * dp})
        assert run.trace.links.is_fair.all()
        assert run.trace.num_events <= most_by_op * len(run.trace.ops)
