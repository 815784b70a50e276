"""How fairly shared links were used over time, from the rates of the flows on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clustersim.trace import PS_PER_S, Flags, Floats, FlowTrace, Ints, Trace

_ROUNDING = 1e-9  # relative; rates are recorded as floats, and added up here
_ROUNDING_OF_A_RATE = 4 * float(np.finfo(np.float64).eps)  # relative; of a rate, of how long it held, and of their sum


@dataclass(frozen=True, slots=True)
class LoadCurve:
    """What fairly shared links carry: from each time on, until the link's next row. By link, then by time."""

    link: Ints  # row of Links
    time_ps: Ints
    bytes_per_s: Floats


def load_curve(trace: Trace | FlowTrace) -> LoadCurve:
    """Return what each fairly shared link carried over time; it is idle before its first row, and after its last."""
    rates, flows = trace.rates, trace.flows
    until_ps = rates.until_ps(flows.end_ps)
    link, rate, streams = _crossings(trace, flows.way[rates.flow])
    bytes_per_s = rates.bytes_per_s[rate] * streams
    return _summed(
        np.concatenate([link, link]),
        np.concatenate([rates.start_ps[rate], until_ps[rate]]),
        np.concatenate([bytes_per_s, -bytes_per_s]),
    )


def _crossings(trace: Trace | FlowTrace, way: Ints) -> tuple[Ints, Ints, Ints]:
    """Return every link on every way in `way`: (row of Links, index into `way`, streams that cross the link)."""
    ways = trace.ways
    num_hops = np.array([len(crossed.links) for crossed in ways], dtype=np.int64)
    first_hop = np.cumsum(num_hops) - num_hops
    count = num_hops[way]
    # An entry of `way` stands once for each of its hops: at position `within` among them.
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    hop = np.repeat(first_hop[way], count) + within
    link = np.array([row for crossed in ways for row in crossed.links], dtype=np.int64)
    streams = np.array([number for crossed in ways for number in crossed.streams], dtype=np.int64)
    return link[hop], np.repeat(np.arange(len(way)), count), streams[hop]


def _summed(link: Ints, time_ps: Ints, change_bytes_per_s: Floats) -> LoadCurve:
    """Return the sums of changes, one row for all changes of a link at one time."""
    order = np.lexsort((time_ps, link))
    link, time_ps = link[order], time_ps[order]
    first = np.flatnonzero(np.append(True, link[1:] != link[:-1])[: len(link)])
    # Each link for itself: the rounding of a fast one's sum would be much to a slow one.
    total = np.concatenate([np.empty(0), *map(np.cumsum, np.split(change_bytes_per_s[order], first[1:]))])
    is_last = np.append((link[1:] != link[:-1]) | (time_ps[1:] != time_ps[:-1]), True)[: len(link)]
    return LoadCurve(link[is_last], time_ps[is_last], total[is_last])


def full_ps(trace: Trace | FlowTrace, link: int) -> int:
    """Return for how long a link, a row of Links, carried all that it can. [ps]"""
    if not trace.links.is_fair[link]:
        return int(trace.links.busy_ps[link])  # a message that holds it has all of it
    curve = load_curve(trace)
    mine = curve.link == link
    time_ps, bytes_per_s = curve.time_ps[mine], curve.bytes_per_s[mine]
    is_full = bytes_per_s[:-1] >= trace.links.bytes_per_s[link] * (1 - _ROUNDING)
    return int(np.diff(time_ps)[is_full].sum())


def overloaded_links(trace: Trace | FlowTrace) -> Iterator[tuple[str, float, int]]:
    """Yield (name, load [bytes/s], since when [ps]) where a link carries more than its bandwidth."""
    curve = load_curve(trace)
    allowed = trace.links.bytes_per_s[curve.link] * (1 + _ROUNDING)
    for index in np.flatnonzero(curve.bytes_per_s > allowed)[:3]:
        yield trace.links.name[curve.link[index]], float(curve.bytes_per_s[index]), int(curve.time_ps[index])


