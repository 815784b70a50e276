"""How long the collectives of a job's groups take on an idle fabric, group by group."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.scenario.parallelism import Parallelism
from clustersim.topology.cluster import Cluster
from clustersim.topology.rank_layout import RankCoordinates, RankLayout
from clustersim.workload.group_plan import GroupPlanner
from clustersim.workload.groups import expert_groups, replica_index


class GroupTimes:
    """Times of collectives on one cluster; groups and times that were asked for before are kept.

    Parameters
    ----------
    cluster
        Where the groups are.
    gpu_by_rank
        GPU of each global rank.
    """

    def __init__(self, cluster: Cluster, gpu_by_rank: Sequence[int]) -> None:
        self.cluster, self._gpu_by_rank = cluster, gpu_by_rank
        self._groups: dict[tuple[object, ...], tuple[int, ...]] = {}
        self._planners: dict[tuple[int, ...], GroupPlanner] = {}
        self._known: dict[tuple[object, ...], int] = {}

    def members(self, axis: str, parallelism: Parallelism, pp_rank: int) -> tuple[int, ...]:
        """Return the GPUs of the group on an axis that the first replica's rank belongs to."""
        p = parallelism
        key = (axis, p.tp, p.cp, p.dp, p.pp, p.ep, p.expert_tp, p.order, pp_rank)
        if key not in self._groups:
            layout = RankLayout(p.tp, p.cp, p.dp, p.pp, p.order)
            self._groups[key] = tuple(self._gpu_by_rank[rank] for rank in _ranks(axis, p, layout, pp_rank))
        return self._groups[key]

    def gpu(self, parallelism: Parallelism, pp_rank: int) -> int:
        """Return the GPU of the first replica's rank."""
        p = parallelism
        key = ("rank", p.tp, p.cp, p.dp, p.pp, p.order, pp_rank)
        if key not in self._groups:
            rank = RankLayout(p.tp, p.cp, p.dp, p.pp, p.order).rank(RankCoordinates(0, 0, 0, pp_rank))
            self._groups[key] = (self._gpu_by_rank[rank],)
        return self._groups[key][0]

    def message_ps(self, source: int, destination: int, size_bytes: int) -> int:
        """Return how long a message between two GPUs takes. [ps]"""
        key = (source, destination, size_bytes)
        if key not in self._known:
            self._known[key] = self.cluster.message_ps(source, destination, size_bytes)
        return self._known[key]

    def idle_ps(self, gpus: tuple[int, ...], operation: str, size_bytes: int, num_calls: int = 1) -> int:
        """Return how long so many collectives of a group take one after the other, as the job plans them. [ps]"""
        key = (gpus, operation, size_bytes, num_calls)
        if key not in self._known:
            if gpus not in self._planners:
                self._planners[gpus] = GroupPlanner(gpus, self.cluster, in_training=True)
            self._known[key] = self._planners[gpus].idle_ps(operation, size_bytes, num_calls)
        return self._known[key]


def _ranks(axis: str, p: Parallelism, layout: RankLayout, pp_rank: int) -> list[int]:
    def rank(tp: int, cp: int, dp: int) -> int:
        return layout.rank(RankCoordinates(tp, cp, dp, pp_rank))

    if axis in ("ep", "etp"):
        places = next(
            group for group in expert_groups(axis, p, layout, pp_rank) if any(place.replica == 0 for place in group)
        )
        by_replica = {
            replica_index(p, RankCoordinates(t, c, d, pp_rank)): rank(t, c, d)
            for d in range(p.dp)
            for c in range(p.cp)
            for t in range(p.tp)
        }
        return [by_replica[place.replica] for place in places]
    if axis == "tp":
        return [rank(t, 0, 0) for t in range(p.tp)]
    if axis == "cp":
        return [rank(0, c, 0) for c in range(p.cp)]
    return [rank(0, c, d) for d in range(p.dp) for c in range(p.cp)]
