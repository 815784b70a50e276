"""What a run notes while it goes on, whichever form it has: the little from which its trace follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from clustersim.engine.gpu import Gpu
from clustersim.engine.link import Mailbox
from clustersim.engine.network import Network
from clustersim.engine.noted_groups import NotedCollectives, NotedPhases, NotedRates, in_order
from clustersim.engine.record_programs import num_messages
from clustersim.ops import Job
from clustersim.trace import Ints

TIME_ORDERED = "time-ordered"


@dataclass(frozen=True, slots=True)
class Noted:
    """The start of every row, by replica and rank, and what became of every message, by replica, and of groups. [ps]"""

    job: Job  # as it was run
    starts_ps: Ints
    queued_ps: Ints | None  # None: messages are queued when the op that makes them ends
    started_ps: Ints
    arrived_ps: Ints
    link_queued_ps: dict[int, int]  # time that messages waited for each link
    num_events: int
    engine: str
    collectives: NotedCollectives = field(default_factory=NotedCollectives)
    phases: NotedPhases = field(default_factory=NotedPhases)
    rates: NotedRates = field(default_factory=NotedRates)


def noted_by_processes(
    job: Job, network: Network, gpus: Sequence[Gpu], mailboxes: Sequence[Mailbox], num_events: int
) -> Noted:
    """Return what the processes of a time-ordered run noted; ``gpus`` stand by replica, then by pp_rank."""
    sizes = [num_messages(pipeline) for pipeline in job.pipelines]
    collectives, phases, place_of_phase = network.collectives.noted()
    rates = network.rates.noted()
    row_of_flow = np.append(np.arange(sum(sizes)), sum(sizes) + place_of_phase)

    def of_messages(columns: Iterable[Sequence[int]]) -> Ints:
        """Return what stands in the mailboxes for messages; calls follow them there."""
        parts = (column[:size] for size, column in zip(sizes, columns, strict=True))
        return np.fromiter(chain.from_iterable(parts), np.int64, sum(sizes))

    return Noted(
        job,
        np.fromiter(chain.from_iterable(gpu.starts for gpu in gpus), np.int64, sum(len(gpu.starts) for gpu in gpus)),
        of_messages(mailbox.queued for mailbox in mailboxes) if job.blocking else None,
        of_messages(mailbox.started for mailbox in mailboxes),
        of_messages(mailbox.arrived for mailbox in mailboxes),
        network.queued_ps(),
        num_events,
        TIME_ORDERED,
        collectives,
        phases,
        in_order([rates._replace(flow=row_of_flow[rates.flow])]),
    )
