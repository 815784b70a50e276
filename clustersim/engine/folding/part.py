"""The trace of a folded run: one replica of each class, with how many it stands for and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import overload

import numpy as np

from clustersim.engine.folding.fold import FoldedNetwork, Folding
from clustersim.engine.noted import Noted
from clustersim.engine.record import Routes, ranks_table
from clustersim.engine.record_groups import GroupRecord
from clustersim.engine.record_links import (
    Loads,
    lasting,
    link_columns,
    lost_ps,
    phase_ways,
    rate_columns,
)
from clustersim.engine.record_parts import ops_table, transfers_table
from clustersim.engine.record_programs import Stack, columns_by_replica
from clustersim.folded import Copies
from clustersim.later import later
from clustersim.sorting import kinds_of
from clustersim.sums import lost_at_links
from clustersim.topology.cluster import Cluster
from clustersim.topology.link_roles import link_roles
from clustersim.trace import Ints, Links, Trace


class _Names(Sequence[str]):
    """The names of links, made when looked at: a report names ten of a hundred thousand."""

    def __init__(self, cluster: Cluster, numbers: Ints) -> None:
        self._cluster, self._numbers = cluster, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[str]: ...
    def __getitem__(self, row: int | slice) -> str | Sequence[str]:
        if isinstance(row, slice):
            return _Names(self._cluster, self._numbers[row])
        return self._cluster.link(int(self._numbers[row])).name

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))


@dataclass(frozen=True, eq=False)
class FoldedRun:
    """What a folded run noted, and what follows from it."""

    network: FoldedNetwork
    noted: Noted

    @property
    def folding(self) -> Folding:
        """What stands for what."""
        return self.network.folding

    @cached_property
    def stack(self) -> Stack:
        """Rows and messages of the replicas that were simulated."""
        return Stack(columns_by_replica(self.noted.job.pipelines))

    @cached_property
    def groups(self) -> GroupRecord:
        """What became of the collectives of the groups that were simulated."""
        return GroupRecord(self.noted.job, self.stack.columns, self.noted.collectives, self.noted.phases)

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """The folded replica and the pair of each route."""
        return [self.network.place[gpus] for gpus in self.network.link_ids]

    @cached_property
    def routes(self) -> Routes:
        """The routes of the folded replicas, over the links that stand for theirs."""
        gpus = self.network.link_ids
        links = {pair: self.folding.route(*place) for pair, place in zip(gpus, self.places, strict=True)}
        return Routes(self.network, self.noted.job, links)

    @cached_property
    def loads(self) -> Loads:
        """What went over the routes, and phases with the streams of one group."""
        one = {number: phase for number, (_, _, phase) in self.folding.phases_of_one.items()}
        kinds, kind_of_phase = self.groups.kinds_of_phases
        return Loads(self.routes.links, self.routes.loads(self.stack), [one[id(kind)] for kind in kinds], kind_of_phase)

    @cached_property
    def where_phases(self) -> list[tuple[int, int]]:
        """The folded group and the slot of each kind of phase."""
        where = {id(phase): (group, slot) for group, slot, phase in self.folding.phases_of_one.values()}
        return [where[id(phase)] for phase in self.loads.kinds_of_phases]

    @cached_property
    def row_by_link(self) -> Ints:
        """For each link that anything crosses in the whole, its row among those that carried something, or -1."""
        numbers = np.array(self.folding.link_numbers, dtype=np.int64)
        is_used = np.isin(numbers, self.loads.used)[self.folding.classes.link]
        return np.where(is_used, np.cumsum(is_used) - 1, -1)

    @cached_property
    def loads_of_links(self) -> Loads:
        """What all that is folded put on the links that stand for others, as so many messages of one link each."""
        number = {link: row for row, link in enumerate(self.loads.used)}
        row_by_class = [number.get(link, -1) for link in self.folding.link_numbers]
        traffic: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for route, size_bytes, count in self.routes.loads(self.stack):
            traffic.setdefault(self.places[route], []).append((size_bytes, count))
        messages = [
            (row_by_class[link], size_bytes, count * streams)
            for (link, replica, pair), streams in self.folding.streams.items()
            for size_bytes, count in traffic.get((replica, pair), ())
        ]
        return Loads([(link,) for link in self.loads.used], messages, *self.groups.kinds_of_phases)

    def at_links(self, way: Ints, link: Ints, lost_ps: Ints) -> Ints:
        """Return what was lost on ways at links (rows of those that stand for others), by links of the whole. [ps]

        What the first member of a class has at the first link of a class on its way, each member has at its own.
        """
        num_links = int(self.row_by_link.max(initial=-1)) + 1
        kinds, number = kinds_of(way * len(self.loads.used) + link)
        rows, values = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for kind, sum_of_kind in zip(kinds.tolist(), lost_at_links(number, lost_ps, len(kinds)), strict=True):
            on_way, at_link = divmod(kind, len(self.loads.used))
            rows.append(self.row_by_link[self.links_of_copies(on_way, self.loads.used[at_link])])
            values.append(np.full(len(rows[-1]), sum_of_kind, dtype=np.int64))
        return lost_at_links(np.concatenate(rows), np.concatenate(values), num_links)

    def links_of_copies(self, way: int, number: int) -> Ints:
        """Return the first link on the way of each copy that is of the class of a link, as `Uses` numbers links.

        Copies are the members of the way's class, in rising order; `number` is the link's in the cluster.
        """
        uses, classes = self.folding.uses, self.folding.classes
        wanted = self._class_by_number[number]
        if way < len(self.places):
            replica, pair = self.places[way]
            position = int(np.argmax(classes.link[uses.way(int(self.folding.replicas[replica]), pair)] == wanted))
            ways = uses.first_way[self.folding.members(replica)] + pair
            return uses.hop_link[uses.ways.of(ways, position)]
        group, slot = self.where_phases[way - len(self.places)]
        where = uses.phase(int(self.folding.groups[group]), slot)
        position = int(np.argmax(classes.link[uses.crossed[where]] == wanted))
        phases = uses.first_phase[self.folding.members_of_group(group)] + slot
        return uses.crossed[uses.phases.of(phases, position)]

    @cached_property
    def _class_by_number(self) -> dict[int, int]:
        return {number: link for link, number in enumerate(self.folding.link_numbers)}

    @cached_property
    def queued_by_class(self) -> dict[int, int]:
        """Time that messages waited for each FIFO link of a class, by class. [ps]"""
        links = np.searchsorted(self.folding.uses.links, np.array(list(self.noted.link_queued_ps), dtype=np.int64))
        classes = self.folding.classes.link[links].tolist()
        return dict(zip(classes, self.noted.link_queued_ps.values(), strict=True))

    @cached_property
    def trace(self) -> Trace:
        """The trace of the replicas that were simulated."""
        stack, network, noted, loads = self.stack, self.network, self.noted, self.loads
        job, groups = noted.job, self.groups
        ops = ops_table(stack, noted.starts_ps, groups if job.groups else None)
        route = self.routes.numbers(stack)
        holds_ps = later(lambda: self.routes.first_holds_ps(stack))
        times = (noted.queued_ps, noted.started_ps, noted.arrived_ps)
        transfers = transfers_table(stack, ops, *times, route, holds_ps)
        phases = groups.phases(loads)
        ways = np.concatenate([route, phases.way + len(self.routes.links)])
        end_ps = np.concatenate([transfers.end_ps, phases.end_ps])
        rates = lasting(rate_columns(noted.rates, loads), end_ps)
        lost = lost_ps(network.cluster, loads, rates, route, end_ps) if len(rates) else rates.flow
        slow = np.flatnonzero(lost)
        slowed_ps = self.at_links(ways[rates.flow[slow]], rates.bottleneck[slow], lost[slow])
        queued = {self.folding.link_numbers[link]: time_ps for link, time_ps in self.queued_by_class.items()}
        first_rows = self.row_by_link[self.folding.links]
        own_slowed_ps = slowed_ps[first_rows[first_rows >= 0]]
        links = link_columns(network.cluster, network.drained_links, self.loads_of_links, queued, own_slowed_ps)
        ranks = ranks_table(job, stack.first_op)
        return Trace(
            replace(ranks, replica=self.folding.replicas[ranks.replica]),
            ops,
            transfers,
            groups.collectives(),
            phases,
            links,
            rates,
            self.routes.names,
            phase_ways(loads),
            self._groups(),
            job.num_steps,
            int(stack.last_ends_ps(noted.starts_ps).max(initial=0)),
            noted.num_events,
            job.fragmentation,
            job.logits_shares,
            noted.engine,
            copies=self._copies(ways, links, slowed_ps),
        )

    def _groups(self) -> tuple[tuple[int, ...], ...]:
        """Return, for each group, the row of Ranks that each of its members is like."""
        first_rank, of_replica = self.stack.first_rank.tolist(), self.folding.classes.replica.tolist()
        groups = (self.folding.uses.job.groups[number] for number in self.folding.groups.tolist())
        return tuple(tuple(first_rank[of_replica[p.replica]] + p.pp_rank for p in group.places) for group in groups)

    def _copies(self, ways: Ints, links: Links, slowed_ps: Ints) -> Copies:
        folding, job = self.folding, self.folding.uses.job
        sizes = np.diff(self.stack.first_rank)
        groups = [job.groups[number] for number in folding.groups.tolist()]
        return Copies(
            np.repeat(np.bincount(folding.classes.replica), sizes),
            np.bincount(folding.classes.group, minlength=len(folding.groups)),
            tuple(tuple(job.gpus[place.replica][place.pp_rank] for place in group.places) for group in groups),
            tuple(self._streams()),
            self.whole_links(links, slowed_ps),
            lambda flow, link, value: self.at_links(ways[flow], link, value),
        )

    def _streams(self) -> list[dict[int, int]]:
        """Return, for each way, how many streams of all its copies cross each link, by row of Links."""
        row = {link: number for number, link in enumerate(self.loads.used)}
        numbers = [row.get(link, -1) for link in self.folding.link_numbers]
        found: dict[tuple[int, int], dict[int, int]] = {}
        for (link, *place), streams in self.folding.streams.items():
            found.setdefault((place[0], place[1]), {})[numbers[link]] = streams
        phases = [(-1 - group, slot) for group, slot in self.where_phases]
        return [found.get(place, {}) for place in (*self.places, *phases)]  # nothing where no link limits it

    def whole_links(self, links: Links, slowed_ps: Ints) -> Links:
        """Return all links that carried something, given those that stand for them."""
        uses, cluster = self.folding.uses, self.network.cluster
        is_used = self.row_by_link >= 0
        class_of = self.folding.classes.link[is_used]
        row = np.searchsorted(links.number, np.array(self.folding.link_numbers, dtype=np.int64))[class_of]
        numbers = uses.links[is_used]
        return Links(
            name=_Names(cluster, numbers),
            number=numbers,
            role=later(lambda: link_roles(cluster, numbers.tolist())),
            is_fair=links.is_fair[row],
            bytes_per_s=links.bytes_per_s[row],
            latency_ps=links.latency_ps[row],
            overhead_ps=links.overhead_ps[row],
            size_bytes=links.size_bytes[row],
            busy_ps=links.busy_ps[row],
            queued_ps=links.queued_ps[row],
            slowed_ps=slowed_ps,
            num_messages=links.num_messages[row],
        )