def miscounted_links(trace: Trace | FlowTrace) -> Iterator[tuple[str, int, int]]:
    """Yield (name, bytes it carried, bytes of all flows over it) of links where the two differ.

    The streams of a collective may carry parts of bytes, and floats stand for those here: up to a byte is allowed.
    """
    flows, num_messages = trace.flows, len(trace.transfers.end_ps)
    link, flow, streams = _crossings(trace, flows.way)
    is_message = flow < num_messages
    sent_bytes = np.zeros(len(trace.links), dtype=np.int64)
    np.add.at(sent_bytes, link[is_message], trace.transfers.size_bytes[flow[is_message]])
    streamed_bytes = np.bincount(link, flows.size_bytes[flow] * streams * ~is_message, minlength=len(trace.links))
    allowed = (streamed_bytes > 0) * (1 + _ROUNDING * streamed_bytes)
    is_wrong = np.abs(trace.links.size_bytes - sent_bytes - streamed_bytes) > allowed
    for index in np.flatnonzero(is_wrong)[:3]:
        yield (
            trace.links.name[index],
            int(trace.links.size_bytes[index]),
            int(sent_bytes[index] + streamed_bytes[index]),
        )


def misdrained_flows(trace: Trace | FlowTrace) -> Iterator[tuple[int, float, float]]:
    """Yield (number, what drained, what may drain at most) of flows that drained more or less. [bytes]

    Rates are exact in the engine, and rounded to floats when they are recorded: that is allowed for, which is less than
    a byte for each rate of a flow of up to a petabyte. An end is rounded up to the picosecond: what the last rate
    carries in one is allowed on top.
    """
    flows, rates = trace.flows, trace.rates
    lasted_ps = rates.until_ps(flows.end_ps) - rates.start_ps
    drained = np.bincount(rates.flow, rates.bytes_per_s * lasted_ps / PS_PER_S, minlength=len(flows))
    last_rate = np.zeros(len(flows))
    last_rate[rates.flow] = rates.bytes_per_s  # in order of time: the last one stays
    most = flows.size_bytes + last_rate / PS_PER_S
    num_rates = np.bincount(rates.flow, minlength=len(flows))
    rounding = num_rates * (1e-6 + flows.size_bytes * _ROUNDING_OF_A_RATE)
    is_wrong = _is_drained(trace) & ((drained < flows.size_bytes - rounding) | (drained > most + rounding))
    for index in np.flatnonzero(is_wrong)[:3]:
        yield int(index), float(drained[index]), float(most[index])


def outrunning_messages(trace: Trace | FlowTrace) -> Iterator[tuple[int, int, float]]:
    """Yield (number, how long it took, how long its links take at least) of flows that were faster. [ps]

    A flow drains on all its links at once, so that its slowest one counts; FIFO links take a message one after the
    other.
    """
    flows, links = trace.flows, trace.links
    link, flow, streams = _crossings(trace, flows.way)
    hold_ps = flows.size_bytes[flow] * streams / links.bytes_per_s[link] * PS_PER_S
    slowest_ps, total_ps = np.zeros(len(flows)), np.zeros(len(flows))
    np.maximum.at(slowest_ps, flow, hold_ps)
    np.add.at(total_ps, flow, hold_ps)
    is_message = np.arange(len(flows)) < len(trace.transfers.end_ps)  # a phase is queued when its latency is over
    latency_ps = is_message * np.bincount(flow, links.latency_ps[link], minlength=len(flows))
    least_ps = np.where(_is_drained(trace), slowest_ps, total_ps) + latency_ps
    took_ps = flows.end_ps - flows.queued_ps
    for index in np.flatnonzero(took_ps < least_ps * (1 - _ROUNDING) - 1)[:3]:
        yield int(index), int(took_ps[index]), float(least_ps[index])


def _is_drained(trace: Trace | FlowTrace) -> Flags:
    """Return which flows have a fairly shared link on their way."""
    flows = trace.flows
    link, flow, _ = _crossings(trace, flows.way)
    return np.bincount(flow, trace.links.is_fair[link], minlength=len(flows)) > 0
