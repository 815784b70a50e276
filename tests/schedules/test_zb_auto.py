"""ZB-auto: as good as what was published, within its limit on every run, never worse than the static schedules."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running import equal_costs, run_schedule

import clustersim as cs
from clustersim.analysis.bubble import measure_bubble, rank_times
from clustersim.analysis.invariants import check_invariants
from clustersim.analysis.memory import activation_curve, live_microbatch_curve
from clustersim.analysis.waits import find_waits
from clustersim.errors import ScenarioError, ScheduleError
from clustersim.footprint import ActivationLimit
from clustersim.ops import Schedule, Shape, StageCosts
from clustersim.schedules.check import check_schedule
from clustersim.schedules.table import build_schedule
from clustersim.schedules.zb_auto import zb_auto
from clustersim.trace import Trace

# Qi et al., ICLR 2024, table 5: model, p, m, T_F, T_B, T_W, T_comm [us], bubble rates of ZB-1p and ZB-2p.
PUBLISHED = [
    (8, 24, 18_522, 18_086, 9_337, 601, 0.1585, 0.0433),
    (8, 32, 18_513, 18_086, 9_331, 626, 0.1242, 0.0039),
    (8, 64, 18_546, 18_097, 9_321, 762, 0.0674, 0.0026),
    (16, 48, 11_347, 11_248, 8_132, 377, 0.1397, 0.0066),
    (16, 64, 11_307, 11_254, 8_101, 379, 0.1088, 0.0054),
    (16, 128, 11_325, 11_308, 8_109, 378, 0.0576, 0.0028),
]


def scenario(**sections: Any) -> cs.Scenario:
    document = {
        "version": 1,
        "stage_costs": {"forward": "1 ms", "input_grad": "1 ms", "weight_grad": "1 ms", "activation": "2 GiB"},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 16}},
        "parallelism": {"pp": 4},
        "batch": {"num_microbatches": 8},
        "schedule": "zb-auto",
    }
    return cs.Scenario.model_validate(document | sections)


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"p{row[0]}-m{row[1]}")
def test_spans_are_no_longer_than_published(row: tuple[Any, ...]) -> None:
    p, m, forward, input_grad, weight_grad, hop, *rates = row
    for num_activations, rate in zip((p, 2 * p), rates, strict=True):
        costs = {
            "forward": f"{forward} us",
            "input_grad": f"{input_grad} us",
            "weight_grad": f"{weight_grad} us",
            "activation": "2 GiB",
            "weight_grad_activation": "1 GiB",  # the paper's memory model: a good half goes at I
        }
        result = cs.simulate(
            scenario(
                stage_costs=costs,
                cluster={"topology": {"fabric": "full-mesh", "gpus": p, "link": {"latency": f"{hop} us"}}},
                parallelism={"pp": p},
                batch={"num_microbatches": m},
                schedule={"name": "zb-auto", "limit": {"activations": num_activations}},
            )
        )
        assert result.bubble.span_fraction is not None
        assert round(result.bubble.span_fraction, 4) <= rate
        assert max(rank.activations_peak_bytes for rank in result.memory.ranks) <= num_activations * 2 * 2**30


def test_it_sees_the_time_of_messages() -> None:
    slow = {"fabric": "full-mesh", "gpus": 4, "link": {"latency": "3 ms"}}
    limit = {"name": "zb-auto", "limit": {"microbatches": 8}}
    seeing = cs.simulate(scenario(cluster={"topology": slow}, schedule=limit))
    orders = zb_auto(Shape(4, 8, limit=ActivationLimit(microbatches=8)), equal_costs(4, 10**9, 10**9, 10**9)).orders
    blind = cs.simulate(
        scenario(cluster={"topology": slow}, schedule={"plugin": "blind"}),
        plugins={"blind": lambda _shape, _costs: [[str(slot) for slot in order] for order in orders]},
    )
    assert seeing.span_s < blind.span_s


LIMITS = st.one_of(
    st.builds(ActivationLimit, microbatches=st.integers(1, 20)),
    st.builds(ActivationLimit, activations=st.fractions(1, 16, max_denominator=4)),
    st.builds(ActivationLimit, size_bytes=st.integers(12, 150)),
)


@st.composite
def stages(draw: st.DrawFn, number: int) -> list[StageCosts]:
    result = []
    for _ in range(number):
        # only W may take no time: activations that live for no time would not show in a curve
        forward, input_grad, weight_grad = (draw(st.integers(shortest, 30)) for shortest in (1, 1, 0))
        activation = draw(st.integers(1, 12))
        recompute = draw(st.sampled_from((0, 0, 7)))
        result.append(
            StageCosts(
                forward,
                input_grad,
                weight_grad,
                forward + input_grad + weight_grad,
                recompute_ps=recompute,
                activation_bytes=activation,
                weight_grad_activation_bytes=draw(st.integers(0, activation)),
                checkpoint_bytes=draw(st.integers(0, activation)) if recompute else 0,
            )
        )
    return result


def peaks(trace: Trace, limit: ActivationLimit, costs: Sequence[StageCosts]) -> list[tuple[int, Fraction]]:
    """Return for each rank what it held at most and what it may hold."""
    if limit.microbatches is not None:
        live = live_microbatch_curve(trace).peaks(len(costs)).tolist()
        return [(peak, Fraction(limit.microbatches)) for peak in live]
    held = activation_curve(trace).peaks(len(costs)).tolist()
    if limit.size_bytes is not None:
        return [(peak, Fraction(limit.size_bytes)) for peak in held]
    assert limit.activations is not None
    return [(peak, limit.activations * cost.activation_bytes) for peak, cost in zip(held, costs, strict=True)]


@settings(max_examples=80, deadline=None)
@given(
    data=st.data(),
    p=st.integers(1, 6),
    m=st.integers(1, 14),
    limit=LIMITS,
    latency_ps=st.integers(0, 25),
    last=st.sampled_from((Fraction(1), Fraction(1, 3))),
)
def test_the_limit_holds_on_every_run(
    data: st.DataObject, p: int, m: int, limit: ActivationLimit, latency_ps: int, last: Fraction
) -> None:
    costs = data.draw(stages(p))
    schedule = build_schedule("zb-auto", Shape(p, m, limit=limit), costs)
    check_schedule(schedule)
    trace = run_schedule(schedule, costs, latency_ps, last_fraction=last)
    check_invariants(trace)
    for peak, allowed in peaks(trace, limit, costs):
        assert peak <= allowed


def with_hops(costs: Sequence[StageCosts], hop_ps: int) -> list[StageCosts]:
    return [replace(cost, forward_hop_ps=hop_ps, backward_hop_ps=hop_ps) for cost in costs]


@settings(max_examples=40, deadline=None)
@given(data=st.data(), p=st.integers(1, 6), m=st.integers(1, 14), latency_ps=st.integers(0, 25))
@pytest.mark.parametrize("rival", ["1f1b", "zb-h1", "zb-h2", "gpipe"])
def test_it_is_never_slower_than_a_static_schedule_within_the_same_limit(
    rival: str, data: st.DataObject, p: int, m: int, latency_ps: int
) -> None:
    costs = data.draw(stages(p))
    other = run_schedule(build_schedule(rival, Shape(p, m)), costs, latency_ps)
    most = int(live_microbatch_curve(other).peaks(p).max())
    schedule = zb_auto(Shape(p, m, limit=ActivationLimit(microbatches=most)), with_hops(costs, latency_ps))
    assert run_schedule(schedule, costs, latency_ps).makespan_ps <= other.makespan_ps


def span_of(schedule: Schedule, costs: Sequence[StageCosts]) -> int:
    trace = run_schedule(schedule, costs)
    waits = find_waits(trace)
    return measure_bubble(trace, waits, rank_times(trace, waits)).span_ps


@pytest.mark.parametrize(("p", "m"), [(2, 6), (4, 8), (4, 12), (8, 24)])
def test_equal_costs_and_twice_the_memory_leave_no_bubble_in_a_span(p: int, m: int) -> None:
    shape = Shape(p, m, limit=ActivationLimit(microbatches=2 * p))
    costs = equal_costs(p, 10, 10, 10)
    assert span_of(zb_auto(shape, costs), costs) == 30 * m
    assert span_of(build_schedule("zb-h1", Shape(p, m)), costs) == 30 * m + 10 * (p - 1)


def test_little_memory_is_used_well() -> None:
    # Proven by a search over all orders: in rounds of one F and one I, as 1F1B goes, it would be 477.
    shape = Shape(4, 6, limit=ActivationLimit(microbatches=2))
    schedule = zb_auto(shape, with_hops(equal_costs(4, 10, 14, 9), 1))
    assert run_schedule(schedule, equal_costs(4, 10, 14, 9), latency_ps=1).makespan_ps == 373


def test_without_a_limit_it_holds_what_1f1b_holds() -> None:
    costs = equal_costs(4, 12, 11, 5)
    assert zb_auto(Shape(4, 12), costs) == zb_auto(Shape(4, 12), costs)  # nothing in it is left to chance
    trace = run_schedule(zb_auto(Shape(4, 12), costs), costs)
    assert live_microbatch_curve(trace).peaks(4).max() == 4
    assert trace.makespan_ps == 12 * 28 + 3 * (12 + 11 - 5)


def test_a_uniform_large_pipeline_is_quick() -> None:
    started_s = time.process_time()
    zb_auto(Shape(16, 128, limit=ActivationLimit(microbatches=32)), with_hops(equal_costs(16, 11, 10, 8), 1))
    assert time.process_time() - started_s < 6


@pytest.mark.parametrize(
    ("limit", "rule"),
    [
        (ActivationLimit(microbatches=0), "0 micro-batches; allowed: at least 1"),
        (ActivationLimit(activations=Fraction(1, 2)), "0.5 activations; allowed: at least 1"),
        (ActivationLimit(size_bytes=9), "9 B, and one micro-batch takes 10 B; allowed: at least one `activation`"),
    ],
)
def test_a_limit_that_nothing_meets_is_refused(limit: ActivationLimit, rule: str) -> None:
    with pytest.raises(ScheduleError, match=f"zb-auto: limit: stage 0: {rule}"):
        zb_auto(Shape(2, 4, limit=limit), equal_costs(2, 1, 1, 1, activation_bytes=10))


def test_activations_without_a_size_are_no_unit() -> None:
    with pytest.raises(ScheduleError, match="counts in units of `activation`, which is 0 B"):
        zb_auto(Shape(2, 4, limit=ActivationLimit(activations=Fraction(2))), equal_costs(2, 1, 1, 1))


@pytest.mark.parametrize(
    ("limit", "rule"),
    [
        ({}, "schedule.limit.microbatches: missing key"),
        ({"microbatches": 2, "bytes": "1 GiB"}, "schedule.limit.bytes: given beside `microbatches`"),
        ({"microbatches": 0}, "schedule.limit.microbatches"),
        ({"activations": 0.5}, "schedule.limit.activations"),
        ({"bytes": "1 GiB"}, "one micro-batch takes 2147483648 B"),
        ({"bytes": 12}, "a bare number"),
    ],
)
def test_a_scenario_is_told_what_is_wrong_with_its_limit(limit: dict[str, Any], rule: str) -> None:
    from clustersim.scenario.load import scenario_from_mapping

    document = scenario().model_dump(mode="json", exclude_unset=True)
    with pytest.raises(ScenarioError, match=rule):
        scenario_from_mapping(document | {"schedule": {"name": "zb-auto", "limit": limit}})


def test_other_schedules_have_no_limit() -> None:
    with pytest.raises(ValueError, match="means nothing to 1f1b; it is for zb-auto"):
        scenario(schedule={"name": "1f1b", "limit": {"microbatches": 2}})


def test_a_limit_may_be_given_in_bytes() -> None:
    result = cs.simulate(scenario(schedule={"name": "zb-auto", "limit": {"bytes": "7 GiB"}}))
    assert max(rank.activations_peak_bytes for rank in result.memory.ranks) == 6 * 2**30
