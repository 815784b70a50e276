"""Flows that meet, in parts that have no link in common; parts that are alike are worked out once.

Replicas that do the same on links laid out alike, such as the ranks of a tensor-parallel group over rails of their own,
make parts of which each is as any other: as many flows at the same times, over as many links of the same bandwidth. And
stage after stage, what comes is often what came a while ago.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from clustersim.engine.chains import Follower
from clustersim.engine.meetings import Met, UnderWay, meet
from clustersim.engine.open_flows import FlowSpec
from clustersim.topology.cluster import Cluster


class _Coming(NamedTuple):
    """A flow that begins at a time, or one of which a part has drained by then. [ps]"""

    key: int
    begin_ps: int
    flow: FlowSpec
    state: UnderWay | None


class _Form(NamedTuple):
    """What a part is but for names and the time of day; parts of one form come to the same, flow by flow."""

    flows: tuple[Hashable, ...]
    bandwidths: tuple[int, ...]
    order: tuple[int, ...]  # of links by their numbers, as that may tell which of equal ones sets a rate


class _Known(NamedTuple):
    """What became of a part."""

    begin_ps: int  # of its first flow
    links: list[int]  # in the order in which its flows come upon them
    met: list[Met]


class Meetings:
    """What becomes of flows that meet, on one cluster, as far as it was worked out."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._kinds_of_links: dict[int, int] = {}  # by link, the same number for the same bandwidth
        self._bandwidths: dict[Fraction | None, int] = {}
        self._known: dict[_Form, _Known] = {}

    def meet(
        self,
        flows: Iterable[tuple[int, int, FlowSpec]],
        under_way: Mapping[int, tuple[FlowSpec, UnderWay]],
        since_ps: int,
        followers: Mapping[int, Follower],
    ) -> dict[int, Met]:
        """Return what becomes of flows, as :func:`clustersim.engine.meetings.meet` does of all at once."""
        coming = [_Coming(key, begin_ps, flow, None) for key, begin_ps, flow in flows]
        coming += [_Coming(key, since_ps, flow, state) for key, (flow, state) in under_way.items()]
        found: dict[int, Met] = {}
        for part in _parts(coming, followers):
            first_ps = min(one.begin_ps for one in part)
            form, links = self._form(part, first_ps, followers)
            known = self._known.get(form)
            if known is None:
                own = self._met(part, since_ps, followers)
                self._known[form] = _Known(first_ps, links, [own[one.key] for one in part])
                found.update(own)
                continue
            stands_for, by_ps = dict(zip(known.links, links, strict=True)), first_ps - known.begin_ps
            found.update((one.key, met.on(stands_for, by_ps)) for one, met in zip(part, known.met, strict=True))
        return found

    def _met(self, part: Sequence[_Coming], since_ps: int, followers: Mapping[int, Follower]) -> dict[int, Met]:
        new = [(one.key, one.begin_ps, one.flow) for one in part if one.state is None]
        under_way = {one.key: (one.flow, one.state) for one in part if one.state is not None}
        own = {one.key: followers[one.key] for one in part if one.key in followers}
        return meet(new, under_way, since_ps, self._cluster, own)

    def _form(
        self, part: Sequence[_Coming], first_ps: int, followers: Mapping[int, Follower]
    ) -> tuple[_Form, list[int]]:
        """Return the form of a part, and its links in the order in which its flows come upon them."""
        number = {one.key: place for place, one in enumerate(part)}
        links: dict[int, int] = {}
        ways: dict[tuple[int, int], tuple[Hashable, ...]] = {}
        flows: list[Hashable] = []
        for key, begin_ps, flow, state in part:
            way = ways.get((id(flow.links), id(flow.streams)))
            if way is None:
                labels = [links.setdefault(link, len(links)) for link in flow.links]
                way = ways[id(flow.links), id(flow.streams)] = (tuple(labels), tuple(flow.streams))
            after = followers.get(key)
            flows.append(
                (
                    begin_ps - first_ps,
                    flow.volume_bytes,
                    way,
                    None if state is None else self._state(state, links),
                    None if after is None else (number[after.key], max(0, after.queued_ps - first_ps), after.lead_ps),
                )
            )
        order = sorted(links.values(), key=list(links).__getitem__)
        return _Form(tuple(flows), tuple(map(self._kind_of_link, links)), tuple(order)), list(links)

    @staticmethod
    def _state(state: UnderWay, links: Mapping[int, int]) -> Hashable:
        rate = state.rate
        return state.left, state.scale, rate.numerator, rate.denominator, links.get(state.bottleneck, -1)

    def _kind_of_link(self, link: int) -> int:
        kind = self._kinds_of_links.get(link)
        if kind is None:
            bandwidth = self._cluster.link(link).bandwidth_bytes_per_s
            kind = self._kinds_of_links[link] = self._bandwidths.setdefault(bandwidth, len(self._bandwidths))
        return kind


def _parts(coming: Sequence[_Coming], followers: Mapping[int, Follower]) -> list[list[_Coming]]:
    """Return flows in parts that share no link and do not wait for one another, each by key."""
    parent: dict[int, int] = {}  # of a link, another of its part; of one in each part, itself

    def root(link: int) -> int:
        while (above := parent.setdefault(link, link)) != link:
            parent[link] = parent[above]
            link = above
        return link

    ways: dict[int, int] = {}  # a link of each way
    for one in coming:
        links = one.flow.links
        if id(links) not in ways:
            ways[id(links)] = first = root(links[0])
            for link in links[1:]:
                parent[root(link)] = first
                first = root(first)
    link_of = {one.key: ways[id(one.flow.links)] for one in coming}
    for key, after in followers.items():
        parent[root(link_of[key])] = root(link_of[after.key])
    parts: dict[int, list[_Coming]] = {}
    for one in sorted(coming, key=lambda one: one.key):
        parts.setdefault(root(link_of[one.key]), []).append(one)
    return list(parts.values())
