"""Explicit costs: what a scenario says one micro-batch costs, spread over the global stages.

Loop, V and wave placements all keep stage ``k`` in chunk ``k // p``, so one rule shares a rank's costs for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clustersim.ops import Exchange, Kind, StageCosts
from clustersim.scenario.costs import RankCosts


def uniform_stage_costs(cost: RankCosts, num_ranks: int, num_chunks: int) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` when every rank costs the same: a chunk takes 1/v of each value but the message.

    What does not divide leaves the first chunks one picosecond or byte more.
    """
    per_chunk = [_stage_costs(cost, num_chunks, chunk) for chunk in range(num_chunks)]
    return _tied_at_ends([per_chunk[stage // num_ranks] for stage in range(num_ranks * num_chunks)])


def placed_stage_costs(
    cost: RankCosts, rank_by_stage: Sequence[int], chains: Sequence[Sequence[int]]
) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` when every rank costs the same and stages live anywhere, each in one of `chains`.

    A rank's stages of one chain share its costs among them, the first of them taking what does not divide; a second
    chain is a second replica, and costs the same again.
    """
    costs: dict[int, StageCosts] = {}
    for chain in chains:
        on_rank: dict[int, list[int]] = {}
        for stage in chain:
            on_rank.setdefault(rank_by_stage[stage], []).append(stage)
        for stages in on_rank.values():
            costs |= {stage: _stage_costs(cost, len(stages), part) for part, stage in enumerate(stages)}
    return _tied_at_ends([costs[stage] for stage in range(len(rank_by_stage))])


def _tied_at_ends(costs: list[StageCosts]) -> tuple[StageCosts, ...]:
    """Return `costs` with the gradients of a tied embedding on the first and the last stage only."""
    if not any(cost.tied_gradients_bytes for cost in costs):
        return tuple(costs)
    ends = (0, len(costs) - 1)
    return tuple(cost if stage in ends else replace(cost, tied_gradients_bytes=0) for stage, cost in enumerate(costs))


def listed_stage_costs(costs: Sequence[RankCosts]) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` as listed, one mapping per global stage."""
    return tuple(_stage_costs(cost, 1, 0) for cost in costs)


def both_replicas(costs: tuple[StageCosts, ...]) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` of a bidirectional schedule: stage p + k copies stage k, and nothing is divided."""
    return costs * 2


def _stage_costs(cost: RankCosts, num_parts: int, part: int) -> StageCosts:
    def share(value: int) -> int:
        quotient, remainder = divmod(value, num_parts)
        return quotient + (part < remainder)

    # A fused backward alone is carried as an input gradient; schedules that part I from W refuse it at validation.
    input_grad_ps = share(cost.backward if cost.backward is not None else cost.input_grad or 0)
    weight_grad_ps = share(cost.weight_grad or 0)
    forward_ps = share(cost.forward)
    overlapped = cost.forward_backward
    return StageCosts(
        forward_ps=forward_ps,
        input_grad_ps=input_grad_ps,
        weight_grad_ps=weight_grad_ps,
        forward_backward_ps=forward_ps + input_grad_ps + weight_grad_ps if overlapped is None else share(overlapped),
        recompute_ps=share(cost.recompute),
        optimizer_ps=share(cost.optimizer_step),
        activation_bytes=share(cost.activation),
        weight_grad_activation_bytes=share(cost.weight_grad_activation_bytes),
        checkpoint_bytes=share(cost.checkpoint),
        message_bytes=cost.message,
        weights_bytes=share(cost.weights),
        gradients_bytes=share(cost.gradients),
        optimizer_bytes=share(cost.optimizer_state),
        exchanges=tuple(
            Exchange(given.axis, _OP_KINDS[given.op], given.collective, given.size, share(given.calls))
            for given in cost.exchanges
            if share(given.calls)
        ),
        tied_gradients_bytes=cost.tied_embedding_gradients,
    )


_OP_KINDS = {"forward": Kind.F, "backward": Kind.I, "input_grad": Kind.I, "weight_grad": Kind.W}
