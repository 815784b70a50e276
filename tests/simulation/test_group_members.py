"""Which ranks form groups, against the rule of Megatron-LM's rank generator written down anew: by masks and strides."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import pytest

from clustersim.ops import Job
from clustersim.scenario.load import scenario_from_mapping
from clustersim.topology.table import build_cluster
from clustersim.workload.job import build_job

SIZE = {"collective": "all-gather", "size": "1 MB"}


def masked_groups(order: str, sizes: dict[str, int], masked: set[str]) -> set[tuple[int, ...]]:
    """Return the groups of ranks that differ on the `masked` axes only; the first axis of `order` moves fastest."""
    axes = [axis for axis in order.split("-") if axis in sizes]
    strides = {axis: prod(sizes[before] for before in axes[:place]) for place, axis in enumerate(axes)}

    def ranks(moving: list[str]) -> list[int]:
        steps = product(*(range(0, sizes[axis] * strides[axis], strides[axis]) for axis in moving))
        return sorted(sum(step) for step in steps)

    offsets = ranks([axis for axis in axes if axis in masked])
    return {tuple(first + offset for offset in offsets) for first in ranks([a for a in axes if a not in masked])}


def job_of(parallelism: dict[str, Any]) -> Job:
    """Return a job in which every group has something to do."""
    exchanges = [SIZE | {"axis": axis, "op": "forward"} for axis in ("tp", "cp", "ep") if parallelism.get(axis, 1) > 1]
    costs = {"forward": "1 s", "backward": "1 s", "gradients": "1 MB", "exchanges": exchanges}
    num_gpus = prod(parallelism.get(axis, 1) for axis in ("tp", "cp", "dp", "pp"))
    mapping = {
        "version": 1,
        "stage_costs": costs,
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": num_gpus}},
        "parallelism": parallelism,
        "batch": {"num_microbatches": 1},
        "schedule": "gpipe",
    }
    scenario = scenario_from_mapping(mapping)
    return build_job(scenario, build_cluster(scenario.cluster.topology))


def groups_of(job: Job, axis: str) -> set[tuple[int, ...]]:
    return {
        tuple(sorted(job.ranks[place.replica][place.pp_rank] for place in group.places))
        for group in job.groups
        if group.axis == axis
    }


ORDERS = ("tp-cp-ep-dp-pp", "tp-ep-dp-cp-pp", "dp-tp-cp-ep-pp", "ep-dp-tp-cp-pp")
SIZES = ((2, 2, 4, 2), (4, 1, 4, 1), (2, 1, 3, 2), (4, 3, 2, 1))
EXPERTS = ((1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (16, 1), (3, 2), (6, 4))
CASES = [
    (order, sizes, experts)
    for order, sizes, experts in product(ORDERS, SIZES, EXPERTS)
    if prod(sizes[:3]) % prod(experts) == 0
]


@pytest.mark.parametrize(("order", "sizes", "experts"), CASES)
def test_groups_are_those_of_the_rank_generator(
    order: str, sizes: tuple[int, int, int, int], experts: tuple[int, int]
) -> None:
    (tp, cp, dp, pp), (ep, etp) = sizes, experts
    job = job_of({"tp": tp, "cp": cp, "dp": dp, "pp": pp, "ep": ep, "etp": etp, "order": order})
    ranks = {"tp": tp, "cp": cp, "dp": dp, "pp": pp}
    expert_ranks = {"tp": etp, "cp": 1, "ep": ep, "dp": tp * cp * dp // (ep * etp), "pp": pp}
    expected = {
        "tp": masked_groups(order, ranks, {"tp"}) if tp > 1 else set(),
        "cp": masked_groups(order, ranks, {"cp"}) if cp > 1 else set(),
        "dp": masked_groups(order, ranks, {"dp", "cp"}),
        "ep": masked_groups(order, expert_ranks, {"ep"}) if ep > 1 else set(),
    }
    assert {axis: groups_of(job, axis) for axis in expected} == expected
