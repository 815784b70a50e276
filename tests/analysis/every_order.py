"""Every order that there is of a small pipeline, and how long each takes: found without the package under test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clustersim.ops import StageCosts


def best_makespan_ps(costs: Sequence[StageCosts], num_microbatches: int, hop_ps: int, limit: int | None) -> int:
    """Return the shortest makespan of all orders, one stage a rank, with at most `limit` live micro-batches. [ps]"""
    every_order = orders_within(limit, len(costs), num_microbatches)
    makespans = (longest_path(orders, costs, hop_ps) for orders in every_order)
    return min(makespan_ps for makespan_ps in makespans if makespan_ps is not None)


def orders_within(limit: int | None, p: int, m: int) -> Iterator[tuple[tuple[str, ...], ...]]:
    """Yield every way in which p ranks can run m micro-batches, each kind in order, live ones counted until W."""

    def words(done: tuple[int, int, int]) -> Iterator[tuple[str, ...]]:
        forwards, backwards, weight_grads = done
        if weight_grads == m:
            yield ()
        if forwards < m and (limit is None or forwards - weight_grads < limit):
            yield from (("F", *rest) for rest in words((forwards + 1, backwards, weight_grads)))
        if backwards < forwards:
            yield from (("I", *rest) for rest in words((forwards, backwards + 1, weight_grads)))
        if weight_grads < backwards:
            yield from (("W", *rest) for rest in words((forwards, backwards, weight_grads + 1)))

    one_rank = list(words((0, 0, 0)))

    def product(ranks: int) -> Iterator[tuple[tuple[str, ...], ...]]:
        if not ranks:
            yield ()
            return
        for rest in product(ranks - 1):
            yield from ((*rest, word) for word in one_rank)

    yield from product(p)


def longest_path(orders: Sequence[Sequence[str]], costs: Sequence[StageCosts], hop_ps: int) -> int | None:
    """Return the makespan of orders, found independently of the engine; None if they wait in a circle."""
    p = len(orders)
    ends: dict[tuple[str, int, int], int] = {}
    clocks, places, counts = [0] * p, [0] * p, [dict.fromkeys("FIW", 0) for _ in range(p)]
    going = True
    while going:
        going = False
        for rank, order in enumerate(orders):
            while places[rank] < len(order):
                kind = order[places[rank]]
                microbatch = counts[rank][kind]
                source = {"F": ("F", rank - 1), "I": ("I", rank + 1), "W": ("I", rank)}[kind]
                needed, hop = (source, hop_ps) if kind != "W" else (source, 0)
                if kind == "I" and rank == p - 1:
                    needed, hop = ("F", rank), 0
                arrival = 0 if kind == "F" and rank == 0 else ends.get((*needed, microbatch))
                if arrival is None:
                    break
                cost = costs[rank]
                length = {"F": cost.forward_ps, "I": cost.input_grad_ps, "W": cost.weight_grad_ps}[kind]
                clocks[rank] = max(clocks[rank], arrival + hop * (needed[1] in range(p))) + length
                ends[kind, rank, microbatch] = clocks[rank]
                counts[rank][kind] += 1
                places[rank] += 1
                going = True
    return max(clocks) if all(place == len(order) for place, order in zip(places, orders, strict=True)) else None
