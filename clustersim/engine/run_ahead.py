"""The run-ahead form: GPUs keep clocks of their own and yield only where an input is still unknown.

It is for jobs in which nothing depends on the order of times: static orders, asynchronous messages, and links that
messages reach in the order in which their one sender sends them. Such processes are a Kahn network: whichever goes
first, each comes to the same times. So whoever waits is woken last in, first out, which finishes one pipeline while it
is in the processor's cache; and replicas with the same order go as one process a stage, with a clock for each of them.

References
----------
Kahn, "The semantics of a simple language for parallel programming", IFIP 1974.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from clustersim.columns import starts as starts_of
from clustersim.engine.budget import run_within
from clustersim.engine.clock import Actor, Hold
from clustersim.engine.cohort import Timing, cohorts_of
from clustersim.engine.network import Network
from clustersim.engine.noted import Noted
from clustersim.engine.run_single import Single
from clustersim.engine.run_vector import Vector
from clustersim.engine.waking import Meeting, Waking
from clustersim.limits import Limits
from clustersim.ops import Job
from clustersim.trace import Ints

RUN_AHEAD = "run-ahead"
MEMBERS_OF_A_VECTOR = 12  # from so many replicas on, one numpy call costs less than as many steps in Python


def what_needs_time_order(job: Job, network: Network) -> str:
    """Return what in a job depends on the order of times, in words; nothing if its GPUs can run ahead."""
    if job.policy is not None:
        return "a policy orders ops while they run"
    if job.groups:
        return "ranks meet in collectives"
    if job.blocking:
        return "point-to-point blocks"
    if network.fair_links:
        return "links are shared"
    are_private = all(network.is_private(number) for links in network.link_ids.values() for number in links)
    return "" if are_private else "links have several senders"


class RunAhead:
    """One run in this form: processes are set up, run until every rank is done, and leave what they noted."""

    def __init__(self, job: Job, network: Network) -> None:
        self._job, self._env = job, Waking()
        groups: list[Single | Vector] = []
        for cohort in cohorts_of(job, network):
            timing = Timing(cohort, network)
            num_members = len(cohort.replicas)
            if num_members >= MEMBERS_OF_A_VECTOR and timing.fits_64_bits():
                groups.append(Vector(self._env, timing))
            else:
                timings = [timing]
                if num_members > 1:
                    timings = [Timing(cohort.of_one(member), network) for member in range(num_members)]
                groups += [Single(self._env, own) for own in timings]
        self._groups = sorted(groups, key=lambda group: group.cohort.replicas)
        meeting = Meeting(self._env, sum(group.num_ranks for group in groups))
        self._actors: list[Actor] = []
        for group in self._groups:
            for pp_rank in range(group.num_ranks):
                hold = Hold(self._env)
                self._actors.append(Actor(self._env, group.gpu(pp_rank, hold, meeting), hold))

    def run_to_end(self, limits: Limits) -> Noted | None:
        """Run until nothing more happens; return what was noted, or None if some rank is stuck.

        Raises
        ------
        LimitError
            A budget was used up before the end.
        """
        num_events = run_within(limits, self._env)
        for actor in self._actors:
            actor.leave()
        if not all(group.is_done() for group in self._groups):
            return None
        return self._noted(num_events)

    def _noted(self, num_events: int) -> Noted:
        pipelines = self._job.pipelines
        num_rows, num_messages = np.zeros((2, len(pipelines)), dtype=np.int64)
        for group in self._groups:
            replicas, columns = list(group.cohort.replicas), group.timing.columns
            num_rows[replicas], num_messages[replicas] = columns.num_rows, columns.num_messages
        starts = self._of_all(num_rows, lambda group: group.starts_by_member())
        started = self._of_all(num_messages, lambda group: group.started_by_member())
        arrived = self._of_all(num_messages, lambda group: group.arrived_by_member())
        queued: dict[int, int] = {}
        for group in self._groups:
            queued |= group.queued_by_link()
        num_in_vectors = sum(len(group.cohort.replicas) for group in self._groups if isinstance(group, Vector))
        vectors = f", {num_in_vectors} of {len(pipelines)} replicas as vectors" if num_in_vectors else ""
        return Noted(self._job, starts, None, started, arrived, queued, num_events, RUN_AHEAD + vectors)

    def _of_all(self, sizes: Ints, of_members: Callable[[Single | Vector], Iterable[Ints]]) -> Ints:
        """Return a column of all replicas, given how long that of each is, and what returns those of a group."""
        if len(sizes) == 1:
            (column,) = of_members(self._groups[0])
            return column
        first = starts_of(sizes)
        column = np.empty(first[-1], dtype=np.int64)
        for group in self._groups:
            for replica, own in zip(group.cohort.replicas, of_members(group), strict=True):
                column[first[replica] : first[replica + 1]] = own
        return column
