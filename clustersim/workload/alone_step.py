"""How long a step takes with nothing in its way: the path through its ops, and what opens and closes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.ops import Kind, StageCosts
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.spec import Runtime
from clustersim.workload.alone_ops import LARGEST_GROUP, OpTimes
from clustersim.workload.data_parallel import tied_gradients_bytes
from clustersim.workload.group_times import GroupTimes
from clustersim.workload.order_path import Code, Ends, OrderPath


@dataclass(frozen=True, slots=True)
class StepTimes:
    """The times of one layout. [ps]"""

    parallelism: Parallelism
    costs: Sequence[StageCosts]
    ops: Sequence[OpTimes]  # by stage
    hops_ps: Sequence[int]  # as the order lists its hops
    groups: GroupTimes
    gpus: Sequence[int]  # of the first replica, by pp_rank

    def duration_ps(self, code: Code) -> int:
        """Return how long the ops of one kind take; a recomputation is part of its backward. [ps]"""
        kind, stage, backward_stage = code
        times = self.ops[stage]
        if kind is Kind.F:
            return times.forward
        if kind is Kind.W:
            return times.weight_grad
        if kind is not Kind.FB:
            return times.recompute + (times.backward if kind is Kind.B else times.input_grad)
        back = self.ops[backward_stage]
        busy = dict(times.beside)
        for axis, time_ps in back.beside_back.items():
            busy[axis] = busy.get(axis, 0) + time_ps
        return back.recompute + max(times.overlapped[0] + back.overlapped[1], *busy.values(), 0)

    def parts_of_backward(self, code: Code) -> tuple[int, int]:
        """Return what an op with a backward takes before its compute, and the compute. [ps]"""
        kind, stage, backward_stage = code
        if kind is Kind.W:
            return 0, self.costs[stage].weight_grad_ps + self.costs[stage].host_gap_ps
        if kind is Kind.FB:
            back = self.ops[backward_stage]
            return back.recompute, self.ops[stage].overlapped[0] + back.overlapped[1]
        return self.ops[stage].recompute, self.ops[stage].overlapped[1]

    def replicas(self, pp_rank: int) -> tuple[int, ...]:
        """Return the GPUs that share a rank's weights; none if there is one alone, or if nobody asks the group."""
        gpus = self.groups.members("dp", self.parallelism, pp_rank)
        is_asked = len(gpus) <= LARGEST_GROUP or pp_rank in (0, self.parallelism.pp - 1)
        return gpus if len(gpus) > 1 and is_asked else ()


def step_ps(path: OrderPath, layouts: Sequence[StepTimes], runtime: Runtime) -> list[int]:
    """Return how long a step of each layout of one order takes at least. [ps]"""
    durations = np.array([[times.duration_ps(code) for times in layouts] for code in path.codes], dtype=np.int64)
    hops = np.array([times.hops_ps for times in layouts], dtype=np.int64).T
    begins: dict[int, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
    if runtime.overlap.param_gather:
        openings = [_openings(path, times) for times in layouts]
        for stage in dict.fromkeys(stage for opening in openings for stage in opening):
            begins[stage] = np.array([opening.get(stage, 0) for opening in openings], dtype=np.int64)
    ends = path.ends(durations, hops, begins)
    return [_closed_ps(path, times, ends, column, runtime) for column, times in enumerate(layouts)]


def _openings(path: OrderPath, times: StepTimes) -> dict[int, int]:
    """Return when the sharded weights of each stage are gathered, those of a rank one after the other. [ps]"""
    begins: dict[int, int] = {}
    if times.parallelism.zero_stage == 0:
        return begins
    for rank, stages in enumerate(path.stages_by_first_forward):
        gpus, now_ps = times.replicas(rank), 0
        for stage in stages if gpus else ():
            if size_bytes := times.costs[stage].gathering_bytes:
                begins[stage] = now_ps = now_ps + times.groups.idle_ps(gpus, "all-gather", size_bytes)
    return begins


def _closed_ps(path: OrderPath, times: StepTimes, ends: Ends, column: int, runtime: Runtime) -> int:
    """Return when a layout's step is over: gradients reduced, all ranks met, weights updated and gathered. [ps]"""
    clocks, gathers = [], []
    for rank, stages in enumerate(path.stages_by_first_forward):
        clock_ps, gpus, gather_ps = int(ends.rank_end[rank][column]), times.replicas(rank), 0
        if gpus and runtime.overlap.grad_reduce:
            clock_ps = max(
                clock_ps, _reduced_beside_ps(path, times, gpus, stages, ends, column, runtime.gradient_bucket)
            )
        elif gpus:
            clock_ps += sum(_reduction_ps(times, gpus, times.costs[stage].reduction_bytes) for stage in stages)
        if gpus and times.parallelism.zero_stage and not runtime.overlap.param_gather:
            sizes = [times.costs[stage].gathering_bytes for stage in stages]
            gather_ps = sum(times.groups.idle_ps(gpus, "all-gather", size) for size in sizes if size)
        clocks.append(clock_ps)
        gathers.append(gather_ps)
    _meet_for_embeddings(path, times, clocks)
    if runtime.optimizer_barrier:
        clocks = [max(clocks)] * len(clocks)
    updates = [path.schedule.update_ps(stages, times.costs) for stages in path.stages_by_first_forward]
    return max(sum(parts) for parts in zip(clocks, updates, gathers, strict=True))


def _reduced_beside_ps(
    path: OrderPath,
    times: StepTimes,
    gpus: tuple[int, ...],
    stages: Sequence[int],
    ends: Ends,
    column: int,
    bucket_bytes: int,
) -> int:
    """Return when a rank's gradients are reduced, which begins in the last backward of each of its stages. [ps]"""
    free_ps = 0
    for stage in sorted(stages, key=lambda stage: int(ends.last_backward_start[stage][column])):
        size_bytes = times.costs[stage].reduction_bytes
        if not size_bytes:
            continue
        code = path.last_backward[stage]
        before_ps, compute_ps = times.parts_of_backward(code)
        start_ps = int(ends.last_backward_start[stage][column]) + before_ps
        num_buckets = 1 if code[0] is Kind.FB else -(-size_bytes // bucket_bytes)
        sizes = [size_bytes * (k + 1) // num_buckets - size_bytes * k // num_buckets for k in range(num_buckets)]
        reductions = [_reduction_ps(times, gpus, size) for size in sizes]
        one_after_the_other_ps = max(free_ps, start_ps + compute_ps // num_buckets) + sum(reductions)
        free_ps = max(one_after_the_other_ps, start_ps + compute_ps + reductions[-1])
    return free_ps


def _reduction_ps(times: StepTimes, gpus: tuple[int, ...], size_bytes: int) -> int:
    if not size_bytes:
        return 0
    operation = "reduce-scatter" if times.parallelism.zero_stage else "all-reduce"
    return times.groups.idle_ps(gpus, operation, size_bytes)


def _meet_for_embeddings(path: OrderPath, times: StepTimes, clocks: list[int]) -> None:
    """Put forward the clocks of ranks that share an embedding by what reducing its gradients takes."""
    schedule = path.schedule
    for chain in schedule.chains:
        size_bytes = tied_gradients_bytes(schedule, times.costs, chain[0])
        if size_bytes:
            near, far = (schedule.rank_by_stage[stage] for stage in (chain[0], chain[-1]))
            gpus = (times.gpus[near], times.gpus[far])
            clocks[near] = clocks[far] = max(clocks[near], clocks[far]) + times.groups.idle_ps(
                gpus, "all-reduce", size_bytes
            )
