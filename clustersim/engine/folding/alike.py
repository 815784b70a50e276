"""A run of all replicas, looked at as the run of one of each class, if all of a class did the very same in it.

That they do is certified beforehand. Here it is seen in what was noted, exactly and of everything; so what follows
from the run has to be worked out only once for each class.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from clustersim.engine.clock import Timeline
from clustersim.engine.folding.fold import FoldedNetwork, Folding
from clustersim.engine.folding.part import FoldedRun
from clustersim.engine.folding.renamed import kinds_of_plans, renamed
from clustersim.engine.folding.uses import Lists, numbered
from clustersim.engine.noted import Noted
from clustersim.engine.noted_groups import NotedCollectives, NotedPhases, NotedRates
from clustersim.engine.record_programs import num_messages
from clustersim.trace import Flags, Floats, Ints

Column = TypeVar("Column", Ints, Floats)


def run_of_one_each(folding: Folding, noted: Noted) -> FoldedRun | None:
    """Return what the first members of all classes noted in the run of all; None if another noted anything else.

    Parameters
    ----------
    folding
        The classes.
    noted
        The run of all.
    """
    rows = _Slices(folding, [sum(map(len, pipeline.programs)) for pipeline in noted.job.pipelines])
    messages = _Slices(folding, [num_messages(pipeline) for pipeline in noted.job.pipelines])
    of_messages = [noted.started_ps, noted.arrived_ps, *([] if noted.queued_ps is None else [noted.queued_ps])]
    queued_ps = _queued_of_first(folding, noted.link_queued_ps)
    if queued_ps is None or not rows.are_alike(noted.starts_ps) or not all(map(messages.are_alike, of_messages)):
        return None
    groups = _Groups(folding, noted.collectives, noted.phases)
    rates = _Rates(folding, noted.rates, groups, messages)
    if not groups.are_alike or not rates.are_alike:
        return None
    return FoldedRun(
        FoldedNetwork(Timeline(), folding),
        Noted(
            folding.job,
            rows.of_first(noted.starts_ps),
            None if noted.queued_ps is None else messages.of_first(noted.queued_ps),
            messages.of_first(noted.started_ps),
            messages.of_first(noted.arrived_ps),
            queued_ps,
            noted.num_events,
            noted.engine,
            *groups.of_first(),
            rates.of_first(),
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
    noted: NotedCollectives
    noted_phases: NotedPhases

    @cached_property
    def counts(self) -> Ints:
        """How many collectives each group did."""
        return np.bincount(self.noted.group, minlength=len(self.folding.classes.group))

    @cached_property
    def model(self) -> Ints:
        """For each collective, the row of that of the first group of its class."""
        lists, folding = Lists(self.counts), self.folding
        place = lists.first[folding.groups[folding.classes.group[lists.owner]]] + lists.position
        model: Ints = np.minimum(place, len(place) - 1)
        return model

    @cached_property
    def kind(self) -> Ints:
        """What kind of collective each is."""
        kinds = kinds_of_plans(self.folding.uses.job)
        number = {kind: place for place, kind in enumerate(dict.fromkeys(kinds.values()))}
        of_plan = np.array([number[kinds[id(plan)]] for plan in self.noted.plans], dtype=np.int64)
        return of_plan[self.noted.plan]

    @cached_property
    def phases(self) -> Lists:
        """The phases of each collective."""
        return Lists(np.bincount(self.noted_phases.collective, minlength=len(self.noted.group)))

    @cached_property
    def model_phase(self) -> Ints:
        """For each phase, the row of that of the first group of its class."""
        place = self.phases.first[self.model[self.phases.owner]] + self.phases.position
        model: Ints = np.minimum(place, len(place) - 1)
        return model

    @property
    def are_alike(self) -> bool:
        """Whether all groups did what the first of their class did."""
        noted, phases = self.noted, self.noted_phases
        lengths = self.phases.lengths
        return (
            np.array_equal(self.counts, self.counts[self.folding.groups[self.folding.classes.group]])
            and np.array_equal(lengths, lengths[self.model])
            and all(
                np.array_equal(column, column[self.model])
                for column in (self.kind, noted.order, noted.queued_ps, noted.start_ps, noted.end_ps)
            )
            and all(np.array_equal(column, column[self.model_phase]) for column in (phases.start_ps, phases.end_ps))
        )

    @cached_property
    def is_first(self) -> Flags:
        """Whether each collective is of the first group of its class."""
        is_first = np.zeros(len(self.folding.classes.group), dtype=np.bool_)
        is_first[self.folding.groups] = True
        return is_first[self.noted.group]

    @cached_property
    def is_first_phase(self) -> Flags:
        """The same of each phase."""
        return self.is_first[self.noted_phases.collective]

    def of_first(self) -> tuple[NotedCollectives, NotedPhases]:
        """Return what the first group of each class noted, as its group in the folded job."""
        rows, folding = np.flatnonzero(self.is_first), self.folding
        group = folding.classes.group[self.noted.group[rows]]  # classes rise with their first groups
        return renamed(self.noted, self.noted_phases, rows, group, folding.uses.job, folding.job)


@dataclass(frozen=True, eq=False)
class _Rates:
    """The rates of all flows: of messages, and then of phases."""

    folding: Folding
    noted: NotedRates
    groups: _Groups
    messages: _Slices

    @cached_property
    def link_class(self) -> Ints:
        """The class of the link that set each rate."""
        uses = self.folding.uses
        links, which = numbered(self.noted.bottleneck, len(uses.cluster.links))
        return self.folding.classes.link[np.searchsorted(uses.links, links)][which]

    @property
    def are_alike(self) -> bool:
        """Whether all flows have had the rates of the first of their class, from links of the same classes."""
        num_messages, order = self.messages.total, np.argsort(self.noted.flow, kind="stable")
        of_flow = Lists(np.bincount(self.noted.flow, minlength=num_messages + len(self.groups.model_phase)))
        start_ps, link = (column[order] for column in (self.noted.start_ps, self.link_class))
        bytes_per_s = self.noted.bytes_per_s[order]
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

    def of_first(self) -> NotedRates:
        """Return the rates of the first of each class, by links that stand for theirs."""
        groups, messages, noted = self.groups, self.messages, self.noted
        number = np.full(messages.total + len(groups.is_first_phase), -1, dtype=np.int64)  # of flows of firsts
        total = 0
        for replica in self.folding.replicas.tolist():
            first, last = messages.first[replica : replica + 2].tolist()
            number[first:last] = np.arange(total, total + last - first)
            total += last - first
        of_phases = number[messages.total :]
        of_phases[groups.is_first_phase] = total + np.arange(int(groups.is_first_phase.sum()))
        flow = number[noted.flow]
        rows = np.flatnonzero(flow >= 0)
        links = np.array(self.folding.link_numbers, dtype=np.int64)[self.link_class[rows]]
        return NotedRates(flow[rows], noted.start_ps[rows], noted.bytes_per_s[rows], links)
