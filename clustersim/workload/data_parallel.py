"""Data parallelism within a step: gradients are reduced, and where they are sharded, weights gathered again.

Gradients of a stage are complete with its last backward. If their reduction is overlapped, that op is cut into parts,
one a bucket of gradients, and each bucket is reduced while the next parts run. If weights are gathered beside the
forward, all stages of a rank ask for theirs when the step begins, and each waits before its first forward.

References
----------
Narayanan et al., SC 2021, section 2.1 (data parallelism around a pipeline). Megatron-LM, ``megatron/core``:
``distributed/distributed_data_parallel.py`` (buckets), ``optimizer/distrib_optimizer.py`` (reduce-scatter of gradients,
all-gather of parameters), ``distributed/finalize_model_grads.py`` (tied embeddings last).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clustersim.ops import Kind, Schedule, StageCosts
from clustersim.workload.calls import Call, RankCalls
from clustersim.workload.rows import OpCost, Row


@dataclass(frozen=True, slots=True)
class DataParallel:
    """How replicas share their gradients and weights."""

    is_sharded: bool  # gradients are reduce-scattered, and weights gathered after the update
    overlap_reduce: bool
    overlap_gather: bool
    bucket_bytes: int

    def reduction(self, size_bytes: int, stage: int) -> Call:
        """Return the call that reduces so many bytes of gradients."""
        operation = "reduce-scatter" if self.is_sharded else "all-reduce"
        return Call("dp", operation, size_bytes, 1, Kind.OPTIMIZER, stage)


def with_reductions(
    rows: Sequence[Row],
    stages: Sequence[int],
    costs: Sequence[StageCosts],
    data_parallel: DataParallel | None,
    calls: RankCalls,
) -> tuple[list[Row], tuple[int, ...]]:
    """Return `rows` of a rank and step with the reductions that run beside them, and the numbers of those calls."""
    if data_parallel is None or not data_parallel.overlap_reduce:
        return list(rows), ()
    stage_of_row = {_last_backward(rows, stage): stage for stage in stages if costs[stage].reduction_bytes and rows}
    result: list[Row] = []
    numbers: list[int] = []
    for index, row in enumerate(rows):
        stage = stage_of_row.get(index, -1)
        if stage < 0:
            result.append(row)
            continue
        buckets = _buckets(row, costs[stage].reduction_bytes, data_parallel.bucket_bytes)
        reductions = [calls.add(data_parallel.reduction(size_bytes, stage)) for size_bytes in buckets]
        result += _parted(row, reductions)
        numbers += reductions
    return result, tuple(numbers)


def with_gathers(
    rows: Sequence[Row],
    stages: Sequence[int],
    costs: Sequence[StageCosts],
    data_parallel: DataParallel | None,
    calls: RankCalls,
) -> list[Row]:
    """Return `rows` of a rank and step with the gathering of sharded weights beside the first forwards."""
    if data_parallel is None or not (data_parallel.is_sharded and data_parallel.overlap_gather):
        return list(rows)
    number_by_row: dict[int, int] = {}
    for index, row in enumerate(rows):
        stage, is_forward = row.stage, row.kind in (Kind.F, Kind.FB)
        if is_forward and stage in stages and costs[stage].gathering_bytes:
            stages = [other for other in stages if other != stage]
            number_by_row[index] = calls.add(_gather(costs, stage))
    if not number_by_row:
        return list(rows)
    result = [Row(Kind.COLLECTIVE, joins=tuple(number_by_row.values()))]
    for index, row in enumerate(rows):
        # The forward itself waits for them, as for its message: of its wait, what came last is the reason.
        result.append(row._replace(awaits=(number_by_row[index],)) if index in number_by_row else row)
    return result


def closing_rows(
    stages: Sequence[int],
    schedule: Schedule,
    costs: Sequence[StageCosts],
    update: Sequence[Row],
    data_parallel: DataParallel | None,
    calls: RankCalls,
    under_way: Sequence[int] = (),
    beside: bool = True,
) -> list[Row]:
    """Return what a rank does after the last backward of a step: wait for gradients, `update`, and gather weights.

    Parameters
    ----------
    stages
        Stages of the rank.
    schedule
        Whose chains say which stages share an embedding.
    costs
        ``costs[stage]``.
    update
        Rows of the barrier and the optimizer step.
    data_parallel
        How replicas share gradients and weights; None: there is one only.
    calls
        To which the calls are added.
    under_way
        Reductions that were begun beside the backward.
    beside
        Whether reductions and gathers may be overlapped; not in a stream, which begins no step anew.
    """
    rows: list[Row] = []
    awaited = tuple(under_way)
    if data_parallel is not None and not (data_parallel.overlap_reduce and beside):
        begun = tuple(
            calls.add(data_parallel.reduction(costs[stage].reduction_bytes, stage))
            for stage in stages
            if costs[stage].reduction_bytes
        )
        rows += [Row(Kind.COLLECTIVE, joins=begun)] if begun else []
        awaited += begun
    rows += [Row(Kind.COLLECTIVE, awaits=awaited)] if awaited else []
    for stage in stages:
        if size_bytes := tied_gradients_bytes(schedule, costs, stage):
            number = calls.add(Call("pp", "all-reduce", size_bytes, 1, Kind.OPTIMIZER, stage))
            rows += [Row(Kind.COLLECTIVE, joins=(number,)), Row(Kind.COLLECTIVE, awaits=(number,))]
    rows += update
    if data_parallel is not None and data_parallel.is_sharded and not (data_parallel.overlap_gather and beside):
        gathers = tuple(calls.add(_gather(costs, stage)) for stage in stages if costs[stage].gathering_bytes)
        if gathers:
            rows += [Row(Kind.COLLECTIVE, joins=gathers), Row(Kind.COLLECTIVE, awaits=gathers)]
    return rows


def tied_gradients_bytes(schedule: Schedule, costs: Sequence[StageCosts], stage: int) -> int:
    """Return the gradients that a stage shares with the other end of its chain; 0 if both are on one rank. [bytes]"""
    for chain in schedule.chains:
        first, last = chain[0], chain[-1]
        if stage in (first, last) and schedule.rank_by_stage[first] != schedule.rank_by_stage[last]:
            return min(costs[first].tied_gradients_bytes, costs[last].tied_gradients_bytes)
    return 0


def _gather(costs: Sequence[StageCosts], stage: int) -> Call:
    return Call("dp", "all-gather", costs[stage].gathering_bytes, 1, Kind.OPTIMIZER, stage)


def _last_backward(rows: Sequence[Row], stage: int) -> int:
    """Return the row with which the gradients of a stage are complete."""

    def completes(row: Row) -> bool:
        if row.backward is not None and row.backward.stage == stage:
            return True
        return row.stage == stage and row.kind in (Kind.B, Kind.W)

    return max((index for index, row in enumerate(rows) if completes(row)), default=-1)


def _buckets(row: Row, gradients_bytes: int, bucket_bytes: int) -> list[int]:
    """Return the sizes of the buckets of gradients that a backward completes, as equal as can be. [bytes]"""
    num_buckets = 1 if row.kind is Kind.FB else -(-gradients_bytes // bucket_bytes)
    return [gradients_bytes * (k + 1) // num_buckets - gradients_bytes * k // num_buckets for k in range(num_buckets)]


def _parted(row: Row, reductions: Sequence[int]) -> list[Row]:
    """Return a backward cut into one part a bucket, each of which starts the reduction of its own."""
    duration_ps, start_bytes, end_bytes = row.cost
    ends = [duration_ps * (part + 1) // len(reductions) for part in range(len(reductions))]
    durations = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    parts = [
        row._replace(kind=Kind.PART, cost=OpCost(duration, 0, 0), waits_for=(), sends=(), joins=(number,))
        for duration, number in zip(durations[:-1], reductions[:-1], strict=True)
    ]
    last = row._replace(cost=OpCost(durations[-1], 0, end_bytes), waits_for=(), joins=(*row.joins, reductions[-1]))
    first, *others = [*parts, last]
    _, _, freed = first.cost
    return [first._replace(cost=OpCost(durations[0], start_bytes, freed), waits_for=row.waits_for), *others]
