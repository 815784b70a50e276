"""What a run leaves: numpy columns, frozen. Everything that is reported derives from them.

A row of :class:`Ops` is a row of a rank's program; rows stand by global rank, then in program order. Times are integer
picoseconds since the start of the run.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class _Columns:
    """Makes the arrays of a frozen dataclass read-only."""

    def __post_init__(self) -> None:
        for column in fields(self):  # type: ignore[arg-type]
            value = getattr(self, column.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)


@dataclass(frozen=True, slots=True)
class Ranks(_Columns):
    """The GPUs that were simulated, one row per global rank."""

    rank: Ints
    replica: Ints
    pp_rank: Ints
    gpu: Ints
    first_op: Ints  # index of the rank's first row in Ops; one more entry than ranks, the last is len(ops)
    weights_bytes: Ints
    gradients_bytes: Ints
    optimizer_bytes: Ints

    def __len__(self) -> int:
        return len(self.rank)


@dataclass(frozen=True, slots=True)
class Ops(_Columns):
    """What every rank did: compute, and the zero-long rows at which it exchanged messages or met a barrier."""

    rank_index: Ints  # row of Ranks
    kind: Ints  # clustersim.ops.Kind
    stage: Ints
    microbatch: Ints
    backward_stage: Ints  # of an overlapped slot, else -1
    backward_microbatch: Ints
    step: Ints
    start_ps: Ints
    end_ps: Ints
    start_bytes: Ints  # memory taken at the start
    end_bytes: Ints  # memory change at the end
    first_need: Ints  # index into needs; one more entry than ops
    needs: Ints  # transfers that the row waited for

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True)
class Transfers(_Columns):
    """Every message between GPUs.

    ``queued`` is when it could first start: its producer ended (asynchronous), or both sides had posted it (blocking).
    ``start`` is when the first link took it, ``end`` when the last bit arrived, latency included.
    """

    axis: Ints  # index into AXES
    kind: Ints  # Kind.F for activations, Kind.B for gradients
    microbatch: Ints
    step: Ints
    source: Ints  # row of Ranks
    destination: Ints
    size_bytes: Ints
    producer: Ints  # row of Ops
    consumer: Ints
    route: Ints  # index into Trace.routes
    queued_ps: Ints
    start_ps: Ints
    first_hold_ps: Ints  # how long it held the first link of its route
    end_ps: Ints

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True)
class Links(_Columns):
    """Links that carried something, one row each."""

    name: tuple[str, ...]
    latency_ps: Ints
    size_bytes: Ints
    busy_ps: Ints  # time for which a message held the link
    queued_ps: Ints  # time that messages spent waiting for the link, summed over messages
    num_messages: Ints

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True, slots=True)
class Trace:
    """The whole run."""

    ranks: Ranks
    ops: Ops
    transfers: Transfers
    links: Links
    routes: tuple[tuple[str, ...], ...]  # names of the links of each route
    num_steps: int
    makespan_ps: int
    num_events: int  # SimPy events that the run scheduled


AXES = ("tp", "pp", "dp", "cp", "ep")
