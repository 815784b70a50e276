"""How long messages between stages take with nothing in their way: what a cost-aware schedule and a bound go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from clustersim.ops import StageCosts
from clustersim.topology.cluster import Cluster

Hops = tuple[tuple[int, int, int, int], ...]  # stage, the next one, and the times of a message there and back [ps]


class HopTimes:
    """Times of messages on a cluster, found once for all links of one make."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[tuple[object, ...], int] = {}

    def of(
        self,
        costs: Sequence[StageCosts],
        rank_by_stage: Sequence[int],
        chains: Sequence[Sequence[int]],
        gpus: Sequence[int],
    ) -> Hops:
        """Return the hops of a replica with ``gpus[pp_rank]``; neighbouring stages on one rank exchange nothing.

        Raises
        ------
        UnroutableError
            Two GPUs that exchange messages have no path between them.
        """
        hops = []
        for chain in chains:
            for here, there in pairwise(chain):
                near, far = gpus[rank_by_stage[here]], gpus[rank_by_stage[there]]
                if near != far:
                    size_bytes = costs[here].message_bytes
                    hops.append(
                        (here, there, self._message_ps(near, far, size_bytes), self._message_ps(far, near, size_bytes))
                    )
        return tuple(hops)

    def _message_ps(self, source: int, destination: int, size_bytes: int) -> int:
        cluster = self._cluster
        makes = [cluster.link(number).make for number in cluster.route(source, destination)]
        key = (size_bytes, *makes)
        if key not in self._known:
            self._known[key] = cluster.message_ps(source, destination, size_bytes)
        return self._known[key]


def with_hop_times(costs: Sequence[StageCosts], hops: Hops) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` with hop times."""
    forwards_ps, backwards_ps = [cost.forward_hop_ps for cost in costs], [cost.backward_hop_ps for cost in costs]
    for here, there, forward_ps, backward_ps in hops:
        forwards_ps[here], backwards_ps[there] = forward_ps, backward_ps
    known: dict[tuple[int, int, int], StageCosts] = {}  # most stages are alike, and to make a record takes long
    keys = list(zip(map(id, costs), forwards_ps, backwards_ps, strict=True))
    for cost, key in zip(costs, keys, strict=True):
        if key not in known:
            known[key] = replace(cost, forward_hop_ps=key[1], backward_hop_ps=key[2])
    return tuple([known[key] for key in keys])


def with_hops(
    costs: Sequence[StageCosts],
    rank_by_stage: Sequence[int],
    chains: Sequence[Sequence[int]],
    gpus: Sequence[int],
    cluster: Cluster,
) -> tuple[StageCosts, ...]:
    """Return ``costs[stage]`` with hop times, for a replica with ``gpus[pp_rank]``.

    Raises
    ------
    UnroutableError
        Two GPUs that exchange messages have no path between them.
    """
    return with_hop_times(costs, HopTimes(cluster).of(costs, rank_by_stage, chains, gpus))
