"""How long messages between stages take with nothing in their way: what a cost-aware schedule and a bound go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from clustersim.ops import StageCosts
from clustersim.topology.cluster import Cluster


def with_hops(
    costs: Sequence[StageCosts],
    rank_by_stage: Sequence[int],
    chains: Sequence[Sequence[int]],
    gpus: Sequence[int],
    cluster: Cluster,
) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` with hop times, for a replica with ``gpus[pp_rank]``.

    Neighbouring stages on one rank exchange nothing.

    Raises
    ------
    UnroutableError
        Two GPUs that exchange messages have no path between them.
    """
    result = list(costs)
    for chain in chains:
        for here, there in pairwise(chain):
            near, far = gpus[rank_by_stage[here]], gpus[rank_by_stage[there]]
            if near != far:
                size_bytes = costs[here].message_bytes
                result[here] = replace(result[here], forward_hop_ps=cluster.message_ps(near, far, size_bytes))
                result[there] = replace(result[there], backward_hop_ps=cluster.message_ps(far, near, size_bytes))
    return tuple(result)
