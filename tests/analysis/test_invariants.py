"""Every law of a run can fail: a trace in which one thing is not so breaks it, and the error names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from running import equal_costs, run_schedule
from test_shared_links import SWITCHED, result

from clustersim.analysis import invariants
from clustersim.analysis.invariants import check_flows, check_invariants
from clustersim.engine.flows import GivenFlow, run_flows
from clustersim.errors import InvariantError
from clustersim.ops import Kind, Shape
from clustersim.scenario.fabrics import SingleNode
from clustersim.schedules.table import build_schedule
from clustersim.topology.table import build_cluster
from clustersim.trace import FlowTrace, Trace

PB = 10**15


def fifo() -> Trace:
    """Return a job on FIFO links that meet, with memory."""
    return result(SWITCHED, parallelism={"pp": 2}, batch={"num_microbatches": 3}, schedule="gpipe").trace


def fair() -> Trace:
    topology = SWITCHED | {"scaleup": {"bandwidth": "1 GB/s", "latency": "1 ms", "sharing": "fair"}}
    return result(topology, parallelism={"pp": 2}, batch={"num_microbatches": 3}, schedule="gpipe").trace


def with_groups() -> Trace:
    """Return two tensor-parallel groups, each of which reduces twice after a forward."""
    exchange = {"axis": "tp", "op": "forward", "collective": "all-reduce", "size": "1 MB"}
    costs = {"forward": "1 ms", "input_grad": "1 ms", "weight_grad": "1 ms", "exchanges": [exchange, exchange]}
    return result(SWITCHED, stage_costs=costs, parallelism={"tp": 2, "pp": 2}, batch={"num_microbatches": 2}).trace


def with_memory() -> Trace:
    costs = equal_costs(2, 10, 10, 10, activation_bytes=4)
    return run_schedule(build_schedule("1f1b", Shape(2, 3)), costs)


def flows(size_bytes: int = 10**9, bandwidth: str = "1 GB/s") -> FlowTrace:
    """Return two flows that share the way into GPU 2, and the longer of which then has it alone."""
    node = {"fabric": "single-node", "gpus": 3, "scaleup": {"bandwidth": bandwidth, "latency": "1 us"}}
    cluster = build_cluster(SingleNode.model_validate(node))
    return run_flows([GivenFlow(0, 2, size_bytes, 0), GivenFlow(1, 2, 2 * size_bytes, 5)], cluster)


def changed(trace: Any, table: str, column: str, row: int | slice, by: float) -> Any:
    """Return `trace` with something added to a value of one of its columns."""
    rows = getattr(trace, table)
    values = getattr(rows, column).copy()
    values[row] += by
    return replace(trace, **{table: replace(rows, **{column: values})})


def last_of(kind: Kind, trace: Trace) -> int:
    return int(np.flatnonzero(trace.ops.kind == kind)[-1])


BROKEN: dict[str, Callable[[], Trace | FlowTrace]] = {
    "time adds up": lambda: replace(fifo(), makespan_ps=fifo().makespan_ps - 1),
    "the critical path is the makespan": lambda: replace(fifo(), makespan_ps=fifo().makespan_ps + 1),
    "a rank does one thing at a time": lambda: changed(fifo(), "ops", "end_ps", 0, 1),
    "nothing starts before its inputs": lambda: changed(fifo(), "ops", "start_ps", last_of(Kind.F, fifo()), -(10**11)),
    "nothing starts before its collectives": lambda: changed(
        with_groups(), "ops", "start_ps", last_of(Kind.COLLECTIVE, with_groups()), -1
    ),
    "a collective is queued when all have called": lambda: changed(with_groups(), "collectives", "queued_ps", 0, -1),
    "a group does one thing at a time": lambda: changed(with_groups(), "collectives", "end_ps", 0, 10**10),
    "transfers take their turn": lambda: changed(fifo(), "transfers", "first_hold_ps", 0, 10**11),
    "every rank takes in what is sent to it": lambda: changed(fifo(), "ops", "needs", 0, 1),
    "what is sent is received": lambda: changed(flows(), "transfers", "end_ps", 0, -(10**13)),
    "no message outruns its links": lambda: changed(fifo(), "transfers", "end_ps", 0, -10),
    "no link is busy for longer than the run": lambda: changed(fifo(), "links", "busy_ps", 0, 10**12),
    "flows drain what they carry": lambda: changed(fair(), "transfers", "end_ps", 1, 10**7),
    "no link is above its capacity": lambda: changed(fair(), "rates", "bytes_per_s", 1, 2),
    "memory returns to its start": lambda: changed(
        with_memory(), "ops", "end_bytes", last_of(Kind.B, with_memory()), 1
    ),
    "every forward has its backward": lambda: changed(
        fifo(), "ops", "kind", last_of(Kind.F, fifo()), Kind.OPTIMIZER - Kind.F
    ),
}


def test_every_law_is_here() -> None:
    assert set(BROKEN) == {law.__name__[1:].replace("_", " ") for law in invariants._LAWS}


@pytest.mark.parametrize("law", BROKEN)
def test_a_law_can_fail(law: str) -> None:
    trace = BROKEN[law]()
    with pytest.raises(InvariantError, match=f"  {law}: "):
        (check_invariants if isinstance(trace, Trace) else check_flows)(trace)


@pytest.mark.parametrize(
    ("law", "table", "column", "row", "by"),
    [
        ("what is sent is received", "transfers", "start_ps", 1, -(10**7)),  # before it was queued
        ("what is sent is received", "links", "size_bytes", 0, -1),
        ("what is sent is received", "links", "size_bytes", 2, 1),
        ("no message outruns its links", "transfers", "size_bytes", slice(0, 2), 10**10),
        ("flows drain what they carry", "transfers", "size_bytes", 1, 2),
        ("flows drain what they carry", "transfers", "size_bytes", 1, -2),
        ("flows drain what they carry", "transfers", "end_ps", 0, 2000),  # two bytes' time
        ("flows drain what they carry", "rates", "bytes_per_s", 1, -3),
        ("flows drain what they carry", "rates", "bytes_per_s", 3, 3),
        ("flows drain what they carry", "rates", "flow", slice(0, 2), 1),  # flow 0 has no rates left
        ("no link is above its capacity", "rates", "bytes_per_s", 1, 2),
        ("no link is above its capacity", "links", "bytes_per_s", slice(0, 3), -2),
    ],
)
def test_a_trace_of_flows_that_is_a_little_off_breaks_its_law(
    law: str, table: str, column: str, row: int | slice, by: float
) -> None:
    with pytest.raises(InvariantError, match=f"  {law}: "):
        check_flows(changed(flows(), table, column, row, by))


@pytest.mark.parametrize(
    ("law", "table", "column", "row", "by"),
    [
        ("nothing starts before its collectives", "collectives", "end_ps", -1, 1),
        ("a collective is queued when all have called", "collectives", "queued_ps", -1, 1),
        ("a collective is queued when all have called", "ops", "joins", 0, 1),  # one call too many for the second
        ("a collective is queued when all have called", "collectives", "group", 0, 1),
        ("a group does one thing at a time", "collectives", "start_ps", 1, -1),
        ("a group does one thing at a time", "collectives", "start_ps", 0, -1),  # before it is queued
        ("a group does one thing at a time", "phases", "end_ps", 0, 1),
        ("a group does one thing at a time", "phases", "start_ps", -1, -(10**12)),
        ("a group does one thing at a time", "phases", "collective", 0, 1),
    ],
)
def test_a_trace_of_collectives_that_is_a_little_off_breaks_its_law(
    law: str, table: str, column: str, row: int, by: float
) -> None:
    check_invariants(with_groups())
    with pytest.raises(InvariantError, match=f"  {law}: "):
        check_invariants(changed(with_groups(), table, column, row, by))


def test_a_call_that_nobody_makes_breaks_its_law() -> None:
    trace = with_groups()
    fewer = replace(
        trace.ops, joins=trace.ops.joins[:-1], first_join=np.minimum(trace.ops.first_join, len(trace.ops.joins) - 1)
    )
    with pytest.raises(InvariantError, match="calls are made for collectives whose groups have"):
        check_invariants(replace(trace, ops=fewer))


def test_the_check_allows_no_more_than_a_byte_a_rate() -> None:
    trace = flows(size_bytes=PB // 10)
    num_rates = np.bincount(trace.rates.flow)
    check_flows(trace)
    with pytest.raises(InvariantError, match="transfer 1 drained"):
        check_flows(changed(trace, "transfers", "size_bytes", 1, int(num_rates[1])))


def test_a_fast_link_lends_no_rounding_to_a_slow_one() -> None:
    nodes = {"fabric": "single-node", "gpus": 4, "scaleup": {"bandwidth": "1 TB/s"}}
    cluster = build_cluster(SingleNode.model_validate(nodes))
    slow = [replace(link, bandwidth_bytes_per_s=1000) if "gpu3" in link.name else link for link in cluster.links]
    trace = run_flows([GivenFlow(0, 1, 10**12, 0), GivenFlow(2, 3, 10**4, 0)], replace(cluster, links=slow))
    row = int(np.flatnonzero(trace.rates.bytes_per_s == 1000)[0])
    with pytest.raises(InvariantError, match=r"above its capacity: switch->gpu3 carries 1000\.1 bytes"):
        check_flows(changed(trace, "rates", "bytes_per_s", row, 0.1))
