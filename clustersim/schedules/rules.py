"""Rules about shapes that several families share; each names itself when it refuses."""

from __future__ import annotations

from dataclasses import replace

from clustersim.errors import ScheduleError
from clustersim.ops import Shape


def require_one_chunk(name: str, shape: Shape) -> None:
    """Raise ScheduleError if a family without model chunks is asked for several a rank."""
    if shape.num_chunks != 1:
        raise ScheduleError(
            f"{name}: vpp = {shape.num_chunks}: this schedule has one stage a rank; allowed: vpp = 1; "
            "for several use an interleaved schedule such as interleaved-1f1b"
        )


def group_size_of(name: str, shape: Shape) -> int:
    """Return how many contiguous micro-batches a chunk takes, by Megatron's rule or by PyTorch's.

    Without a group size it is p, with a short last group and any m. Given, Megatron wants p <= g <= m, and m % g to be
    0 or at least p. PyTorch takes rounds = max(1, m // p), wants m % rounds == 0, and uses g = m / rounds.
    """
    p, m, g = shape.num_ranks, shape.num_microbatches, shape.group_size
    if shape.torch_rounds:
        rounds = max(1, m // p)
        if m % rounds:
            raise ScheduleError(
                f"{name}: rounds: torch: m = {m} micro-batches do not divide into {rounds} rounds "
                f"(max(1, m // p), p = {p}); "
                f"allowed: m % {rounds} == 0; take {m - m % rounds} or {m + rounds - m % rounds} micro-batches"
            )
        return m // rounds
    if g is None:
        return p
    if not p <= g <= m:
        raise ScheduleError(
            f"{name}: group_size = {g} with p = {p} and m = {m}; allowed: p <= group_size <= m; "
            f"leave group_size out to take p"
        )
    if 0 < m % g < p:
        raise ScheduleError(
            f"{name}: group_size = {g} leaves a last group of {m % g} of m = {m} micro-batches; "
            f"allowed: m % group_size is 0 or at least p = {p}; leave group_size out to take p with a short last group"
        )
    return g


def with_two_chunks(name: str, shape: Shape) -> Shape:
    """Return the shape with two chunks a rank, as V and bidirectional families have; raise if asked for others."""
    if shape.num_chunks > 2:
        raise ScheduleError(
            f"{name}: vpp = {shape.num_chunks}: this schedule has two chunks a rank; allowed: vpp absent, 1 or 2; "
            "for more use an interleaved schedule such as interleaved-zb, or hanayo"
        )
    return replace(shape, num_chunks=2)


def require_even_ranks(name: str, shape: Shape) -> None:
    """Raise ScheduleError if a bidirectional family, whose ranks mirror each other, gets an odd number of them."""
    if shape.num_ranks % 2:
        raise ScheduleError(
            f"{name}: pp = {shape.num_ranks}: this schedule mirrors the first half of the ranks in the second; "
            f"allowed: an even pp; take pp = {shape.num_ranks + 1}"
        )


def require_two_microbatches_per_rank(name: str, shape: Shape) -> None:
    """Raise ScheduleError if there are too few micro-batches to fill a DualPipe pipeline."""
    p, m = shape.num_ranks, shape.num_microbatches
    if m < 2 * p:
        raise ScheduleError(
            f"{name}: num_microbatches = {m} with pp = {p}; allowed: num_microbatches >= 2 * pp = {2 * p}; "
            f"take {2 * p} micro-batches or a smaller pp"
        )
