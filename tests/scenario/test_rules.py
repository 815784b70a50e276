"""Rules over several sections, at their edges."""

import pytest
from scenario_examples import MINIMAL

from clustersim.errors import ScenarioError
from clustersim.scenario.load import scenario_from_mapping, vary
from clustersim.scenario.node import plain
from clustersim.scenario.read_yaml import read_yaml
from clustersim.scenario.text import Text

VALUES = plain(read_yaml(Text("minimal.yaml", MINIMAL)))


def _refusals(**changes: object) -> list[str]:
    """Return the keys at fault after `changes`, whose names have __ for a dot."""
    try:
        vary(scenario_from_mapping(VALUES), {key.replace("__", "."): value for key, value in changes.items()})  # type: ignore[arg-type]
    except ScenarioError as error:
        return [fault.where for fault in error.faults]
    return []


def test_the_example_is_right() -> None:
    assert _refusals() == []


@pytest.mark.parametrize(
    ("pp", "num_microbatches", "group_size", "is_allowed"),
    [
        (4, 8, 4, True),
        (4, 8, 8, True),
        (4, 8, 3, False),  # smaller than pp
        (4, 8, 9, False),  # larger than the number of micro-batches
        (4, 10, 5, True),
        (4, 10, 6, True),  # a last group of 4
        (4, 9, 6, False),  # a last group of 3
        (1, 1, 1, True),
        (4, 3, 4, False),
    ],
)
def test_megatrons_rule_for_groups(pp: int, num_microbatches: int, group_size: int, is_allowed: bool) -> None:
    schedule = {"name": "interleaved-1f1b", "group_size": group_size}
    found = _refusals(
        schedule=schedule, parallelism__pp=pp, parallelism__vpp=2, batch__num_microbatches=num_microbatches
    )
    assert found == ([] if is_allowed else ["schedule.group_size"])


def test_the_rule_for_groups_holds_for_every_replica() -> None:
    schedule = {"name": "interleaved-1f1b", "group_size": 4}
    batch = {"global_batch_size": 17, "remainder": "short"}  # 9 and 8 micro-batches: 9 leaves a last group of 1
    assert _refusals(schedule=schedule, parallelism={"pp": 4, "dp": 2}, batch=batch) == ["schedule.group_size"]


@pytest.mark.parametrize(
    ("pp", "num_microbatches", "is_allowed"), [(4, 8, True), (4, 9, False), (4, 10, True), (4, 3, True), (4, 11, False)]
)
def test_pytorchs_rule_for_rounds(pp: int, num_microbatches: int, is_allowed: bool) -> None:
    schedule = {"name": "interleaved-1f1b", "rounds": "torch"}
    found = _refusals(schedule=schedule, parallelism__pp=pp, batch__num_microbatches=num_microbatches)
    assert found == ([] if is_allowed else ["schedule.rounds"])


def test_any_number_of_micro_batches_without_a_group_size() -> None:
    for num_microbatches in (1, 3, 7):
        assert (
            _refusals(schedule="interleaved-1f1b", parallelism__vpp=2, batch__num_microbatches=num_microbatches) == []
        )


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b", "interleaved-1f1b", "zb-h1"])
def test_what_each_schedule_asks_for(schedule: str) -> None:
    halves = {"forward": "1 ms", "input_grad": "1 ms", "weight_grad": "1 ms"}
    whole = {"forward": "1 ms", "backward": "2 ms"}
    is_zero_bubble, is_interleaved = schedule == "zb-h1", schedule == "interleaved-1f1b"
    assert _refusals(schedule=schedule, stage_costs=halves) == []
    assert _refusals(schedule=schedule, stage_costs=whole) == (["stage_costs.backward"] if is_zero_bubble else [])
    assert _refusals(schedule=schedule, runtime__p2p="blocking") == (["runtime.p2p"] if is_zero_bubble else [])
    assert _refusals(schedule=schedule, parallelism__vpp=2) == ([] if is_interleaved else ["parallelism.vpp"])


def test_each_stage_that_gives_only_the_sum_is_named() -> None:
    stages = [{"forward": "1 ms", "input_grad": "1 ms", "weight_grad": "1 ms"}, {"forward": "1 ms", "backward": "2 ms"}]
    found = _refusals(schedule="zb-h1", stage_costs={"stages": stages * 2})
    assert found == ["stage_costs.stages.1.backward", "stage_costs.stages.3.backward"]


def test_stages_are_pp_times_vpp() -> None:
    stages = [{"forward": "1 ms", "backward": "2 ms"}] * 8
    interleaved = {"schedule": "interleaved-1f1b", "parallelism__vpp": 2}
    assert _refusals(stage_costs={"stages": stages}, **interleaved) == []
    assert _refusals(stage_costs={"stages": stages[:7]}, **interleaved) == ["stage_costs.stages"]


def test_gpus() -> None:
    assert _refusals(cluster__gpus=4) == []
    assert _refusals(cluster__gpus=8) == ["cluster.gpus"]
    assert _refusals(cluster__gpus=8, parallelism__dp=2) == []
    assert _refusals(cluster__gpus=9, parallelism__dp=2) == ["cluster.gpus"]
    assert _refusals(parallelism={"pp": 2, "tp": 2, "cp": 2}) == []
    assert _refusals(parallelism={"pp": 2, "tp": 2, "cp": 2, "dp": 2}) == ["parallelism"]


def test_experts() -> None:
    assert _refusals(parallelism={"pp": 2, "dp": 4, "ep": 4}) == []
    assert _refusals(parallelism={"pp": 2, "dp": 4, "ep": 3}) == ["parallelism.ep"]
    assert _refusals(parallelism={"pp": 2, "tp": 2, "dp": 2, "ep": 2}) == []  # etp is tp: 2 * 2 divides 4
    assert _refusals(parallelism={"pp": 2, "tp": 2, "dp": 2, "ep": 4}) == ["parallelism.ep"]
    assert _refusals(parallelism={"pp": 2, "tp": 2, "dp": 2, "ep": 4, "etp": 1}) == []
