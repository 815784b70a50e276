"""What to say of a run that can't go on: the circle of ranks that wait for one another."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.engine.gpu import Gpu
from clustersim.errors import DeadlockError
from clustersim.ops import Job, Kind, Message


def deadlock_error(job: Job, gpus: Sequence[Gpu]) -> DeadlockError:
    """Return the error that names the wait-for cycle of `gpus`, some of which have not reached their end."""
    by_rank = {gpu.rank: gpu for gpu in gpus}
    messages = {
        rank: pipeline.messages for pipeline, ranks in zip(job.pipelines, job.ranks, strict=True) for rank in ranks
    }
    rank = next(gpu.rank for gpu in gpus if _is_stuck(gpu) and _blocker(gpu, messages[gpu.rank]) is not None)
    visited: list[int] = []
    sentences: list[str] = []
    while rank not in visited:
        visited.append(rank)
        gpu = by_rank[rank]
        blocker = _blocker(gpu, messages[rank]) if _is_stuck(gpu) else None
        if blocker is None:
            sentences.append(f"{_name(gpu)} is done and will not answer")
            return DeadlockError(f"the run is stuck: {', which waits: '.join(sentences)}")
        message, other = blocker
        verb = "waits for" if message.destination == gpu.pp_rank else "waits to hand over"
        preposition = "from" if message.destination == gpu.pp_rank else "to"
        rank = gpu.rank_by_pp_rank[other]
        sentences.append(
            f"{_name(gpu)} {verb} {message.kind.name}{message.microbatch} {preposition} {_name(by_rank[rank])}"
        )
    return DeadlockError(f"the run is stuck in a circle: {', which waits: '.join(sentences[visited.index(rank) :])}")


def _is_stuck(gpu: Gpu) -> bool:
    return len(gpu.starts) < len(gpu.program)


def _blocker(gpu: Gpu, messages: Sequence[Message]) -> tuple[Message, int] | None:
    """Return the first message that a stuck rank waits for, and the pp_rank of the other side; None at a barrier."""
    waits = gpu.program.waits_for[len(gpu.starts)]
    for number in waits:
        if gpu.mailbox.arrived[number] < 0:
            message = messages[number]
            return message, message.source if message.destination == gpu.pp_rank else message.destination
    return None


def _name(gpu: Gpu) -> str:
    if not _is_stuck(gpu):
        return f"rank {gpu.rank}"
    row = len(gpu.starts)
    kind, stage = gpu.program.kinds[row], gpu.program.stages[row]
    what = (
        kind.name.lower()
        if stage < 0
        else f"{stage}{kind.name if kind != Kind.RECOMPUTE else 'B'}{gpu.program.microbatches[row]}"
    )
    return f"rank {gpu.rank} (at {what})"
