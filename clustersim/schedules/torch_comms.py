"""What a ``compute_comms`` file says of communication, checked against the ops that it moves data between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from clustersim.ops import Kind, Schedule, actions_in


class CommunicationCell(NamedTuple):
    """A cell such as ``2SEND_F0`` or ``1UNSHARD``; a receive is named by the stage that receives."""

    rank: int
    cell: int
    stage: int
    kind: str
    microbatch: int | None


class _Op(NamedTuple):
    """What a message comes from or goes to; I and B are both the backward."""

    stage: int
    is_forward: bool
    microbatch: int

    def __str__(self) -> str:
        return f"{self.stage}{'F' if self.is_forward else 'B'}{self.microbatch}"


_Place = tuple[int, int]  # row, cell
_CellFault = tuple[int, int, str]


def communication_faults(
    schedule: Schedule, cells: Sequence[Sequence[int]], communication: Sequence[CommunicationCell]
) -> Iterator[_CellFault]:
    """Yield row, cell and text of each mistake; ``cells[pp_rank][position]`` is the cell of each slot.

    A send follows its op and a receive comes before the op that needs it; each has one partner at the neighbouring
    stage; and if anything is sent at all, everything is that another rank needs.
    """
    if not communication:
        return
    places = _places(schedule, cells)
    sends: dict[_Op, _Place] = {}  # by the op that makes the message
    receives: dict[_Op, _Place] = {}
    for entry in communication:
        if not 0 <= entry.stage < schedule.num_stages or schedule.rank_by_stage[entry.stage] != entry.rank:
            yield entry.rank, entry.cell, f"stage {entry.stage} has no ops in this row"
        elif entry.microbatch is not None:
            yield from _message_faults(schedule, entry, places, sends, receives)
    yield from _partner_faults(schedule, places, sends, receives)


def _places(schedule: Schedule, cells: Sequence[Sequence[int]]) -> dict[_Op, _Place]:
    return {
        _Op(stage, kind is Kind.F, microbatch): (rank, cell)
        for rank, order in enumerate(schedule.orders)
        for slot, cell in zip(order, cells[rank], strict=True)
        for kind, stage, microbatch in actions_in(slot)
        if kind is not Kind.W
    }


def _message_faults(
    schedule: Schedule,
    entry: CommunicationCell,
    places: dict[_Op, _Place],
    sends: dict[_Op, _Place],
    receives: dict[_Op, _Place],
) -> Iterator[_CellFault]:
    """Take note of a message under the op that makes it, and yield what is wrong with this side of it."""
    rank, cell, stage, kind, microbatch = entry
    is_send, is_forward = kind.startswith("SEND"), kind.endswith("F")
    own = _Op(stage, is_forward, microbatch or 0)
    previous, following = schedule.neighbours()
    upstream = (previous if is_forward else following)[stage]
    other = (following if is_forward else previous)[stage] if is_send else upstream
    text = f"{stage}{kind}{microbatch}"
    place = places.get(own)
    if place is None:
        yield rank, cell, f"{text}: there is no {own} whose data this {'sends' if is_send else 'receives'}"
    elif other < 0:
        yield rank, cell, f"{text}: stage {stage} has no neighbour on that side"
    elif is_send and place[1] > cell:
        yield rank, cell, f"{text} comes before {own}, which makes what it sends"
    elif not is_send and place[1] < cell:
        yield rank, cell, f"{text} comes after {own}, which needs what it receives"
    else:
        made_by = own if is_send else own._replace(stage=upstream)
        known = sends if is_send else receives
        if made_by in known:
            yield rank, cell, f"{text} stands twice in this row"
        known[made_by] = (rank, cell)


def _partner_faults(
    schedule: Schedule, places: dict[_Op, _Place], sends: dict[_Op, _Place], receives: dict[_Op, _Place]
) -> Iterator[_CellFault]:
    previous, following = schedule.neighbours()
    for op, place in sends.items():
        if op not in receives:
            yield *place, f"what this sends of {op} is received nowhere"
    for op, place in receives.items():
        if op not in sends:
            yield *place, f"what this receives of {op} is sent nowhere"
    if not sends:
        return
    for op, place in places.items():
        target = (following if op.is_forward else previous)[op.stage]
        if target >= 0 and schedule.rank_by_stage[target] != place[0] and op not in sends:
            yield *place, f"what {op} makes is needed in row {schedule.rank_by_stage[target] + 1}, but is not sent"
