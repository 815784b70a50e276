"""A run of all replicas, looked at as the run of one of each class, if all of a class did the very same in it.

That they do is certified beforehand. Here it is seen in what was noted, exactly and of everything; so what follows
from the run has to be worked out only once for each class.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from clustersim.engine.clock import Timeline
from clustersim.engine.fair import RateLog
from clustersim.engine.folding.fold import FoldedNetwork, Folding
from clustersim.engine.folding.part import FoldedRun
from clustersim.engine.folding.uses import Lists, numbered
from clustersim.engine.group import CollectiveLog
from clustersim.engine.network import Network
from clustersim.engine.noted import Noted
from clustersim.engine.record_programs import num_messages
from clustersim.trace import Flags, Floats, Ints

Column = TypeVar("Column", Ints, Floats)


def run_of_one_each(folding: Folding, network: Network, noted: Noted) -> FoldedRun | None:
    """Return what the first members of all classes noted in the run of all; None if another noted anything else.

    Parameters
    ----------
    folding
        The classes.
    network, noted
        The run of all, with the collectives and rates that the network has noted.
    """
    rows = _Slices(folding, [sum(map(len, pipeline.programs)) for pipeline in noted.job.pipelines])
    messages = _Slices(folding, [num_messages(pipeline) for pipeline in noted.job.pipelines])
    of_messages = [noted.started_ps, noted.arrived_ps, *([] if noted.queued_ps is None else [noted.queued_ps])]
    queued_ps = _queued_of_first(folding, noted.link_queued_ps)
    if queued_ps is None or not rows.are_alike(noted.starts_ps) or not all(map(messages.are_alike, of_messages)):
        return None
    groups = _Groups(folding, network.collectives)
    rates = _Rates(folding, network.rates, groups, messages)
    if not groups.are_alike or not rates.are_alike:
        return None
    first = FoldedNetwork(Timeline(), folding)
    first.collectives, first.rates = groups.of_first(), rates.of_first()
    return FoldedRun(
        first,
        Noted(
            folding.job,
            rows.of_first(noted.starts_ps),
            None if noted.queued_ps is None else messages.of_first(noted.queued_ps),
            messages.of_first(noted.started_ps),
            messages.of_first(noted.arrived_ps),
            queued_ps,
            noted.num_events,
            noted.engine,
        ),
    )


class _Slices:
    """Where what belongs to each replica stands in a column of all."""

    def __init__(self, folding: Folding, sizes: Iterable[int]) -> None:
        self._lists, self._replicas = Lists(sizes), folding.replicas
        self.model = folding.replicas[folding.classes.replica]  # the first of each replica's class

    def _of(self, column: Column, replica: int) -> Column:
        return column[self._lists.first[replica] : self._lists.first[replica + 1]]

    def are_alike(self, column: Column) -> bool:
        """Return whether all replicas have what the first of their class has."""
        return all(
            replica == model or np.array_equal(self._of(column, replica), self._of(column, model))
            for replica, model in enumerate(self.model.tolist())
        )

    def of_first(self, column: Column) -> Column:
        """Return what the first of each class has."""
        return np.concatenate([self._of(column, replica) for replica in self._replicas.tolist()])

    @property
    def first(self) -> Ints:
        """Where what belongs to each replica begins, and the end of all."""
        return self._lists.first

    @property
    def total(self) -> int:
        """The length of a column of all."""
        return int(self._lists.first[-1])


def _queued_of_first(folding: Folding, queued_ps: dict[int, int]) -> dict[int, int] | None:
    """Return for how long messages waited for the first link of each class; None if that is not so for all links."""
    uses, numbers = folding.uses, folding.link_numbers
    links = np.searchsorted(uses.links, np.fromiter(queued_ps, dtype=np.int64))
    model = [numbers[link] for link in folding.classes.link[links].tolist()]
    if any(queued_ps.get(number) != time_ps for number, time_ps in zip(model, queued_ps.values(), strict=True)):
        return None
    return {number: queued_ps[number] for number in dict.fromkeys(model)}


@dataclass(frozen=True, eq=False)
class _Groups:
    """What groups noted, collectives by group and order, and phases by collective."""

    folding: Folding
    log: CollectiveLog

    @cached_property
    def group(self) -> Ints:
        """The group of each collective, as they were noted."""
        return _column(self.log.group)

    @cached_property
    def model(self) -> Ints:
        """For each collective, the row of that of the first group of its class."""
        order = np.lexsort((_column(self.log.order), self.group))
        lists = Lists(np.bincount(self.group, minlength=len(self.folding.uses.job.groups)))
        group = lists.owner
        model = np.full(len(order), -1, dtype=np.int64)
        place = lists.first[self.folding.groups[self.folding.classes.group[group]]] + lists.position
        model[order] = order[np.minimum(place, len(order) - 1)]
        return model

    @cached_property
    def kind(self) -> Ints:
        """What kind of collective each is."""
        kinds = {id(plan): kind for group in self.folding.uses.job.groups for kind, plan in group.plans.items()}
        number = {kind: place for place, kind in enumerate(dict.fromkeys(kinds.values()))}
        of_plan = np.array([number[kinds[id(plan)]] for plan in self.log.plans.known], dtype=np.int64)
        return of_plan[_column(self.log.plan)]

    @cached_property
    def collective(self) -> Ints:
        """The collective of each phase."""
        return _column(self.log.phase_collective)

    @cached_property
    def phases(self) -> tuple[Lists, Ints]:
        """The phases of each collective, and their rows in that order."""
        return Lists(np.bincount(self.collective, minlength=len(self.group))), np.argsort(
            self.collective, kind="stable"
        )

    @cached_property
    def model_phase(self) -> Ints:
        """For each phase, the row of that of the first group of its class."""
        lists, order = self.phases
        model = np.empty(len(order), dtype=np.int64)
        place = lists.first[self.model[lists.owner]] + lists.position
        model[order] = order[np.minimum(place, len(order) - 1)]
        return model

    @property
    def are_alike(self) -> bool:
        """Whether all groups did what the first of their class did."""
        classes, log, model = self.folding.classes.group, self.log, self.model
        counts = np.bincount(self.group, minlength=len(classes))
        lengths = self.phases[0].lengths
        collectives = (self.kind, _column(log.order), *map(_column, (log.queued_ps, log.start_ps, log.end_ps)))
        phases = (_column(log.phase_start_ps), _column(log.phase_end_ps))
        return (
            np.array_equal(counts, counts[self.folding.groups[classes]])
            and np.array_equal(lengths, lengths[model])
            and all(np.array_equal(column, column[model]) for column in collectives)
            and all(np.array_equal(column, column[self.model_phase]) for column in phases)
        )

    @cached_property
    def is_first(self) -> Flags:
        """Whether each collective is of the first group of its class."""
        is_first = np.zeros(len(self.folding.classes.group), dtype=np.bool_)
        is_first[self.folding.groups] = True
        return is_first[self.group]

    @cached_property
    def is_first_phase(self) -> Flags:
        """The same of each phase."""
        return self.is_first[self.collective]

    def of_first(self) -> CollectiveLog:
        """Return what the first group of each class noted, as its group in the folded job."""
        folding, log, found = self.folding, self.log, CollectiveLog()
        rows, groups = np.flatnonzero(self.is_first), folding.job.groups
        kinds = {id(plan): kind for group in folding.uses.job.groups for kind, plan in group.plans.items()}
        group = folding.classes.group[self.group[rows]]
        plan = _column(log.plan)[rows]
        pairs, number = np.unique(group * len(log.plans.known) + plan, return_inverse=True)
        plans = [
            groups[own].plans[kinds[id(log.plans.known[known])]]
            for own, known in (divmod(pair, len(log.plans.known)) for pair in pairs.tolist())
        ]
        found.note_collectives(
            group,
            _column(log.order)[rows],
            np.array([found.plans.number(plan) for plan in plans], dtype=np.int64)[number],
            *(_column(column)[rows] for column in (log.queued_ps, log.start_ps, log.end_ps)),
        )
        lists, order = self.phases
        position = np.empty(len(order), dtype=np.int64)
        position[order] = lists.position
        number_of_row = np.zeros(len(self.group), dtype=np.int64)
        number_of_row[rows] = number
        phases = np.flatnonzero(self.is_first_phase)
        collective = self.collective[phases]
        slots = int(position.max(initial=-1)) + 1
        places, place = np.unique(number_of_row[collective] * slots + position[phases], return_inverse=True)
        own_phases = [plans[own].phases[slot] for own, slot in (divmod(both, slots) for both in places.tolist())]
        found.note_phases(
            (np.cumsum(self.is_first) - 1)[collective],
            np.array([found.phases.number(phase) for phase in own_phases], dtype=np.int64)[place],
            *(_column(column)[phases] for column in (log.phase_start_ps, log.phase_end_ps)),
        )
        return found


@dataclass(frozen=True, eq=False)
class _Rates:
    """The rates of all flows: of messages, and then of phases in the order in which those were noted."""

    folding: Folding
    log: RateLog
    groups: _Groups
    messages: _Slices

    @cached_property
    def flow(self) -> Ints:
        """The flow of each rate."""
        return _column(self.log.flow)

    @cached_property
    def bytes_per_s(self) -> Floats:
        """Each rate. [bytes/s]"""
        return np.frombuffer(self.log.bytes_per_s, dtype=np.float64) if len(self.log.flow) else np.empty(0)

    @cached_property
    def link_class(self) -> Ints:
        """The class of the link that set each rate."""
        uses = self.folding.uses
        links, which = numbered(_column(self.log.bottleneck), len(uses.cluster.links))
        return self.folding.classes.link[np.searchsorted(uses.links, links)][which]

    @property
    def are_alike(self) -> bool:
        """Whether all flows have had the rates of the first of their class, from links of the same classes."""
        num_messages, order = self.messages.total, np.argsort(self.flow, kind="stable")
        of_flow = Lists(np.bincount(self.flow, minlength=num_messages + len(self.groups.model_phase)))
        start_ps, link = (column[order] for column in (_column(self.log.start_ps), self.link_class))
        bytes_per_s = self.bytes_per_s[order]
        first_of_message = of_flow.first[: num_messages + 1]
        of_replica = _Slices(self.folding, np.diff(first_of_message[self.messages.first]))
        times_and_links = of_replica.are_alike(start_ps) and of_replica.are_alike(link)
        if not (self.messages.are_alike(of_flow.lengths) and times_and_links and of_replica.are_alike(bytes_per_s)):
            return False
        of_phase, start = Lists(of_flow.lengths[num_messages:]), int(first_of_message[-1])
        model = self.groups.model_phase
        if not np.array_equal(of_phase.lengths, of_phase.lengths[model]):
            return False
        same = of_phase.first[model[of_phase.owner]] + of_phase.position
        columns: tuple[Ints | Floats, ...] = (start_ps[start:], bytes_per_s[start:], link[start:])
        return all(np.array_equal(column, column[same]) for column in columns)

    def of_first(self) -> RateLog:
        """Return the rates of the first of each class, by links that stand for theirs."""
        found, groups, messages = RateLog(), self.groups, self.messages
        number = np.full(messages.total + len(groups.is_first_phase), -1, dtype=np.int64)  # of flows of firsts
        total = 0
        for replica in self.folding.replicas.tolist():
            first, last = messages.first[replica : replica + 2].tolist()
            number[first:last] = np.arange(total, total + last - first)
            total += last - first
        of_phases = number[messages.total :]
        of_phases[groups.is_first_phase] = total + np.arange(int(groups.is_first_phase.sum()))
        flow = number[self.flow]
        rows = np.flatnonzero(flow >= 0)
        found.note_all(
            flow[rows],
            _column(self.log.start_ps)[rows],
            self.bytes_per_s[rows],
            np.array(self.folding.link_numbers, dtype=np.int64)[self.link_class[rows]],
        )
        return found


def _column(values: array[int]) -> Ints:
    return np.frombuffer(values, dtype=np.int64) if len(values) else np.empty(0, dtype=np.int64)
