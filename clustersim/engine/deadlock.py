"""What to say of a run that can't go on: the circle of ranks that wait for one another."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.engine.gpu import Gpu
from clustersim.errors import DeadlockError
from clustersim.ops import Job, Kind, Messages


def deadlock_error(job: Job, gpus: Sequence[Gpu]) -> DeadlockError:
    """Return the error that names the wait-for cycle of `gpus`, some of which have not reached their end."""
    by_rank = {gpu.rank: gpu for gpu in gpus}
    messages = {
        rank: pipeline.messages for pipeline, ranks in zip(job.pipelines, job.ranks, strict=True) for rank in ranks
    }
    rank = next(gpu.rank for gpu in gpus if _is_stuck(gpu) and _missing(gpu) is not None)
    visited: list[int] = []
    sentences: list[str] = []
    while rank not in visited:
        visited.append(rank)
        gpu = by_rank[rank]
        number = _missing(gpu) if _is_stuck(gpu) else None
        if number is None:
            sentences.append(f"{_name(gpu)} is done and will not answer")
            return DeadlockError(f"the run is stuck: {', which waits: '.join(sentences)}")
        sentence, rank = _wait(gpu, number, messages[rank], by_rank)
        sentences.append(sentence)
    return DeadlockError(f"the run is stuck in a circle: {', which waits: '.join(sentences[visited.index(rank) :])}")


def _wait(gpu: Gpu, number: int, messages: Messages, by_rank: dict[int, Gpu]) -> tuple[str, int]:
    """Return what a stuck rank waits for, in words, and the global rank on the other side."""
    source, destination = messages.sources[number], messages.destinations[number]
    receives = destination == gpu.pp_rank
    other = gpu.rank_by_pp_rank[source if receives else destination]
    what = f"{messages.kinds[number].name}{messages.microbatches[number]}"
    wait = f"waits for {what} from" if receives else f"waits to hand over {what} to"
    return f"{_name(gpu)} {wait} {_name(by_rank[other])}", other


def _is_stuck(gpu: Gpu) -> bool:
    return len(gpu.starts) < len(gpu.program)


def _missing(gpu: Gpu) -> int | None:
    """Return the first message that has not arrived for the row at which a rank is stuck; None at a barrier."""
    waits = gpu.program.waits_for[len(gpu.starts)]
    return next((number for number in waits if gpu.mailbox.arrived[number] < 0), None)


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
