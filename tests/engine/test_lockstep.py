"""Replicas in lockstep against the time-ordered form: every column of the trace, bit for bit, on random whole jobs."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from test_run_ahead import assert_same
from test_whole_jobs import drawn_scenario

from clustersim.engine.alone import AloneRates
from clustersim.engine.encounters import Capacities, Crossings, LinkUses, meeting_flows
from clustersim.engine.run import run
from clustersim.ops import Job
from clustersim.scenario.load import scenario_from_mapping
from clustersim.simulation import simulate
from clustersim.topology.cluster import Cluster, Link
from clustersim.topology.table import build_cluster
from clustersim.trace import Trace
from clustersim.workload.job import build_job
from clustersim.workload.slow import slowed

NUM_BATCHES, PER_BATCH = 5, 6
TABLES = ("ranks", "ops", "transfers", "collectives", "phases", "links", "rates")


def assert_same_traces(left: Trace, right: Trace) -> None:
    for table in TABLES:
        assert_same(getattr(left, table), getattr(right, table))
    for name in ("makespan_ps", "routes", "phase_ways", "groups"):
        assert getattr(left, name) == getattr(right, name)


def with_stragglers(job: Job, random: Random) -> Job:
    """Return the job with some GPUs slower than others, or as it is."""
    if random.random() < 0.5:
        return job
    slowdowns = [Fraction(1)] * 3 + [Fraction(3, 2), Fraction(10, 7)]
    pipelines = tuple(
        slowed(pipeline, [random.choice(slowdowns) for _ in pipeline.programs]) for pipeline in job.pipelines
    )
    return replace(job, pipelines=pipelines)


def both_ways(mapping: dict[str, Any], seed: object) -> tuple[Trace, Trace]:
    """Return the traces of a scenario, run ahead if it can be, and in order."""
    scenario = scenario_from_mapping(mapping)
    cluster = build_cluster(scenario.cluster.topology)
    job = with_stragglers(build_job(scenario, cluster), Random(str(seed)))
    return run(job, cluster, engine="run-ahead"), run(job, cluster, engine="time-ordered")


@pytest.mark.parametrize("batch", range(NUM_BATCHES))
def test_random_whole_jobs_agree_bit_for_bit(batch: int) -> None:
    num_ahead = num_met = 0
    for seed in range(batch * PER_BATCH, (batch + 1) * PER_BATCH):
        mapping = drawn_scenario(seed)
        if mapping["runtime"]["p2p"] == "blocking":
            continue
        ahead, in_order = both_ways(mapping, seed)
        assert_same_traces(ahead, in_order)
        num_ahead += "replicas as vectors" in ahead.engine
        num_met += "replicas as vectors" in ahead.engine and ", 0 of" not in ahead.engine
    assert num_ahead
    assert num_met


LARGE = {
    "version": 1,
    "stage_costs": {
        "forward": "3 ms",
        "backward": "6 ms",
        "message": "20 MB",
        "gradients": "200 MB",
        "exchanges": [{"axis": "tp", "op": "forward", "collective": "all-reduce", "size": "10 MB"}],
    },
    "cluster": {
        "topology": {
            "fabric": "leaf-spine",
            "nodes": 16,
            "gpus_per_node": 4,
            "scaleup": {"bandwidth": "100 GB/s", "latency": "1 us"},
            "nics_per_node": 4,
            "nic": {"bandwidth": "100 Gbps", "latency": "2 us"},
            "nodes_per_leaf": 4,
            "oversubscription": 1.0,
        }
    },
    "parallelism": {"tp": 4, "pp": 4, "dp": 4},
    "batch": {"num_microbatches": 128},
    "schedule": "1f1b",
}


def test_large_jobs_run_ahead_by_themselves_and_say_who_met() -> None:
    result = simulate(scenario_from_mapping(LARGE), fold=False)
    said = result.provenance["engine"]
    # 2 x 3 x 128 messages of each of 16 pipelines, and the phases of dp groups; tp groups have links of their own.
    assert said.startswith("run-ahead, 16 of 16 replicas as vectors, ")
    num_met, num_flows = (int(word) for word in said.split(", ")[2].split() if word.isdigit())
    assert num_flows >= 2 * 3 * 128 * 16
    assert 0 < num_met < num_flows / 20
    in_order = simulate(scenario_from_mapping(LARGE), engine="time-ordered", fold=False)
    assert_same_traces(result.trace, in_order.trace)
    for field in fields(result):
        if field.name not in ("provenance", "trace"):
            assert getattr(result, field.name) == getattr(in_order, field.name), field.name


def test_where_everybody_meets_the_order_of_times_is_kept() -> None:
    topology = LARGE["cluster"]["topology"] | {"nics_per_node": 1}
    result = simulate(scenario_from_mapping(LARGE | {"cluster": {"topology": topology}}), fold=False)
    assert result.provenance["engine"] == "time-ordered: ranks meet in collectives"


def crowd(random: Random) -> tuple[list[tuple[int, int, dict[int, int]]], dict[int, int]]:
    """Return flows (begin, end, streams by link) and capacities of links."""
    capacities = {link: random.randint(1, 6) for link in range(4)}
    flows = []
    for _ in range(random.randint(1, 8)):
        begin = random.randint(0, 20)
        streams = {link: random.randint(1, 2) for link in random.sample(range(4), random.randint(1, 3))}
        flows.append((begin, begin + random.randint(1, 8), streams))
    return flows, capacities


@pytest.mark.parametrize("seed", range(60))
def test_who_meets_is_who_is_there_when_there_is_no_room(seed: int) -> None:
    flows, capacities = crowd(Random(seed))
    links = [Link(f"a{n}", f"b{n}", Fraction(capacity), 0) for n, capacity in capacities.items()]
    cluster = Cluster("drawn", {}, (), links, lambda *_: None)
    rates = AloneRates(cluster)
    alone = [rates.of(tuple(streams), tuple(streams.values())) for _, _, streams in flows]
    whole = Capacities(cluster, capacities, [own.rate for own in alone])
    rows = []
    for number, ((begin, end, streams), own) in enumerate(zip(flows, alone, strict=True)):
        is_late = True
        for link, count in streams.items():
            rows.append((number, link, begin, end, count * whole.rate(own.rate), is_late))
            is_late = is_late and link != own.bottleneck
    table = np.array(rows, dtype=np.int64).T
    flow, link, begin_ps, end_ps, rate, is_late = table
    uses = LinkUses(link, rate, is_late.astype(np.bool_))
    crossings = Crossings(flow, np.arange(len(flow)), begin_ps, end_ps, uses)
    expected = set()
    for link, capacity in capacities.items():
        for time in range(30):
            here = [n for n, (begin, end, streams) in enumerate(flows) if begin <= time < end and link in streams]
            taken = sum(alone[n].rate * flows[n][2][link] for n in here)
            late = any(row[5] for row in rows if row[0] in here and row[1] == link)
            if len(here) > 1 and (taken > capacity or (taken == capacity and late)):
                expected.update(here)
    assert meeting_flows(crossings, whole).tolist() == sorted(expected)
