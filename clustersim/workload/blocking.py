"""Blocking point-to-point: where each rank batches its sends and receives, as Megatron-LM does.

A rendezvous starts when both sides have posted it, and a rank goes on when its whole batch is done. Each rule turns the
rows of one rank and one step, which still carry the messages that they wait for and send, into plain compute rows with
EXCHANGE rows between them.

References
----------
Megatron-LM, ``megatron/core/pipeline_parallel/schedules.py``: ``forward_backward_pipelining_without_interleaving`` and
``forward_backward_pipelining_with_interleaving`` without ``overlap_p2p_comm``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from clustersim.errors import ScheduleError
from clustersim.ops import Kind, Schedule
from clustersim.schedules.interleaved import num_warmup_forwards, virtual_order, with_whole_groups
from clustersim.workload.rows import Row

_BACKWARD = frozenset({Kind.B, Kind.RECOMPUTE})


def with_exchanges(schedule: Schedule, rank: int, rows: Sequence[Row]) -> list[Row]:
    """Return `rows` of one rank and step with blocking exchanges in place of asynchronous messages."""
    if schedule.name not in EXCHANGES:
        raise ScheduleError(
            f"{schedule.name}: runtime.p2p = blocking is defined for {', '.join(EXCHANGES)} only; "
            "take p2p: asynchronous"
        )
    return EXCHANGES[schedule.name](schedule, rank, rows)


def _exchange(messages: Iterable[int]) -> list[Row]:
    """Return the EXCHANGE row of a batch, or nothing for an empty one; numbers follow sender rank and op."""
    batch = tuple(sorted(messages))
    return [Row(Kind.EXCHANGE, waits_for=batch)] if batch else []


def _compute(row: Row) -> Row:
    return row._replace(waits_for=(), sends=())


def _between_rows(rows: Sequence[Row], is_batched: Callable[[Row, Row], bool]) -> list[Row]:
    """Return `rows` with the sends of each row and the receives of the next, in one batch where told."""
    result = [*_exchange(rows[0].waits_for), _compute(rows[0])]
    for before, after in pairwise(rows):
        if is_batched(before, after):
            result += _exchange(before.sends + after.waits_for)
        else:
            result += _exchange(before.sends)
            result += _exchange(after.waits_for)
        result.append(_compute(after))
    return result + _exchange(rows[-1].sends)


def _gpipe(schedule: Schedule, rank: int, rows: Sequence[Row]) -> list[Row]:  # noqa: ARG001
    """The send of micro-batch i goes with the receive of i + 1."""
    return _between_rows(rows, lambda before, after: (before.kind in _BACKWARD) == (after.kind in _BACKWARD))


def _one_f_one_b(schedule: Schedule, rank: int, rows: Sequence[Row]) -> list[Row]:
    """Only the steady state batches: send_forward with recv_backward, then send_backward with recv_forward."""
    shape = schedule.shape
    if shape.num_microbatches <= shape.num_ranks - rank - 1:  # warm-up holds every forward: there is no steady state
        return _between_rows(rows, lambda _before, _after: False)
    return _between_rows(rows, lambda before, after: (before.kind in _BACKWARD) != (after.kind in _BACKWARD))


def _interleaved(schedule: Schedule, rank: int, rows: Sequence[Row]) -> list[Row]:
    """A forward and a backward, then one exchange in up to four directions; single sends and receives around that."""
    whole = with_whole_groups(schedule.shape)
    p, last_chunk = whole.num_ranks, whole.num_chunks - 1
    virtual = virtual_order(whole)
    blocks = _blocks(rows)
    forwards = [blocks.get((True, chunk * p + rank, microbatch), []) for chunk, microbatch in virtual]
    backwards = [blocks.get((False, (last_chunk - chunk) * p + rank, microbatch), []) for chunk, microbatch in virtual]
    receive_f = _receives(forwards, virtual, p, is_leading=rank == 0)
    receive_b = _receives(backwards, virtual, p, is_leading=rank == p - 1)
    num_warmup, total = num_warmup_forwards(whole, rank), len(virtual)
    first_gradient = _waits(backwards[0])
    result = _exchange(_waits(forwards[0]))
    for k in range(num_warmup):
        # The last warm-up exchange also takes the gradient of the first pair.
        gradient = first_gradient if k == num_warmup - 1 and num_warmup < total else ()
        result += [*map(_compute, forwards[k]), *_exchange((*_sends(forwards[k]), *receive_f[k], *gradient))]
    if num_warmup == 0:
        result += _exchange(first_gradient)
    for k in range(total - num_warmup):
        forward, backward = forwards[num_warmup + k], backwards[k]
        result += map(_compute, forward + backward)
        result += _exchange((*_sends(forward), *_sends(backward), *receive_f[num_warmup + k], *receive_b[k]))
    if num_warmup == total:
        result += _exchange(first_gradient)
    for k in range(total - num_warmup, total):
        result += [*map(_compute, backwards[k]), *_exchange((*_sends(backwards[k]), *receive_b[k]))]
    return result


def _waits(block: Sequence[Row]) -> tuple[int, ...]:
    return block[0].waits_for if block else ()


def _sends(block: Sequence[Row]) -> tuple[int, ...]:
    return block[-1].sends if block else ()


def _blocks(rows: Sequence[Row]) -> dict[tuple[bool, int, int], list[Row]]:
    """Return the rows of each forward, and of each backward with its recomputation, by stage and micro-batch."""
    blocks: dict[tuple[bool, int, int], list[Row]] = {}
    for row in rows:
        blocks.setdefault((row.kind is Kind.F, row.stage, row.microbatch), []).append(row)
    return blocks


def _receives(
    blocks: Sequence[Sequence[Row]], virtual: Sequence[tuple[int, int]], num_ranks: int, is_leading: bool
) -> list[list[int]]:
    """Return ``receives[k]``: the messages taken in the exchange after the k-th forward (or backward).

    A rank takes the input of its next one. The leading rank runs p - 1 ahead of the rank that feeds it, and takes what
    that one sends at the time, index k - (p - 1), however long before it is needed.
    """
    receives: list[list[int]] = [[] for _ in blocks]
    index_of = {place: index for index, place in enumerate(virtual)}
    for index, (chunk, microbatch) in enumerate(virtual[1:], 1):
        taken = index_of[chunk - 1, microbatch] + num_ranks - 1 if is_leading and chunk > 0 else index - 1
        receives[taken] += _waits(blocks[index])
    return receives


EXCHANGES: dict[str, Callable[[Schedule, int, Sequence[Row]], list[Row]]] = {
    "gpipe": _gpipe,
    "1f1b": _one_f_one_b,
    "interleaved-1f1b": _interleaved,
}
