"""The flows of a job in lockstep that may yet meet others, as one table, whatever they are: messages or phases."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from clustersim.columns import distinct, starts
from clustersim.engine.alone import Alone
from clustersim.engine.encounters import Capacities, Crossings, LinkUses
from clustersim.engine.group_vectors import GroupVector, PlanVector
from clustersim.engine.lockstep import Lockstep
from clustersim.engine.way_vectors import WayVector, by_replica
from clustersim.trace import Flags, Ints


class FlowTable(NamedTuple):
    """Flows, their times as assumed, and when they end if they meet nobody. [ps]"""

    key: Ints  # as `FlowKeys` has it
    ready_ps: Ints  # since when it waits for nothing but its latency; of messages when it begins
    begin_ps: Ints
    end_ps: Ints
    alone_end_ps: Ints


class FlowSpec(NamedTuple):
    """What a flow is."""

    links: Sequence[int]
    streams: Sequence[int]
    volume_bytes: int | Fraction


class FlowKeys:
    """Numbers of all flows of a run: messages by number and replica, then phases by group vector, collective and group.

    Parameters
    ----------
    lockstep
        The replicas.
    vectors
        The groups.
    """

    def __init__(self, lockstep: Lockstep, vectors: Sequence[GroupVector]) -> None:
        self._lockstep, self._vectors = lockstep, vectors
        self.num_replicas = lockstep.num_replicas
        sizes = [len(vector.kinds) * vector.drain_ps[0].size for vector in vectors]
        first = len(lockstep.way_of_message) * self.num_replicas
        self.first = np.cumsum([first, *sizes]).tolist()
        self._position = {id(vector): number for number, vector in enumerate(vectors)}

    def of_message(self, messages: Ints) -> Ints:
        """Return the numbers of messages, ``[message, replica]``."""
        keys: Ints = messages[:, None] * self.num_replicas + np.arange(self.num_replicas)
        return keys

    def of_vector(self, vector: GroupVector) -> range:
        """Return the numbers of all phases of all collectives of a vector."""
        position = self._position[id(vector)]
        return range(self.first[position], self.first[position + 1])

    def of_collectives(self, vector: GroupVector, numbers: Ints) -> Ints:
        """Return the numbers of the phases of collectives, ``[collective, phase, group]``."""
        phases = np.arange(vector.drain_ps[0].size).reshape(vector.drain_ps[0].shape)
        keys: Ints = (self.of_vector(vector).start + numbers * phases.size)[:, None, None] + phases
        return keys

    def groups_of(self, keys: Ints) -> Ints:
        """Return a number for the group that each phase belongs to, of all groups of all vectors."""
        sizes = np.array([len(vector.numbers) for vector in self._vectors], dtype=np.int64)
        first = np.array(self.first, dtype=np.int64)
        position = np.searchsorted(first, keys, side="right") - 1
        groups: Ints = (np.cumsum(sizes) - sizes)[position] + (keys - first[position]) % sizes[position]
        return groups

    def phase(self, key: int) -> tuple[GroupVector, int, int, int]:
        """Return the group vector, collective, phase and group that a number stands for."""
        position = bisect_right(self.first, key) - 1
        vector = self._vectors[position]
        rest, group = divmod(key - self.first[position], len(vector.numbers))
        number, phase = divmod(rest, vector.drain_ps.shape[1])
        return vector, number, phase, group

    def spec(self, key: int) -> FlowSpec:
        """Return what a number stands for."""
        if key < self.first[0]:
            message, replica = divmod(key, self.num_replicas)
            way = self._lockstep.ways[self._lockstep.way_of_message[message]]
            return FlowSpec(way.links[replica], way.streams[replica], way.size_bytes)
        vector, number, phase, group = self.phase(key)
        own = vector.plans[vector.kinds[number]].plans[group].phases[phase]
        return FlowSpec(own.links, own.streams, own.volume_bytes)


class _Crossed(NamedTuple):
    """What flows cross of the links to watch; a row for each flow and link."""

    flow: Ints  # which of them
    use: Ints  # row of LinkUses


class _Templates:
    """What the flows of each kind of thing cross, all kinds one after the other."""

    def __init__(self, of_kinds: Sequence[_Crossed], num_flows: int) -> None:
        self._num_crossed = np.array([len(kind.flow) for kind in of_kinds], dtype=np.int64)
        self._first = starts(self._num_crossed)
        self._all = _Crossed(*map(np.concatenate, zip(_NOTHING, *of_kinds, strict=True)))
        self._num_flows = num_flows  # of each thing
        # All kinds cross as many of the links to watch, as a rule; those of each are then a row.
        self._rows = None
        if len(of_kinds) and (self._num_crossed == self._num_crossed[0]).all():
            self._rows = _Crossed(*(column.reshape(len(of_kinds), -1) for column in self._all))

    def of(self, kinds: Ints) -> _Crossed:
        """Return what things of some kinds cross, whose flows are numbered one thing after the other."""
        if self._rows is not None:
            first = np.arange(len(kinds)) * self._num_flows
            flow = self._rows.flow[kinds] + first[:, None]
            return _Crossed(flow.reshape(-1), self._rows.use[kinds].reshape(-1))
        num_crossed = self._num_crossed[kinds]
        parts = [_NOTHING]
        for number in distinct(num_crossed).tolist():
            rows = np.flatnonzero(num_crossed == number)
            place = self._first[kinds[rows], None] + np.arange(number)
            flow = rows[:, None] * self._num_flows + self._all.flow[place]
            parts.append(_Crossed(flow.reshape(-1), self._all.use[place].reshape(-1)))
        return _Crossed(*map(np.concatenate, zip(*parts, strict=True)))


class OpenFlows:
    """The flows that may yet meet others.

    Parameters
    ----------
    lockstep, keys
        The replicas, and numbers of their flows.
    watched
        Links on which flows can meet at all.
    capacities
        Of those links.
    """

    def __init__(self, lockstep: Lockstep, keys: FlowKeys, watched: frozenset[int], capacities: Capacities) -> None:
        self._lockstep, self._keys, self._watched, self._capacities = lockstep, keys, watched, capacities
        self._uses: list[tuple[int, int, bool]] = []  # link, rate, and whether it is late
        self._ways = _Templates([self._of_way(way) for way in lockstep.ways], keys.num_replicas)
        drains_ps = [by_replica(way.drain_ps, keys.num_replicas) for way in lockstep.ways]
        self._alone_ps = np.array(drains_ps, dtype=np.int64).reshape(-1, keys.num_replicas)
        self._way_of_message = np.array(lockstep.way_of_message, dtype=np.int64)
        self._plans: dict[GroupVector, _Templates] = {}
        self._known_uses: LinkUses | None = None
        self._since_ps = 0

    def forget_before(self, time_ps: int) -> None:
        """Leave out flows that end before `time_ps` from now on."""
        self._since_ps = time_ps
        lockstep = self._lockstep
        lockstep.flows = lockstep.flows[lockstep.arrived_ps[lockstep.flows].max(axis=1) >= time_ps]
        lockstep.calls = {
            vector: numbers[vector.end_ps[numbers].max(axis=1) >= time_ps].tolist() for vector, numbers in self._calls()
        }

    def until(self, time_ps: int) -> tuple[FlowTable, Crossings]:
        """Return the flows that begin before `time_ps`, and what they cross, told apart by their rows."""
        tables = [self._messages()]
        for vector, numbers in self._calls():
            begun = numbers[vector.start_ps[numbers].min(axis=1) < time_ps]
            if len(begun):
                tables.append(self._phases(vector, begun))
        sizes = np.cumsum([0, *(len(table.key) for table, _ in tables)]).tolist()
        table = FlowTable(*map(np.concatenate, zip(*(table for table, _ in tables), strict=True)))
        parts = [part for _, part in tables]
        flow = np.concatenate([part.flow + first for part, first in zip(parts, sizes, strict=False)])
        crossings = Crossings(
            flow,
            np.concatenate([part.use for part in parts]),
            table.begin_ps[flow],
            table.end_ps[flow],
            self._link_uses(),
        )
        is_there = (table.begin_ps < time_ps) & (table.end_ps >= self._since_ps) & (table.alone_end_ps > table.begin_ps)
        if is_there.all():
            return table, crossings
        crossings = crossings.of(is_there[flow])._replace(flow=(np.cumsum(is_there) - 1)[flow[is_there[flow]]])
        return FlowTable(*(column[is_there] for column in table)), crossings

    def _link_uses(self) -> LinkUses:
        if self._known_uses is None or len(self._known_uses.link) < len(self._uses):
            link, rate, is_late = np.array(self._uses, dtype=np.int64).reshape(-1, 3).T.copy()
            self._known_uses = LinkUses(link, rate, is_late.astype(np.bool_))
        return self._known_uses

    def _messages(self) -> tuple[FlowTable, _Crossed]:
        lockstep = self._lockstep
        messages = lockstep.flows
        begin_ps, end_ps = lockstep.started_ps[messages], lockstep.arrived_ps[messages]
        ways, key = self._way_of_message[messages], self._keys.of_message(messages)
        alone_end_ps = begin_ps + self._alone_ps[ways]
        table = FlowTable(*(column.reshape(-1) for column in (key, begin_ps, begin_ps, end_ps, alone_end_ps)))
        return table, self._ways.of(ways)

    def _calls(self) -> Iterator[tuple[GroupVector, Ints]]:
        for vector, numbers in self._lockstep.calls.items():
            if numbers:
                yield vector, np.array(numbers, dtype=np.int64)

    def _phases(self, vector: GroupVector, numbers: Ints) -> tuple[FlowTable, _Crossed]:
        """Return the phases of some collectives."""
        kinds = vector.kind_numbers[numbers]
        begin_ps, end_ps = vector.phases_ps(numbers)
        alone_ps = vector.shared_drain_ps[kinds]
        key = self._keys.of_collectives(vector, numbers)
        columns = (key, begin_ps - vector.latency_ps[kinds], begin_ps, end_ps, begin_ps + alone_ps)
        if vector not in self._plans:
            of_plans = [self._of_plan(plan, vector.has_own_links) for plan in vector.plans.values()]
            self._plans[vector] = _Templates(of_plans, alone_ps[0].size)
        return FlowTable(*(column.reshape(-1) for column in columns)), self._plans[vector].of(kinds)

    def _of_plan(self, plan: PlanVector, has_own_links: Flags) -> _Crossed:
        return self._template(
            (phase * len(plan.plans) + group, one.links, one.streams, alone)
            for group, (own, rates) in enumerate(zip(plan.plans, plan.alone, strict=True))
            for phase, (one, alone) in enumerate(zip(own.phases, rates, strict=True))
            if not has_own_links[group]
        )

    def _of_way(self, way: WayVector) -> _Crossed:
        return self._template(zip(range(len(way.links)), way.links, way.streams, way.alone, strict=True))

    def _template(self, flows: Iterable[tuple[int, Sequence[int], Sequence[int], Alone]]) -> _Crossed:
        rows = []
        for flow, links, streams, alone in flows:
            is_late = True  # before the link that holds it, and there
            for link, count in zip(links, streams, strict=True):
                if link in self._watched:
                    rows.append((flow, len(self._uses)))
                    self._uses.append((link, count * self._capacities.rate(alone.rate), is_late))
                is_late = is_late and link != alone.bottleneck
        flow_and_use = np.array(rows, dtype=np.int64).reshape(-1, 2).T.copy()
        return _Crossed(flow_and_use[0], flow_and_use[1])


_NOTHING = _Crossed(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
