"""The groups of a job: which ranks do collectives together on each axis, and how each group does what it is called for.

References
----------
Megatron-LM, ``megatron/core/parallel_state.py`` (which ranks form a group on each axis, experts included).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from clustersim.columns import CallColumns
from clustersim.errors import Fault, ScenarioError
from clustersim.ops import Group, Pipeline, Place
from clustersim.scenario.parallelism import Parallelism
from clustersim.topology.cluster import Cluster
from clustersim.topology.rank_layout import RankCoordinates, RankLayout
from clustersim.workload.alike_groups import Kind, plans_of_groups


def replica_index(parallelism: Parallelism, coordinates: RankCoordinates) -> int:
    """Return which replica of a job has these coordinates: tp runs fastest, then cp, then dp."""
    return (coordinates.dp * parallelism.cp + coordinates.cp) * parallelism.tp + coordinates.tp


def job_groups(
    parallelism: Parallelism,
    layout: RankLayout,
    pipelines: Sequence[Pipeline],
    gpus: Sequence[Sequence[int]],
    cluster: Cluster,
    num_simulated: int | None = None,
) -> tuple[Group, ...]:
    """Return the groups that are called for anything, each with a plan for everything that it is called for.

    Parameters
    ----------
    parallelism
        Sizes of the axes.
    layout
        Where ranks stand on the axes.
    pipelines
        ``pipelines[replica]``.
    gpus
        ``gpus[replica][pp_rank]``.
    cluster
        Where the GPUs are.
    num_simulated
        Replicas that are simulated, the first ones; the others of a group do the same at the same time. None: all.

    Raises
    ------
    ScenarioError
        Members of a group do not call for the same.
    UnroutableError
        Two GPUs of a group have no path between them.
    """
    calls_of = {id(pipeline): pipeline.calls.columns for pipeline in pipelines}
    found: list[tuple[str, tuple[Place, ...], tuple[int, ...], tuple[Kind, ...]]] = []
    known: dict[tuple[Hashable, ...], tuple[Kind, ...]] = {}
    for axis, places in _places(parallelism, layout, pipelines):
        # Equal replicas share a pipeline: most groups have one set of calls.
        members = tuple(dict.fromkeys((id(pipelines[place.replica]), place.pp_rank) for place in places))
        if (axis, members) not in known:
            known[axis, members] = _kinds(axis, [(calls_of[pipeline], pp_rank) for pipeline, pp_rank in members])
        kinds = known[axis, members]
        simulated = tuple(place for place in places if num_simulated is None or place.replica < num_simulated)
        if kinds and simulated:
            own_gpus = tuple([gpus[place.replica][place.pp_rank] for place in places])
            found.append((axis, simulated, own_gpus, kinds))
    plans = plans_of_groups([own for _, _, own, _ in found], [kinds for *_, kinds in found], cluster)
    return tuple(Group(axis, places, own) for (axis, places, _, _), own in zip(found, plans, strict=True))


def _kinds(axis: str, members: Sequence[tuple[CallColumns, int]]) -> tuple[Kind, ...]:
    """Return what members, pp_ranks of these pipelines, call for; of a short micro-batch some do for fewer bytes."""
    if len(members) > 1:
        _require_alike(axis, [calls.kinds(axis, pp_rank) for calls, pp_rank in members])
    return tuple(dict.fromkeys(kind for calls, pp_rank in members for kind in calls.different_kinds(axis, pp_rank)))


def _require_alike(axis: str, calls: Sequence[Sequence[Kind]]) -> None:
    if len({tuple((operation, repeats) for operation, _, repeats in own) for own in calls}) > 1:
        numbers = " and ".join(map(str, sorted({len(own) for own in calls})))
        what = (
            f"ranks of one {axis} group call for {numbers} collectives in a run, as their replicas have different "
            "numbers of micro-batches; they would wait for one another for ever"
        )
        raise ScenarioError(Fault("batch.global_batch_size", what, hint="give every replica as many micro-batches"))


def _places(
    parallelism: Parallelism, layout: RankLayout, pipelines: Sequence[Pipeline]
) -> Iterator[tuple[str, tuple[Place, ...]]]:
    """Yield every group of more than one rank on axes that are called for anything."""
    different = {id(pipeline): pipeline for pipeline in pipelines}.values()
    called = {axis for pipeline in different for axis in pipeline.calls.columns.axes}
    groups = [(axis, replicas) for axis, replicas in _replicas(parallelism, layout) if axis in called]
    for pp_rank in range(parallelism.pp):
        for axis, replicas in groups:
            yield axis, tuple([Place(replica, pp_rank) for replica in replicas])
    for replica, pipeline in enumerate(pipelines):
        if "pp" in pipeline.calls.columns.axes:
            chain, rank_by_stage = pipeline.schedule.chains[0], pipeline.schedule.rank_by_stage
            yield "pp", (Place(replica, rank_by_stage[chain[0]]), Place(replica, rank_by_stage[chain[-1]]))


def _replicas(parallelism: Parallelism, layout: RankLayout) -> Iterator[tuple[str, list[int]]]:
    """Yield the replicas of every group of more than one rank of one pp_rank, axis by axis; they are so on all."""
    tp, cp, dp = (range(size) for size in (parallelism.tp, parallelism.cp, parallelism.dp))

    def replica(tp_index: int, cp_index: int, dp_index: int) -> int:
        return replica_index(parallelism, RankCoordinates(tp_index, cp_index, dp_index, 0))

    found = [("tp", [replica(t, c, d) for t in tp]) for d in dp for c in cp]
    found += [("cp", [replica(t, c, d) for c in cp]) for d in dp for t in tp]
    # Gradients are reduced over the ranks that hold the same weights: those of dp and of cp.
    found += [("dp", [replica(t, c, d) for d in dp for c in cp]) for t in tp]
    for axis in ("ep", "etp"):
        experts = expert_groups(axis, parallelism, layout, pp_rank=0)
        found += [(axis, [place.replica for place in group]) for group in experts]
    yield from ((axis, replicas) for axis, replicas in found if len(replicas) > 1)


def expert_groups(axis: str, parallelism: Parallelism, layout: RankLayout, pp_rank: int) -> Iterator[list[Place]]:
    """Yield the ranks of one pipeline rank that hold one set of experts between them (ep), or one expert (etp).

    Ranks in rising order are dealt to expert-tensor-, expert- and expert-data-parallel places, in the axes' order.
    """
    ranks = {
        layout.rank(coordinates): Place(replica_index(parallelism, coordinates), pp_rank)
        for coordinates in (
            RankCoordinates(t, c, d, pp_rank)
            for d in range(parallelism.dp)
            for c in range(parallelism.cp)
            for t in range(parallelism.tp)
        )
    }
    places = [ranks[rank] for rank in sorted(ranks)]
    named = parallelism.order.split("-")
    wanted = "tp" if axis == "etp" else axis
    sizes = {
        "tp": parallelism.expert_tp,
        "ep": parallelism.ep,
        "dp": len(places) // (parallelism.ep * parallelism.expert_tp),
    }
    stride = 1
    for other in sorted(sizes, key=named.index):
        if other == wanted:
            break
        stride *= sizes[other]
    for first in range(len(places)):
        if first // stride % sizes[wanted] == 0:
            yield [places[first + stride * index] for index in range(sizes[wanted])]
