"""What to say of a run that can't go on: the circle of ranks that wait for one another."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.engine.gpu import Gpu
from clustersim.errors import DeadlockError
from clustersim.ops import Job, Kind, Place


def deadlock_error(job: Job, gpus: Sequence[Gpu]) -> DeadlockError:
    """Return the error that names the wait-for cycle of `gpus`, some of which have not reached their end.

    ``gpus`` stand by replica, then by pp_rank.
    """
    return DeadlockError(_Circle(job, gpus).text())


class _Circle:
    """The walk from a rank that is stuck to one that it waits for, and so on."""

    def __init__(self, job: Job, gpus: Sequence[Gpu]) -> None:
        places = [Place(replica, pp_rank) for replica, ranks in enumerate(job.ranks) for pp_rank in range(len(ranks))]
        self.job, self.gpu_by_place = job, dict(zip(places, gpus, strict=True))

    def text(self) -> str:
        """Return the circle in words, or the way to a rank that is done."""
        stuck = [place for place, gpu in self.gpu_by_place.items() if not gpu.is_done]
        # Who waits for something first; under a policy all may be idle, and others at the barrier.
        place = min(stuck, key=lambda place: (self._missing(place) is None, _is_at_barrier(self.gpu_by_place[place])))
        visited: list[Place] = []
        sentences: list[str] = []
        while place not in visited:
            visited.append(place)
            number = self._missing(place)
            if number is None:
                sentences.append(_silence(self.gpu_by_place[place]))
                return f"the run is stuck: {', which waits: '.join(sentences)}"
            sentence, place = self._wait(place, number)
            sentences.append(sentence)
        return f"the run is stuck in a circle: {', which waits: '.join(sentences[visited.index(place) :])}"

    def _missing(self, place: Place) -> int | None:
        """Return what has not arrived for the row at which a rank is stuck, by its mailbox; None at a barrier."""
        gpu = self.gpu_by_place[place]
        if gpu.is_done:
            return None
        waits = gpu.arrivals_of(gpu.num_begun, len(self.job.pipelines[place.replica].messages))
        return next((number for number in waits if gpu.mailbox.arrived[number] < 0), None)

    def _wait(self, place: Place, number: int) -> tuple[str, Place]:
        """Return what a stuck rank waits for, in words, and the rank on the other side."""
        num_messages = len(self.job.pipelines[place.replica].messages)
        if number >= num_messages:
            return self._wait_for_call(place, number - num_messages)
        return self._wait_for_message(place, number)

    def _wait_for_message(self, place: Place, number: int) -> tuple[str, Place]:
        messages = self.job.pipelines[place.replica].messages
        source, destination = messages.sources[number], messages.destinations[number]
        receives = destination == place.pp_rank
        other = Place(place.replica, source if receives else destination)
        what = f"{messages.kinds[number].name}{messages.microbatches[number]}"
        wait = f"waits for {what} from" if receives else f"waits to hand over {what} to"
        return f"{_name(self.gpu_by_place[place])} {wait} {_name(self.gpu_by_place[other])}", other

    def _wait_for_call(self, place: Place, call: int) -> tuple[str, Place]:
        calls = self.job.pipelines[place.replica].calls
        axis, order = calls.axes[call], calls.orders[call]
        group = next(group for group in self.job.groups if group.axis == axis and place in group.places)
        other = next((member for member in group.places if not self._has_called(member, axis, order)), place)
        what = f"the {axis} {calls.operations[call]} number {order} of its group"
        return f"{_name(self.gpu_by_place[place])} waits for {what} with {_name(self.gpu_by_place[other])}", other

    def _has_called(self, place: Place, axis: str, order: int) -> bool:
        calls, gpu = self.job.pipelines[place.replica].calls, self.gpu_by_place[place]
        return any(
            calls.axes[call] == axis and calls.orders[call] == order
            for joins in gpu.program.joins[: gpu.num_begun]
            for call in joins
        )


def _is_at_barrier(gpu: Gpu) -> bool:
    return not gpu.is_done and gpu.program.kinds[gpu.num_begun] is Kind.BARRIER


def _silence(gpu: Gpu) -> str:
    """Return why a rank that waits for nothing will not answer, in words."""
    if gpu.is_done:
        return f"{_name(gpu)} is done and will not answer"
    if _is_at_barrier(gpu):
        return f"{_name(gpu)} waits for all others"
    return f"{_name(gpu)} is kept idle by its policy, which starts none of its ops"


def _name(gpu: Gpu) -> str:
    if gpu.is_done:
        return f"rank {gpu.rank}"
    row = gpu.num_begun
    kind, stage = gpu.program.kinds[row], gpu.program.stages[row]
    what = (
        kind.name.lower()
        if stage < 0
        else f"{stage}{kind.name if kind != Kind.RECOMPUTE else 'B'}{gpu.program.microbatches[row]}"
    )
    return f"rank {gpu.rank} (at {what})"
