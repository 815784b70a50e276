"""Jobs with collectives against an oracle that solves all rates anew at every event: every start, to the picosecond."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from whole_job import WholeJob

from clustersim.engine.run import run
from clustersim.ops import Kind
from clustersim.scenario.load import scenario_from_mapping
from clustersim.topology.table import build_cluster
from clustersim.trace import AXES
from clustersim.workload.job import build_job

NUM_CASES = 200

NODE = {"gpus_per_node": 4, "scaleup": {"bandwidth": "100 GB/s", "latency": "1 us"}}
NIC = {"bandwidth": "100 Gbps", "latency": "2 us"}


def drawn_topology(random: Random, num_gpus: int) -> dict[str, Any]:
    """Return a fabric with room for the GPUs, its links slow enough to matter."""
    nodes = -(-num_gpus // 4)
    per_node = random.choice([1, 2, 4])
    library = {"simple": {"launch": "7 us", "network_step": "1 us", "network_efficiency": 0.9}}
    leaf_spine = {
        "fabric": "leaf-spine",
        "nodes": nodes,
        "nics_per_node": per_node,
        "nic": NIC,
        "nodes_per_leaf": random.choice([1, 2]),
        "oversubscription": random.choice([1.0, 2.0, 3.0]),
        "routing": random.choice(["d-mod-k", "ecmp"]),
        **NODE,
    }
    sharing = random.choice([{}, {"sharing": "fair"}, {"sharing": "fifo"}])
    rails = {"fabric": "rail-fat-tree", "nodes": nodes, "nics_per_node": 4, "nic": NIC, "radix": 8, **NODE}
    drawn = random.choice(
        [
            {"fabric": "full-mesh", "gpus": num_gpus, "link": {"bandwidth": "13 GB/s", "latency": "3 us"} | sharing},
            {"fabric": "single-node", "gpus": num_gpus, "scaleup": {"bandwidth": "7 GB/s", "latency": "1 us"}},
            {"fabric": "ring", "gpus": num_gpus, "link": {"bandwidth": "21 GB/s", "latency": "1 us"}},
            leaf_spine,
            leaf_spine,
            rails,
        ]
    )
    return drawn | ({"collectives": library} if random.random() < 0.5 else {})


def drawn_exchanges(random: Random, sizes: dict[str, int]) -> list[dict[str, Any]]:
    """Return what ops exchange on the axes that have groups."""
    operations = {"tp": ["all-reduce", "all-gather", "reduce-scatter"], "cp": ["all-gather"], "ep": ["all-to-all"]}
    return [
        {
            "axis": axis,
            "op": op,
            "collective": random.choice(operations[axis]),
            "size": f"{random.randint(1, 40_000_000)} B",
            "calls": random.randint(1, 3),
        }
        for axis in ("tp", "cp", "ep")
        for op in random.sample(["forward", "input_grad", "weight_grad"], random.randint(1, 3))
        if sizes[axis] > 1
    ]


def drawn_batch(random: Random, num_microbatches: int, dp: int) -> dict[str, Any]:
    """Return a batch of so many micro-batches a replica; the last may be short, and shorter on some replicas."""
    if random.random() < 0.6:
        return {"num_microbatches": num_microbatches}
    missing = random.randrange(3 * dp + 1)  # of the 4 samples of the last one, each replica has at least one
    samples = 4 * num_microbatches * dp - missing
    return {"global_batch_size": samples, "micro_batch_size": 4, "remainder": "short"}


def drawn_scenario(seed: int) -> dict[str, Any]:
    """Return a small scenario in which groups do something on at least one axis."""
    random = Random(seed)
    sizes, dense = {"pp": 1}, 1
    while dense == 1 or dense * sizes["pp"] > 16:
        sizes = {axis: random.choice([1, 2, 2, 3, 4]) for axis in ("tp", "cp", "dp", "pp")}
        dense = sizes["tp"] * sizes["cp"] * sizes["dp"]
    sizes["ep"], etp = random.choice(
        [(ep, etp) for ep in range(1, dense + 1) for etp in (1, sizes["tp"]) if not dense % (ep * etp)]
    )
    schedule, vpp = random.choice(SCHEDULES)
    if schedule in ("dualpipe", "chimera") and sizes["pp"] % 2:
        sizes["pp"] = 2
    num_microbatches = random.randint(1, 3) * (2 * sizes["pp"] if schedule in EVEN else 1)
    if schedule in GROUPED:
        num_microbatches = sizes["pp"] * random.randint(1, 2)
    blocking = schedule in ("gpipe", "1f1b", "interleaved-1f1b") and random.random() < 0.4
    costs = {
        "forward": f"{random.randint(100, 3000)} us",
        "input_grad": f"{random.randint(100, 3000)} us",
        "weight_grad": f"{random.randint(100, 3000)} us",
        "recompute": random.choice(["0 s", "500 us"]),
        "optimizer_step": random.choice(["0 s", "123 us"]),
        "message": f"{random.randint(0, 30_000_000)} B",
        "weights": f"{random.randint(0, 60_000_000)} B",
        "gradients": f"{random.randint(1, 90_000_000)} B",
        "tied_embedding_gradients": random.choice(["0 B", f"{random.randint(1, 20_000_000)} B"]),
        "exchanges": drawn_exchanges(random, sizes),
    }
    return {
        "version": 1,
        "stage_costs": costs,
        "cluster": {"topology": drawn_topology(random, dense * sizes["pp"])},
        "parallelism": sizes
        | {"etp": etp, "vpp": vpp, "zero_stage": random.choice([0, 1]), "order": random.choice(ORDERS)},
        "batch": drawn_batch(random, num_microbatches, sizes["dp"]),
        "schedule": schedule,
        "runtime": {
            "p2p": "blocking" if blocking else "asynchronous",
            "optimizer_barrier": random.random() < 0.7,
            "overlap": {key: random.random() < 0.5 for key in ("grad_reduce", "param_gather", "tp")},
            "gradient_bucket": f"{random.choice([7_000_000, 30_000_000, 500_000_000])} B",
            "scatter_gather": random.random() < 0.3,
        },
        "steps": random.choice([1, 1, 2]),
    }


ORDERS = ("tp-cp-ep-dp-pp", "tp-cp-ep-pp-dp", "dp-tp-cp-ep-pp", "cp-dp-ep-tp-pp")
SCHEDULES = (
    ("gpipe", 1),
    ("1f1b", 1),
    ("1f1b", 1),
    ("interleaved-1f1b", 2),
    ("looped-bfs", 2),
    ("zb-h1", 1),
    ("zb-v", 2),
    ("dualpipe", 2),
    ("dualpipev", 2),
    ("chimera", 2),
    ("pipedream", 1),
    ("pipedream-2bw", 1),
)
EVEN = ("dualpipe", "dualpipev", "chimera", "zb-v", "pipedream-2bw")
GROUPED = ("interleaved-1f1b", "looped-bfs")


@pytest.mark.parametrize("seed", range(NUM_CASES))
def test_every_start_is_that_of_the_oracle(seed: int) -> None:
    scenario = scenario_from_mapping(drawn_scenario(seed))
    cluster = build_cluster(scenario.cluster.topology)
    job = build_job(scenario, cluster)
    trace = run(job, cluster)  # the laws are checked on every trace: see conftest.py
    oracle = WholeJob(job, cluster)
    first = trace.ranks.first_op
    starts = [trace.ops.start_ps[first[rank] : first[rank + 1]].tolist() for rank in range(len(trace.ranks))]
    assert starts == oracle.starts_ps
    known = [collectives[order] for collectives in oracle.collectives for order in sorted(collectives)]
    columns = trace.collectives
    assert columns.queued_ps.tolist() == [collective.queued_ps for collective in known]
    assert columns.start_ps.tolist() == [collective.start_ps for collective in known]
    assert columns.end_ps.tolist() == [collective.end_ps for collective in known]
    assert trace.transfers.end_ps.tolist() == [oracle.arrivals_ps[key] for key in sorted(oracle.arrivals_ps)]


POLICIES = (
    {"policy": "forward-first"},
    {"policy": "backward-first"},
    {"policy": "memory-bounded", "limit": {"microbatches": 4}},
)


@pytest.mark.parametrize("seed", [2003, 2020, 2057, 2101, 2112, *range(40)])  # the first few once ran into deadlocks
def test_members_of_a_group_do_their_ops_in_one_order_under_a_policy(seed: int) -> None:
    mapping, random = drawn_scenario(seed), Random(seed)
    mapping["schedule"] = random.choice(POLICIES)
    mapping["runtime"] |= {"p2p": "asynchronous", "scatter_gather": False}
    mapping["runtime"]["overlap"]["tp"] = False
    mapping["batch"] = {"num_microbatches": random.randint(2, 6)}
    mapping["parallelism"]["vpp"] = 1
    scenario = scenario_from_mapping(mapping)
    cluster = build_cluster(scenario.cluster.topology)
    trace = run(build_job(scenario, cluster), cluster)
    ops, first = trace.ops, trace.ranks.first_op
    is_own = np.isin(ops.kind, (Kind.F, Kind.B, Kind.I, Kind.W))

    def order(rank: int) -> list[tuple[int, ...]]:
        rows = np.arange(first[rank], first[rank + 1])[is_own[first[rank] : first[rank + 1]]]
        return list(zip(*(column[rows].tolist() for column in (ops.kind, ops.stage, ops.microbatch)), strict=True))

    for group in np.unique(trace.collectives.group[trace.collectives.kind != Kind.OPTIMIZER]).tolist():
        assert len({tuple(order(rank)) for rank in trace.groups[group]}) == 1


def test_the_cases_cover_every_axis_and_schedule() -> None:
    cases = [drawn_scenario(seed) for seed in range(NUM_CASES)]
    assert {case["schedule"] for case in cases} == {name for name, _ in SCHEDULES}
    for axis in AXES:
        assert sum(case["parallelism"][axis] > 1 for case in cases) >= NUM_CASES // 5
    short = [case for case in cases if "remainder" in case["batch"]]
    assert sum(case["parallelism"]["dp"] > 1 and case["parallelism"]["ep"] > 1 for case in short) >= NUM_CASES // 10
