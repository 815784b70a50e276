"""Long runs: what all GPUs together take is more than 64 bits hold, and a run that itself is too long is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

import clustersim as cs
from clustersim.engine.flows import GivenFlow, run_flows
from clustersim.engine.run import ENGINES
from clustersim.errors import InputError
from clustersim.scenario.fabrics import SingleNode
from clustersim.scenario.load import scenario_from_mapping
from clustersim.topology.table import build_cluster
from clustersim.trace import PS_PER_S

STEPS = 300


def of_mesh(bandwidth: str, pp: int = 4, dp: int = 1, m: int = 4, **changes: Any) -> cs.Scenario:
    link = {"bandwidth": bandwidth, "latency": "0 s"}
    mapping = {
        "version": 1,
        "stage_costs": {"forward": "10 s", "backward": "20 s", "message": "1 MB"},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": pp * dp, "link": link}},
        "parallelism": {"pp": pp, "dp": dp},
        "batch": {"num_microbatches": m},
        "schedule": "1f1b",
    }
    return scenario_from_mapping(mapping | changes)


@pytest.mark.parametrize("fold", [True, False])
def test_17_hours_of_1024_gpus_add_up(fold: bool) -> None:
    """Without time for messages, each step of p stages and m micro-batches takes (m + p - 1) (F + B)."""
    changes = {"steps": STEPS, "stage_costs": {"forward": "10 s", "backward": "20 s", "message": "0 B"}}
    result = cs.simulate(of_mesh("1 TB/s", dp=256, **changes), fold=fold)
    assert result.trace.makespan_ps * 1024 > 2**63
    step_s = 7 * 30
    assert result.trace.makespan_ps == STEPS * step_s * PS_PER_S
    assert (result.time_s.compute, result.time_s.exposed_communication, result.time_s.bubble) == (120, 0, 90)
    assert result.bubble.fraction == float(Fraction(3, 7))
    assert result.bubble.overhead == float(Fraction(3, 4))
    assert sum(result.bubble.by_cause.values()) == sum(result.bubble.by_phase.values()) == 90


def test_messages_of_months_add_up() -> None:
    """Of 64 messages at a time, each takes eleven days and a half."""
    slow, quick = (cs.simulate(of_mesh(bandwidth, pp=2, dp=64, m=2)) for bandwidth in ("1 B/s", "1 TB/s"))
    assert slow.time_s.compute == quick.time_s.compute
    assert slow.communication.by_axis["pp"].busy_s * PS_PER_S * 128 > 2**63
    exposed_s = slow.time_s.exposed_communication
    assert exposed_s == slow.communication.by_axis["pp"].exposed_s > 0
    assert slow.time_s.compute + exposed_s + slow.time_s.bubble == pytest.approx(slow.step_time_s, rel=1e-12)


@pytest.mark.parametrize("engine", [None, *ENGINES])
@pytest.mark.parametrize("message", ["1 MB", "30 MB"])  # whose sum, or each of which, is too long
def test_a_run_of_months_is_refused(message: str, engine: str | None) -> None:
    costs = {"forward": "10 ms", "backward": "20 ms", "message": message}
    with pytest.raises(InputError, match=r"times of the run are over 2\*\*62 ps \(53 days\)(?s:.)*wrong unit"):
        cs.simulate(of_mesh("1 B/s", m=64, stage_costs=costs), engine=engine)


@pytest.mark.parametrize("engine", [None, "run-ahead", "time-ordered"])
@pytest.mark.parametrize("fold", [True, False])
def test_so_are_collectives_of_months(engine: str | None, fold: bool) -> None:
    node = {"bandwidth": "3 B/s", "latency": "1 us"}
    costs = {"forward": "10 ms", "backward": "20 ms", "message": "1 B", "gradients": "100 MB"}
    topology = {"fabric": "single-node", "gpus": 8, "scaleup": node}
    scenario = of_mesh("1 B/s", pp=2, dp=4, stage_costs=costs, cluster={"topology": topology})
    with pytest.raises(InputError, match="times of the run are over"):
        cs.simulate(scenario, engine=engine, fold=fold)


@pytest.mark.parametrize("fold", [True, False])
def test_so_is_what_flows_lose_at_a_link_in_years(fold: bool) -> None:
    """Each of four nodes has one port for four GPUs, whose messages of 900 TB would have it for 50 minutes each."""
    costs = {"forward": "1 h", "input_grad": "3 s", "weight_grad": "1 ns", "message": "900 TB", "gradients": "10 GB"}
    topology = {
        "fabric": "leaf-spine",
        "nodes": 4,
        "gpus_per_node": 4,
        "scaleup": {"bandwidth": "1 GB/s", "latency": "0 s"},
        "nics_per_node": 1,
        "nic": {"bandwidth": "300 GB/s", "latency": "1 s"},
        "nodes_per_leaf": 4,
    }
    changes = {"stage_costs": costs, "cluster": {"topology": topology}, "schedule": "chimera", "steps": 2}
    with pytest.raises(InputError, match=r"flows lose .* ps at one link in all; allowed: below 2\*\*63 ps"):
        cs.simulate(of_mesh("1 B/s", dp=4, m=64, **changes), fold=fold)


def test_so_are_flows_of_months() -> None:
    node = build_cluster(SingleNode(fabric="single-node", gpus=3, scaleup={"bandwidth": "1 B/s"}))
    with pytest.raises(InputError, match="times of the run are over"):
        run_flows([GivenFlow(0, 2, 10**9, 0), GivenFlow(1, 2, 10**9, 0)], node)
