"""Folded and unfolded runs are equal to the picosecond and the byte, and what can't be folded is not."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import clustersim as cs
from clustersim.analysis.invariants import check_invariants
from clustersim.engine.clock import Timeline
from clustersim.engine.folding.alike import run_of_one_each
from clustersim.engine.folding.classes import classes_of, initial_classes, is_equitable
from clustersim.engine.folding.fold import Folding, folding_of
from clustersim.engine.folding.uses import Uses
from clustersim.engine.network import Network
from clustersim.engine.run import run, run_noting
from clustersim.limits import Limits
from clustersim.scenario.load import scenario_from_mapping
from clustersim.scenario.spec import Scenario
from clustersim.simulation import measure
from clustersim.topology.table import build_cluster
from clustersim.workload.job import build_job
from tests.engine.folding_scenarios import drawn_scenario

COSTS = {
    "forward": "10 ms",
    "input_grad": "10 ms",
    "weight_grad": "10 ms",
    "message": "20 MB",
    "gradients": "60 MB",
    "activation": "1 MB",
}
NODES = {
    "fabric": "leaf-spine",
    "nodes": 8,
    "gpus_per_node": 4,
    "nics_per_node": 4,
    "nodes_per_leaf": 2,
    "scaleup": {"bandwidth": "100 GB/s", "latency": "500 ns"},
    "nic": {"bandwidth": "10 GB/s", "latency": "1 us"},
}


def scenario(topology: dict[str, Any] = NODES, **sections: Any) -> Scenario:
    """Return a job of 32 GPUs, 8 replicas of 4 ranks, unless the sections say otherwise."""
    mapping: dict[str, Any] = {
        "version": 1,
        "stage_costs": COSTS,
        "cluster": {"topology": topology},
        "parallelism": {"pp": 4, "dp": 8},
        "batch": {"num_microbatches": 6},
        "schedule": "1f1b",
    }
    return scenario_from_mapping(mapping | sections)


def uses_of(job: Scenario) -> Uses:
    """Return who uses which link in a scenario."""
    cluster = build_cluster(job.cluster.topology)
    return Uses(build_job(job, cluster), cluster)


def different_parts(folded: cs.Result, unfolded: cs.Result) -> list[str]:
    """Return in what two results differ: fields of the document but provenance, and tables of the trace."""
    documents = [result.to_dict() for result in (folded, unfolded)]
    found = [key for key in documents[0] if key != "provenance" and documents[0][key] != documents[1][key]]
    tables = ("ranks", "ops", "transfers", "collectives", "phases", "links", "rates")
    for table in tables:
        one, other = getattr(folded.trace, table), getattr(unfolded.trace, table)
        names = type(one).__dataclass_fields__
        found += [f"{table}.{name}" for name in names if not np.array_equal(getattr(one, name), getattr(other, name))]
    for name in ("routes", "phase_ways", "groups", "num_steps", "makespan_ps"):
        found += [name] if getattr(folded.trace, name) != getattr(unfolded.trace, name) else []
    return found


def unfolded_result(job: Scenario, engine: str | None = None) -> cs.Result:
    """Return the result of a run of all replicas, each of which is analysed for itself."""
    cluster = build_cluster(job.cluster.topology)
    built = build_job(job, cluster)
    trace = run(built, cluster, None, engine, fold=False)
    return measure(job, cluster, built, trace if trace.folded is None else trace.folded.whole(), time.perf_counter())


@pytest.mark.parametrize("seed", range(24))
def test_folded_and_unfolded_runs_are_equal(seed: int) -> None:
    job = scenario_from_mapping(drawn_scenario(seed))
    unfolded, folded, all_simulated = unfolded_result(job), cs.simulate(job), cs.simulate(job, fold=False)
    assert unfolded.trace.folded is None
    assert different_parts(folded, unfolded) == []
    assert different_parts(all_simulated, unfolded) == []
    assert (folded.trace.folded is None) == (all_simulated.trace.folded is None)
    assert all_simulated.provenance["folding"]["simulated_gpus"] == len(unfolded.trace.ranks)
    if folded.trace.folded is not None:
        assert folded.provenance["events"] < unfolded.provenance["events"]
        check_invariants(folded.trace)


@pytest.mark.parametrize("seed", [0, 3, 12, 61, 1005, 1013, 3058])
def test_all_forms_are_equal_folded_and_unfolded(seed: int) -> None:
    """Seeds at which flows stand for several, change rates for an instant, or are taken back when others had ended."""
    job = scenario_from_mapping(drawn_scenario(seed))
    in_order = unfolded_result(job, "time-ordered")
    for fold in (False, True):
        assert different_parts(cs.simulate(job, engine="run-ahead", fold=fold), in_order) == []


def test_replicas_that_meet_in_nothing_fold_too() -> None:
    mesh = {"fabric": "full-mesh", "gpus": 8, "link": {"bandwidth": "1 GB/s", "latency": "1 us"}}
    job = scenario(
        mesh, stage_costs={"forward": "1 ms", "backward": "2 ms", "message": "1 MB"}, parallelism={"pp": 2, "dp": 4}
    )
    folded = cs.simulate(job).trace.folded
    assert folded is not None
    assert (folded.num_replicas, folded.num_classes) == (4, 1)


def test_an_engine_that_there_is_not_is_refused() -> None:
    with pytest.raises(cs.ClustersimError, match=r"got 'time_ordered'; allowed: run-ahead, time-ordered, compiled"):
        cs.simulate("gpipe-4x16", engine="time_ordered")


def test_replicas_on_a_fabric_that_blocks_nothing_are_one_class() -> None:
    result = cs.simulate(scenario({"fabric": "full-mesh", "gpus": 32, "link": {"bandwidth": "10 GB/s"}}))
    assert result.provenance["folding"] == {
        "gpus": 32,
        "simulated_gpus": 4,
        "replicas": 8,
        "replica_classes": 1,
        "replica_classes_by_program": 1,
        "unfolded_because": None,
    }


def test_a_slow_host_is_a_class_of_its_own_and_so_is_who_meets_it() -> None:
    slow = NODES | {"hosts": [{"match": "node0", "slowdown": 1.5}]}
    plain, result = cs.simulate(scenario()), cs.simulate(scenario(slow))
    folding = result.provenance["folding"]
    assert folding["replica_classes_by_program"] == 2
    assert plain.provenance["folding"]["simulated_gpus"] < folding["simulated_gpus"] < folding["gpus"]
    assert any("computes slowly" in warning or "compute slowly" in warning for warning in result.warnings)
    assert different_parts(result, unfolded_result(scenario(slow))) == []


def test_four_thousand_gpus_fold_into_two_replicas() -> None:
    # On each leaf the ring of gradients comes in by one node and goes out by another, and passes the other two.
    job = scenario_from_mapping(
        {
            "version": 1,
            "model": "gpt-3-175b",
            "cluster": {"topology": "dgx-a100", "gpus": 4096},
            "parallelism": {"tp": 8, "pp": 16, "dp": 32},
            "batch": {"num_microbatches": 16, "micro_batch_size": 1},
            "schedule": "1f1b",
        }
    )
    cluster = build_cluster(job.cluster.topology)
    folding = folding_of(build_job(job, cluster), cluster)
    assert isinstance(folding, Folding)
    assert np.bincount(folding.classes.replica).tolist() == [64, 192]


def fifo(topology: dict[str, Any]) -> dict[str, Any]:
    """Return a fabric whose NICs, one a node, serve one message after the other."""
    return topology | {"nics_per_node": 1, "nic": {"bandwidth": "10 GB/s", "sharing": "fifo"}}


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (scenario(parallelism={"pp": 4}), "there is one replica"),
        (scenario(schedule={"policy": "backward-first"}), "a policy"),
        (scenario(NODES | {"routing": "ecmp"}), "most replicas differ"),
        (scenario(fifo(NODES), stage_costs=COSTS | {"gradients": "0 B"}), "queue at FIFO links"),
    ],
    ids=["one", "policy", "ecmp", "fifo"],
)
def test_what_depends_on_names_is_not_folded(job: Scenario, reason: str) -> None:
    folding = cs.simulate(job).provenance["folding"]
    assert reason in (folding["unfolded_because"] or ""), folding
    assert folding["simulated_gpus"] == folding["gpus"]


def test_the_certificate_refuses_classes_that_are_too_coarse() -> None:
    uses = uses_of(scenario(NODES | {"hosts": [{"match": "node0", "slowdown": 1.5}]}))
    classes = classes_of(uses)
    assert classes is not None
    initial = initial_classes(uses)
    assert is_equitable(uses, initial, classes)
    for kind in ("replica", "group", "link"):
        column = getattr(classes, kind)
        last = int(column.max())
        assert last > 0
        for other in range(last):
            coarser = classes._replace(**{kind: np.where(column == last, other, column)})
            assert not is_equitable(uses, initial, coarser), (kind, other)


def test_replicas_are_looked_at_as_one_only_if_all_of_them_did_the_very_same() -> None:
    job = scenario_from_mapping(
        {
            "version": 1,
            "model": "gpt-3-175b",
            "cluster": {"topology": "dgx-a100", "gpus": 32},
            "parallelism": {"tp": 4, "pp": 2, "dp": 4},
            "batch": {"num_microbatches": 4, "micro_batch_size": 1},
            "schedule": "1f1b",
        }
    )
    cluster = build_cluster(job.cluster.topology)
    built = build_job(job, cluster)
    folding, network = folding_of(built, cluster), Network(Timeline(), cluster, built)
    assert isinstance(folding, Folding)
    noted = run_noting(built, network, Limits())
    assert run_of_one_each(folding, noted) is not None
    for name in ("starts_ps", "started_ps", "arrived_ps"):
        column = getattr(noted, name).copy()
        column[-1] += 1  # of the last replica, which is not the first of its class
        assert run_of_one_each(folding, replace(noted, **{name: column})) is None, name
    collective = int(np.flatnonzero(~np.isin(noted.collectives.group, folding.groups))[-1])
    phase = int(np.searchsorted(noted.phases.collective, collective))
    num_messages = sum(len(pipeline.messages) for pipeline in built.pipelines)
    rate = int(np.flatnonzero(noted.rates.flow == num_messages + phase)[0])
    for table, row, columns in (
        ("collectives", collective, ("queued_ps", "start_ps", "end_ps")),
        ("phases", phase, ("start_ps", "end_ps")),
        ("rates", rate, ("start_ps", "bytes_per_s")),
    ):
        for name in columns:
            column = getattr(getattr(noted, table), name).copy()
            column[row] += 1
            changed = getattr(noted, table)._replace(**{name: column})
            assert run_of_one_each(folding, replace(noted, **{table: changed})) is None, (table, name)
    assert run_of_one_each(folding, noted) is not None


@pytest.mark.parametrize("seed", range(0, 24, 3))
def test_what_a_link_is_follows_the_rules_of_the_network(seed: int) -> None:
    uses = uses_of(scenario_from_mapping(drawn_scenario(seed)))
    network = Network(Timeline(), uses.cluster, uses.job)
    assert set(uses.links[uses.is_fair].tolist()) == network.fair_links
    assert uses.has_own_links.tolist() == network._has_own_links
