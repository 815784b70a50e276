"""The run-ahead form against the time-ordered one: every column of the trace, bit for bit, on random jobs."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from test_longest_path import random_costs, random_schedule

from clustersim.analysis.account import Account, account_of
from clustersim.analysis.bubble import rank_times
from clustersim.analysis.busiest import busiest_rank
from clustersim.analysis.critical_path import CriticalPath, critical_path
from clustersim.analysis.waits import find_waits
from clustersim.engine.run import run
from clustersim.engine.run_ahead import MEMBERS_OF_A_VECTOR
from clustersim.ops import Job, Schedule, Shape, StaticBytes
from clustersim.scenario.load import scenario_from_mapping
from clustersim.schedules.table import build_schedule
from clustersim.simulation import simulate
from clustersim.topology.cluster import Cluster, Link
from clustersim.trace import Trace
from clustersim.workload.lowering import lower
from clustersim.workload.slow import slowed
from clustersim.workload.step_rows import StepOptions

NUM_BATCHES, PER_BATCH = 20, 26

NAMES = ("gpipe", "1f1b", "interleaved-1f1b", "zb-h1", "zb-h2", "zb-v", "dualpipe", "hanayo", "chimera", "pipedream")


def private_cluster(random: Random, num_gpus: int) -> Cluster:
    """Return a cluster in which every two GPUs have links of their own each way, one or two of them, all different."""
    gpus = tuple(f"gpu{number}" for number in range(num_gpus))
    links: list[Link] = []
    routes: dict[tuple[int, int], tuple[int, ...]] = {}
    makes = [drawn_make(random) for _ in range(random.choice([1, 1, 3]))]
    num_hops = random.choice([(1,), (1,), (1, 2)])
    for source in range(num_gpus):
        for destination in range(num_gpus):
            if source != destination:
                first = len(links)
                ends = [gpus[source], f"{source}-{destination}", gpus[destination]]
                if random.choice(num_hops) == 1:
                    del ends[1]
                links += [Link(near, far, *random.choice(makes)) for near, far in pairwise(ends)]
                routes[source, destination] = tuple(range(first, len(links)))
    between = {link.source: {"kind": "switch"} for link in links}
    nodes = between | {gpu: {"kind": "gpu"} for gpu in gpus}
    return Cluster("drawn", nodes, gpus, links, lambda *pair: routes[pair])


def drawn_make(random: Random) -> tuple[Fraction | None, int, None, int]:
    """Return bandwidth, latency, sharing as the senders ask for, and overhead."""
    bandwidth = random.choice([None, Fraction(10**12), Fraction(10**12, 7), Fraction(10**10)])
    return bandwidth, random.choice([0, 1, 250]), None, random.choice([0, 0, 40])


def drawn_schedule(random: Random) -> Schedule:
    if random.random() < 0.5:
        return random_schedule(random)
    name, p = random.choice(NAMES), 2 * random.randint(1, 2)
    chunks = 2 if name in ("interleaved-1f1b", "zb-v", "dualpipe", "hanayo", "chimera") else 1
    return build_schedule(name, Shape(p, 2 * p * random.randint(1, 2), chunks))


def drawn_job(random: Random, num_replicas: int) -> tuple[Job, Cluster]:
    schedule = drawn_schedule(random)
    num_ranks = len(schedule.orders)
    costs = random_costs(random, schedule.num_stages)
    costs = [replace(cost, optimizer_ps=random.choice([0, 9]), activation_bytes=7) for cost in costs]
    if random.random() < 0.3:
        costs = [replace(cost, recompute_ps=5, checkpoint_bytes=1) for cost in costs]
    steps = random.choice([1, 1, 2, 3]) if schedule.flush else 1
    pipeline = lower(
        schedule, costs, random.choice([Fraction(1), Fraction(1, 3)]), StepOptions(steps, random.random() < 0.7)
    )
    cluster = private_cluster(random, num_ranks * num_replicas)
    order = list(range(num_ranks * num_replicas))
    random.shuffle(order)
    ranks = tuple(tuple(range(r * num_ranks, (r + 1) * num_ranks)) for r in range(num_replicas))
    gpus = tuple(tuple(order[rank] for rank in own) for own in ranks)
    is_slow = random.random() < 0.5
    slowdowns = [1, 1, 1, Fraction(3, 2), Fraction(10, 7)] if is_slow else [1]
    pipelines = tuple(
        slowed(pipeline, [Fraction(random.choice(slowdowns)) for _ in range(num_ranks)]) for _ in range(num_replicas)
    )
    static = ((StaticBytes(1, 2, 3),) * num_ranks,) * num_replicas
    return Job(pipelines, ranks, gpus, num_steps=steps, static_bytes=static), cluster


def assert_same(left: Any, right: Any) -> None:
    """Compare two tables column by column."""
    for column in fields(left):
        mine, theirs = getattr(left, column.name), getattr(right, column.name)
        assert np.array_equal(mine, theirs), column.name


def assert_same_traces(left: Trace, right: Trace) -> None:
    for table in ("ranks", "ops", "transfers", "links", "rates"):
        assert_same(getattr(left, table), getattr(right, table))
    assert (left.makespan_ps, left.routes, left.num_steps) == (right.makespan_ps, right.routes, right.num_steps)


def assert_same_accounts(trace: Trace) -> None:
    """Compare what the parts of a trace add up to with the account of the whole."""
    assert_equal_accounts(account_of(trace), account_of(replace(trace, split=None, folded=None)))


def assert_equal_accounts(left: Account, right: Account) -> None:
    """Compare two accounts, but for the waits that they were made from."""
    assert (left.ranks.bubble, left.traffic) == (right.ranks.bubble, right.traffic)
    assert_same(left.ranks.times, right.ranks.times)
    assert_same(left.ranks.memory, right.ranks.memory)
    for column in ("exposed_ps", "compute_end_ps", "step_end_ps", "end_ps", "barrier_ps"):
        assert np.array_equal(getattr(left.ranks, column), getattr(right.ranks, column)), column


def links_of(trace: Trace, path: CriticalPath) -> list[tuple[str, float, int]]:
    """Return what the link of each segment is; which of those that are alike it is, a folded trace does not tell."""
    links = trace.links
    makes = [*zip(links.role, links.bytes_per_s.tolist(), links.latency_ps.tolist(), strict=True), ("", 0.0, 0)]
    return [makes[link] for link in path.link.tolist()]


def assert_same_path(trace: Trace) -> None:
    """Compare the critical path through the replicas that it can pass with that through all."""
    followed = trace.of_replicas(account_of(trace).replicas_to_follow(trace))
    some, path = critical_path(followed), critical_path(trace)
    assert followed.ranks.rank[some.rank_index].tolist() == trace.ranks.rank[path.rank_index].tolist()
    for column in ("start_ps", "end_ps", "cause"):
        assert getattr(some, column).tolist() == getattr(path, column).tolist()
    assert links_of(followed, some) == links_of(trace, path)
    own = busiest_rank(followed, rank_times(followed, find_waits(followed)))
    assert own == busiest_rank(trace, rank_times(trace, find_waits(trace)))


@pytest.mark.parametrize("batch", range(NUM_BATCHES))
def test_five_hundred_random_jobs_agree_bit_for_bit(batch: int) -> None:
    random = Random(f"run ahead {batch}")
    for _ in range(PER_BATCH):
        num_replicas = random.choice([1, 1, 2, 3, MEMBERS_OF_A_VECTOR, MEMBERS_OF_A_VECTOR + 3])
        job, cluster = drawn_job(random, num_replicas)
        ahead, in_order = run(job, cluster, fold=False), run(job, cluster, None, "time-ordered", fold=False)
        assert ahead.engine.startswith("run-ahead")
        assert in_order.engine == "time-ordered: as asked for"
        without_events = run(job, cluster, None, "compiled")
        assert without_events.engine.startswith("compiled")
        assert_same_traces(without_events, in_order)
        for trace in (ahead, run(job, cluster)):
            assert_same_traces(trace, in_order)
            assert_same_accounts(trace)
            assert_same_path(trace)


def test_replicas_run_as_vectors_wherever_there_are_enough() -> None:
    random = Random(3)
    kinds = set()
    for _ in range(40):
        job, cluster = drawn_job(random, MEMBERS_OF_A_VECTOR + 1)
        kinds.add("vectors" in run(job, cluster, fold=False).engine)
    assert kinds == {True, False}  # links that are laid out differently part the replicas into smaller cohorts


SCENARIO = {
    "version": 1,
    "stage_costs": {"forward": "1 ms", "backward": "2 ms", "message": "1 MB", "gradients": "1 MB"},
    "cluster": {"topology": {"fabric": "full-mesh", "gpus": 8, "link": {"bandwidth": "1 GB/s"}}},
    "parallelism": {"pp": 4},
    "batch": {"num_microbatches": 4},
    "schedule": "1f1b",
}
SWITCH = {"fabric": "single-node", "gpus": 8, "scaleup": {"bandwidth": "1 GB/s"}}


@pytest.mark.parametrize(
    ("changes", "engine"),
    [
        ({}, "run-ahead"),
        ({"schedule": {"policy": "forward-first"}}, "time-ordered: a policy orders ops while they run"),
        ({"runtime": {"p2p": "blocking"}}, "time-ordered: point-to-point blocks"),
        ({"parallelism": {"pp": 4, "dp": 2}}, "time-ordered: ranks meet in collectives"),
        ({"cluster": {"topology": SWITCH}}, "time-ordered: links are shared"),
        (
            {"cluster": {"topology": SWITCH | {"scaleup": {"latency": "1 us"}}}},
            "time-ordered: links have several senders",
        ),
    ],
)
def test_the_form_is_chosen_by_what_depends_on_times_and_said(changes: dict[str, Any], engine: str) -> None:
    assert simulate(scenario_from_mapping(SCENARIO | changes)).provenance["engine"] == engine


@pytest.mark.parametrize("fold", [True, False])
def test_a_job_on_a_few_gpus_of_a_huge_mesh_runs_as_on_a_small_one(fold: bool) -> None:
    """Links of a mesh are numbered by pairs of GPUs: no table may be as long as their numbers are large."""
    asked = {"parallelism": {"pp": 2, "dp": 2}}
    huge = {"topology": SCENARIO["cluster"]["topology"] | {"gpus": 100_000}, "placement": "scattered"}
    small = simulate(scenario_from_mapping(SCENARIO | asked))
    large = simulate(scenario_from_mapping(SCENARIO | asked | {"cluster": huge}), fold=fold)
    assert large.trace.links.number.max() > 10**9
    assert large.makespan_s == small.makespan_s
    assert large.communication.by_axis == small.communication.by_axis
