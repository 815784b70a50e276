"""The trace of all GPUs of a folded run: what every one of them would have noted, made when somebody looks at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from clustersim.engine.clock import Timeline
from clustersim.engine.folding.part import FoldedRun
from clustersim.engine.folding.renamed import renamed
from clustersim.engine.folding.uses import Lists
from clustersim.engine.network import Network
from clustersim.engine.noted import Noted
from clustersim.engine.noted_groups import NotedCollectives, NotedPhases, NotedRates, in_order
from clustersim.engine.record import ranks_table, record
from clustersim.engine.record_programs import Stack, columns_by_replica
from clustersim.folded import Folded
from clustersim.later import later
from clustersim.sorting import kinds_of
from clustersim.trace import Ints, Trace


def whole_trace(run: FoldedRun, of_all: Callable[[], Trace] | None = None, unfolded_because: str = "") -> Trace:
    """Return the trace of all GPUs, of which large tables are made when somebody looks at them.

    They are made as those of any run: out of what was noted of all, which `of_all` records, or else out of copies of
    what was noted of one of each class.
    """
    whole, sample = _Whole(run), run.trace
    assert sample.copies is not None
    job, classes = run.folding.uses.job, run.folding.classes
    num_replicas, num_classes = len(job.pipelines), classes.num_replicas
    first_op = whole.stack.first_op
    rank = np.concatenate([whole.rows_of(replica, run.stack.first_rank) for replica in whole.folded_replicas])
    made: Callable[[], Trace] = cache(of_all) if of_all is not None else lambda: whole.trace
    return Trace(
        ranks_table(job, first_op),
        later(lambda: made().ops),
        later(lambda: made().transfers),
        later(lambda: made().collectives),
        later(lambda: made().phases),
        sample.copies.links,
        later(lambda: made().rates),
        later(lambda: made().routes),
        later(lambda: made().phase_ways),
        later(lambda: made().groups),
        job.num_steps,
        sample.makespan_ps,
        sample.num_events,
        sample.fragmentation,
        sample.logits_shares,
        sample.engine,
        folded=Folded(sample, made, rank, num_replicas, classes.num_programs, num_classes, of_all is not None),
        unfolded_because=unfolded_because,
    )


@dataclass(frozen=True, eq=False)
class _Whole:
    run: FoldedRun

    @cached_property
    def folded_replicas(self) -> list[int]:
        """The folded replica of each replica."""
        replicas: list[int] = self.run.folding.classes.replica.tolist()
        return replicas

    @cached_property
    def stack(self) -> Stack:
        """Rows and messages of all replicas."""
        return Stack(columns_by_replica(self.run.folding.uses.job.pipelines))

    @staticmethod
    def rows_of(replica: int, first: Ints) -> Ints:
        """Return the rows of a folded replica, of which `first` has the first of each."""
        return np.arange(first[replica], first[replica + 1])

    @cached_property
    def trace(self) -> Trace:
        """The trace, as it is recorded of any run."""
        uses, noted = self.run.folding.uses, self.run.noted
        collectives, phases = self._collectives()
        return record(
            Network(Timeline(), uses.cluster, uses.job),
            Noted(
                uses.job,
                self._copied(noted.starts_ps, self.run.stack.first_row),
                None if noted.queued_ps is None else self._copied(noted.queued_ps, self.run.stack.first_message),
                self._copied(noted.started_ps, self.run.stack.first_message),
                self._copied(noted.arrived_ps, self.run.stack.first_message),
                self._queued_by_link(),
                noted.num_events,
                noted.engine,
                collectives,
                phases,
                self._rates(_first_phases(collectives, phases, len(uses.job.groups))),
            ),
        )

    def _copied(self, column: Ints, first: Ints) -> Ints:
        """Return a column of all replicas, each with what its folded replica noted."""
        parts = [column[first[replica] : first[replica + 1]] for replica in range(len(first) - 1)]
        return np.concatenate([parts[replica] for replica in self.folded_replicas])

    def _queued_by_link(self) -> dict[int, int]:
        folding = self.run.folding
        queued, numbers = self.run.queued_by_class, folding.uses.links
        return {
            int(numbers[link]): queued[of_class]
            for link, of_class in enumerate(folding.classes.link.tolist())
            if of_class in queued
        }

    def _collectives(self) -> tuple[NotedCollectives, NotedPhases]:
        """Return what became of the collectives of all groups: what became of those of the folded group of each."""
        folding, noted = self.run.folding, self.run.noted
        of_folded = Lists(np.bincount(noted.collectives.group, minlength=len(folding.groups)))
        folded = folding.classes.group
        copies = Lists(of_folded.lengths[folded])
        rows = of_folded.first[folded[copies.owner]] + copies.position
        return renamed(noted.collectives, noted.phases, rows, copies.owner, noted.job, folding.uses.job)

    def _rates(self, first_phase: Ints) -> NotedRates:
        """Return the rates of all flows, given the first phase of each group: those of the folded ones, of each copy.

        A copy of a flow has the same place among the messages of its replica, or the phases of its group.
        """
        run, folding, noted = self.run, self.run.folding, self.run.noted
        sample, num_replicas = run.trace, len(folding.replicas)
        num_messages = int(run.stack.first_message[-1])
        own_first_phase = _first_phases(noted.collectives, noted.phases, len(folding.groups))
        # Where the flows of each replica begin, and then those of each group; of the folded ones, and of all.
        own_first = np.concatenate([run.stack.first_message[:-1], num_messages + own_first_phase[:-1]])
        first = np.concatenate([self.stack.first_message[:-1], self.stack.first_message[-1] + first_phase[:-1]])
        members = [folding.members(replica) for replica in range(num_replicas)]
        members += [len(self.folded_replicas) + folding.members_of_group(group) for group in range(len(folding.groups))]
        own_members, member = Lists(map(len, members)), np.concatenate(members)
        folded = np.searchsorted(own_first, sample.rates.flow, side="right") - 1
        copies = Lists(own_members.lengths[folded])
        of_copy = folded[copies.owner]
        place = sample.rates.flow[copies.owner] - own_first[of_copy]
        num_links = len(run.loads.used)
        where, kind = kinds_of(sample.flows.way[sample.rates.flow] * num_links + sample.rates.bottleneck)
        links = [
            run.links_of_copies(way, run.loads.used[link])
            for way, link in (divmod(place, num_links) for place in where.tolist())
        ]
        first_link = Lists(map(len, links)).first
        link = np.concatenate([*links, own_first[:0]])[first_link[kind[copies.owner]] + copies.position]
        of_all = NotedRates(
            first[member[own_members.first[of_copy] + copies.position]] + place,
            sample.rates.start_ps[copies.owner],
            sample.rates.bytes_per_s[copies.owner],
            folding.uses.links[link],
        )
        return in_order([of_all])


def _first_phases(collectives: NotedCollectives, phases: NotedPhases, num_groups: int) -> Ints:
    """Return the first phase of each group, and the end of all."""
    return np.searchsorted(collectives.group[phases.collective], np.arange(num_groups + 1))
