"""What belongs together in a trace: rates of a flow, phases and callers of a collective, who was ahead of whom.

Each is found once, and only if it is asked for.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from clustersim.analysis.collisions import alone_bytes_per_s
from clustersim.analysis.waits import barriers
from clustersim.columns import starts
from clustersim.sorting import order_by
from clustersim.trace import Flags, Floats, Ints, Trace

_UNKNOWN = -1


class TraceIndex:
    """Look-ups in one trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._links_of_route: dict[int, tuple[int, ...]] = {}
        self._is_simple = np.full(len(trace.routes), _UNKNOWN, dtype=np.int8)

    @cached_property
    def barriers(self) -> dict[int, Ints]:
        """The rows of each step's barrier."""
        ops, rows = self.trace.ops, barriers(self.trace)
        return {step: rows[ops.step[rows] == step] for step in range(self.trace.num_steps)}

    @cached_property
    def _row_of_link(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.trace.links.name)}

    def links_of(self, route: int) -> tuple[int, ...]:
        """Return the links of a route, as rows of Links; a path passes few of all routes."""
        if route not in self._links_of_route:
            row_of_link = self._row_of_link
            self._links_of_route[route] = tuple([row_of_link[name] for name in self.trace.routes[route]])
        return self._links_of_route[route]

    def drains(self, route: int) -> bool:
        """Return whether what goes over a route drains on all its links at once."""
        return self._is_any_fair and any(self.trace.links.is_fair.item(link) for link in self.links_of(route))

    @cached_property
    def _is_any_fair(self) -> bool:
        return bool(self.trace.links.is_fair.any())

    @cached_property
    def all_are_simple(self) -> bool:
        """Whether every route has one FIFO link, or none."""
        return not self._is_any_fair and max(map(len, self.trace.routes), default=0) < 2

    def are_simple(self, routes: Ints) -> Flags:
        """Return whether each route has one FIFO link, or none."""
        unknown = routes.take(np.flatnonzero(self._is_simple.take(routes) == _UNKNOWN))
        for route in np.flatnonzero(np.bincount(unknown)).tolist():
            self._is_simple[route] = len(self.links_of(route)) < 2 and not self.drains(route)
        return np.asarray(self._is_simple.take(routes), dtype=np.bool_)

    def first_links(self, routes: Ints) -> Ints:
        """Return the first link of each route, -1 where it has none."""
        first = np.full(int(routes.max(initial=0)) + 1, -1, dtype=np.int64)
        for route in np.flatnonzero(np.bincount(routes)).tolist():
            first[route] = (*self.links_of(route), -1)[0]
        return np.asarray(first[routes])

    @cached_property
    def ahead_on_link(self) -> Ints:
        """For each message the one that held the first link of its route until it started; -1 where there was none."""
        transfers = self.trace.transfers
        first_link = self.first_links(transfers.route)
        until_ps = transfers.start_ps + transfers.first_hold_ps
        # Link and time as one key, so that one search finds who was done on the same link at the same time.
        times_ps = np.sort(np.concatenate([until_ps, transfers.start_ps]))
        held_until, started = (
            first_link * len(times_ps) + np.searchsorted(times_ps, column) for column in (until_ps, transfers.start_ps)
        )
        holders = np.flatnonzero((transfers.first_hold_ps > 0) & (first_link >= 0))
        holders = holders[np.argsort(held_until[holders], kind="stable")]
        place = np.searchsorted(held_until[holders], started)
        ahead = np.append(holders, -1)[place]
        return np.where((ahead >= 0) & (held_until[ahead] == started), ahead, -1)

    @cached_property
    def ahead_in_group(self) -> Ints:
        """For each collective the one that its group did before it; -1 for the first."""
        collectives = self.trace.collectives
        order = _in_order(collectives.group, collectives.start_ps, collectives.end_ps)
        ahead = np.full(len(order), -1, dtype=np.int64)
        ahead[order[1:]] = order[:-1]
        return ahead

    @cached_property
    def phases(self) -> Ints:
        """The phases, collective by collective, in order of time; see `first_phase`."""
        phases = self.trace.phases
        return _in_order(phases.collective, phases.start_ps, phases.end_ps)

    @cached_property
    def first_phase(self) -> Ints:
        """Where the phases of each collective begin in `phases`."""
        return _firsts(self.trace.phases.collective, len(self.trace.collectives))

    def callers_of(self, collective: int) -> list[int]:
        """Return the rows of ops that call for a collective, by rank; a path passes few of all collectives.

        Of a folded trace a rank's row is that of the first of its class.
        """
        ops, first_op = self.trace.ops, self.trace.ranks.first_op
        callers = []
        for rank_index in dict.fromkeys(self.trace.groups[self.trace.collectives.group.item(collective)]):
            # What a rank calls for stands in the order in which it does.
            first, last = ops.first_join.take(first_op.take((rank_index, rank_index + 1))).tolist()
            for call in np.flatnonzero(ops.joins[first:last] == collective).tolist():
                callers.append(int(np.searchsorted(ops.first_join, first + call, side="right")) - 1)
        return callers

    @cached_property
    def rates(self) -> Ints:
        """The rows of rates, flow by flow, in order of time; see `first_rate`."""
        return self.trace.rates.by_flow

    @cached_property
    def first_rate(self) -> Ints:
        """Where the rates of each flow begin in `rates`."""
        return _firsts(self.trace.rates.flow, len(self.trace.flows))

    @cached_property
    def alone(self) -> Floats:
        """The rate at which each flow would drain alone. [bytes/s]"""
        return alone_bytes_per_s(self.trace)


def _in_order(*columns: Ints) -> Ints:
    """Return the order of rows by columns, the first of which counts most; as a rule they stand in it already."""
    is_before, is_equal = (np.full(max(0, len(columns[0]) - 1), value) for value in (False, True))
    for column in columns:
        is_before |= is_equal & (column[:-1] < column[1:])
        is_equal &= column[:-1] == column[1:]
    return np.arange(len(columns[0])) if (is_before | is_equal).all() else order_by(*columns)


def _firsts(values: Ints, num_values: int) -> Ints:
    """Return where each of ``range(num_values)`` begins in `values` sorted, and their number at the end."""
    return starts(np.bincount(values, minlength=num_values))
