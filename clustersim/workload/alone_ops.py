"""How long the ops of a stage take with nothing in their way, the exchanges of its groups included."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from clustersim.ops import Exchange, Kind, StageCosts
from clustersim.scenario.parallelism import Parallelism
from clustersim.workload.group_times import GroupTimes

LARGEST_GROUP = 64  # whose collectives are planned on every rank; of larger ones on the first and the last rank alone


class OpTimes(NamedTuple):
    """Times of the ops of one stage. [ps]"""

    forward: int
    recompute: int
    input_grad: int
    weight_grad: int
    backward: int  # both gradients as one op; without recomputation
    beside: dict[str, int]  # what a forward exchanges by axis, which an overlapped pair does beside its compute
    beside_back: dict[str, int]  # and what its backward does
    overlapped: tuple[int, int]  # compute of a forward and of a backward


def op_times(
    cost: StageCosts, parallelism: Parallelism, pp_rank: int, groups: GroupTimes, beside: Collection[str]
) -> OpTimes:
    """Return how long the ops of a stage on a rank take at least; exchanges on the axes `beside` run as they compute.

    Exchanges of large groups on middle ranks are taken to cost nothing, as planning each of them takes long.
    """
    exchanged: dict[Kind, list[tuple[Exchange, int]]] = {}
    for exchange in cost.exchanges:
        time_ps = exchange_ps(exchange, parallelism, pp_rank, groups)
        exchanged.setdefault(exchange.kind, []).append((exchange, time_ps))

    def op_ps(compute_ps: int, *kinds: Kind) -> int:
        return _op_ps(compute_ps, [entry for kind in kinds for entry in exchanged.get(kind, ())], beside)

    gap_ps = cost.host_gap_ps
    again = Kind.F if cost.recomputes_exchanges else Kind.RECOMPUTE
    backward_ps = cost.backward_ps + gap_ps
    return OpTimes(
        op_ps(cost.forward_ps + gap_ps, Kind.F),
        op_ps(cost.recompute_ps, again) if cost.recompute_ps else 0,
        op_ps(cost.input_grad_ps + gap_ps, Kind.I),
        op_ps(cost.weight_grad_ps + gap_ps, Kind.W),
        op_ps(backward_ps, Kind.I, Kind.W),
        _by_axis(exchanged.get(Kind.F, ())),
        _by_axis([*exchanged.get(Kind.I, ()), *exchanged.get(Kind.W, ())]),
        (cost.forward_ps + gap_ps, backward_ps),
    )


def exchange_ps(exchange: Exchange, parallelism: Parallelism, pp_rank: int, groups: GroupTimes) -> int:
    """Return how long an exchange of a rank's group takes at least. [ps]"""
    gpus = groups.members(exchange.axis, parallelism, pp_rank)
    if len(gpus) > LARGEST_GROUP and pp_rank not in (0, parallelism.pp - 1):
        return 0
    return groups.idle_ps(gpus, exchange.operation, exchange.size_bytes, exchange.num_calls)


def _op_ps(compute_ps: int, exchanged: Iterable[tuple[Exchange, int]], beside: Collection[str]) -> int:
    after = dict[str, int]()
    hidden = dict[str, int]()
    for exchange, time_ps in exchanged:
        is_hidden = exchange.axis in beside if exchange.is_beside is None else exchange.is_beside
        into = hidden if is_hidden else after
        into[exchange.axis] = into.get(exchange.axis, 0) + time_ps
    # what runs beside on an axis is over before what follows on the same one
    busy = [time_ps + after.get(axis, 0) for axis, time_ps in hidden.items()]
    return max(compute_ps + sum(after.values()), *busy) if busy else compute_ps + sum(after.values())


def _by_axis(exchanged: Iterable[tuple[Exchange, int]]) -> dict[str, int]:
    total = dict[str, int]()
    for exchange, time_ps in exchanged:
        total[exchange.axis] = total.get(exchange.axis, 0) + time_ps
    return total
