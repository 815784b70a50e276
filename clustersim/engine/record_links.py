"""What messages did to links: the columns of links, and of the rates at which flows drained."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil

import numpy as np

from clustersim.engine.noted_groups import NotedRates
from clustersim.later import later
from clustersim.ops import Phase
from clustersim.sums import lost_at_links
from clustersim.topology.cluster import Cluster
from clustersim.topology.link_roles import link_roles
from clustersim.trace import Floats, Ints, Links, Rates, Way

_NONE = np.empty(0, dtype=np.int64)


class Loads:
    """How messages of one size load the links of one route, and phases of collectives theirs; each kind is counted.

    Parameters
    ----------
    routes
        Links of each route, in order.
    messages
        Route, size [bytes] and number of all messages.
    kinds_of_phases, kind_of_phase
        What there was of phases of collectives, and which of them each phase is.
    """

    def __init__(
        self,
        routes: Sequence[tuple[int, ...]],
        messages: Iterable[tuple[int, int, int]],
        kinds_of_phases: Sequence[Phase] = (),
        kind_of_phase: Ints = _NONE,
    ) -> None:
        self.routes, self.kinds_of_phases, self.kind_of_phase = routes, kinds_of_phases, kind_of_phase
        self.groups = [(routes[route], size_bytes, count) for route, size_bytes, count in messages]
        crossed = [*routes, *(phase.links for phase in self.kinds_of_phases)]
        self.used = sorted({link for links in crossed for link in links})


def link_columns(
    cluster: Cluster, fair: Collection[int], loads: Loads, queued_ps: Mapping[int, int], slowed_ps: Ints
) -> Links:
    """Return the links that carried something.

    Parameters
    ----------
    cluster
        The cluster.
    fair
        Links that were shared fairly.
    loads
        What the messages were.
    queued_ps
        Time that messages waited at each FIFO link. [ps]
    slowed_ps
        Time that flows lost at each link used. [ps]
    """
    used = loads.used
    row = {link: number for number, link in enumerate(used)}
    links = [cluster.link(link) for link in used]
    carried_bytes: list[int | Fraction] = [0] * len(used)
    in_parts: list[dict[int, int]] = [{} for _ in used]  # bytes of streams, as numerators by denominator
    busy_ps, num_messages = [0] * len(used), [0] * len(used)
    holds_ps: dict[tuple[tuple[int, int, int], int], int] = {}
    for route, size, count in loads.groups:
        for number in route:
            place = row[number]
            key = (links[place].make, size)
            if key not in holds_ps:
                holds_ps[key] = links[place].hold_ps(size)
            carried_bytes[place] += size * count
            busy_ps[place] += holds_ps[key] * count
            num_messages[place] += count
    counts = np.bincount(loads.kind_of_phase, minlength=len(loads.kinds_of_phases)).tolist()
    for phase, count in zip(loads.kinds_of_phases, counts, strict=True):
        volume, denominator = phase.volume_bytes.as_integer_ratio()
        for number, streams in zip(phase.links, phase.streams, strict=True):
            parts = in_parts[row[number]]
            parts[denominator] = parts.get(denominator, 0) + volume * streams * count
            num_messages[row[number]] += streams * count
    for place, parts in enumerate(in_parts):
        if parts:
            carried_bytes[place] += sum(Fraction(volume, denominator) for denominator, volume in parts.items())
    for number in fair:  # a FIFO link is held for whole messages, a fair one for the sum of all parts
        busy_ps[row[number]] = cluster.link(number).transfer_ps(carried_bytes[row[number]])
    return Links(
        name=tuple(link.name for link in links),
        number=_ints(used),
        role=later(lambda: link_roles(cluster, used)),
        is_fair=np.isin(used, sorted(fair)),
        bytes_per_s=_bandwidths(cluster, used),
        latency_ps=_ints(link.latency_ps for link in links),
        overhead_ps=_ints(link.overhead_ps for link in links),
        size_bytes=_ints(map(ceil, carried_bytes)),
        busy_ps=_ints(busy_ps),
        queued_ps=_ints(queued_ps.get(link, 0) for link in used),
        slowed_ps=slowed_ps,
        num_messages=_ints(num_messages),
    )


def rate_columns(noted: NotedRates, loads: Loads) -> Rates:
    """Return the rates that were noted."""
    return Rates(noted.flow, noted.start_ps, noted.bytes_per_s, np.searchsorted(loads.used, noted.bottleneck))


def lasting(rates: Rates, end_ps: Ints) -> Rates:
    """Return the rates that held for a while, and changed: what comes and goes in an instant depends on a run's form.

    `end_ps` has the end of every flow.
    """
    has_lasted = rates.until_ps(end_ps) > rates.start_ps
    held = rates if has_lasted.all() else _rows_of(rates, np.flatnonzero(has_lasted))
    order = held.by_flow
    is_new = np.zeros(len(order), dtype=np.bool_)
    is_new[:1] = True
    for column in (held.flow, held.bytes_per_s, held.bottleneck):
        by_flow = column.take(order)
        is_new[1:] |= by_flow[1:] != by_flow[:-1]
    return held if is_new.all() else _rows_of(held, np.sort(order[is_new]))


def _rows_of(rates: Rates, rows: Ints) -> Rates:
    """Return some rates, or the same ones in another order."""
    return Rates(
        rates.flow.take(rows), rates.start_ps.take(rows), rates.bytes_per_s.take(rows), rates.bottleneck.take(rows)
    )


def phase_ways(loads: Loads) -> tuple[Way, ...]:
    """Return the links of each kind of phase, as rows of the links used."""
    row = {link: number for number, link in enumerate(loads.used)}
    return tuple(Way(tuple(row[link] for link in phase.links), phase.streams) for phase in loads.kinds_of_phases)


def slowed_by_link_ps(cluster: Cluster, loads: Loads, rates: Rates, route: Ints, end_ps: Ints) -> Ints:
    """Return the time that flows lost by sharing, by the link that was their bottleneck meanwhile. [ps]

    Parameters are those of :func:`lost_ps`.
    """
    return lost_at_links(rates.bottleneck, lost_ps(cluster, loads, rates, route, end_ps), len(loads.used))


def lost_ps(cluster: Cluster, loads: Loads, rates: Rates, route: Ints, end_ps: Ints) -> Ints:
    """Return the time that a flow lost by sharing while each rate held, to the picosecond. [ps]

    A flow at half the rate that it would have alone loses half of that time. Over its whole way it so loses
    end - start - size / bandwidth of the slowest link, but for rounding.

    Parameters
    ----------
    cluster, loads, rates
        What flowed where, and how fast.
    route
        Route of each message.
    end_ps
        End of each flow: messages, then phases. [ps]
    """
    of_link = dict(zip(loads.used, _bandwidths(cluster, loads.used).tolist(), strict=True))
    alone = [min([of_link[link] for link in links], default=np.inf) for links in loads.routes]
    for phase in loads.kinds_of_phases:
        shares = [of_link[link] / count for link, count in zip(phase.links, phase.streams, strict=True)]
        alone.append(min(shares, default=np.inf))
    way = np.concatenate([route, loads.kind_of_phase + len(loads.routes)])
    lasted_ps = rates.until_ps(end_ps) - rates.start_ps
    # Whole numbers, so that their sums depend on no order.
    lost = lasted_ps * (1 - rates.bytes_per_s / np.array(alone)[way[rates.flow]])
    return np.asarray(np.rint(lost), dtype=np.int64)


def _bandwidths(cluster: Cluster, links: Iterable[int]) -> Floats:
    bandwidths = [cluster.link(link).bandwidth_bytes_per_s for link in links]
    # Links of one make share the object of their bandwidth, and to convert a fraction takes long.
    known = {id(bandwidth): np.inf if bandwidth is None else float(bandwidth) for bandwidth in _each_once(bandwidths)}
    return np.array([known[id(bandwidth)] for bandwidth in bandwidths])


def _each_once(bandwidths: Iterable[Fraction | None]) -> Iterable[Fraction | None]:
    return {id(bandwidth): bandwidth for bandwidth in bandwidths}.values()


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)
