"""PyTorch's CSV form of an order: a row a rank, a cell a slot, no header.

Both formats of ``torch.distributed.pipelining`` are read. ``compute_only`` holds F, B, I, W and overlapped pairs, and a
cell is empty where a rank idles. ``compute_comms`` also says when a rank sends, receives, gathers and frees; what it
says is checked and dropped, as the simulator sends when an op ends and receives early.

Where a stage lives is read off the rows in which its ops stand. A file does not say which stages a micro-batch passes:
they are one chain from stage 0 to the last, unless ``num_chains`` is 2: then the second half of the stages is a second
replica, which micro-batches pass on their own, as in DualPipe and Chimera. That is asked for and never guessed, because
a V of 2p stages has the same placement.

References
----------
PyTorch 2.13, ``torch/distributed/pipelining/schedules.py``: ``_Action``, ``PipelineScheduleMulti._load_csv`` and
``_PipelineScheduleRuntime._dump_csv``. PyTorch stops at the first mistake and skips text after an action; here all
mistakes are told, and a cell must be an action from end to end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

from clustersim.errors import Fault, OrderError, Position
from clustersim.ops import Action, Kind, Overlap, Schedule, Shape, Slot, actions_in
from clustersim.schedules.torch_comms import CommunicationCell, communication_faults

MAX_BYTES = 10_000_000
MAX_CELLS = 2_000_000
MAX_FAULTS = 50

_ACTION = re.compile("([0-9]{1,7})([FBIW])([0-9]{1,7})")
_OVERLAP = re.compile(r"\(([^;()]*);([^;()]*)\)\s*OVERLAP_F_B")
_MESSAGE = re.compile("([0-9]{1,7})(SEND_F|RECV_F|SEND_B|RECV_B)([0-9]{1,7})")
_SHARDING = re.compile("([0-9]{1,7})(UNSHARD|RESHARD|REDUCE_GRAD)")
_LINE_END = re.compile("\r\n|\n|\r")
_LONGEST_SHOWN = 200

PositionOf = Callable[[int, int], Position | None]
"""Where a cell stands in a file, by row and cell, both counting from 0."""


def schedule_from_csv(text: str, name: str, num_chains: int = 1, file: str = "") -> Schedule:
    """Return the schedule that a file in PyTorch's CSV form holds.

    Parameters
    ----------
    text
        The whole file; lines may end in LF or CRLF, rows may be ragged, cells may be empty.
    name
        What messages call the schedule.
    num_chains
        2 if the second half of the stages is a second replica; see the notes of this module.
    file
        What messages call the file.

    Raises
    ------
    OrderError
        All mistakes, 50 at most, each with its row (a line of the file) and cell, counting from 1.

    Examples
    --------
    >>> schedule = schedule_from_csv("0F0,0F1,,0B0,0B1\\n,1F0,1B0,1F1,1B1\\n", "mine")
    >>> schedule.shape.num_microbatches, schedule.rank_by_stage, " ".join(map(str, schedule.orders[1]))
    (2, (0, 1), '1F0 1B0 1F1 1B1')
    """
    if len(text.encode()) > MAX_BYTES:
        raise OrderError(Fault(file or name, f"the file is larger than {MAX_BYTES // 10**6} MB"))
    lines = _LINE_END.split(text.removeprefix("\ufeff"))
    while lines and not lines[-1].strip():
        lines.pop()
    if sum(line.count(",") + 1 for line in lines) > MAX_CELLS:
        raise OrderError(Fault(file or name, f"the file has more than {MAX_CELLS:,} cells"))
    rows = [line.split(",") for line in lines]

    def position_of(row: int, cell: int) -> Position:
        before, written = rows[row][:cell], rows[row][cell]
        column = sum(len(other) + 1 for other in before) + len(written) - len(written.lstrip()) + 1
        shown = lines[row] if len(lines[row]) <= _LONGEST_SHOWN and lines[row].isprintable() else ""
        return Position(file or name, row + 1, column, shown)

    return schedule_from_rows(rows, name, num_chains, position_of)


def schedule_from_rows(
    rows: Sequence[Sequence[str]], name: str, num_chains: int = 1, position_of: PositionOf = lambda _row, _cell: None
) -> Schedule:
    """Return the schedule of ``rows[pp_rank][cell]``, each cell an action as PyTorch writes it, or empty.

    Raises
    ------
    OrderError
        All mistakes, 50 at most, each with its row and cell, counting from 1.
    """
    table = _Table(position_of)
    for rank, cells in enumerate(rows):
        table.read_row(rank, cells)
    table.stop_at_faults(name)
    rank_by_stage = table.placement(name, len(rows), num_chains)
    num_stages = len(rank_by_stage)
    size = num_stages // num_chains
    chains = tuple(tuple(range(first, first + size)) for first in range(0, num_stages, size))
    num_microbatches = sum(1 + max(map(table.last_microbatch.__getitem__, chain)) for chain in chains)
    shape = Shape(len(rows), num_microbatches, num_stages // len(rows))
    schedule = Schedule(name, shape, tuple(map(tuple, table.orders)), rank_by_stage, chains)
    for fault in communication_faults(schedule, table.cells, table.communication):
        table.note(*fault)
    table.stop_at_faults(name)
    return schedule


class _Table:
    """Rows of cells on their way to the orders of a schedule; collects what is wrong with them."""

    def __init__(self, position_of: PositionOf) -> None:
        self.orders: list[list[Slot]] = []
        self.cells: list[list[int]] = []  # cells[pp_rank][position]: the cell in which a slot stands
        self.communication: list[CommunicationCell] = []
        self.last_microbatch: dict[int, int] = {}  # by stage
        self._rank_of: dict[int, int] = {}
        self._position_of = position_of
        self._faults: list[Fault] = []
        self._num_faults = 0

    def note(self, rank: int, cell: int, what: str) -> None:
        """Take note of a mistake in a cell."""
        # a position is dear: it takes the cells before it
        position = self._position_of(rank, cell) if self._num_faults < MAX_FAULTS else None
        self._add(Fault(f"row {rank + 1}, cell {cell + 1}", what, position))

    def _add(self, fault: Fault) -> None:
        self._num_faults += 1
        if self._num_faults <= MAX_FAULTS:
            self._faults.append(fault)

    def stop_at_faults(self, name: str) -> None:
        """Raise OrderError if there was a mistake."""
        if self._num_faults > MAX_FAULTS:
            self._faults.append(Fault(name, f"and {self._num_faults - MAX_FAULTS} mistakes more"))
        if self._faults:
            raise OrderError(self._faults)

    def read_row(self, rank: int, cells: Sequence[str]) -> None:
        """Read the order of one rank."""
        order: list[Slot] = []
        places: list[int] = []
        num_faults = self._num_faults
        for cell, written in enumerate(cells):
            text = _unquoted(written.strip())
            if not text:
                continue
            slot = self._slot(rank, cell, text)
            if slot is not None:
                order.append(slot)
                places.append(cell)
                for action in actions_in(slot):
                    self._place(action, rank, cell)
        if not order and self._num_faults == num_faults:
            self._add(Fault(f"row {rank + 1}", "no op; every rank has a stage, and the ops of it"))
        self.orders.append(order)
        self.cells.append(places)

    def _slot(self, rank: int, cell: int, text: str) -> Slot | None:
        """Return what a rank computes in a cell; None for communication and for mistakes."""
        if match := _ACTION.fullmatch(text):
            return Action(Kind[match[2]], int(match[1]), int(match[3]))
        if match := _MESSAGE.fullmatch(text):
            self.communication.append(CommunicationCell(rank, cell, int(match[1]), match[2], int(match[3])))
        elif match := _SHARDING.fullmatch(text):
            self.communication.append(CommunicationCell(rank, cell, int(match[1]), match[2], None))
        elif match := _OVERLAP.fullmatch(text):
            return self._overlap(rank, cell, [_unquoted(part.strip()) for part in match.groups()])
        else:
            shown = text if len(text) <= 40 else f"{text[:40]}..."
            known = "an action is stage, letter (F, B, I or W) and micro-batch, as in 2F0, or (0F3;3B1)OVERLAP_F_B"
            self.note(rank, cell, f"'{shown}' is no action; {known}")
        return None

    def _overlap(self, rank: int, cell: int, parts: Sequence[str]) -> Slot | None:
        by_kind = {Kind[match[2]]: match for match in map(_ACTION.fullmatch, parts) if match}
        if sorted(by_kind) != [Kind.F, Kind.B]:
            self.note(rank, cell, f"an overlapped pair is one F and one B; got '{parts[0]}' and '{parts[1]}'")
            return None
        forward, backward = (Action(kind, int(by_kind[kind][1]), int(by_kind[kind][3])) for kind in (Kind.F, Kind.B))
        return Overlap(forward, backward)

    def _place(self, action: Action, rank: int, cell: int) -> None:
        _, stage, microbatch = action
        self.last_microbatch[stage] = max(self.last_microbatch.get(stage, -1), microbatch)
        owner = self._rank_of.setdefault(stage, rank)
        if owner != rank:
            self.note(rank, cell, f"{action}: stage {stage} has ops in row {owner + 1} too; a stage lives on one rank")

    def placement(self, name: str, num_ranks: int, num_chains: int) -> tuple[int, ...]:
        """Return the rank of every stage; raise OrderError if stages are missing or not shared out evenly."""
        stages = sorted(self._rank_of)
        if not stages:
            raise OrderError(Fault(name, "no rows: the order of a rank is a row of cells such as 0F0"))
        gap = next((here + 1 for here, there in pairwise([-1, *stages]) if there != here + 1), None)
        if gap is not None:
            what = f"stage {gap} has no ops, but stage {stages[-1]} has; stages are numbered from 0 without gaps"
            raise OrderError(Fault(name, what))
        ranks = tuple(self._rank_of[stage] for stage in stages)
        per_rank = Counter(ranks)
        counts = [per_rank[rank] for rank in range(num_ranks)]
        if min(counts) != max(counts):
            what = f"ranks hold {min(counts)} to {max(counts)} stages; every rank must hold as many"
            raise OrderError(Fault(name, what))
        if len(ranks) % num_chains:
            what = f"{len(ranks)} stages are no {num_chains} chains of equal length"
            raise OrderError(Fault(name, what, hint="leave `chains` out for one chain"))
        return ranks


def _unquoted(text: str) -> str:
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text
