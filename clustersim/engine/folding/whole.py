"""The trace of all GPUs of a folded run: what every one of them would have noted, made when somebody looks at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from clustersim.engine.clock import Timeline
from clustersim.engine.fair import RateLog
from clustersim.engine.folding.part import FoldedRun
from clustersim.engine.folding.uses import phases_of
from clustersim.engine.group import CollectiveLog
from clustersim.engine.network import Network
from clustersim.engine.noted import Noted
from clustersim.engine.record import ranks_table, record
from clustersim.engine.record_programs import Stack, columns_by_replica
from clustersim.folded import Folded
from clustersim.later import later
from clustersim.trace import Ints, Trace


def whole_trace(run: FoldedRun, of_all: Callable[[], Trace] | None = None, unfolded_because: str = "") -> Trace:
    """Return the trace of all GPUs, of which large tables are made when somebody looks at them.

    They are made as those of any run: out of what was noted of all, which `of_all` records, or else out of copies of
    what was noted of one of each class; then phases and rates stand in the order of their first copies.
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
        network = Network(Timeline(), uses.cluster, uses.job)
        network.collectives, rows_of_phase = self._collectives()
        network.rates = self._rates(rows_of_phase)
        return record(
            network,
            Noted(
                uses.job,
                self._copied(noted.starts_ps, self.run.stack.first_row),
                None if noted.queued_ps is None else self._copied(noted.queued_ps, self.run.stack.first_message),
                self._copied(noted.started_ps, self.run.stack.first_message),
                self._copied(noted.arrived_ps, self.run.stack.first_message),
                self._queued_by_link(),
                noted.num_events,
                noted.engine,
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

    def _collectives(self) -> tuple[CollectiveLog, list[list[int]]]:
        """Return what became of the collectives of all groups, and for each row of a phase those of its copies."""
        folding, log, copies = self.run.folding, self.run.network.collectives, CollectiveLog()
        groups = folding.uses.job.groups
        members = [folding.members_of_group(group).tolist() for group in range(len(folding.groups))]
        kinds = {id(plan): kind for group in folding.job.groups for kind, plan in group.plans.items()}
        first: list[int] = []  # row of the first copy of each collective; those of the others follow
        for row, (group, order, plan_number) in enumerate(zip(log.group, log.order, log.plan, strict=True)):
            first.append(len(copies.group))
            kind = kinds[id(log.plans.known[plan_number])]
            for member in members[group]:
                plan = groups[member].plans[kind]
                copy = copies.note_collective(member, order, plan, log.queued_ps[row], log.start_ps[row])
                copies.end_ps[copy] = log.end_ps[row]
        rows: list[list[int]] = []
        phases = {member: phases_of(groups[member]) for own in members for member in own}
        for row, (phase, collective) in enumerate(zip(log.phase, log.phase_collective, strict=True)):
            group, slot, _ = folding.phases_of_one[id(log.phases.known[phase])]
            own = [(first[collective] + copy, phases[member][slot]) for copy, member in enumerate(members[group])]
            times_ps = log.phase_start_ps[row], log.phase_end_ps[row]
            rows.append([copies.note_phase(*copy, *times_ps) for copy in own])
        return copies, [rows[row] for row in self.run.groups.phase_order.tolist()]

    def _rates(self, rows_of_phase: list[list[int]]) -> RateLog:
        """Return the rates of all flows, given those of the copies of each row of a phase."""
        run, log = self.run, RateLog()
        sample, first = run.trace, run.stack.first_message
        num_messages, ways = len(sample.transfers), sample.flows.way.tolist()
        columns = (column.tolist() for column in (sample.rates.flow, sample.rates.start_ps, sample.rates.bytes_per_s))
        for flow, start_ps, bytes_per_s, bottleneck in zip(*columns, sample.rates.bottleneck.tolist(), strict=True):
            links = run.links_of_copies(ways[flow], run.loads.used[bottleneck])
            if flow < num_messages:
                replica = int(np.searchsorted(first, flow, side="right")) - 1
                own = self.stack.first_message[run.folding.members(replica)] + (flow - int(first[replica]))
            else:
                own = np.array(rows_of_phase[flow - num_messages]) + int(self.stack.first_message[-1])
            log.flow.extend(own.tolist())
            log.start_ps.extend([start_ps] * len(own))
            log.bytes_per_s.extend([bytes_per_s] * len(own))
            log.bottleneck.extend(run.folding.uses.links[links].tolist())
        return log
