"""How fairly shared links were used over time, from the rates of the flows on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clustersim.trace import Floats, FlowTrace, Ints, Trace

_PS_PER_S = 10**12
_ROUNDING = 1e-9  # relative; rates are recorded as floats, and added up here


@dataclass(frozen=True, slots=True)
class LoadCurve:
    """What fairly shared links carry: from each time on, until the link's next row. By link, then by time."""

    link: Ints  # row of Links
    time_ps: Ints
    bytes_per_s: Floats


def load_curve(trace: Trace | FlowTrace) -> LoadCurve:
    """Return what each fairly shared link carried over time; it is idle before its first row, and after its last."""
    transfers, rates = trace.transfers, trace.rates
    until_ps = rates.until_ps(transfers.end_ps)
    rows_by_name = {name: row for row, name in enumerate(trace.links.name)}
    hops = [[rows_by_name[name] for name in route] for route in trace.routes]
    num_hops = np.array([len(route) for route in hops], dtype=np.int64)
    first_hop = np.cumsum(num_hops) - num_hops
    route = transfers.route[rates.transfer]
    count = num_hops[route]
    # Each rate stands once for each link of its route: at position `within` of the hops of that route.
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    link = np.array([row for route_rows in hops for row in route_rows], dtype=np.int64)
    link = link[np.repeat(first_hop[route], count) + within]
    bytes_per_s = np.repeat(rates.bytes_per_s, count)
    return _summed(
        np.concatenate([link, link]),
        np.concatenate([np.repeat(rates.start_ps, count), np.repeat(until_ps, count)]),
        np.concatenate([bytes_per_s, -bytes_per_s]),
    )


def _summed(link: Ints, time_ps: Ints, change_bytes_per_s: Floats) -> LoadCurve:
    """Return the sums of changes, one row for all changes of a link at one time."""
    order = np.lexsort((time_ps, link))
    link, time_ps = link[order], time_ps[order]
    total = np.cumsum(change_bytes_per_s[order])  # every link comes back to nothing before the next one begins
    is_last = np.append((link[1:] != link[:-1]) | (time_ps[1:] != time_ps[:-1]), True)[: len(link)]
    return LoadCurve(link[is_last], time_ps[is_last], total[is_last])


def overloaded_links(trace: Trace | FlowTrace) -> Iterator[tuple[str, float, int]]:
    """Yield (name, load [bytes/s], since when [ps]) where a link carries more than its bandwidth."""
    curve = load_curve(trace)
    largest = trace.rates.bytes_per_s.max(initial=0)
    allowed = trace.links.bytes_per_s[curve.link] * (1 + _ROUNDING) + largest * _ROUNDING
    for index in np.flatnonzero(curve.bytes_per_s > allowed)[:3]:
        yield trace.links.name[curve.link[index]], float(curve.bytes_per_s[index]), int(curve.time_ps[index])


def misdrained_flows(trace: Trace | FlowTrace) -> Iterator[tuple[int, float, float]]:
    """Yield (row of transfers, what drained, what may drain at most) of flows that drained more or less. [bytes]"""
    transfers, rates = trace.transfers, trace.rates
    lasted_ps = rates.until_ps(transfers.end_ps) - rates.start_ps
    drained = np.bincount(rates.transfer, rates.bytes_per_s * lasted_ps / _PS_PER_S, minlength=len(transfers.end_ps))
    last_rate = np.zeros(len(transfers.end_ps))
    last_rate[rates.transfer] = rates.bytes_per_s  # in order of time: the last one stays
    most = transfers.size_bytes + last_rate / _PS_PER_S
    rounding = 1e-6 + transfers.size_bytes * _ROUNDING
    is_flow = np.bincount(rates.transfer, minlength=len(transfers.end_ps)) > 0
    wrong = is_flow & ((drained < transfers.size_bytes - rounding) | (drained > most + rounding))
    for index in np.flatnonzero(wrong)[:3]:
        yield int(index), float(drained[index]), float(most[index])
